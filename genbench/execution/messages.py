"""The messages from a worker to the parent: events, one line of JSON each, checked against a schema on both sides.

A model's code runs in the worker and can write to the same pipe, so the parent trusts nothing that it has not checked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from genbench.errors import PluginError, shortened

__all__ = ["LINE_BYTES", "ForgedError", "Inbox", "decode", "encode", "is_report"]

LINE_BYTES = 2**18  # of one event: the longest traceback fits, even with every character escaped
LINE_CHARACTERS, TEXT_CHARACTERS = 2000, 20_000  # of a reason and of a traceback
SHORTENING = 100  # characters at most for the note on how many were left out
# Events take a few hundred bytes each, ten times a second.
BYTES_PER_S, BURST_BYTES = 2 * 2**20, 16 * 2**20
EVENT_COST = 1000  # bytes charged for handling one event, in addition to its own


class ForgedError(Exception):
    """A message that genbench would not write; `str` describes it, as the reason for a failure."""


def _is_line(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LINE_CHARACTERS + SHORTENING and len(value.splitlines()) <= 1


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_CHARACTERS + SHORTENING


def _is_kind(value: object) -> bool:
    return value in ("input", "failure")


def _is_number(value: object) -> bool:
    return (isinstance(value, float) and math.isfinite(value)) or _is_whole(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_whole(value) and value >= 0


def _are_losses(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) and _is_number(loss) for name, loss in value.items())


def _is_step(value: object) -> bool:
    return value == -1 or _is_count(value)


def _are_points(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_point, value))


def _is_point(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == _POINT.keys()
        and all(check(value[name]) for name, check in _POINT.items())
    )


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


Check = Callable[[object], bool]
_POINT: dict[str, Check] = {
    "step": _is_count,
    "items": _is_count,
    "elapsed_s": _is_number,
    "losses": _are_losses,
    "numbers": _are_losses,
}
_REQUIRED: dict[str, dict[str, Check]] = {  # of each kind of event
    "result": {"value": _is_object},
    "error": {"kind": _is_kind, "type": _is_line, "reason": _is_line, "traceback": _is_text},
    "stage": {"stage": _is_line},
    "progress": {"stage": _is_line, "done": _is_count, "total": _is_count},
    "metric": {"name": _is_line, "done": _is_count, "total": _is_count},
    "notice": {"text": _is_line},
    "points": {"points": _are_points, "after": _is_step},
}
_OPTIONAL: dict[str, dict[str, Check]] = {"progress": {"losses": _are_losses, "items_per_s": _is_number}}


def _fault(event: object) -> str:
    """Return a description of what is wrong with an event; empty if nothing is."""
    kind = event.get("event") if isinstance(event, dict) else None
    if not isinstance(event, dict) or not isinstance(kind, str) or kind not in _REQUIRED:
        return "no event"
    required, optional = _REQUIRED[kind], _OPTIONAL.get(kind, {})
    checks = {**required, **optional}
    for name, value in event.items():
        if name != "event" and (name not in checks or not checks[name](value)):
            return f"a {kind} event whose {name!r} cannot be"
    missing = required.keys() - event.keys()
    return f"a {kind} event without {sorted(missing)[0]!r}" if missing else ""


def is_report(event: object) -> bool:
    """Whether this is an event about the progress of a task, rather than its end; `silence` is the parent's own."""
    if isinstance(event, dict) and event.get("event") == "silence":
        return event.keys() == {"event", "seconds"} and _is_number(event["seconds"])
    return not _fault(event) and isinstance(event, dict) and event["event"] not in ("result", "error")


def encode(event: Mapping[str, Any]) -> bytes:
    """Return an event as a line of JSON; texts that a model made too long are shortened.

    Raises:
        PluginError: one of its values cannot be sent, such as a megabyte of loss names.
    """
    checks = _REQUIRED.get(str(event.get("event")), {})
    made = {name: _fitted(value, checks.get(name)) for name, value in event.items()}
    fault = _fault(made)
    # A model's text may contain invalid Unicode, such as a lone surrogate from a file name.
    line = b"" if fault else json.dumps(made, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    if fault or len(line) > LINE_BYTES:
        raise PluginError(f"genbench cannot tell how far it is: {fault or f'an event of {len(line):,} bytes'}")
    return line


def _fitted(value: Any, check: Check | None) -> Any:
    if check is _is_line and isinstance(value, str):
        return shortened(" ".join(value.splitlines()), LINE_CHARACTERS)
    return shortened(value, TEXT_CHARACTERS) if check is _is_text and isinstance(value, str) else value


def decode(line: bytes) -> dict[str, Any]:
    """Return the event in a line.

    Raises:
        ForgedError: there is none, or one that genbench would not write.
    """
    try:
        event = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        event = None
    if _fault(event):
        raise ForgedError("something else than genbench wrote to genbench's own pipe")
    checked: dict[str, Any] = event
    return checked


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and infinities are not JSON


class Inbox:
    """Turns the bytes from a worker into events, never holding more than one line."""

    def __init__(self) -> None:
        self._held = b""
        self._allowance = float(BURST_BYTES)
        self._last: float | None = None

    def take(self, data: bytes, now: float) -> Iterator[dict[str, Any]]:
        """Yield the events completed by `data`, read at `now` (seconds, monotonic).

        Raises:
            ForgedError: a line is not an event or has no end, or there is more data than genbench ever writes.
        """
        *lines, self._held = (self._held + data).split(b"\n")
        since = 0.0 if self._last is None else now - self._last
        self._last = now
        cost = len(data) + EVENT_COST * len(lines)
        self._allowance = min(BURST_BYTES, self._allowance + BYTES_PER_S * since) - cost
        for line in lines:
            yield decode(line)
        if len(self._held) > LINE_BYTES:
            raise ForgedError("something else than genbench wrote to genbench's own pipe: a line without an end")
        if self._allowance < 0:
            raise ForgedError(
                f"genbench's own pipe was flooded: more than {BYTES_PER_S // 2**20} MiB of messages a second"
            )
