"""Whether a report is still up to date with its records, noted next to them so that it is not rendered needlessly.

The note contains no number of a record: only what the report was rendered from, as checksums, and what was written. All
of it is verified on the next call, and if anything differs, the report is rendered from the records as if there were no
note. Nothing here needs the modules that draw and write a report: importing them takes longer than verifying a small
report.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genbench.config.target import Target
from genbench.machine import atomic
from genbench.machine.regular_file import open_regular, read_regular
from genbench.records.files import record_contents
from genbench.records.record import RecordError
from genbench.records.studies import FOLDER, RESULTS

__all__ = ["NOTE", "Made", "is_current", "note"]

NOTE = ".report.json"

_KIND = "genbench_report"
_VERSION = 1
_DRAWN_WITH = ("matplotlib", "numpy", "pillow")


@dataclass
class Made:
    """What a report is rendered from, filled in while that is read, and what was written.

    `records` is fed the bytes of each record as it is read, so the note describes what was rendered and not what is
    there afterwards. Plans and artifacts are examined before they are used: one that changes meanwhile counts as
    changed on the next call.
    """

    directory: Path
    targets: Sequence[Target] | None = None  # as requested; None means those of the runs
    records: Any = field(default_factory=hashlib.sha256)
    plans: str = ""
    artifacts: tuple[str, ...] = ()
    artifacts_state: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    def look(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Examine the plans and the studies' results, and the artifacts that these records name."""
        self.plans = _plans(self.directory)
        named = {path for record in records for path in (record.get("artifacts") or {}).values() if path}
        self.artifacts = tuple(sorted(named))
        self.artifacts_state = _state(self.directory, self.artifacts)

    @contextlib.contextmanager
    def replacing(self, path: Path) -> Iterator[Path]:
        """Write a file as `atomic.replacing` does, and keep the checksum of what was written."""
        with atomic.replacing(path) as temporary:
            yield temporary
            self.outputs[path.relative_to(self.directory).as_posix()] = _checksum(temporary)


def note(made: Made) -> None:
    """Note next to the records what a report was rendered from."""
    body = {
        "program": _program(),
        "targets": _texts(made.targets),
        "records": made.records.hexdigest(),
        "plans": made.plans,
        "artifacts": list(made.artifacts),
        "artifacts_state": made.artifacts_state,
        "outputs": made.outputs,
    }
    document = {_KIND: _VERSION, **body, "sha256": _sum({_KIND: _VERSION, **body})}
    atomic.write_text(made.directory / NOTE, json.dumps(document) + "\n")


def is_current(directory: Path, targets: Sequence[Target] | None, say: Callable[[str], None]) -> bool:
    """Return whether the report of a folder is what `report.render_again` would write.

    Every record is read and its bytes go into one checksum, so an edit is noticed even if its size and time are
    unchanged. For artifacts, which are images, size and times are compared.

    Args:
        directory: of the benchmark.
        targets: as requested; None means those of the runs.
        say: called with one line if there is a note that cannot be used.
    """
    path = directory / NOTE
    try:
        content = read_regular(path)
    except OSError:
        return False
    found = _read(content)
    if found is None:
        say(f"{path} is truncated, edited or from another version: the report is rendered again from the records")
        return False
    return (
        found["program"] == _program()
        and found["targets"] == _texts(targets)
        and found["plans"] == _plans(directory)
        and found["artifacts_state"] == _state(directory, found["artifacts"])
        and all(_checksum(directory / name) == expected for name, expected in found["outputs"].items())
        and found["records"] == _records(directory)
    )


def _read(content: bytes) -> dict[str, Any] | None:
    """Return a note, or None if it is not one, or was changed since it was written."""
    try:
        document = json.loads(content)
        body = {key: value for key, value in document.items() if key != "sha256"}
        whole = document[_KIND] == _VERSION and document["sha256"] == _sum(body)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None
    return body if whole else None


def _sum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _texts(targets: Sequence[Target] | None) -> list[str] | None:
    return None if targets is None else [str(target) for target in targets]


def _records(directory: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        for _ in record_contents(directory, digest):
            pass
    except (OSError, RecordError):
        return None  # reading the records reports the reason
    return digest.hexdigest()


def _plans(directory: Path) -> str:
    digest = hashlib.sha256()
    studies = (directory / FOLDER).glob(f"*/{RESULTS}")
    for path in sorted([*(directory / "plans").glob("[!.]*.json"), *studies]):
        digest.update(f"{path.relative_to(directory).as_posix()} {_checksum(path)}\n".encode())
    return digest.hexdigest()


def _state(directory: Path, artifacts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in artifacts:
        try:
            found = os.stat(directory / name)
        except (OSError, ValueError):
            digest.update(f"{name}\0-\n".encode("utf-8", "surrogatepass"))
            continue
        seen = (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        digest.update(f"{name}\0{seen}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _checksum(path: Path) -> str:
    """Return the checksum of a file, empty if it cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@functools.cache
def _program() -> str:
    """Return what determines how given records are rendered: genbench's sources, and the libraries it draws with."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256("".join(f"{name} {version(name)}\n" for name in _DRAWN_WITH).encode())
    for path in sorted([*root.rglob("*.py"), *root.glob("report/web/assets/*")]):
        digest.update(f"{path.relative_to(root).as_posix()} {_checksum(path)}\n".encode())
    return digest.hexdigest()
