"""Whether a training step reads a value that an accelerator has yet to compute."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator

import torch

from genbench.contract.case import Subject
from genbench.contract.fault import Caution, Fault
from genbench.contract.watching import Readings, Transfers, Waits, note

__all__ = ["waiting"]


def waiting(subject: Subject) -> None:
    """`train_step` never waits for the device."""
    model = subject.build()
    subject.train(model, 0, 1)  # the first step creates the optimizers' state, and on CUDA initialises its libraries
    images, labels = subject.batch(1)
    with _waits(subject) as waits:
        subject.step(model, images, labels, 1)
    if waits.own:
        raise Fault(
            "train_step never to wait for the device",
            f"a value read at {waits.own[0]}",
            "no .item(), float(), `if tensor`, .cpu() or boolean mask; give distributions validate_args=False",
        )
    if waits.of_libraries:
        times = Counter(waits.of_libraries)
        where = "; ".join(f"{line}, {count} per step" for line, count in times.items())
        raise Caution(
            f"a library waits for the device at {where}: on a GPU each wait drains the queue of kernels, which has "
            "been seen to cost up to 5% of a step"
        )


@contextlib.contextmanager
def _waits(subject: Subject) -> Iterator[Waits]:
    if subject.device.type == "cuda":
        with _waits_on_cuda(subject) as waits:
            yield waits
        return
    readings = Readings(subject.home)
    with Transfers(subject.home, readings), readings:
        yield readings.waits


@contextlib.contextmanager
def _waits_on_cuda(subject: Subject) -> Iterator[Waits]:
    """Record where CUDA itself reports that it waits."""
    waits = Waits()

    def warned(message: Warning | str, *_: object, **__: object) -> None:
        if "synchronizing CUDA operation" in str(message):
            note(waits, subject.home)

    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = warned
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield waits
        finally:
            torch.cuda.set_sync_debug_mode(before)
