"""Finds plugins of every family by entry point or file without importing anything."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from genbench.config import CONTROLS, ModelSpec
from genbench.errors import InputError, nearest, quoted, sentence
from genbench.plugin.families import MODEL, Family
from genbench.plugin.source_hash import Coverage, canonical, coverage, wrapped_versions
from genbench.plugin.source_hash.installed import local_modules

__all__ = ["Found", "Provenance", "docstring_line", "find", "find_brought", "find_file", "identity_line", "installed"]


@dataclass(frozen=True)
class Provenance:
    """Where a plugin's code came from, as stored in every record of its cells."""

    distribution: str
    version: str
    origin: str
    source_sha256: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)

    @property
    def code(self) -> dict[str, str]:
        """The fields that identify the code: the place it was installed from does not affect any number."""
        return {name: value for name, value in asdict(self).items() if name != "origin"}


@dataclass(frozen=True)
class Found:
    """A plugin that has been found but not imported: its entry point, or its file."""

    name: str
    distribution: str
    version: str
    target: str
    file: Path | None = None
    family: Family = MODEL

    def __str__(self) -> str:
        return f"{self.family.name} '{self.name}' ({self.distribution} {self.version})".replace(" )", ")")

    @property
    def path(self) -> Path | None:
        """The file that holds the plugin, found without importing it, or None."""
        if self.file is not None:
            return self.file
        root = self._root()
        inner = Path(*self.target.partition(":")[0].split(".")[1:])
        if root is None or root.is_file():
            return root
        candidates = (
            (root / inner).with_suffix(".py") if inner.parts else root / "__init__.py",
            root / inner / "__init__.py",
        )
        return next((path for path in candidates if path.is_file()), None)

    def summary(self) -> str:
        """Return the first line of the module's docstring, read from its source."""
        path = self.path
        return docstring_line(path) if path else ""

    def coverage(self, options: Mapping[str, object] = MappingProxyType({})) -> Coverage | None:
        """Find every file that the plugin's code comes from, without importing it; None if the module is gone.

        Args:
            options: the options that it is given; the files that they name also count.

        Raises:
            InputError: a file cannot be read.
        """
        root = self.root()
        if root is None:
            return None  # its cell reports this when it is loaded
        modules = () if self.file else local_modules(self.distribution)
        try:
            return coverage(root, modules, [value for value in options.values() if isinstance(value, str)])
        except OSError as error:
            raise InputError(f"{self}: {error.filename}, part of it, cannot be read: {error.strerror}") from error

    def provenance(self, covered: Coverage | None = None) -> Provenance:
        """Hash the source: the files in `covered`, which are searched for if not given.

        The versions of the libraries that its distribution requires and genbench does not also count as source: the
        model of an adapter is in them.
        """
        covered = covered or self.coverage()
        versions = [] if self.file else wrapped_versions(self.distribution)
        digest = covered.sha256(versions) if covered else ""
        return Provenance(self.distribution, self.version, self.origin(), digest)

    def origin(self) -> str:
        """Return its origin: a file's name, `editable`, an address, or `index`; never a path, which is private."""
        if self.file is not None:
            return self.file.name
        try:
            text = importlib.metadata.distribution(self.distribution).read_text("direct_url.json")
        except importlib.metadata.PackageNotFoundError:
            text = None
        if not text:
            return "index"
        source = json.loads(text)
        if source["url"].startswith("file:"):
            return "editable" if source.get("dir_info", {}).get("editable") else "local"
        return "@".join(filter(None, (source["url"], source.get("vcs_info", {}).get("commit_id"))))

    def root(self) -> Path | None:
        """The file, or the folder of the top-level package, that is hashed."""
        return self.file or self._root()

    def _root(self) -> Path | None:
        # Only the top-level name is looked up: finding `a.b` would import `a`.
        try:
            spec = importlib.util.find_spec(self.target.partition(":")[0].partition(".")[0])
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        if spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations)))
        return Path(spec.origin) if spec.origin else None


def installed(allowed: Sequence[str] | None = None, family: Family = MODEL) -> dict[str, list[Found]]:
    """Return the installed plugins of a family by name, with all distributions that provide each, importing none.

    Args:
        allowed: the only distributions that count; None for all.
        family: the family of the plugins.
    """
    plugins: dict[str, list[Found]] = {}
    names = None if allowed is None else {canonical(name) for name in allowed}
    # An editable install can be seen twice (its finder, and the folder itself when it is on the path).
    seen: set[tuple[str, str]] = set()
    for point in importlib.metadata.entry_points(group=family.group):
        distribution = point.dist.name if point.dist else "unknown"
        if (point.name, distribution) not in seen and (names is None or canonical(distribution) in names):
            seen.add((point.name, distribution))
            version = point.dist.version if point.dist else "unknown"
            found = Found(point.name, distribution, version, point.value, family=family)
            plugins.setdefault(point.name, []).append(found)
    return dict(sorted(plugins.items()))


