"""Checks that a killed benchmark can resume as if nothing had happened: the `Model` holds all the state."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench import seeding
from genbench.contract import state
from genbench.contract.case import BATCH, STEPS, Subject
from genbench.contract.fault import Caution, Fault
from genbench.contract.unsaved import unsaved
from genbench.errors import PluginError, quoted
from genbench.plugin import loading
from genbench.plugin.model import Model
from genbench.plugin.visible import wording
from genbench.training import checkpoint

__all__ = ["resume", "round_trip"]

# Several cuts, since state kept outside of the model may be without effect at one of them; and an end far enough after
# them that a plugin which acts every few steps acts in between.
CUTS = (STEPS, STEPS + 1, STEPS + 2)
LAST = 3 * STEPS


def round_trip(subject: Subject) -> None:
    """A model restored in a fresh program has the same state and samples the same images."""
    _forget_compiled()
    seeding.seed_global(0, "contract", "round trip")
    first = subject.sample(subject.trained, BATCH)
    saved = state.snapshot(subject.trained)
    with _restored(subject) as (other, model):
        changed = state.difference(saved, state.snapshot(model))
        seeding.seed_global(0, "contract", "round trip")
        second = other.sample(model, BATCH)
    if changed:
        raise Fault(
            "the state that was saved", f"another {changed}", "let state_dict and load_state_dict cover all of it"
        )
    if not state.equal(first, second):
        raise Fault(
            "a restored model to sample the same images",
            "others",
            "keep everything in parameters and buffers (register_buffer), nothing in attributes or globals",
        )


def resume(subject: Subject) -> None:
    """Training interrupted after 2, 3 or 4 steps and resumed in a fresh program ends like uninterrupted training."""
    unbroken, step = subject.trained, STEPS
    _forget_compiled()
    seeding.restore_random_state(subject.first_steps.random_state)
    before = unsaved(unbroken)
    with _folder() as folder:
        for cut in CUTS:
            subject.train(unbroken, step, cut - step)
            _save(folder / f"{cut}.pt", unbroken)
            step = cut
        expected = subject.train(unbroken, step, LAST - step)
        for cut in CUTS:
            resumed = _resume_after(subject, cut, folder / f"{cut}.pt", expected[-1])
    ours, theirs = unsaved(unbroken), unsaved(resumed)
    for name, value in ours.items():
        # What training leaves alone was set while building, or by another hook, which the resumed model has not called.
        if not state.equal(before.get(name), value) and not state.equal(value, theirs.get(name)):
            raise Caution(
                f"{name} {_apart(value, theirs.get(name))} if training is resumed after step {CUTS[-1]}: checkpoints "
                "do not hold it; if a step ever depends on it, keep it in a buffer"
            )


def _apart(ours: Any, theirs: Any) -> str:
    if isinstance(ours, Tensor) and ours.numel() != 1:
        return f"is another tensor after {LAST} steps"
    shown = [f"{each.item():.4g}" if isinstance(each, Tensor) else quoted(each) for each in (ours, theirs)]
    return f"is {shown[0]} after {LAST} steps, and {shown[1]}"


def _resume_after(subject: Subject, cut: int, path: Path, expected: dict[str, Tensor]) -> Model:
    """Resume training in a fresh program, compare the end with the trained model, and return the resumed one."""
    with _imported_anew(subject) as other:
        resumed = other.build(seed=1)
        _restore(path, resumed)
        losses = other.train(resumed, cut, LAST - cut)
    changed = state.difference(state.snapshot(subject.trained), state.snapshot(resumed))
    differing = [name for name in expected if not state.equal(expected[name], losses[-1].get(name))]
    if changed or differing:
        raise Fault(
            f"training resumed after step {cut} to end after {LAST} steps in the same state as uninterrupted training",
            f"another {changed}" if changed else f"another loss {differing[0]!r}",
            "keep all state in Model, none in globals or attributes; draw noise from torch's global generator",
        )
    return resumed


@contextmanager
def _restored(subject: Subject) -> Iterator[tuple[Subject, Model]]:
    """Save the trained model, import the plugin again, build with different weights, and restore."""
    with _folder() as folder, _imported_anew(subject) as other:
        seeding.restore_random_state(subject.first_steps.random_state)
        _save(folder / "model.pt", subject.trained)
        model = other.build(seed=1)
        _restore(folder / "model.pt", model)
        yield other, model


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="genbench-contract-") as name:
        yield Path(name)


def _save(path: Path, model: Model) -> None:
    try:
        checkpoint.save(path, model, {})
    except Exception as error:  # a plugin's state can hold values that cannot be saved
        reason = wording(error)
        raise Fault("a state that can be saved", reason, "keep only tensors and plain values in the state") from error


def _restore(path: Path, model: Model) -> None:
    try:
        checkpoint.restore(path, model)
    except checkpoint.CheckpointError as error:
        reason = str(error.__cause__ or error).strip().splitlines()
        raise Fault(
            "a freshly built model to take the state of a trained one",
            " ".join(line.strip() for line in reason[:2]),
            "create every network and buffer in build_model, at its final size; keep only tensors and plain values",
        ) from error


@contextmanager
def _imported_anew(subject: Subject) -> Iterator[Subject]:
    """Import the plugin's package a second time, as a fresh process would, and restore the first one afterwards."""
    found = subject.plugin.found
    module = getattr(subject.plugin.implementation, "__name__", "") if found.file else found.target.partition(":")[0]
    root = module.partition(".")[0]
    first = {name: module for name, module in sys.modules.items() if name == root or name.startswith(f"{root}.")}
    for name in first:
        del sys.modules[name]
    _forget_compiled()
    try:
        plugin = loading.load(found)
    except PluginError:  # what it registers elsewhere may allow only one import: then a fresh model has to do
        plugin = subject.plugin
    try:
        yield Subject(plugin, subject.given, subject.case, subject.device)
    finally:
        sys.modules.update(first)


def _forget_compiled() -> None:
    """Let torch's compiler begin as in a fresh program.

    After batches of another size it compiles for all sizes, and such code rounds differently.
    """
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()
