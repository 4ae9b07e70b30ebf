"""`Intake`: which items an extractor takes, and how they are prepared for its network. One class per kind of items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from genbench.datasets.decoding import ON_WHITE
from genbench.errors import InputError
from genbench.kinds.audio import Audio
from genbench.kinds.kind import Kind

__all__ = ["Clips", "Delivered", "Images", "Intake", "RecipeValue", "Texts", "check_rgb"]

RecipeValue = str | int | float | bool | None


class Intake(ABC):
    """The items that an extractor takes.

    Attributes:
        alpha: how transparency is handled when files are read for the extractor: `ON_WHITE` or `DROPPED`.
    """

    alpha: str = ON_WHITE

    @property
    @abstractmethod
    def recipe(self) -> Mapping[str, RecipeValue]:
        """The fields that affect the features."""

    @abstractmethod
    def check_shape(self, extractor: str, shape: torch.Size) -> None:
        """Raise `InputError`, naming `extractor`, unless it takes items of `shape`."""

    @abstractmethod
    def check(self, extractor: str, items: Tensor) -> None:
        """Raise `InputError`, naming `extractor`, unless it takes the batch."""

    @abstractmethod
    def prepared(self, items: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Convert stored items, from any device, to the input of a network on `device` that computes in `dtype`."""


@dataclass(frozen=True)
class Images(Intake):
    """(B, C, H, W) uint8.

    Args:
        prepare: maps such images, on the network's device, to the network's input, in float32.
        shape: the only (C, H, W) accepted, or None for any.
        rgb: whether the network takes three channels; a single channel is then repeated, on the network's device.
        alpha: as for every intake.
        profile: the published tool that `prepare` follows, or None.
        resizer: the resizing method.
        range: how a value x is scaled.
    """

    prepare: Callable[[Tensor], Tensor]
    shape: torch.Size | None = None
    rgb: bool = False
    alpha: str = ON_WHITE
    profile: str | None = None
    resizer: str = "none"
    range: str = "x/127.5 - 1"

    @property
    def recipe(self) -> Mapping[str, RecipeValue]:
        return {"profile": self.profile, "resizer": self.resizer, "range": self.range}

    def check_shape(self, extractor: str, shape: torch.Size) -> None:
        if self.shape is not None and shape != self.shape:
            wanted, got = ("x".join(map(str, each)) for each in (self.shape, shape))
            resize = "give images of that size, or image files with --image-size N"
            remedy = resize if shape[0] == self.shape[0] else "give images of as many channels, or another --extractor"
            raise InputError(
                f"extractor '{extractor}': takes {wanted} images (channels x height x width), got {got}; {remedy}"
            )
        if self.rgb:
            check_rgb(extractor, shape)

    def check(self, extractor: str, items: Tensor) -> None:
        if items.dtype != torch.uint8 or items.dim() != 4:
            raise InputError(
                f"extractor '{extractor}': takes (B, C, H, W) uint8 images, got {tuple(items.shape)} {items.dtype}"
            )
        self.check_shape(extractor, items.shape[1:])

    def prepared(self, items: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
        inputs = items.to(device)
        if self.rgb:
            inputs = inputs.expand(-1, 3, -1, -1)
        return self.prepare(inputs).to(dtype).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Texts(Intake):
    """(B, L) int16 tokens; a text ends at its first end token.

    Args:
        levels: the size of the vocabulary.
        length: the only L accepted, or None for any.
        prepare: maps such tokens, on the network's device, to the network's input.
    """

    levels: int
    length: int | None = None
    prepare: Callable[[Tensor], Tensor] = Tensor.long

    @property
    def recipe(self) -> Mapping[str, RecipeValue]:
        return {}

    def check_shape(self, extractor: str, shape: torch.Size) -> None:
        if self.length is not None and tuple(shape) != (self.length,):
            got = "x".join(map(str, shape))
            raise InputError(f"extractor '{extractor}': takes texts of up to {self.length} symbols, got {got}")

    def check(self, extractor: str, items: Tensor) -> None:
        if items.dtype != torch.int16 or items.dim() != 2:
            raise InputError(
                f"extractor '{extractor}': takes (B, L) int16 tokens of texts, got {tuple(items.shape)} {items.dtype}"
            )
        self.check_shape(extractor, items.shape[1:])
        low, high = (int(value) for value in items.aminmax()) if items.numel() else (0, 0)
        if low < 0 or high >= self.levels:
            raise InputError(f"extractor '{extractor}': takes tokens from 0 to {self.levels - 1}, got {low} to {high}")

    def prepared(self, items: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
        return self.prepare(items.to(device))


@dataclass(frozen=True)
class Clips(Intake):
    """(B, C, T) int16.

    Args:
        kind: of the clips, with their sample rate.
        channels: the only C accepted.
        prepare: maps such clips, as floats in [-1, 1] on the network's device, to the network's input.
        length: the only T accepted, or None for any.
        named: the settings of `prepare` that affect the features, for the recipe.
    """

    kind: Audio
    channels: int
    prepare: Callable[[Tensor], Tensor]
    length: int | None = None
    named: Mapping[str, RecipeValue] = field(default_factory=dict)

    @property
    def recipe(self) -> Mapping[str, RecipeValue]:
        return {"sample_rate": self.kind.sample_rate, **self.named}

    def check_shape(self, extractor: str, shape: torch.Size) -> None:
        got = "x".join(map(str, shape))
        if len(shape) != 2 or shape[0] != self.channels:
            raise InputError(f"extractor '{extractor}': takes clips of {self.channels} channels x samples, got {got}")
        if self.length is not None and shape[1] != self.length:
            raise InputError(f"extractor '{extractor}': takes clips of {self.length:,} samples, got {got}")

    def check(self, extractor: str, items: Tensor) -> None:
        if items.dtype != torch.int16 or items.dim() != 3:
            raise InputError(
                f"extractor '{extractor}': takes (B, C, T) int16 clips, got {tuple(items.shape)} {items.dtype}"
            )
        self.check_shape(extractor, items.shape[1:])

    def prepared(self, items: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
        return self.prepare(self.kind.deliver(items.to(device))).to(dtype)


@dataclass(frozen=True)
class Delivered(Intake):
    """Items of any kind, as passed to hooks.

    Args:
        kind: of the items.
        shape: the only shape accepted.
    """

    kind: Kind
    shape: torch.Size

    @property
    def recipe(self) -> Mapping[str, RecipeValue]:
        return {}

    def check_shape(self, extractor: str, shape: torch.Size) -> None:
        if shape != self.shape:
            wanted, got = ("x".join(map(str, each)) for each in (self.shape, shape))
            raise InputError(f"extractor '{extractor}': was built for {self.kind.noun} of {wanted}, got {got}")

    def check(self, extractor: str, items: Tensor) -> None:
        if items.dtype != self.kind.dtype or items.dim() != len(self.shape) + 1:
            raise InputError(
                f"extractor '{extractor}': takes {self.kind.noun} as {self.kind.dtype}, got {tuple(items.shape)} "
                f"{items.dtype}"
            )
        self.check_shape(extractor, items.shape[1:])

    def prepared(self, items: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
        batch = self.kind.deliver(items.to(device))
        return batch.to(dtype) if batch.is_floating_point() else batch


def check_rgb(extractor: str, shape: torch.Size) -> None:
    """Raise `InputError` unless images of `shape` (C, H, W) have one or three channels."""
    if shape[0] not in (1, 3):
        raise InputError(
            f"extractor '{extractor}': takes images of 1 or 3 channels, got {shape[0]} ({'x'.join(map(str, shape))}); "
            "use classifier or random-conv"
        )
