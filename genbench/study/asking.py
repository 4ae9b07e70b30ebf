"""`Protocol`: what a kind of study asks, when a rater's answers count, and what the answers say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["CATCH", "PASSES", "Answered", "Asked", "Button", "Protocol"]

CATCH = "catch"
PASSES = 0.75  # of the catch trials that anybody who looks gets right


@dataclass(frozen=True)
class Asked:
    """One question before it has items.

    Args:
        role: what its answer counts for, `CATCH` where it only says whether the rater looks.
        labels: of the models whose items it shows, one or two.
    """

    role: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Answered:
    """One rater's answer to a question.

    Args:
        asked: the question.
        choice: what was said; for two items `left` and `right` are sides of the page.
        swapped: whether the second item stood on the left.
    """

    asked: Asked
    choice: str
    swapped: bool


@dataclass(frozen=True)
class Button:
    """One choice: its name in the answers, its text, the key as it is shown, and keys as browsers call them."""

    choice: str
    text: str
    key: str
    names: tuple[str, ...]


class Protocol(ABC):
    """One kind of study, immutable.

    Attributes:
        name: as `--protocol` has it.
        buttons: the choices that an answer can have.
        least_models: that it can be about.
    """

    name: str
    buttons: tuple[Button, ...]
    least_models: int

    @property
    def choices(self) -> tuple[str, ...]:
        """What an answer can say."""
        return tuple(button.choice for button in self.buttons)

    @abstractmethod
    def prompt(self, noun: str) -> str:
        """Return the question, of items that are called so."""

    @abstractmethod
    def form(self, models: Sequence[str], questions: int) -> list[Asked]:
        """Return what one rater is asked, catch trials included: balanced, and so up to `questions` beside those."""

    @abstractmethod
    def training(self, models: Sequence[str]) -> list[tuple[Asked, str]]:
        """Return questions with a known answer, to begin with: `real`, `fake`, or of two items `first`."""

    @abstractmethod
    def fault(self, answers: Sequence[Answered]) -> str:
        """Return what shows that a rater did not look, empty where nothing does."""

    @abstractmethod
    def votes(self, models: Sequence[str], form: Sequence[Asked]) -> tuple[int, str]:
        """Return how many answers a rater gives to what is compared with 50%, and what that is."""

    @abstractmethod
    def results(self, models: Sequence[str], raters: Sequence[Sequence[Answered]], seed: int) -> Mapping[str, Any]:
        """Return what the raters' answers say, as plain values."""
