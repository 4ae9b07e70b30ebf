"""Times two revisions side by side: fresh processes that take turns of a fraction of a second, pair after pair."""

from __future__ import annotations

import contextlib
import math
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from genbench.regression.decision import Timing
from genbench.regression.process import Process

__all__ = ["Case", "Sides", "log_ratios", "measure", "take_turns"]

TURN_S = 0.002  # or one step: as short as turns can be before the handover costs more than they do
WINDOW_S = 0.0005  # or one step; short, so that most are not interrupted
SETTLING_S = 0.01  # a step longer than this has filled the caches long before it ends
LEAST_ROUNDS, MOST_ROUNDS = 12, 96
SECONDS = 1.2
Show = Callable[[str], None]


class Answering(Protocol):
    """Anything that takes turns: a `Process`, or a stand-in for one."""

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Case:
    """One model on items of one shape, at one batch size."""

    model: str
    shape: tuple[int, ...]
    batch: int

    def __str__(self) -> str:
        return f"{self.model} at {'x'.join(map(str, self.shape))}"


@dataclass(frozen=True)
class Sides:
    """The folders in which the two revisions are installed; None means what is installed here."""

    base: Path | None
    head: Path | None


def measure(sides: Sides, cases: Sequence[Case], pairs: int, seconds: float, show: Show) -> dict[Case, Timing]:
    """Time every case in `pairs` pairs of fresh processes.

    Args:
        seconds: of steps, for each case and process; a slow step takes longer, since there are at least 12 rounds.
        show: called with a progress line.

    Raises:
        InputError: a process died.
    """
    ratios: dict[Case, tuple[list[float], list[float]]] = {case: ([], []) for case in cases}
    cores = _cores()
    for pair in range(pairs):
        with contextlib.ExitStack() as stack:
            names = (("base", sides.base), ("base, second process", sides.base), ("head", sides.head))
            processes = [stack.enter_context(Process(name, target)) for name, target in names]
            for process in processes:  # they import torch concurrently
                process.send("hello")
            for process in processes:
                process.receive()
                process.ask("pin", core=cores[pair % len(cores)])
            for case in cases:
                show(f"timing, pair {pair + 1} of {pairs}: {case}")
                taken = log_ratios(*take_turns(processes, [case] * len(processes), seconds))
                for kept, ratio in zip(ratios[case], taken, strict=True):
                    kept.append(ratio)
    return {case: Timing(tuple(head), tuple(same)) for case, (head, same) in ratios.items()}


def take_turns(processes: Sequence[Answering], cases: Sequence[Case], seconds: float) -> list[list[float]]:
    """Let processes take turns at the training loop, and return each one's seconds per step, round by round.

    All run the same steps. The orders of the rounds are every rotation and its mirror image, so that a drift slows all
    equally, and each follows each other one equally often.

    Args:
        processes: each is warm, runs nothing else, and is idle while another has its turn.
        cases: what each trains.
        seconds: of steps in each process, approximately.

    Returns:
        Per process, per round, the median over the turn's windows.
    """
    step_s = min(_prepare(process, case) for process, case in zip(processes, cases, strict=True))
    steps = max(1, round(WINDOW_S / step_s))
    windows = max(1, round(TURN_S / (steps * step_s)))
    settle = int(step_s < SETTLING_S)
    orders = _orders(len(processes))
    rounds = max(LEAST_ROUNDS, min(MOST_ROUNDS, round(seconds / (windows * steps * step_s))))
    turns: list[list[float]] = [[] for _ in processes]
    for number in range(math.ceil(rounds / len(orders)) * len(orders)):
        for index in orders[number % len(orders)]:
            answer = processes[index].ask("time", key=str(cases[index]), windows=windows, steps=steps, settle=settle)
            turns[index].append(statistics.median(answer["seconds"]["cpu"]) / steps)
    for process, case in zip(processes, cases, strict=True):
        process.ask("drop", key=str(case))
    return turns


def log_ratios(base: Sequence[float], same: Sequence[float], head: Sequence[float]) -> tuple[float, float]:
    """Return the logarithms of head ÷ base and of same ÷ base of one pair: medians over rounds.

    The head is compared with both processes of the base (their geometric mean), which leaves less noise, and noise that
    is independent of that in same ÷ base.

    Args:
        base: seconds per step, round by round, of the base's first process.
        same: of its second process.
        head: of the head.
    """
    logs = [tuple(math.log(seconds) for seconds in row) for row in zip(base, same, head, strict=True)]
    return (
        statistics.median(third - (first + second) / 2 for first, second, third in logs),
        statistics.median(second - first for first, second, _ in logs),
    )


def _cores() -> list[int | None]:
    """Return the cores over which the pairs are spread; each pair has one, so its processes have equal neighbours."""
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return [None]
    return [*sorted(os.sched_getaffinity(0))]


def _orders(count: int) -> list[tuple[int, ...]]:
    rotations = [tuple((first + index) % count for index in range(count)) for first in range(count)]
    return [order for rotation in rotations for order in (rotation, rotation[::-1])]


def _prepare(process: Answering, case: Case) -> float:
    answer = process.ask("prepare", key=str(case), model=case.model, shape=case.shape, batch=case.batch)
    return float(answer["seconds_per_step"])
