"""What `train_step` promises: losses that can be read later, parameters that move, no waiting, no growth."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from genbench.contract.case import STEPS, Subject
from genbench.contract.fault import Fault
from genbench.contract.watching import Readings, Survivors, Transfers

__all__ = ["losses", "memory", "movement", "waiting"]

PATIENCE = 12  # steps in which every parameter must have moved: a generator may be stepped only every fifth time
MEMORY_STEPS = 200
WATCHED = range(20, 110, 10)  # early steps: a plugin that holds on to the last few tensors does not grow
COUNTED = range(50, 201, 75)
DOUBTED = range(275, 501, 75)  # where what was counted grew: a library can take hundreds of steps to fill its caches


def losses(subject: Subject) -> None:
    """`train_step` gives a dict of detached, finite 0-d tensors by name."""
    for step, returned in enumerate(subject.first_steps.losses):
        if not isinstance(returned, dict) or not returned:
            found = "an empty dict" if isinstance(returned, dict) else f"{type(returned).__name__}"
            raise Fault("train_step to return a dict of losses", found, 'return {"loss": loss.detach()}')
        _check_losses(returned, step)


def _check_losses(returned: Mapping[str, Tensor], step: int) -> None:
    for name, value in returned.items():
        if not isinstance(name, str):
            raise Fault("losses named by text", f"the name {name!r}", 'return {"loss": loss.detach()}')
        if not isinstance(value, Tensor):
            raise Fault(
                f"loss {name!r} to be a tensor",
                type(value).__name__,
                "return loss.detach(): genbench reads it when there is time",
            )
        if value.dim() != 0:
            raise Fault(f"loss {name!r} to be a 0-d tensor", f"one of shape {tuple(value.shape)}", "take its .mean()")
        if value.requires_grad:
            raise Fault(f"loss {name!r} to be detached", "one that requires grad", "return loss.detach()")
        if not bool(value.isfinite()):
            raise Fault(
                f"loss {name!r} to be finite",
                f"{float(value)} at step {step}",
                "mend the formula, or take a smaller learning rate",
            )


def movement(subject: Subject) -> None:
    """Every trainable parameter changes within a few steps."""
    model, initial = subject.first_steps.model, subject.built.initial
    still = {name: value for name, value in model.networks.named_parameters() if value.requires_grad}
    step = STEPS
    while True:
        still = {name: value for name, value in still.items() if torch.equal(value, initial[f"networks.{name}"])}
        if not still or step >= PATIENCE:
            break
        subject.train(model, step)
        step += STEPS
    if still:
        more = f" and {len(still) - 1} more" if len(still) > 1 else ""
        raise Fault(
            f"every trainable parameter to move in {PATIENCE} steps",
            f"{next(iter(still))}{more} unchanged",
            "see that the loss depends on it and that its optimizer steps; freeze the rest by .requires_grad_(False)",
        )


def waiting(subject: Subject) -> None:
    """`train_step` never waits for the device."""
    model = subject.build()
    subject.train(model, 0, 1)  # the first step makes the optimizers' state, and on CUDA starts its libraries
    images, labels = subject.batch(1)
    with _waits(subject) as lines:
        subject.step(model, images, labels, 1)
    if lines:
        raise Fault(
            "train_step never to wait for the device",
            f"a value read at {lines[0]}",
            "no .item(), float(), `if tensor`, .cpu() or boolean mask; give distributions validate_args=False",
        )


@contextlib.contextmanager
def _waits(subject: Subject) -> Iterator[list[str]]:
    lines: list[str] = []
    if subject.device.type == "cuda":
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield lines
        except Fault as fault:
            if "synchronizing CUDA operation" not in str(fault):
                raise
            lines.append(str(fault).rpartition("look at ")[2])
        finally:
            torch.cuda.set_sync_debug_mode(before)
        return
    readings, transfers = Readings(subject.home), Transfers(subject.home)
    with transfers, readings:
        yield lines
    lines += readings.lines + transfers.lines


def memory(subject: Subject) -> None:
    """200 training steps hold on to no memory."""
    model = subject.build()
    watches, blocks = [], []
    with _quick_collection():
        for step in range(DOUBTED[-1] + 1):
            if step in COUNTED or step in DOUBTED:
                gc.collect()
                blocks.append(sys.getallocatedblocks())
            if step >= MEMORY_STEPS and _least_growth(blocks) < 1:
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
            "do not collect losses or images between calls, and detach() what is kept in a buffer",
        )
    if _least_growth(blocks) >= 1:
        raise Fault(
            f"no growth of memory over {MEMORY_STEPS} steps",
            f"{_least_growth(blocks):.1f} new Python objects a step that are never freed",
            "do not append to a list, a dict or a cache that outlives the call",
        )


def _least_growth(blocks: Sequence[int]) -> float:
    """Return how many blocks of memory a step took for good where it took the fewest: what is kept, grows always."""
    return min(after - before for before, after in pairwise(blocks)) / COUNTED.step


@contextlib.contextmanager
def _quick_collection() -> Iterator[None]:
    """Leave what is there already out of garbage collection: it is most of the objects, and most of the time."""
    own = gc.get_freeze_count() == 0
    if own:
        gc.freeze()
    try:
        yield
    finally:
        if own:
            gc.unfreeze()
