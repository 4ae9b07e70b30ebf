"""`Splits`: the dataset that a plugin returns. genbench checks it and builds its own `Dataset` from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Splits"]


@dataclass(frozen=True, eq=False)
class Splits:
    """The training and the held-out split of a dataset, as `load_dataset` returns them.

    Args:
        train: (N, ...) items as they are stored, on the CPU: uint8 (N, C, H, W) images, int16 (N, L) texts, int16
            (N, C, T) clips. A text ends with its first 0; all tokens after it are 0.
        held_out: (H, ...) items of the same shape, none of which is in `train`.
        licence: one line.
        kind: of the items: `image`, `text` or `audio`.
        train_labels: (N,) int64 from 0, or None; every class has training items.
        held_out_labels: (H,) int64 of the same classes; required with `train_labels`.
        class_names: one per label; by default the numbers.
        symbols: for texts: the text of each token, the empty text of the end first.
        sample_rate: for clips, in Hz.
        nearest_mode: for data with known modes, a function from stored items (N, ...) to the (N,) int64 mode that
            each belongs to, -1 for none; requires `mode_count`.
        mode_count: the number of modes.
        log_probability: for data with known probabilities, a function from stored items (N, ...) to (N,) float64 nats;
            requires `entropy`.
        entropy: of one item, in nats.
        remark: a one-line note for the user on how the data were read.

    Example:
        >>> import torch
        >>> grey = torch.arange(64, dtype=torch.uint8).view(4, 1, 4, 4)
        >>> Splits(train=grey[:3], held_out=grey[3:], licence="CC0").kind
        'image'
    """

    train: Tensor
    held_out: Tensor
    licence: str
    kind: str = "image"
    train_labels: Tensor | None = None
    held_out_labels: Tensor | None = None
    class_names: tuple[str, ...] | None = None
    symbols: tuple[str, ...] | None = None
    sample_rate: int | None = None
    nearest_mode: Callable[[Tensor], Tensor] | None = None
    mode_count: int | None = None
    log_probability: Callable[[Tensor], Tensor] | None = None
    entropy: float | None = None
    remark: str | None = None
