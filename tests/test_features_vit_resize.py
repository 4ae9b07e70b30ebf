"""Profiles of DINOv2 and CLIP: PIL's pixels, bit for bit where a tool resizes with PIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genbench.features.vit_resize import VIT_PROFILES, resize_pil

IMAGENET = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))
OF_CLIP = (np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711]))
Pixels = np.ndarray[Any, Any]


def noise(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(sum(shape)))


def pictures(images: Tensor) -> list[Image.Image]:
    return [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in images]


def by_pil(picture: Image.Image, side: int) -> Pixels:
    """Rows first, as Pillow always does up to version 12; 13 takes columns first for some non-square pictures."""
    rows = picture.resize((side, picture.height), Image.Resampling.BICUBIC)
    return np.asarray(rows.resize((side, side), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", [(224, 224), (8, 8), (1, 300), (225, 223), (150, 640)])
def test_pil_s_resizing_to_the_bit(size: tuple[int, int]) -> None:
    batch = noise(2, 3, *size)
    expected = torch.from_numpy(np.stack([by_pil(picture, 224) for picture in pictures(batch)]))
    assert torch.equal(resize_pil(batch, 224).permute(0, 2, 3, 1), expected)


@pytest.mark.parametrize("side", [1, 28, 223, 300, 512])
def test_a_square_as_one_call_of_pil_resizes_it(side: int) -> None:
    batch = noise(1, 3, side, side)
    expected = np.asarray(pictures(batch)[0].resize((224, 224), Image.Resampling.BICUBIC))
    assert torch.equal(resize_pil(batch, 224)[0].permute(1, 2, 0), torch.from_numpy(expected.copy()))


def of_dgm_eval(picture: Image.Image) -> Pixels:
    return (by_pil(picture, 224) / 255 - IMAGENET[0]) / IMAGENET[1]


def of_edm2(picture: Image.Image) -> Pixels:
    """torch's antialiased bicubic is PIL's filter on floating-point channels, which are neither rounded nor clipped."""
    channels = [Image.fromarray(np.asarray(picture)[:, :, channel].astype(np.float32)) for channel in range(3)]
    resized = np.stack([by_pil(channel, 224) for channel in channels], axis=2)
    return (resized / 255 - IMAGENET[0]) / IMAGENET[1]


def of_cmmd(picture: Image.Image) -> Pixels:
    width, height = picture.size
    least = min(width, height)
    left, top = (width - least) // 2, (height - least) // 2
    return (by_pil(picture.crop((left, top, left + least, top + least)), 336) / 255 - OF_CLIP[0]) / OF_CLIP[1]


@pytest.mark.parametrize("size", [(32, 32), (301, 260)])
@pytest.mark.parametrize(
    ("family", "profile", "by_hand", "error"),
    [("dinov2", "dgm-eval", of_dgm_eval, 1e-6), ("dinov2", "edm2", of_edm2, 1e-4), ("clip", "cmmd", of_cmmd, 1e-6)],
)
def test_what_a_profile_prepares(
    size: tuple[int, int],
    family: str,
    profile: str,
    by_hand: Callable[[Image.Image], Pixels],
    error: float,
) -> None:
    batch = noise(2, 3, *size)
    expected = np.stack([by_hand(picture) for picture in pictures(batch)])
    found = VIT_PROFILES[family][profile].prepare(batch)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), expected, atol=error)
