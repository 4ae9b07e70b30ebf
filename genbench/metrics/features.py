"""What every metric requires of the features, logits and images that it is given."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["affordable", "check_features", "check_images", "check_items", "chosen", "limited", "taken", "unit_length"]

_ROWS = 4096  # features held in float64 at once


def check_features(features: Tensor, what: str, dimension: int | None = None) -> None:
    """Refuse anything but finite floating-point (N, d) features.

    Args:
        features: the tensor to check.
        what: its name in the error, such as "samples".
        dimension: the d that they must have.

    Raises:
        ValueError: one line that states what is wrong.
    """
    if features.ndim != 2 or not features.is_floating_point():
        raise ValueError(
            f"{what}: expected floating-point features of shape (N, d), got {features.dtype} {tuple(features.shape)}"
        )
    if dimension is not None and features.shape[1] != dimension:
        raise ValueError(f"{what}: expected {dimension} features per image, got {features.shape[1]}")
    # A sum is finite only if every term is (in float64, finite float32 terms cannot overflow), and it takes one pass.
    bad = 0 if features.sum(dtype=torch.float64).isfinite() else int((~features.isfinite()).any(dim=1).sum())
    if bad:
        raise ValueError(f"{what}: {bad} of {len(features)} rows contain NaN or infinity")


def check_images(images: Tensor, what: str) -> None:
    """Refuse anything but uint8 (N, C, H, W) images.

    Raises:
        ValueError: one line that states what is wrong.
    """
    if images.ndim != 4 or images.dtype != torch.uint8:
        raise ValueError(
            f"{what}: expected uint8 images of shape (N, C, H, W), got {images.dtype} {tuple(images.shape)}"
        )


def check_items(items: Tensor, what: str) -> None:
    """Refuse anything but uint8 (N, C, H, W) images, int16 (N, C, T) clips and int16 (N, L) texts of tokens from 0 on.

    Raises:
        ValueError: one line that states what is wrong.
    """
    if items.dtype != torch.int16:
        check_images(items, what)
    elif items.ndim != 3 and (items.ndim != 2 or bool((items < 0).any())):
        raise ValueError(f"{what}: expected int16 tokens of shape (N, L) from 0 on, got {tuple(items.shape)}")


def affordable(images: Tensor, values: int, least: int) -> int:
    """Return how many of (N, C, H, W) images hold `values` values, at least `least`; N itself is not considered.

    >>> affordable(torch.zeros(1, 3, 32, 32), 2**22, 50), affordable(torch.zeros(1, 3, 512, 512), 2**22, 50)
    (1365, 50)
    """
    return max(least, values // max(1, images.shape[1:].numel()))


def taken(items: Tensor, rows: Tensor) -> Tensor:
    """Return `items[rows]`, rows int64 from any device, in a fourth to a twentieth of the time of that expression."""
    return items.index_select(0, rows.to(items.device))


def chosen(count: int, wanted: int, seed: int = 0) -> Tensor:
    """Return (min(count, wanted),) int64 indices: all in order, or a random subset, ascending."""
    if count <= wanted:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:wanted].sort().values


def limited(items: Tensor, most: int | None, seed: int = 0) -> Tensor:
    """Return the items themselves, or the random `most` of more."""
    return items if most is None or len(items) <= most else taken(items, chosen(len(items), most, seed))


def unit_length(features: Tensor) -> Tensor:
    """Return (N, d) features divided by their lengths, however long or short; those of length 0 stay as they are.

    Not `torch.nn.functional.normalize`: features shorter than 1e-12 would keep a length below 1, and in float32 the
    square of a length above 1e19 overflows. Half precision becomes float32, because a rounding of 2⁻¹¹ would show.

    >>> unit_length(torch.tensor([[3.0, 4.0], [3e-20, 4e-20], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    kept = torch.float64 if features.dtype == torch.float64 else torch.float32
    parts = []
    for chunk in features.split(_ROWS):
        double = chunk.double()
        lengths = double.norm(dim=1, keepdim=True)
        parts.append((double / torch.where(lengths > 0, lengths, 1)).to(kept))
    return torch.cat(parts)
