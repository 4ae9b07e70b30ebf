"""One observer, its queue and its thread: whatever it does costs a warning and nothing else."""

from __future__ import annotations

import contextlib
import os
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

MOST_WAITING = 1000  # messages with points; starts and ends of cells, a few per cell, are always accepted
LOCKS = "observing"  # folder of the locks that let one process at a time report a cell to an observer
REMEDY = "the records are unaffected, and repeating the command sends it what it missed"


@dataclass
class _Open:
    """A cell that is being reported to an observer."""

    cell: ObservedCell
    lock: CellLock
    step: int  # of the last point that the observer has
    ended: bool


class Teller:
    """Sends one observer, in order and in a separate thread, whatever it does not have yet.

    Args:
        name: as given by the user.
        observer: the plugin's observer.
        identity: of the observer and its options, safe in a file name; only one process at a time reports a cell to it.
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
        self._late = False  # points have been skipped
        self._ending = self._stopped = False
        self._moved_at = 0.0
        self._benchmark: ObservedBenchmark
        self._open: dict[str, _Open] = {}
        self._folder = ""  # the working directory of the process, to which the files of the benchmark are relative
        self._strayed = False
        self._warnings: deque[str] = deque()
        self._thread = threading.Thread(target=self._tell_all, name=f"observer {name}", daemon=True)

    # Called from the benchmark's thread: nothing but `finish` waits for the observer.

    def begin(self, benchmark: ObservedBenchmark) -> None:
        """Start reporting."""
        self._benchmark = benchmark
        with contextlib.suppress(OSError):  # it has been deleted
            self._folder = os.getcwd()
        self._put("begin", lambda: self._observer.begin(benchmark))
        self._thread.start()

    def begin_cell(self, cell: ObservedCell) -> None:
        """Report that a cell begins or resumes."""
        self._put("begin_cell", lambda: self._begin_cell(cell))

    def points(self, cell: ObservedCell, rows: Sequence[Mapping[str, Any]], after: int) -> None:
        """Report further points of a curve, which follow the step `after`; -1 if they are the first."""
        with self._changed:
            full = self._with_points >= MOST_WAITING
            if full and not self._late and not self._stopped:
                self._warnings.append("is slow: for some cells it receives the rest of the curve when they end")
            self._late |= full
            if full:
                return
            self._with_points += 1
        self._put("points", lambda: self._points(cell, rows, after))

    def end_cell(self, cell: ObservedCell, record: Record) -> None:
        """Report that a cell has a record, from this run or an earlier one."""
        self._put("end_cell", lambda: self._end_cell(cell, record))

    def warnings(self) -> list[str]:
        """Return the problems since the last call, one line each."""
        found = []
        with contextlib.suppress(IndexError):
            while True:
                found.append(self._warnings.popleft())
        return found

    def finish(self, patience_s: float, most_s: float) -> None:
        """Wait until everything is sent, up to `most_s`, as long as a call returns every `patience_s` seconds."""
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
            self._stop(f"does not finish; {REMEDY}")

    def _put(self, what: str, act: Callable[[], object]) -> None:
        with self._changed:
            if not self._stopped:
                self._waiting.append((what, act))
                self._changed.notify()

    # Called from the observer's thread.

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
        except BaseException as error:  # third-party code runs here, and must not end anything but itself
            self._stop(f"{what} raised {visible(wording(error))}; it receives nothing more in this run: {REMEDY}")
        finally:
            self._go_back()
            for each in self._open.values():
                with contextlib.suppress(OSError):
                    each.lock.release()

    def _moved(self) -> None:
        """Note that the observer has returned from a call."""
        self._moved_at = self._clock()
        self._go_back()

    def _go_back(self) -> None:
        """Undo a change of the working directory, which would send records and report elsewhere."""
        with contextlib.suppress(OSError):
            if self._folder and os.getcwd() != self._folder:
                os.chdir(self._folder)
                if not self._strayed:
                    self._warnings.append("changed the working directory of the process, which was changed back")
                self._strayed = True

    def _stop(self, text: str) -> None:
        with self._changed:
            if not self._stopped:
                self._stopped = True
                self._waiting.clear()
                self._warnings.append(text)
                self._changed.notify()

    def _begin_cell(self, cell: ObservedCell) -> _Open | None:
        """Open a cell; None if another process reports it to this observer."""
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
        if each is None or each.ended or after > each.step:  # earlier points were missed: all are sent with the record
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