def find(spec: ModelSpec, allowed: Sequence[str] | None = None) -> Found:
    """Find the model that `spec` names among the `allowed` distributions (`file` for model files; None for all).

    Raises:
        InputError: there is none, or more than one, or it is from a distribution that is not allowed.
    """
    if spec.is_file:
        return find_file(spec.name, MODEL, allowed)
    distribution, _, name = spec.name.rpartition(":")
    models = installed()
    if name not in models:
        hint = nearest(name, [*models, *CONTROLS])
        raise InputError(f"unknown model {name!r}{sentence(hint, '`genbench models` lists the installed ones')}")
    offers = [found for found in models[name] if distribution in ("", found.distribution)]
    if not offers:
        raise InputError(f"model {name!r} is not offered by {distribution!r}, only by {_join(models[name])}")
    offers = _allowed(offers, allowed)
    if len(offers) > 1:
        choices = " or ".join(f"{found.distribution}:{name}" for found in offers)
        raise InputError(f"model {name!r} is offered by {_join(offers)}; choose {choices}")
    return offers[0]


def find_brought(
    family: Family, name: str, allowed: Sequence[str] | None = None, known: Iterable[str] = (), lister: str = ""
) -> Found:
    """Find the one plugin of a family other than models by the name of its entry point.

    Args:
        family: the family of the plugin.
        name: the name of its entry point.
        allowed: the only distributions that it may come from; None for all.
        known: names built into genbench, for the hint if no such plugin exists.
        lister: the command that lists them, for the same hint.

    Raises:
        InputError: there is none, or more than one, or it is from a distribution that is not allowed.
    """
    plugins = installed(family=family)
    if name not in plugins:
        hint = nearest(name, [*plugins, *known])
        text = sentence(hint, f"`{lister}` lists the available ones") if lister else hint
        raise InputError(f"unknown {family.name} {quoted(name)}{text}")
    offers = _allowed(plugins[name], allowed)
    if len(offers) > 1:
        raise InputError(f"{family.name} {name!r} is offered by {_join(offers)}; choose one with --plugins-from")
    return offers[0]


def find_file(name: str, family: Family, allowed: Sequence[str] | None = None) -> Found:
    """Find a plugin in a Python file.

    Raises:
        InputError: it does not exist, or files are not allowed.
    """
    path = Path(os.path.realpath(os.path.expanduser(name)))  # `resolve` raises for a link to itself
    if not path.is_file():
        raise InputError(f"{family.name} file {name} does not exist")
    if allowed is not None and "file" not in allowed:
        listed = ", ".join(allowed) or "none"
        raise InputError(f"{family.name} file {name}: --plugins-from does not list `file` (it lists {listed})")
    return Found(path.stem, "file", "", path.stem, path, family)


def _allowed(offers: list[Found], allowed: Sequence[str] | None) -> list[Found]:
    """Return those from an allowed distribution; raise `InputError` if none is."""
    if allowed is None:
        return offers
    names = {canonical(name) for name in allowed}
    kept = [found for found in offers if canonical(found.distribution) in names]
    if not kept:
        what, listed = f"{offers[0].family.name} {offers[0].name!r}", ", ".join(allowed) or "none"
        raise InputError(f"{what} is from {_join(offers)}, which --plugins-from does not list (it lists {listed})")
    return kept


def identity_line(provenance: Mapping[str, str]) -> str:
    """Return what identifies a plugin's code in one line: its distribution, version and source hash.

    >>> identity_line({"distribution": "spectra", "version": "0.1.0", "source_sha256": "ab12"})
    'spectra 0.1.0 sha256:ab12'
    """
    name = f"{provenance['distribution']} {provenance['version']}".strip()
    return f"{name} sha256:{provenance['source_sha256']}"


def docstring_line(path: Path) -> str:
    """Return the first line of a Python file's docstring, without running the file; empty if it has none."""
    import ast

    try:
        text = ast.get_docstring(ast.parse(path.read_bytes()))
    except (SyntaxError, ValueError, OSError):
        return ""
    return text.strip().splitlines()[0] if text and text.strip() else ""


def _join(offers: list[Found]) -> str:
    return " and ".join(f"{found.distribution} {found.version}" for found in offers)
