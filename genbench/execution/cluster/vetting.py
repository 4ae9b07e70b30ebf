"""How a worker differs from the requirements of a benchmark: software, models, checkpoint folder; one line each."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.config import ModelSpec
from genbench.errors import InputError
from genbench.execution.executor import FoundModel
from genbench.machine import atomic
from genbench.plugin import finding
from genbench.plugin.source_hash import Coverage

__all__ = ["Shipment", "differing_models", "differing_software", "found_here", "software", "unwritable"]


@functools.cache
def software() -> dict[str, str]:
    """Return what numbers depend on besides plugins and data: versions, and the hash of genbench's own source."""
    folder = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return {
        "genbench": importlib.metadata.version("genbench"),
        "genbench's source": digest.hexdigest()[:12],
        "torch": importlib.metadata.version("torch").partition("+")[0],  # the client may have a build without CUDA
        "Python": platform.python_version(),
    }


def differing_software(expected: Mapping[str, str]) -> list[str]:
    """Return how this process differs from another's `software`."""
    own = software()
    return [f"{name} is {own.get(name)}, here {value}" for name, value in expected.items() if own.get(name) != value]


@dataclass(frozen=True)
class Shipment:
    """A model as sent to a worker, in plain values; a model file comes with the neighbouring files that it uses.

    Args:
        name: of the model in the benchmark.
        options: of the model.
        distribution: that provides it.
        version: of the distribution.
        source_sha256: of its code.
        files: of a model file and the files it reads in its own folder: their bytes, by their paths in that folder.
        names: of all files of its code, as in its coverage.
    """

    name: str
    options: Mapping[str, Any]
    distribution: str
    version: str
    source_sha256: str
    files: Mapping[str, bytes]
    names: tuple[str, ...]

    @classmethod
    def of(cls, model: FoundModel) -> Shipment:
        """Pack a model.

        Raises:
            InputError: a file has changed since it was hashed.
        """
        source, files = model.provenance, {}
        names: tuple[str, ...] = ()
        if model.covered is not None:
            names = tuple(sorted(model.covered.files))
            if model.spec.is_file:
                folder = model.covered.folder.resolve()
                inside = [each for each in model.covered.files.values() if Path(each.path).is_relative_to(folder)]
                files = {Path(each.path).relative_to(folder).as_posix(): _unchanged(each) for each in inside}
        spec = model.spec
        return cls(
            spec.name, spec.options, source["distribution"], source["version"], source["source_sha256"], files, names
        )

    @property
    def key(self) -> str:
        """Its unique name on a worker."""
        return hashlib.sha256(repr((self.name, self.source_sha256)).encode()).hexdigest()[:16]

    def unpack(self, folder: Path) -> None:
        """Write the files of a model file below `folder`."""
        for name, content in self.files.items():
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise InputError(f"{name} is not in the model's folder")
            atomic.write_bytes(path, content)

    def spec(self, folder: Path) -> ModelSpec:
        """Return the model's specification on this machine, with its files in `folder`."""
        spec = ModelSpec(self.name, self.options)
        return ModelSpec(str(folder / Path(self.name).name), self.options) if spec.is_file else spec


def _unchanged(source: Any) -> bytes:
    content = Path(source.path).read_bytes()
    if hashlib.sha256(content).hexdigest() != source.sha256:
        raise InputError(f"{source.path} changed while this run was starting; repeat the command")
    return content


def differing_models(shipments: Sequence[Shipment], folder: Path) -> list[str]:
    """Return how the models here differ; the files of model files are below `folder`, in a folder named by `key`."""
    return [line for each in shipments if (line := _differing(each, folder / each.key))]


_READING = threading.Lock()  # Python 3.11 miscounts if two threads parse source code at once


def found_here(wanted: Shipment, folder: Path) -> tuple[finding.Found, Coverage | None, finding.Provenance]:
    """Return a model as found on this machine; files that were sent along are in `folder`.

    Raises:
        InputError: it is not found.
    """
    spec = wanted.spec(folder)
    found = finding.find(spec, [wanted.distribution])
    with _READING:
        covered = found.coverage(spec.options)
        return found, covered, found.provenance(covered)


def _differing(wanted: Shipment, folder: Path) -> str:
    try:
        found, covered, own = found_here(wanted, folder)
    except InputError as error:
        return str(error)
    if own.version != wanted.version:
        return f"{found} is {own.version}, here {wanted.version}"
    if own.source_sha256 == wanted.source_sha256:
        return ""
    missing = [name.lstrip("+") for name in wanted.names if covered is None or name not in covered.files]
    if missing and wanted.files:
        return (
            f"{found} imports or reads {', '.join(missing)}, which is outside its folder and is not sent along; "
            "put it next to the model, or install it on the workers"
        )
    return f"{found}: its source is different" + (f": {', '.join(missing)} is missing" if missing else "")


def unwritable(shared: Path) -> str:
    """Return why checkpoints cannot be written to a folder; empty if they can."""
    try:
        (shared / "checkpoints").mkdir(parents=True, exist_ok=True)
        atomic.try_writing(shared / "checkpoints")
    except OSError as error:
        return f"cannot write to --shared {shared}: {error.strerror}"
    atomic.sweep(shared)
    return ""
