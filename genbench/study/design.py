"""`Design`: the questions of one study with their items, drawn from a seed, and what the page and the key hold."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    """A question with its items.

    Args:
        id: opaque, as the page has it.
        asked: what it asks.
        items: one per label.
        right: the known answer of a practice question.
        turned: whether the page lists the second item first, so that its order does not reveal whose items they are.
    """

    id: str
    asked: Asked
    items: tuple[Item, ...]
    right: str = ""
    turned: bool = False


@dataclass(frozen=True)
class Design:
    """The questions of a study.

    Args:
        forms: lists of questions; each rater answers one list, and no item is in two of them. A question's position
            decides the side of the item that the page lists first (`order.is_swapped`).
        training: the practice questions that each rater starts with.
        secret: decides what a page shows of the order in which questions were drawn. It depends on which item came
            from where: from the seed alone, a rater could compute what each id on the page stands for.
    """

    forms: tuple[tuple[Question, ...], ...]
    training: tuple[Question, ...]
    secret: str

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

    def question(asked: Asked, right: str = "") -> Question:
        return Question("", asked, tuple(next(stock[label]) for label in asked.labels), right)

    begun = [question(asked, right) for asked, right in training]
    drawn = [[question(asked) for asked in form] for _ in range(count)]
    secret = token(seed, protocol.name, *_origins([*begun, *itertools.chain(*drawn)]))
    numbers = itertools.count()
    named = [[_named(one, secret, next(numbers)) for one in each] for each in (begun, *drawn)]
    forms = tuple(_on_sides(_alternating(each, secret), secret) for each in named[1:])
    return Design(forms, tuple(replace(one, turned=_bit(secret, "turned", one.id)) for one in named[0]), secret)


def _origins(questions: Sequence[Question]) -> list[str]:
    return [f"{item.cell}/{item.place}/{item.sha256}" for one in questions for item in one.items]


def _named(question: Question, secret: str, number: int) -> Question:
    return replace(question, id=token(secret, "question", number)[:_ID])


def _bit(*parts: object) -> bool:
    return int(token(*parts)[:8], 16) % 2 == 1


def _alternating(form: Sequence[Question], secret: str) -> tuple[Question, ...]:
    """Return questions, given in order of kind, so that each kind has as many at even as at odd positions."""
    even, odd = (shuffled(form[first::2], secret, "form", form[0].id, first) for first in (0, 1))
    return tuple(one for pair in itertools.zip_longest(even, odd) for one in pair if one is not None)


def _on_sides(form: Sequence[Question], secret: str) -> tuple[Question, ...]:
    """Return a form in which half of the questions of each kind have their second item on the left."""
    kinds: dict[Asked, list[int]] = {}
    for place, one in enumerate(form):
        kinds.setdefault(one.asked, []).append(place)
    turned = set()
    for places in kinds.values():
        own = form[places[0]].id
        other = _bit(secret, "other side", own)
        sides = shuffled([(number % 2 == 1) != other for number in range(len(places))], secret, "sides", own)
        # The page puts the item listed first on the right at odd positions, or at even ones: see `order.is_swapped`.
        turned |= {place for place, side in zip(places, sides, strict=True) if side != (place % 2 == 1)}
    return tuple(replace(one, turned=len(one.items) == 2 and place in turned) for place, one in enumerate(form))


def shown(design: Design) -> dict[str, Any]:
    """Return what the page holds of a design: items and questions under opaque ids, sorted by id."""
    names = _names(design)
    begun = shuffled(design.training, design.secret, "training")
    items = {names[one.id, place]: {"media": item.media, "content": item.content} for one, place, item in _each(design)}
    return {
        "items": dict(sorted(items.items())),
        "questions": dict(sorted((one.id, _shown_items(one, names)) for one in design.questions)),
        "forms": [[one.id for one in form] for form in design.forms],
        "training": [{"question": one.id, "right": _right(one)} for one in begun],
    }


def key(design: Design) -> dict[str, Any]:
    """Return what the page must not hold: the source of each question's items."""
    return {
        "questions": {
            one.id: {
                "role": one.asked.role,
                "models": list(one.asked.labels),
                "turned": one.turned,
                "items": [{"cell": item.cell, "place": item.place, "sha256": item.sha256} for item in one.items],
            }
            for one in sorted(design.questions, key=lambda one: one.id)
        },
        "forms": [[one.id for one in form] for form in design.forms],
    }


def _each(design: Design) -> list[tuple[Question, int, Item]]:
    return [(one, place, item) for one in design.questions for place, item in enumerate(one.items)]


def _names(design: Design) -> dict[tuple[str, int], str]:
    return {(one.id, place): token(design.secret, "item", one.id, place)[:_ID] for one, place, _ in _each(design)}


def _shown_items(question: Question, names: Mapping[tuple[str, int], str]) -> list[str]:
    listed = [names[question.id, place] for place in range(len(question.items))]
    return listed[::-1] if question.turned else listed


def _right(question: Question) -> str:
    return "second" if question.turned and question.right == "first" else question.right
