"""`Data` and `Training`: what a model may know about its dataset and its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["Data", "Training"]


@dataclass(frozen=True)
class Data:
    """What a model may know about a dataset.

    Args:
        kind: the kind of its items: `image`, `text` or `audio`.
        shape: of one item: (C, H, W) for an image, (L,) for a text, (C, T) for a clip.
        count: the number of items in the training split.
        classes: the number of different labels; None for a dataset without labels.
        levels: the number of values that an entry of an item can take: 256, the size of the vocabulary, 65,536.
        symbols: the meaning of each token of a text, in the order of the tokens.
        sample_rate: of audio, in Hz.

    Example:
        >>> import torch
        >>> digits = Data("image", torch.Size((1, 8, 8)), count=1297, classes=10)
        >>> digits.shape.numel(), digits.levels
        (64, 256)
    """

    kind: str
    shape: torch.Size
    count: int
    classes: int | None = None
    levels: int = 256
    symbols: tuple[str, ...] | None = None
    sample_rate: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads."""
        return asdict(self) | {"shape": list(self.shape), "symbols": self.symbols and list(self.symbols)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Data:
        """Read what `to_json` returned."""
        import torch

        symbols = data["symbols"]
        shape = torch.Size(data["shape"])
        return cls(**{**data, "shape": shape, "symbols": None if symbols is None else tuple(symbols)})


@dataclass(frozen=True)
class Training:
    """What a model may know about the run that it is built for.

    Args:
        steps: the number of training steps; None if it is unknown, because the budget is a time or FLOPs.
        batch_size: items per step, for all ranks together if several share the cell (`--ranks`).

    Example:
        >>> training = Training(steps=3000, batch_size=64)
        >>> training.steps * training.batch_size  # items, for a schedule over the budget
        192000
    """

    steps: int | None
    batch_size: int
