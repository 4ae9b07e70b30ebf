"""Does the gate of `genbench regress` cry wolf, and does it find planted slow-downs? Real times, the gate's own rule.

    python benchmarks/gate_trial.py                       # about 15 minutes on an idle machine
    python benchmarks/gate_trial.py --comparisons 20      # a tenth of it

A comparison is what `genbench regress` does for one model: eight pairs, each of two processes of the base and one of
the head that alternate, judged by `genbench.regression.decision.judge`; if it says "slower", eight more pairs to
confirm. The processes are forked from one that has imported torch, and the step is short (`trial_model.py`, `parts` of
work done by `parts` repetitions), so that hundreds of comparisons fit into minutes. The planted head repeats 11 times
where the base repeats 10: it really does 10% more work; no time is multiplied. A fourth process, the planted one,
alternates with the three of an A/A comparison, so both kinds share the base's times; no two A/A comparisons share any,
and no two planted ones.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from genbench.machine import environment
from genbench.plugin.finding import installed
from genbench.regression import timing, workload
from genbench.regression.decision import LEAST_PAIRS, Timing, judge
from genbench.regression.timing import Case
from genbench.regression.worker import Worker
from genbench.training.counters import count

MODEL = Path(__file__).with_name("trial_model.py")
PARTS, PLANTED = 40, 45  # the loop around the step takes as long as 8 parts: so 10% more in total
SHAPE = (1, 8, 8)
BATCH = 16
THRESHOLD = 0.05
Pair = tuple[float, float, float]  # logarithms: A/A head ÷ base, planted head ÷ base, second base ÷ base


class Side:
    """One side of a pair: answers as `genbench.regression.process.Process` does, within this process."""

    def __init__(self) -> None:
        self._worker = Worker()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        return self._worker.answer({"do": do, **arguments})


def pair(seconds: float, core: int) -> Pair:
    """Time two sides of the base, one head like it and one planted, all newly built in a separate process."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.sched_setaffinity(0, {core})
        cases = [Case(f"{MODEL}:parts={parts}", SHAPE, BATCH) for parts in (PARTS, PARTS, PARTS, PLANTED)]
        base, same, head, planted = timing.take_turns([Side() for _ in cases], cases, seconds)
        equal, floor = timing.log_ratios(base, same, head)
        slowed, _ = timing.log_ratios(base, same, planted)
        os.write(write, json.dumps([equal, slowed, floor]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        found: Pair = tuple(json.load(answer))
    os.waitpid(pid, 0)
    return found


def verdict(first: Sequence[Pair], second: Callable[[], Sequence[Pair]], column: int) -> str:
    """Return the gate's verdict: from the first pairs, and if they look slower, also from the second."""
    found = _judged(first, column)
    if found != "slower":
        return found
    return "slower" if _judged(second(), column) == "slower" else "not confirmed"


def _judged(pairs: Sequence[Pair], column: int) -> str:
    timing_of = Timing(tuple(pair[column] for pair in pairs), tuple(pair[2] for pair in pairs))
    return judge([timing_of], THRESHOLD)[0].verdict


def trial(pool: Sequence[Pair], fresh: Iterator[Pair]) -> dict[str, Counter[str]]:
    """Judge the pool: eight pairs per A/A comparison, sixteen per planted one."""
    size = LEAST_PAIRS
    blocks = [pool[index : index + size] for index in range(0, len(pool) - size + 1, size)]
    same: Counter[str] = Counter(verdict(block, lambda: [next(fresh) for _ in range(size)], 0) for block in blocks)
    halves = zip(blocks[::2], blocks[1::2], strict=False)
    planted: Counter[str] = Counter(verdict(one, lambda other=other: other, 1) for one, other in halves)
    return {"A/A": same, "planted 10%": planted}


def planted_calls(repeats: int) -> tuple[int, int]:
    """Plant one operator call in the step of each installed model; return how often the counters saw it, of all."""
    found = total = 0
    for model in installed():
        for shape in workload.SHAPES:
            work = workload.workload_for(model, shape, BATCH)
            before = count(work.step, work.device)["operator_calls"]
            image = torch.zeros(1)

            def planted(number: int) -> None:
                work.step(number)  # noqa: B023  # called within this iteration of the loop
                image.abs()  # noqa: B023

            for _ in range(repeats):
                total += 1
                found += count(planted, work.device)["operator_calls"] == before + 1
    return found, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=200, help="A/A; half as many planted ones")
    parser.add_argument("--seconds", type=float, default=0.1, help="of steps, per process")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop measuring after this long")
    parser.add_argument("--keep", type=Path, help="write the pairs here, as JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warm = Worker()  # imports here, so that no fork has to
    warm.do_prepare("warm", f"{MODEL}:parts={PARTS}", list(SHAPE), BATCH)
    begin = time.monotonic()
    pool: list[Pair] = []
    fresh = (pair(given.seconds, core) for core in itertools.cycle(sorted(os.sched_getaffinity(0))))
    wanted = given.comparisons * LEAST_PAIRS
    while len(pool) < wanted and time.monotonic() - begin < given.minutes * 60:
        pool.append(next(fresh))
        if len(pool) % 40 == 0:
            print(f"{len(pool)} of {wanted} pairs, {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
            if given.keep:
                given.keep.write_text(json.dumps(pool))
    outcome = trial(pool, fresh)
    found, total = planted_calls(4)
    where = environment.describe(torch.device("cpu"))
    print(f"{datetime.date.today()}, {where['processor']}, {where['cores']} cores, torch {where['torch']}")
    print(f"{len(pool)} pairs of {given.seconds:g} s of steps per process, {time.monotonic() - begin:.0f} s in total")
    for name, verdicts in outcome.items():
        print(
            f"{name}: {sum(verdicts.values())} comparisons: " + ", ".join(f"{n} {v}" for v, n in verdicts.most_common())
        )
    print(f"planted operator call: {found} of {total} found by the counters")


if __name__ == "__main__":
    main()
