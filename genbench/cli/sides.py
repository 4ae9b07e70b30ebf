"""The scored items, what they are compared with, and who receives the progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from genbench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from genbench.config import Settings
    from genbench.datasets.dataset import Dataset
    from genbench.evaluation.references import Reference
    from genbench.features.extractor import Extractor, Features

__all__ = ["Opened", "Request", "Show", "refuse_unused_root", "tell"]


@dataclass(frozen=True)
class Request:
    """What is scored, against what (a dataset or the user's own items), and how."""

    items: Path
    dataset: str | None
    reference: Path | None
    settings: Settings
    skip_corrupt: bool


class Show(Protocol):
    """Receives the progress of the work."""

    def step(self, stage: str) -> Callable[[int, int], None]:
        """Return a function that takes (done, total) of a stage."""

    def begin(self, what: str) -> None:
        """Receive a description of what will be computed."""

    def metric(self, names: list[str], name: str) -> None:
        """Receive the name of the metric that starts, out of all `names`."""


@dataclass(frozen=True)
class Opened:
    """The scored items and what they are compared with, once both are open.

    Args:
        count: how many items are scored.
        data: the reference.
        limit: how many of its items are used; None for the usual number.
        extractor: computes the features.
        fields: returns extra entries of the recipes, once everything has been read.
        read: returns the scored items as they are stored, and their features.
        remarks: returns notes for the user, once everything has been read.
        reference: features of the data, or their statistics, if given; otherwise they are extracted.
    """

    count: int
    data: Dataset
    limit: int | None
    extractor: Extractor
    fields: Callable[[], dict[str, str]]
    read: Callable[[], tuple[Tensor, Features]]
    remarks: Callable[[], list[str]]
    reference: Reference | None = None


def refuse_unused_root(request: Request) -> None:
    """Refuse a data root from which nothing would be read."""
    from genbench.datasets import reads_data_root

    if request.settings.data_root is not None and (request.dataset is None or not reads_data_root(request.dataset)):
        of = "--reference" if request.dataset is None else f"-d {request.dataset}"
        raise InputError(f"--data-root has no effect with {of}, which is not read from there; leave it out")


def tell(step: Callable[[str], Callable[[int, int], None]], event: dict[str, Any]) -> None:
    """Show the progress that an event reports."""
    if event["event"] == "progress":
        step(event["stage"])(event["done"], event["total"])
