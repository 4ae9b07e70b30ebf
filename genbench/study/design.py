"""`Design`: the questions of one study with their items, drawn from a seed, and what the page and the key hold."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.errors import InputError
from genbench.study.asking import Asked, Protocol
from genbench.study.items import Item
from genbench.study.order import shuffled, token

__all__ = ["MOST_FORMS", "Design", "Question", "designed"]

MOST_FORMS = 8
_LARGEST_PAGE = 32 << 20  # characters of items; a form is never split, however large
_ID = 10  # hexadecimal digits


@dataclass(frozen=True)
class Question:
    """A question with its items; `right` is the known answer of a practice question."""

    id: str
    asked: Asked
    items: tuple[Item, ...]
    right: str = ""


@dataclass(frozen=True)
class Design:
    """The questions of a study.

    Args:
        forms: lists of questions; each rater answers one list, and no item is in two of them. A question's position
            decides the side of its first item (`order.is_swapped`).
        training: the practice questions that each rater starts with.
    """

    forms: tuple[tuple[Question, ...], ...]
    training: tuple[Question, ...]

    @property
    def questions(self) -> list[Question]:
        """Every question, including practice questions."""
        return [*itertools.chain(*self.forms), *self.training]


def designed(
    protocol: Protocol, models: Sequence[str], pools: Mapping[str, Sequence[Item]], questions: int, seed: int
) -> Design:
    """Draw a study's questions.

    There are as many forms as the items and the page size allow, up to `MOST_FORMS`: the more items, the less the
    results depend on single ones.

    Args:
        protocol: the study's protocol.
        models: labels, in the order of the results.
        pools: the items of each model, of `real` and of `noise`.
        questions: maximum number of questions per rater, besides practice and catch trials.
        seed: decides which items are shown and in which pairs.

    Raises:
        InputError: there are too few items, or too few questions for the models.
    """
    form = protocol.form(models, questions)
    training = protocol.training(models)
    needed = Counter(label for asked in form for label in asked.labels)
    before = Counter(label for asked, _ in training for label in asked.labels)
    for label in {**needed, **before}:
        if len(pools[label]) < needed[label] + before[label]:
            raise InputError(
                f"{label} has {len(pools[label])} items, and {questions} questions need "
                f"{needed[label] + before[label]}, because each is shown once; ask fewer, or run more seeds: a cell "
                "keeps only some of its samples"
            )
    count = min(MOST_FORMS, *((len(pools[label]) - before[label]) // each for label, each in needed.items()))
    size = sum(each * max(len(item.content) for item in pools[label]) for label, each in needed.items())
    count = max(1, min(count, _LARGEST_PAGE // max(size, 1)))
    stock = {label: iter(shuffled(pools[label], seed, "items", label)) for label in {**needed, **before}}
    numbers = itertools.count()

    def question(asked: Asked, right: str = "") -> Question:
        identity = token(seed, protocol.name, "question", next(numbers))[:_ID]
        return Question(identity, asked, tuple(next(stock[label]) for label in asked.labels), right)

    begun = tuple(question(asked, right) for asked, right in training)
    return Design(tuple(_alternating([question(asked) for asked in form], seed) for _ in range(count)), begun)


def _alternating(form: Sequence[Question], seed: int) -> tuple[Question, ...]:
    """Return questions, given in order of kind, so that each kind has as many at even as at odd positions."""
    even, odd = (shuffled(form[first::2], seed, "form", form[0].id, first) for first in (0, 1))
    return tuple(one for pair in itertools.zip_longest(even, odd) for one in pair if one is not None)


def shown(design: Design, seed: int) -> dict[str, Any]:
    """Return what the page holds of a design: items and questions under opaque ids, sorted by id."""
    names = _names(design, seed)
    items = {names[one.id, place]: {"media": item.media, "content": item.content} for one, place, item in _each(design)}
    return {
        "items": dict(sorted(items.items())),
        "questions": dict(sorted((one.id, _shown_items(one, names)) for one in design.questions)),
        "forms": [[one.id for one in form] for form in design.forms],
        "training": [{"question": one.id, "right": one.right} for one in shuffled(design.training, seed, "training")],
    }


def key(design: Design) -> dict[str, Any]:
    """Return what the page must not hold: the source of each question's items."""
    return {
        "questions": {
            one.id: {
                "role": one.asked.role,
                "models": list(one.asked.labels),
                "items": [{"cell": item.cell, "place": item.place, "sha256": item.sha256} for item in one.items],
            }
            for one in sorted(design.questions, key=lambda one: one.id)
        },
        "forms": [[one.id for one in form] for form in design.forms],
    }


def _each(design: Design) -> list[tuple[Question, int, Item]]:
    return [(one, place, item) for one in design.questions for place, item in enumerate(one.items)]


def _names(design: Design, seed: int) -> dict[tuple[str, int], str]:
    return {(one.id, place): token(seed, "item", one.id, place)[:_ID] for one, place, _ in _each(design)}


def _shown_items(question: Question, names: Mapping[tuple[str, int], str]) -> list[str]:
    return [names[question.id, place] for place in range(len(question.items))]
