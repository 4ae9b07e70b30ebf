"""`Splits`: the dataset that a plugin gives. genbench checks it and makes its own `Dataset` of it."""

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
            (N, C, T) clips. A text ends with its first 0, and 0 is all that follows.
        held_out: (H, ...) items of the same shape, none of which is in `train`.
        licence: one line.
        kind: what the items are: `image`, `text` or `audio`.
        train_labels: (N,) int64 from 0, or None; every class has items to train on.
        held_out_labels: (H,) int64 of the same classes; there where `train_labels` are.
        class_names: one a label; by default the numbers.
        symbols: of texts: what each token stands for, the empty text of the end first.
        sample_rate: of clips, in Hz.
        nearest_mode: where the data have known modes, a function from stored items (N, ...) to the (N,) int64 mode that
            each belongs to, -1 for none; with it `mode_count`.
        mode_count: how many modes there are.
        log_probability: where the probabilities are known, a function from stored items (N, ...) to (N,) float64 nats;
            with it `entropy`.
        entropy: of one item, in nats.
        remark: what the user should know of how the data were read, in one line.

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
