"""`Data` and `Training`: what a model may know of the dataset that it is built for, and of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["Data", "Training"]


@dataclass(frozen=True)
class Data:
    """What a model may know of a dataset.

    Args:
        kind: what its items are: `image`, `text` or `audio`.
        shape: of one item: (C, H, W) of an image, (L,) of a text, (C, T) of a clip.
        count: how many items the training split has.
        classes: how many labels there are; None for a dataset without any.
        levels: how many values an entry of an item can take: 256, the size of the vocabulary, 65,536.
        symbols: what each token of a text stands for, in the order of the tokens.
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
    """What a model may know of the run that it is built for.

    Args:
        steps: how many training steps there will be; None where the budget is a time or FLOPs, so that nobody knows.
        batch_size: items a step; of all ranks together where several share the cell (`--ranks`).

    Example:
        >>> training = Training(steps=3000, batch_size=64)
        >>> training.steps * training.batch_size  # items, for a schedule over the budget
        192000
    """

    steps: int | None
    batch_size: int
