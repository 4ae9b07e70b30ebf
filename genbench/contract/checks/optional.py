"""The promises of the optional hooks, if the plugin has them."""

from __future__ import annotations

from typing import Any

import torch

from genbench import seeding
from genbench.contract import state
from genbench.contract.case import BATCH, Subject
from genbench.contract.checks.sampling import FEW, check_rows
from genbench.contract.fault import Fault, Unmet
from genbench.contract.items import check_floats, check_items, check_items_stay_valid
from genbench.evaluation.sampling import trained_parameters

__all__ = ["before_sampling", "before_training", "encode", "log_likelihood", "reconstruct"]


def before_training(subject: Subject) -> None:
    """`before_training` leaves the same state when it is called on an equal model under an equal global seed."""
    _implemented(subject, "before_training")
    states = []
    for _ in range(2):
        model = subject.build()
        seeding.seed_global(0, "contract", "before_training")
        subject.begin(model)
        states.append(state.snapshot(model))
    changed = state.difference(*states)
    if changed:
        raise Fault(
            "before_training to leave the same state from equal seeds",
            f"another {changed}",
            "draw only from torch's global generator, and keep no state outside of the model",
        )


def before_sampling(subject: Subject) -> None:
    """`before_sampling` called twice leaves the same state as once, and trains nothing."""
    _implemented(subject, "before_sampling")
    _trains_nothing(subject)
    model = subject.trained
    once = state.snapshot(model)
    seeding.seed_global(1, "contract", "before_sampling")
    subject.prepare(model)
    changed = state.difference(once, state.snapshot(model))
    if changed:
        raise Fault(
            "before_sampling to leave the same state when it is called again",
            f"another {changed}",
            "overwrite results (buffer.copy_) instead of adding to them, and draw nothing from the global generator",
        )


def _trains_nothing(subject: Subject) -> None:
    """Check the first calls on a fresh model: before its first step, as in every run, and after one more."""
    model = subject.build()
    subject.begin(model)
    for step in range(2):
        before = {name: value.detach().clone() for name, value in trained_parameters(model).items()}
        subject.prepare(model)
        after = dict(model.networks.named_parameters())
        watched = {**before, **trained_parameters(model)}
        changed = [name for name in watched if not state.equal(before.get(name), after.get(name))]
        if changed:
            raise Fault(
                "before_sampling not to change trained parameters",
                f"another {changed[0]}",
                "train only in train_step, where time and FLOPs are counted, and keep values fitted for sampling in "
                "buffers",
            )
        subject.step(model, *subject.batch(step), step)


def reconstruct(subject: Subject) -> None:
    """`reconstruct` returns items of the same shape, each depending only on its own input."""
    _implemented(subject, "reconstruct")
    batch, _ = subject.batch(0)
    check_items("reconstruct", _twice(subject, "reconstruct"), tuple(batch.shape), subject)
    check_items_stay_valid("reconstruct", subject, lambda model: subject.call(model, "reconstruct", batch=batch))
    _each_by_itself(subject, "reconstruct")


def encode(subject: Subject) -> None:
    """`encode` returns codes (B, D), each depending only on its own item."""
    _implemented(subject, "encode")
    check_floats("encode", _twice(subject, "encode"), (BATCH, "D"), subject.device)
    _each_by_itself(subject, "encode")


def log_likelihood(subject: Subject) -> None:
    """`log_likelihood` returns (B,) nats, at most 0, and draws only from its generator."""
    _implemented(subject, "log_likelihood")
    nats = check_floats("log_likelihood", _twice(subject, "log_likelihood", draws=True), (BATCH,), subject.device)
    if float(nats.max()) > 0:
        raise Fault(
            f"log_likelihood to be at most 0, because stored {subject.kind.noun} are discrete and have probabilities",
            f"{float(nats.max()):.4g} nats",
            f"return probabilities, not densities: {subject.kind.likelihood_advice}",
        )


def _implemented(subject: Subject, hook: str) -> None:
    if not subject.plugin.implements(hook):
        raise Unmet(f"the plugin has no {hook}")


def _twice(subject: Subject, hook: str, *, draws: bool = False) -> Any:
    """Call a hook under two global seeds; raise `Fault` unless results are equal and the model is unchanged."""
    batch, _ = subject.batch(0)
    before = state.snapshot(subject.trained)
    results = []
    for seed in (0, 1):
        seeding.seed_global(seed, "contract", hook)
        arguments = {"generator": subject.generator()} if draws else {}
        results.append(subject.call(subject.trained, hook, batch=batch, **arguments))
    changed = state.difference(before, state.snapshot(subject.trained))
    if changed:
        raise Fault(f"{hook} to change nothing", f"that it changed {changed}", "do not call .train() in it")
    if not state.equal(*results):
        change = "pass generator=generator to every random call" if draws else "take the mean of the code, not a draw"
        raise Fault(
            f"{hook} to give equal results for equal items", "different results after another global seed", change
        )
    return results[0]


def _each_by_itself(subject: Subject, hook: str) -> None:
    batch, _ = subject.batch(0)
    with torch.no_grad():
        many = subject.call(subject.trained, hook, batch=batch)
        few = subject.call(subject.trained, hook, batch=batch[:FEW])
    check_rows(hook, many, few)
