"""Whether training holds on to memory from step to step."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise

from genbench.contract.case import Subject
from genbench.contract.fault import Fault
from genbench.contract.watching import Survivors

__all__ = ["memory"]

MEMORY_STEPS = 200
WATCHED = range(20, 110, 10)  # early steps: a plugin that holds on to the last few tensors does not grow
COUNTED = range(110, 201, 90)  # after these, because watching makes objects too
DOUBTED = range(290, 651, 90)  # if the count grew: a library can take hundreds of steps to fill its caches
# New objects per step. One kept per step can show as less than 1, because the process also frees some of its own (once
# more than 12 in 75 steps), and steps that keep none can show up to 0.3.
LEAK = 0.4


def memory(subject: Subject) -> None:
    """200 training steps retain no memory."""
    model = subject.build()
    watches, blocks = [], []
    with _quick_collection():
        for step in range(DOUBTED[-1] + 1):
            if step in COUNTED or step in DOUBTED:
                gc.collect()
                blocks.append(sys.getallocatedblocks())
            if step >= MEMORY_STEPS and _least_growth(blocks) < LEAK:
                break
            watch = Survivors() if step in WATCHED else None
            with watch or contextlib.nullcontext():
                subject.train(model, step, 1)
            if watch is not None:
                watches.append(watch)
        gc.collect()
    alive = [watch.bytes_alive() for watch in watches]
    if sum(size > 0 for size in alive) > len(alive) / 2:
        raise Fault(
            f"no tensor of a training step to outlive {MEMORY_STEPS} steps",
            f"{max(alive):,} bytes kept at each step",
            "do not collect losses or images between calls, and detach() anything kept in a buffer",
        )
    if _least_growth(blocks) >= LEAK:
        raise Fault(
            f"no growth of memory over {MEMORY_STEPS} steps",
            f"{_least_growth(blocks):.1f} new Python objects per step that are never freed",
            "do not append to a list, a dict or a cache that outlives the call",
        )


def _least_growth(blocks: Sequence[int]) -> float:
    """Return the smallest growth in memory blocks per step between two counts: a leak grows in every interval."""
    return min(after - before for before, after in pairwise(blocks)) / COUNTED.step


@contextlib.contextmanager
def _quick_collection() -> Iterator[None]:
    """Exclude existing objects from garbage collection: they account for most of its time."""
    own = gc.get_freeze_count() == 0
    if own:
        gc.freeze()
    try:
        yield
    finally:
        if own:
            gc.unfreeze()
