"""The promises of `sample`: the requested items, drawn only from its generator, without side effects."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench import seeding
from genbench.contract import state
from genbench.contract.case import BATCH, Subject
from genbench.contract.fault import Fault, Unmet
from genbench.contract.items import check_items, check_items_stay_valid
from genbench.contract.watching import Replay

__all__ = ["batch_size", "generator", "labels", "nothing_changed", "repeats", "sample"]

FEW = 3
REPEATS = (
    4  # items from another generator must differ by more than this multiple of a repeated draw's difference, mostly 0
)


def sample(subject: Subject) -> None:
    """`sample` returns the requested number of items, valid for their kind, on the device."""
    subject.prepare(subject.untrained)
    for model, count in ((subject.untrained, BATCH - 1), (subject.trained, BATCH - 1), (subject.trained, 1)):
        check_items("sample", subject.sample(model, count), (count, *subject.shape), subject)
    check_items_stay_valid("sample", subject, lambda model: subject.sample(model, BATCH))


def repeats(subject: Subject) -> None:
    """`sample` returns the same items for the same generator, and different items for another."""
    seeding.seed_global(0, "contract", "repeats")
    first = subject.sample(subject.trained, BATCH, seed=0)
    seeding.seed_global(0, "contract", "repeats")
    again = subject.sample(subject.trained, BATCH, seed=0)
    if not state.equal(first, again):
        raise Fault(
            "equal items from equal generators",
            "different items at the second call",
            "draw everything from `generator`, and keep no state between calls",
        )
    # Not "nearly equal": after two steps, samples can differ by less than the tolerance for a device's rounding.
    if _apart(first, subject.sample(subject.trained, BATCH, seed=1)) <= REPEATS * _apart(first, again):
        raise Fault(
            "different items from another generator",
            "the same items",
            "draw the latent with torch.randn(..., generator=generator)",
        )


def _apart(first: Tensor, second: Tensor) -> float:
    """Return the largest difference between two sets of items; NaNs count as equal."""
    return float((first.double() - second.double()).nan_to_num(nan=0.0).abs().max())


def generator(subject: Subject) -> None:
    """`sample` neither reads nor advances torch's global generator."""
    change = "pass generator=generator to every random call"
    seeding.seed_global(0, "contract", "one")
    before = _global_state()
    first = subject.sample(subject.trained, BATCH)
    if not all(torch.equal(*pair) for pair in zip(before, _global_state(), strict=True)):
        raise Fault("sample to leave torch's global generator alone", "that it draws from it", change)
    seeding.seed_global(0, "contract", "other")
    if not state.equal(first, subject.sample(subject.trained, BATCH)):
        raise Fault("items that do not depend on the global seed", "different items after another seed", change)


def _global_state() -> list[Tensor]:
    generators = seeding.random_state()
    return [generators["cpu"], *generators["cuda"]]


def nothing_changed(subject: Subject) -> None:
    """`sample` leaves networks and optimizers unchanged."""
    before = state.snapshot(subject.trained)
    subject.sample(subject.trained, BATCH)
    changed = state.difference(before, state.snapshot(subject.trained))
    if changed:
        raise Fault(
            "sample to change nothing",
            f"that it changed {changed}",
            "do not call .train() in it, and move one-off computations into before_sampling",
        )


def batch_size(subject: Subject) -> None:
    """An item does not depend on how many items are drawn with it.

    This can only be checked if each item has its own random numbers.
    """
    replay = Replay(BATCH)
    with replay:
        many = subject.sample(subject.trained, BATCH)
    with replay.for_fewer(FEW):
        few = subject.sample(subject.trained, FEW)
    check_rows("sample", many, few)


def check_rows(hook: str, many: Tensor, few: Tensor) -> None:
    """Raise `Fault` unless the first rows of a large batch equal those of a small one."""
    if not state.near(many[: len(few)], few):
        gap = float((many[: len(few)].float() - few.float()).abs().max())
        raise Fault(
            f"{hook} to treat each item independently",
            f"values that differ by {gap:.3g} in a batch of {len(few)} from those in a batch of {len(many)}",
            "compute no statistics over the batch and keep the networks in evaluation mode; "
            "do not divide by values near zero, which amplifies rounding errors",
        )


def labels(subject: Subject) -> None:
    """A `sample` that declares `labels` uses them."""
    if not subject.plugin.implements("sample", "labels"):
        raise Unmet("sample takes no labels")
    if subject.case.classes is None:
        raise Unmet(f"the {subject.kind.noun} have no labels")
    first, last = (
        subject.call(
            subject.trained,
            "sample",
            count=BATCH,
            labels=torch.full((BATCH,), label, device=subject.device),
            generator=subject.generator(),
        )
        for label in (0, subject.case.classes - 1)
    )
    if torch.equal(first, last):
        raise Fault(
            "different items for another label",
            "the same items",
            "feed the labels to the network, or remove `labels` from sample's arguments",
        )
