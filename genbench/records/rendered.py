"""Whether a report is still that of its records, noted beside them, so that it is not made again for nothing.

The note holds no number of a record: what the report was made from, each by a checksum, and what it wrote. All of it is
verified on the next call, and where anything differs, the report is made from the records as if there were no note.
Nothing here needs what draws and writes a report, whose imports take longer than a small report's verification.
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
from genbench.records.record import RecordError, record_contents
from genbench.records.studies import FOLDER, RESULTS

__all__ = ["NOTE", "Made", "is_current", "note"]

NOTE = ".report.json"

_KIND = "genbench_report"
_VERSION = 1
_DRAWN_WITH = ("matplotlib", "numpy", "pandas", "pillow")


@dataclass
class Made:
    """What a report is made from, filled in while that is read, and what it wrote.

    `records` is fed the bytes of each record that is read, so what is noted is what was rendered and not what lies
    there afterwards. Plans and artifacts are looked at before they are used: one that changes meanwhile counts as
    changed on the next call.
    """

    directory: Path
    targets: Sequence[Target] | None = None  # that were asked for; None, those of the runs
    records: Any = field(default_factory=hashlib.sha256)
    plans: str = ""
    artifacts: tuple[str, ...] = ()
    artifacts_state: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    def look(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Look at the plans and the studies' results, and at the artifacts that these records name."""
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
    """Note beside the records what a report was made from."""
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

    Every record is read and its bytes go into one checksum, so an edit is noticed whatever its size and time say. Of
    artifacts, which are pictures, size and times are compared.

    Args:
        directory: of the benchmark.
        targets: that are asked for; None, those of the runs.
        say: is given one line where there is a note that cannot be used.
    """
    path = directory / NOTE
    try:
        content = path.read_bytes()
    except OSError:
        return False
    found = _read(content)
    if found is None:
        say(f"{path} was cut off or edited, or is of another version: the report is made again from the records")
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
    """Return a note, or None where it is none, or not as it was written."""
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
        return None  # for the reading of records to say
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
    """Return the checksum of a file, empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@functools.cache
def _program() -> str:
    """Return what decides how the same records are rendered: the sources of genbench, and what it draws with."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256("".join(f"{name} {version(name)}\n" for name in _DRAWN_WITH).encode())
    for path in sorted([*root.rglob("*.py"), *root.glob("report/web/assets/*")]):
        digest.update(f"{path.relative_to(root).as_posix()} {_checksum(path)}\n".encode())
    return digest.hexdigest()
