"""Reads one rater's file of answers as untrusted input."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from genbench.records.signed import checksum

__all__ = ["LARGEST", "Answers", "Unusable", "read_answers"]

LARGEST = 1 << 20  # bytes; a thousand answers take 80 kB
_LONGEST_NAME = 240  # bytes of a rater's name, which the page limits to 60 characters
_LONGEST_MS = 10**9


class Unusable(Exception):  # noqa: N818  # the reason why a file is left out
    """A file of answers that does not count.

    Args:
        kind: the category of the reason, by which such files are counted.
        reason: one line about this file.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Answers:
    """The content of a valid file: its rater, its study, and (question, choice, milliseconds) in order."""

    rater: str
    study: str
    answers: tuple[tuple[str, str, int], ...]
    elapsed_ms: float
    finished: datetime
    sha256: str


def read_answers(path: Path) -> Answers:
    """Read one file.

    Raises:
        Unusable: it is too large, cannot be read, is not a file of answers, or was edited.
    """
    try:
        if not path.is_file():
            raise Unusable("not read", "it is not a regular file" if path.exists() else "no such file")
        # Bytes first, and no more than allowed: a file of gigabytes is not read just to be refused.
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise Unusable("not read", f"it cannot be read: {error.strerror}") from error
    if len(content) > LARGEST:
        raise Unusable("too large", f"it is larger than {LARGEST >> 20} MiB, the limit for a file of answers")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unusable("no answers", "it is not JSON") from error
    wrong = _fault(document)
    if wrong:
        raise Unusable("no answers", f"it is not a file of answers that this version can read: {wrong}")
    try:
        fits = document["sha256"] == checksum(document)
    except UnicodeEncodeError as error:  # a lone surrogate
        raise Unusable("no answers", "it contains text that is not valid Unicode") from error
    if not fits:
        raise Unusable("edited", "it was edited: its checksum does not match")
    started, finished = (datetime.fromisoformat(document[name]) for name in ("started", "finished"))
    return Answers(
        rater=document["rater"],
        study=document["study"],
        answers=tuple((one["question"], one["choice"], one["ms"]) for one in document["answers"]),
        elapsed_ms=1000 * (finished - started).total_seconds(),
        finished=finished,
        sha256=document["sha256"],
    )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.encode("utf-8", "surrogatepass")) <= _LONGEST_NAME


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LONGEST_MS


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_answer(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"question", "choice", "ms"}
        and all(isinstance(value[name], str) for name in ("question", "choice"))
        and _is_count(value["ms"])
    )


_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "genbench_answers": lambda value: type(value) is int and value == 1,
    "study": _is_hash,
    "rater": _is_name,
    "started": _is_time,
    "finished": _is_time,
    "sessions": _is_count,
    "answers": lambda value: isinstance(value, list) and all(map(_is_answer, value)),
    "screen": lambda value: isinstance(value, dict) and all(map(_is_count, value.values())),
    "sha256": _is_hash,
}


def _fault(document: Any) -> str:
    if not isinstance(document, dict):
        return "it is not an object"
    missing = next((name for name in _FIELDS if name not in document), None)
    if missing:
        return f"{missing} is missing"
    if len(document) > len(_FIELDS):
        return "it has fields that are not in this schema"
    return next((f"{name} is invalid" for name, holds in _FIELDS.items() if not holds(document[name])), "")
