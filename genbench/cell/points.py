"""The points of a curve, told while they are made to whoever observes."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from genbench.cell.events import Emit
from genbench.training.loop import Row

__all__ = ["Points"]

INTERVAL_S = 1.0  # between messages; what came meanwhile is in the next
PACK_BYTES = 100_000  # of one message
PACK_PAUSE_S = 0.1  # between two, after a long training was taken up again: the reader refuses to be flooded


class Points:
    """Tells the points of one cell's curve in order, those of an earlier process first: a reader knows which it has.

    The last point is never told, since its numbers are those of the record, and come with that.

    Args:
        emit: takes the events.
        wanted: whether anyone observes; otherwise nothing is reported.
        clock: seconds, monotonic.
        pause: waits so many seconds.
    """

    def __init__(
        self,
        emit: Emit,
        wanted: bool,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._emit = emit
        self._wanted = wanted
        self._clock = clock
        self._pause = pause
        self._told, self._last = 0, -1  # how many, and the step of the last
        self._rows: Sequence[Row] = ()
        self._complete = 0  # of these
        self._told_at = clock() - INTERVAL_S

    def made(self, rows: Sequence[Row], ended: Callable[[], bool]) -> None:
        """Say that a window has ended.

        Args:
            rows: of the curve so far, all of them complete.
            ended: whether it was the last window.
        """
        if self._wanted:
            self._rows, self._complete = rows, len(rows) - ended()
            if self._clock() - self._told_at >= INTERVAL_S:
                self.tell()

    @contextlib.contextmanager
    def told_whatever_happens(self) -> Iterator[None]:
        """Tell what has not been told when the block ends; where it raises, that is what is raised."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(Exception):
                self.tell()
            raise
        self.tell()

    def tell(self) -> None:
        """Tell now what has not been told, and after which step that comes, for a reader that has missed something."""
        for number, pack in enumerate(_packs([_told(row) for row in self._rows[self._told : self._complete]])):
            if number:
                self._pause(PACK_PAUSE_S)
            self._emit({"event": "points", "points": pack, "after": self._last})
            self._told += len(pack)
            self._last = pack[-1]["step"]
        self._told_at = self._clock()


def _told(row: Row) -> dict[str, Any]:
    """Return the reported values of a row: only finite numbers, because JSON has no others."""
    point: dict[str, Any] = {"step": row.step, "items": row.items, "elapsed_s": row.elapsed_s}
    for name in ("losses", "numbers"):
        point[name] = {
            key: each for key, each in getattr(row, name).items() if isinstance(key, str) and math.isfinite(each)
        }
    return point


def _packs(points: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Give the points in messages that can be sent; none from one on that is too large, as with a million losses."""
    pack: list[dict[str, Any]] = []
    size = 0
    for point in points:
        length = len(json.dumps(point, ensure_ascii=False).encode("utf-8", "replace"))
        if length > PACK_BYTES:
            break
        if size + length > PACK_BYTES:
            yield pack
            pack, size = [], 0
        pack.append(point)
        size += length
    if pack:
        yield pack
