"""The FLOPs of training steps as a function of the step, because not every step does the same.

A WGAN steps its generator every fifth time, lazy regularisation comes every sixteenth. Steps are therefore counted one
by one until their period shows, and the period is then assumed to repeat. A few steps halfway and at the end are
counted as well; if they cost something else, as when a network is trained from a later step on, the record says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor

from genbench import seeding
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.training import counters
from genbench.training.losses import check_losses

__all__ = ["MOST_STEPS", "Flops", "StepFlops", "count_flops", "count_steps"]

FIRST_STEPS = 20  # if all of these except the first few are alike, no more are counted
MOST_STEPS = 40  # two rounds of any period up to 20
LATER_STEPS = 10  # at least, in each place where what was assumed is tried
SAMPLES = 4  # items whose FLOPs are counted

Batches = Callable[[int], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class StepFlops:
    """The FLOPs of each training step: `counted` for the first ones, and the period at their end for later ones.

    Args:
        counted: FLOPs of the steps from 0 on.
        period: how many of the last counted steps repeat from then on; None where no repetition was seen: then all of
            them are assumed to repeat.
        unlike: what is known of later steps that are not as assumed; a phrase.

    >>> flops = StepFlops((10, 10, 40, 10, 10, 40), period=3)
    >>> flops.per_step, flops.total(7), flops.steps_within(100)
    (20.0, 130.0, 5)
    """

    counted: tuple[int, ...]
    period: int | None
    unlike: str = ""

    @classmethod
    def of(cls, counted: Sequence[int]) -> StepFlops:
        """Find the period: the one that begins earliest, in the first half, and is seen at least twice."""
        count = len(counted)
        for first in range(count // 2 + 1):
            for period in range(1, (count - first) // 2 + 1):
                if all(counted[i] == counted[i - period] for i in range(first + period, count)):
                    return cls(tuple(counted), period)
        return cls(tuple(counted), None)

    @property
    def per_step(self) -> float:
        """The mean per step in the long run."""
        return sum(self._cycle) / len(self._cycle)

    def total(self, steps: int) -> float:
        """Return the FLOPs of the first `steps` steps."""
        rounds, rest = divmod(max(0, steps - len(self.counted)), len(self._cycle))
        return float(sum(self.counted[:steps]) + rounds * sum(self._cycle) + sum(self._cycle[:rest]))

    def steps_within(self, flops: float) -> int | None:
        """Return the most steps whose FLOPs together are at most `flops`; None where later steps cost none."""
        left = flops - sum(self.counted)
        if left < 0:
            return sum(total <= flops for total in accumulate(self.counted))
        if not sum(self._cycle):
            return None
        rounds, rest = divmod(left, sum(self._cycle))
        return len(self.counted) + int(rounds) * len(self._cycle) + sum(t <= rest for t in accumulate(self._cycle))

    def __str__(self) -> str:
        """How it was counted, for the record."""
        return f"{self._assumed}, but {self.unlike}" if self.unlike else self._assumed

    @property
    def _assumed(self) -> str:
        steps = f"steps 0 to {len(self.counted) - 1}" if len(self.counted) > 1 else "step 0"
        match self.period:
            case None:
                return f"{steps} counted, no period seen; later steps by their mean"
            case 1:
                return f"{steps} counted; later steps are as the last"
            case period:
                return f"{steps} counted; later steps repeat the last {period}"

    def times(self, factor: int) -> StepFlops:
        """Return the FLOPs of that many identical training runs."""
        return replace(self, counted=tuple(factor * each for each in self.counted))

    @property
    def _cycle(self) -> tuple[int, ...]:
        return self.counted[-self.period :] if self.period else self.counted


def count_steps(
    step: Callable[[int], object],
    most: int = MOST_STEPS,
    budget: float | None = None,
    check: Callable[[], None] = lambda: None,
) -> StepFlops:
    """Count the FLOPs of the steps from 0 on, until their period shows.

    Args:
        step: runs the training step with the given number.
        most: maximum number of steps to count; a training run of no more steps is then counted completely. Without a
            budget, the number of steps that the training has.
        budget: FLOPs after which no further step matters.
        check: called after each step, outside of torch's counter.
    """
    counted: list[int] = []
    for number in range(min(most, MOST_STEPS)):
        counted.append(counters.count_flops(partial(step, number)))
        check()
        spent = budget is not None and sum(counted) > budget
        if spent or (len(counted) == FIRST_STEPS and StepFlops.of(counted).period == 1):
            break
    flops = StepFlops.of(counted)
    last = most if budget is None else flops.steps_within(budget)
    return replace(flops, unlike=_unlike(flops, step, last, check)) if flops.period and last else flops


def _unlike(flops: StepFlops, step: Callable[[int], object], last: int, check: Callable[[], None]) -> str:
    """Return in words which steps halfway and at the end of `last` steps differ from what `flops` assumes."""
    differing = []
    for numbers in _places(len(flops.counted), flops.period or 1, last):
        try:
            found = sum(counters.count_flops(partial(step, number)) for number in numbers)
        except Exception:  # a model whose own state decides may fail if steps are left out, which is no fault
            return f"steps from {numbers.start} on could not be tried without those before them"
        check()
        assumed = flops.total(numbers.stop) - flops.total(numbers.start)
        if found != assumed:
            cost = f"cost {found / assumed:.4g} times as much" if assumed else "are not free"
            differing.append(f"steps {numbers.start} to {numbers.stop - 1} {cost}")
    return " and ".join(differing)


def _places(counted: int, period: int, last: int) -> list[range]:
    """Return whole periods of steps halfway and at the end of `last` steps, of which the first ones are counted.

    Each begins where a period does, so that a model that counts its own steps continues as if none were left out.
    """
    length, places = math.ceil(LATER_STEPS / period) * period, list[range]()
    for place in (last // 2, last):
        begin = counted + max(0, place - length - counted) // period * period
        stop = min(begin + length, last)
        if begin < stop:
            places.append(range(begin, stop))
            counted = stop
    return places


@dataclass(frozen=True)
class Flops:
    """The FLOPs of training steps, of one sampled item, and of what precedes the first step."""

    train: StepFlops
    sample: int
    before: int = 0

    def total(self, steps: int) -> float:
        """Return the FLOPs of a training run of that many steps."""
        return self.before + self.train.total(steps)

    def of_ranks(self, ranks: int) -> Flops:
        """Return the FLOPs of all ranks together, given those of one; only the first one samples."""
        return Flops(self.train.times(ranks), self.sample, ranks * self.before)

    def steps_within(self, flops: float) -> int | None:
        """Return the most steps whose training costs at most `flops`; None where steps cost none."""
        return self.train.steps_within(max(0.0, flops - self.before))


def count_flops(
    plugin: Plugin,
    model: Model,
    batches: Batches,
    device: torch.device,
    most: int = MOST_STEPS,
    budget: float | None = None,
    prepare: Callable[[], None] | None = None,
    check: Callable[[], None] = lambda: None,
) -> Flops:
    """Count the FLOPs of training steps and of a sampled item; this trains the model.

    Args:
        plugin: its hooks are counted.
        model: freshly built.
        batches: returns the batch of a step.
        device: of the model.
        most: maximum number of training steps to count.
        budget: FLOPs after which no further step matters.
        prepare: what precedes the first step.
        check: called after each hook, before anything uses what that has returned.
    """
    hook = plugin.hook
    losses: list[object] = []

    def step(number: int) -> None:
        batch, labels = batches(number)
        losses.append(hook.train_step(model=model, batch=batch, labels=labels, step=number))

    def checked() -> None:
        check()
        while losses:
            check_losses(plugin, losses.pop())

    model.networks.train()
    before = counters.count_flops(prepare) if prepare is not None else 0
    check()
    train = count_steps(step, most, budget, checked)
    model.networks.eval()
    _, labels = batches(0)
    asked = None if labels is None else labels[:1].expand(SAMPLES)
    generator = seeding.generator(0, "count", device=device)
    with torch.no_grad():
        sample = counters.count_flops(
            lambda: hook.sample(model=model, count=SAMPLES, labels=asked, generator=generator)
        )
    return Flops(train, sample // SAMPLES, before)
