"""The protocol `preference`: of two items side by side, which looks more like real data?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from genbench.errors import InputError
from genbench.study.asking import CATCH, PASSES, Answered, Asked, Button, Protocol
from genbench.study.items import FLOOR, REAL
from genbench.study.preference import Votes, preferences

__all__ = ["PREFERENCE"]

_PAIR = "pair"
_WON = {"left": (1.0, 0.0), "right": (0.0, 1.0), "same": (0.5, 0.5)}  # points for the left and the right item


class _Preference(Protocol):
    name = "preference"
    buttons = (
        Button("left", "the left one", "←", ("ArrowLeft", "f")),
        Button("same", "I see no difference", "↓", ("ArrowDown",)),
        Button("right", "the right one", "→", ("ArrowRight", "j")),
    )
    least_models = 2

    def prompt(self, noun: str) -> str:
        return f"Which of the two {noun} looks more like a real one?"

    def form(self, models: Sequence[str], questions: int) -> list[Asked]:
        pairs = list(itertools.combinations(models, 2))
        each = questions // len(pairs)
        if each < 1:
            raise InputError(
                f"{self.name}: {questions} questions on {len(pairs)} pairs of models; ask {len(pairs)} or more"
            )
        asked = [Asked(_PAIR, pair) for pair in pairs for _ in range(each)]
        return asked + [Asked(CATCH, (REAL, FLOOR))] * max(5, questions // 10)

    def training(self, models: Sequence[str]) -> list[tuple[Asked, str]]:
        others = [FLOOR, *itertools.islice(itertools.cycle(label for label in models if label not in (REAL, FLOOR)), 2)]
        return [(Asked("training", (REAL, label)), "first") for label in others]

    def fault(self, answers: Sequence[Answered]) -> str:
        caught = [one for one in answers if one.asked.role == CATCH]
        right = sum(_won(one)[0] == 1.0 for one in caught)
        if right < PASSES * len(caught):
            return f"did not prefer real to noise in {len(caught) - right} of {len(caught)} catch trials"
        return ""

    def votes(self, models: Sequence[str], form: Sequence[Asked]) -> tuple[int, str]:
        pairs = len(models) * (len(models) - 1) // 2
        return sum(one.role == _PAIR for one in form) // pairs, "votes on each pair of models"

    def results(self, models: Sequence[str], raters: Sequence[Sequence[Answered]], seed: int) -> Mapping[str, Any]:
        place = {label: number for number, label in enumerate(models)}
        wins = np.zeros((len(raters), len(models), len(models)))
        said = np.zeros((len(raters), len(self.choices)))
        for rater, answers in enumerate(raters):
            for one in answers:
                if one.asked.role == _PAIR:
                    first, second = (place[label] for label in one.asked.labels)
                    won, lost = _won(one)
                    wins[rater, first, second] += won
                    wins[rater, second, first] += lost
                    said[rater, self.choices.index(one.choice)] += 1
        left, right, same = (said[:, self.choices.index(choice)] for choice in _WON)
        found = asdict(preferences(Votes(tuple(models), wins, left, left + right, same), seed))
        return {"models": found.pop("elo"), **found}


def _won(answer: Answered) -> tuple[float, float]:
    """Return the points of a question's first and second item."""
    left, right = _WON[answer.choice]
    return (right, left) if answer.swapped else (left, right)


PREFERENCE: Protocol = _Preference()
