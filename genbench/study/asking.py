"""`Protocol`: what a kind of study asks, when a rater's answers count, and how they are analysed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["CATCH", "PASSES", "Answered", "Asked", "Button", "Protocol"]

CATCH = "catch"
PASSES = 0.75  # share of the catch trials, which anybody who looks gets right


@dataclass(frozen=True)
class Asked:
    """One question, before it has items.

    Args:
        role: what its answer counts for; `CATCH` if it only shows whether the rater pays attention.
        labels: of the one or two models whose items it shows.
    """

    role: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Answered:
    """One rater's answer to a question.

    Args:
        asked: the question.
        choice: the answer; for two items, `left` and `right` are sides of the page.
        swapped: whether the second item was on the left.
    """

    asked: Asked
    choice: str
    swapped: bool


@dataclass(frozen=True)
class Button:
    """One choice: its name in the answers, its text, the key as shown, and the keys' names in browsers."""

    choice: str
    text: str
    key: str
    names: tuple[str, ...]


class Protocol(ABC):
    """One kind of study, immutable.

    Attributes:
        name: as given to `--protocol`.
        buttons: the possible choices.
        least_models: the smallest number of models that it can compare.
    """

    name: str
    buttons: tuple[Button, ...]
    least_models: int

    @property
    def choices(self) -> tuple[str, ...]:
        """The possible answers."""
        return tuple(button.choice for button in self.buttons)

    @abstractmethod
    def prompt(self, noun: str) -> str:
        """Return the question, with `noun` as the name of the items."""

    @abstractmethod
    def form(self, models: Sequence[str], questions: int) -> list[Asked]:
        """Return one rater's questions: up to `questions` of them, as many as can be balanced, plus catch trials."""

    @abstractmethod
    def training(self, models: Sequence[str]) -> list[tuple[Asked, str]]:
        """Return practice questions with their known answers: `real`, `fake`, or, for two items, `first`."""

    @abstractmethod
    def fault(self, answers: Sequence[Answered]) -> str:
        """Return the evidence that a rater did not pay attention; empty if there is none."""

    @abstractmethod
    def votes(self, models: Sequence[str], form: Sequence[Asked]) -> tuple[int, str]:
        """Return how many of a rater's answers enter each comparison with 50%, and what they are."""

    @abstractmethod
    def results(self, models: Sequence[str], raters: Sequence[Sequence[Answered]], seed: int) -> Mapping[str, Any]:
        """Return the results of the raters' answers, as plain values."""
