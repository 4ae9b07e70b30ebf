"""One observer, its queue and its thread: whatever it does, it costs a warning and nothing else."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.execution.cell_lock import CellLock
from genbench.observers.seen import curve_seen, end_seen, points_seen
from genbench.plugin.observer import Held, ObservedBenchmark, ObservedCell, Observer
from genbench.plugin.visible import visible, wording
from genbench.records.record import Record

__all__ = ["Teller"]

MOST_WAITING = 1000  # messages with points; beginnings and ends of cells are always taken, a few a cell
LOCKS = "observing"  # folder of the locks on what an observer is being told of a cell
REMEDY = "the records are as they are without it, and the same command tells it what it lacks"


@dataclass
class _Open:
    """A cell that an observer is being told of."""

    cell: ObservedCell
    lock: CellLock
    step: int  # of the last point that it has
    ended: bool


class Teller:
    """Tells one observer, in order and in a thread of its own, what it does not have yet.

    Args:
        name: as the user gave it.
        observer: the plugin's.
        identity: of the observer and its options, safe in a file's name: one at a time tells it of a cell.
        clock: seconds, monotonic.
    """

    def __init__(
        self, name: str, observer: Observer, identity: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self.name = name
        self._observer = observer
        self._identity = identity
        self._waiting: deque[tuple[str, Callable[[], object]]] = deque()
        self._changed = threading.Condition()
        self._with_points = 0
        self._late = False  # points were left out
        self._ending = self._stopped = False
        self._moved_at = 0.0
        self._benchmark: ObservedBenchmark
        self._open: dict[str, _Open] = {}
        self._warnings: deque[str] = deque()
        self._thread = threading.Thread(target=self._tell_all, name=f"observer {name}", daemon=True)

    # What the benchmark's thread calls: none of it waits for the observer, but `finish`.

    def begin(self, benchmark: ObservedBenchmark) -> None:
        """Start to tell."""
        self._benchmark = benchmark
        self._put("begin", lambda: self._observer.begin(benchmark))
        self._thread.start()

    def begin_cell(self, cell: ObservedCell) -> None:
        """Say that a cell begins, or goes on."""
        self._put("begin_cell", lambda: self._begin_cell(cell))

    def points(self, cell: ObservedCell, rows: Sequence[Mapping[str, Any]], after: int) -> None:
        """Say that a curve has further points, which follow the step `after`; -1 where they are the first."""
        with self._changed:
            full = self._with_points >= MOST_WAITING
            if full and not self._late and not self._stopped:
                self._warnings.append("is slow: of some cells it is told the rest of the curve when they end")
            self._late |= full
            if full:
                return
            self._with_points += 1
        self._put("points", lambda: self._points(cell, rows, after))

    def end_cell(self, cell: ObservedCell, record: Record) -> None:
        """Say that a cell has a record, of this run or of one before."""
        self._put("end_cell", lambda: self._end_cell(cell, record))

    def warnings(self) -> list[str]:
        """Return what has gone wrong since the last call, a line each."""
        found = []
        with contextlib.suppress(IndexError):
            while True:
                found.append(self._warnings.popleft())
        return found

    def finish(self, patience_s: float, most_s: float) -> None:
        """Wait until all has been told: as long as something moves every `patience_s` seconds, and `most_s` at most."""
        if not self._thread.ident:
            return
        with self._changed:
            self._ending = True
            self._changed.notify()
        begin = self._moved_at = self._clock()
        while self._thread.is_alive():
            self._thread.join(0.05)
            now = self._clock()
            if now - self._moved_at > patience_s or now - begin > most_s:
                break
        if self._thread.is_alive() and not self._stopped:
            self._stop(f"does not come to an end; {REMEDY}")

    # What runs in the observer's thread.

    def _put(self, what: str, act: Callable[[], object]) -> None:
        with self._changed:
            if not self._stopped:
                self._waiting.append((what, act))
                self._changed.notify()

    def _next(self) -> tuple[str, Callable[[], object]] | None:
        with self._changed:
            while not self._waiting and not self._ending and not self._stopped:
                self._changed.wait()
            if not self._waiting or self._stopped:
                return None
            what, act = self._waiting.popleft()
            self._with_points -= what == "points"
            return what, act

    def _tell_all(self) -> None:
        what = "begin"
        try:
            while (message := self._next()) is not None:
                what, act = message
                act()
                self._moved()
            if not self._stopped:
                what = "end"
                self._observer.end()
        except BaseException as error:  # a stranger's code runs here, and must end nothing but itself
            self._stop(f"{what} raised {visible(wording(error))}; it is told nothing more in this run: {REMEDY}")
        finally:
            for each in self._open.values():
                with contextlib.suppress(OSError):
                    each.lock.release()

    def _moved(self) -> None:
        """Note that the observer has returned from a call."""
        self._moved_at = self._clock()

    def _stop(self, text: str) -> None:
        with self._changed:
            if not self._stopped:
                self._stopped = True
                self._waiting.clear()
                self._warnings.append(text)
                self._changed.notify()

    def _begin_cell(self, cell: ObservedCell) -> _Open | None:
        """Open a cell; None where another process tells this observer of it."""
        if cell.key not in self._open:
            lock = CellLock(self._benchmark.directory, f"{cell.key}-{self._identity}", LOCKS)
            if not lock.acquire():
                return None
            try:
                held = self._observer.begin_cell(cell)
                self._moved()
                if not isinstance(held, Held):
                    raise TypeError(f"returned {type(held).__name__}, expected a genbench.Held")
            except BaseException:
                lock.release()
                raise
            self._open[cell.key] = _Open(cell, lock, held.step, held.ended)
        return self._open[cell.key]

    def _points(self, cell: ObservedCell, rows: Sequence[Mapping[str, Any]], after: int) -> None:
        each = self._open.get(cell.key)
        if each is None or each.ended or after > each.step:  # some before were missed: all come with the record
            return
        new = points_seen(rows, each.step)
        if new:
            self._observer.points(cell, new)
            self._moved()
            each.step = new[-1].step

    def _end_cell(self, cell: ObservedCell, record: Record) -> None:
        each = self._begin_cell(cell)
        if each is None:
            return
        if not each.ended:
            left = curve_seen(record, each.step)
            if left:
                self._observer.points(cell, left)
                self._moved()
            self._observer.end_cell(cell, end_seen(record, self._benchmark.directory))
            self._moved()
        del self._open[cell.key]
        each.lock.release()
