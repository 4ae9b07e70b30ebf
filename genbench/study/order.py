"""A study's random choices, drawn from hashes so that its page makes the same ones and answers can be checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

__all__ = ["form_of", "is_swapped", "order_of", "shuffled", "token"]

Thing = TypeVar("Thing")


def token(*parts: object) -> str:
    """Return the 64 hexadecimal digits that identify the given parts.

    >>> token(0, "side")[:8]
    '4093a692'
    """
    return hashlib.sha256("/".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def shuffled(things: Iterable[Thing], *parts: object) -> list[Thing]:
    """Return things in an order determined by the given parts and the things' positions."""
    listed = list(things)
    return [listed[place] for place in sorted(range(len(listed)), key=lambda place: token(*parts, place))]


def form_of(study: str, rater: str, forms: int) -> int:
    """Return the index of the form that a rater gets, from 0."""
    return int(token(study, rater, "form")[:8], 16) % forms


def order_of(study: str, rater: str, questions: Sequence[str]) -> list[str]:
    """Return the questions in a rater's order."""
    return sorted(questions, key=lambda question: token(study, rater, "order", question))


def is_swapped(study: str, rater: str, place: int) -> bool:
    """Return whether a rater sees the question at this position of the form with the item listed second on the left.

    Every other question is swapped. A design lists items so that half of the questions on each pair of models show the
    pair the other way round; which half depends on the rater.
    """
    return (int(token(study, rater, "side")[:8], 16) + place) % 2 == 1
