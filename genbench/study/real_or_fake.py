"""The protocol `real-or-fake`: one item at a time, real or made by a program?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from genbench.errors import InputError
from genbench.study.asking import CATCH, PASSES, Answered, Asked, Button, Protocol
from genbench.study.detection import Counts, compared, deceived
from genbench.study.items import FLOOR, REAL

__all__ = ["REAL_OR_FAKE"]

_AGAIN = "real again"  # real items that are treated as if a model had made them
_LEAST_REAL = 0.25  # of the real catch trials: calling all of them fake shows inattention, doubting many does not


class _RealOrFake(Protocol):
    name = "real-or-fake"
    buttons = (
        Button("fake", "made by a program", "←", ("ArrowLeft", "f")),
        Button("real", "real", "→", ("ArrowRight", "j")),
    )
    least_models = 1

    def prompt(self, noun: str) -> str:
        return f"Some {noun} are real, others were made by a program. Is this one real?"

    def form(self, models: Sequence[str], questions: int) -> list[Asked]:
        if REAL in models or FLOOR in models:
            raise InputError(f"{self.name}: {REAL} and {FLOOR} are part of every such study, as its ceiling and floor")
        each = questions // (2 * len(models))
        if each < 1:
            raise InputError(
                f"{self.name}: {questions} questions on {len(models)} models; ask {2 * len(models)} or more"
            )
        made = [Asked("fake", (label,)) for label in models for _ in range(each)]
        real = [Asked("real" if place % 2 else _AGAIN, (REAL,)) for place in range(len(made))]
        caught = [Asked(CATCH, (FLOOR,))] * max(5, questions // 10) + [Asked(CATCH, (REAL,))] * max(3, questions // 20)
        return made + real + caught

    def training(self, models: Sequence[str]) -> list[tuple[Asked, str]]:
        fakes = itertools.islice(itertools.cycle(models), 2)
        return [(Asked("training", (REAL,)), "real")] * 2 + [(Asked("training", (label,)), "fake") for label in fakes]

    def fault(self, answers: Sequence[Answered]) -> str:
        caught = [one for one in answers if one.asked.role == CATCH]
        noise, real = (_counts(caught, CATCH, label) for label in (FLOOR, REAL))
        if noise.shown - noise.real < PASSES * noise.shown:
            return f"took {noise.real} of {noise.shown} items of noise for real"
        if real.real < _LEAST_REAL * real.shown:
            return f"took {real.shown - real.real} of {real.shown} real items of the catch trials for fake"
        return ""

    def votes(self, models: Sequence[str], form: Sequence[Asked]) -> tuple[int, str]:
        return sum(one.role == "fake" for one in form) // len(models), "items of each model"

    def results(self, models: Sequence[str], raters: Sequence[Sequence[Answered]], seed: int) -> Mapping[str, Any]:
        first, again = ([_counts(one, role, REAL) for one in raters] for role in ("real", _AGAIN))
        real = [Counts(a.real + b.real, a.shown + b.shown) for a, b in zip(first, again, strict=True)]
        fakes = {label: [_counts(one, "fake", label) for one in raters] for label in models}
        floor = [_counts(one, CATCH, FLOOR) for one in raters]
        found = {label: asdict(deceived(real, fake, seed)) for label, fake in fakes.items()}
        return {
            "models": found,
            "ceiling": asdict(deceived(first, again, seed)),
            "floor": asdict(deceived(real, floor, seed)),
            "pairs": [asdict(pair) for pair in compared(fakes, seed)],
        }


def _counts(answers: Sequence[Answered], role: str, label: str) -> Counts:
    said = [one.choice == "real" for one in answers if one.asked == Asked(role, (label,))]
    return Counts(sum(said), len(said))


REAL_OR_FAKE: Protocol = _RealOrFake()
