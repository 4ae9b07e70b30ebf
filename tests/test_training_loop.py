"""What the loop tells the ranks, the checkpoint and the preparation: a stand-in plugin records its calls."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genbench import Model
from genbench.datasets.dataset import Split
from genbench.training import loop
from genbench.training.loop import Batches, Progress, Schedule

CPU = torch.device("cpu")


class Plugin:
    """A stand-in for a plugin, with one loss: the number of the step."""

    def __init__(self, step: Callable[[Model, int], None] = lambda model, step: None) -> None:
        self.hook, self._step = self, step

    def function(self, hook: str) -> Any:
        return getattr(self, hook)

    def train_step(self, model: Model, batch: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
        self._step(model, step)
        return {"step": torch.tensor(float(step))}


def batches() -> Batches:
    return Batches(Split(torch.zeros(8, 1, 2, 2, dtype=torch.uint8), None), 4, 0, CPU)


def model() -> Model:
    return Model(nn.ModuleDict({"net": nn.Sequential(nn.Linear(1, 1), nn.Dropout())}), {})


def train(plugin: Plugin, schedule: Schedule, progress: Progress | None = None, **more: Any) -> Progress:
    progress, given = progress or Progress(), {"clock": lambda: 0.0, "model": model(), **more}
    loop.train(plugin, given.pop("model"), batches(), schedule, progress, **given)  # type: ignore[arg-type]
    return progress


class Others:
    """Stands in for the other ranks: records what they are told, and has losses of its own."""

    def __init__(self) -> None:
        self.told: list[tuple[int, ...]] = []

    def begin(self, first: int, steps: int) -> None:
        self.told.append((first, steps))

    def end(self, step: int, means: dict[str, float]) -> dict[str, float]:
        self.told[-1] += (step,)
        return {"step": -means["step"]}


def test_other_ranks_are_told_each_window_and_their_means_are_the_row() -> None:
    others = Others()
    progress = train(Plugin(), Schedule(250, None, 1), Progress(), together=others)
    ends = [row.step for row in progress.rows]
    firsts = [0, *ends[:-1]]
    assert max(end - first for first, end in zip(firsts, ends, strict=True)) > 1
    assert others.told == [(first, end - first, end - 1) for first, end in zip(firsts, ends, strict=True)]
    assert [row.losses["step"] for row in progress.rows] == [
        -(first + end - 1) / 2 for first, end in zip(firsts, ends, strict=True)
    ]


def test_a_checkpoint_after_a_window_includes_the_evaluation_at_its_end() -> None:
    seen: list[tuple[int, dict[str, float]]] = []
    train(
        Plugin(),
        Schedule(4, None, 2),
        evaluate=lambda progress: {"fd": float(progress.step)},
        after_window=lambda progress: seen.append((progress.evaluated, dict(progress.rows[-1].numbers))),
    )
    assert seen == [(0, {}), (1, {"fd": 2.0}), (1, {}), (1, {})]


def test_evaluations_that_a_slow_window_has_passed_are_made_once() -> None:
    now, evaluated = 0.0, list[float]()

    def step(_: Model, number: int) -> None:
        nonlocal now
        now += (0.1, 4.4, *[0.25] * 40)[number]

    train(
        Plugin(step),
        Schedule(None, 10.0, 5),
        clock=lambda: now,
        evaluate=lambda progress: evaluated.append(progress.elapsed_s) or {},
    )
    # Due at 0, 2, 4, 6 and 8 s: the one at 2 s is passed by, and that at 4 s is made when the window ends.
    assert evaluated == pytest.approx([0.0, 4.5, 6.0, 8.0])


def test_a_part_that_an_evaluation_has_left_in_evaluation_mode_trains_again() -> None:
    trained, modes = model(), list[bool]()

    def evaluate(_: Progress) -> dict[str, float]:
        trained.networks["net"][1].eval()  # type: ignore[index]
        return {}

    note = Plugin(lambda model, step: modes.extend(module.training for module in model.networks.modules()))
    train(note, Schedule(4, None, 2), model=trained, evaluate=evaluate)
    assert modes == [True] * 4 * 4


def test_the_preparation_is_made_in_training_mode_and_in_the_precision_of_training() -> None:
    prepared, seen = model(), list[object]()
    prepared.networks.eval()

    def prepare() -> None:
        seen.extend([prepared.networks.training, (torch.ones(1, 1) @ torch.ones(1, 1)).dtype])

    train(Plugin(), Schedule(1, None, 1), model=prepared, prepare=prepare, precision="bf16")
    assert seen == [True, torch.bfloat16]


def test_training_that_has_been_enough_is_not_taken_up_again() -> None:
    progress = train(Plugin(), Schedule(6, None, 1), enough=lambda progress: progress.step == 2)
    assert progress.step == 2
    resumed = Progress.from_json(progress.to_json())
    assert train(Plugin(), Schedule(6, None, 1), resumed, enough=lambda _: True).step == 2
    assert train(Plugin(), Schedule(6, None, 1), enough=lambda _: True).step == 0


def test_the_preparation_takes_the_time_between_two_readings_of_the_clock() -> None:
    readings = iter([100.0, 103.5, 104.0, 104.25])
    progress = Progress()
    train(Plugin(), Schedule(1, None, 1), progress, prepare=lambda: None, clock=lambda: next(readings))
    assert (progress.before_s, progress.elapsed_s, progress.windows[0][1]) == (3.5, 3.75, 0.25)


def test_a_training_that_is_taken_up_again_is_not_prepared_again() -> None:
    ticks, prepared = itertools.count(), list[str]()
    begun = Progress()
    for attempt, enough in (("first", lambda progress: bool(progress.rows)), ("again", None)):
        train(
            Plugin(),
            Schedule(2, None, 1),
            begun,
            prepare=lambda attempt=attempt: prepared.append(attempt),
            clock=lambda: float(next(ticks)),
            enough=enough,
        )
    assert prepared == ["first"]
    assert (begun.step, begun.before_s, begun.elapsed_s) == (2, 1.0, 3.0)  # a second each, and two windows
