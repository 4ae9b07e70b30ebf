"""`log-mel`: how loud each band of a clip is, how much that varies and how it moves; for any clips, without a file.

Means, deviations and differences of spectra over time are what S. Davis and P. Mermelstein ("Comparison of Parametric
Representations for Monosyllabic Word Recognition", 1980) and S. Furui ("Speaker-Independent Isolated Word Recognition
Using Dynamic Features of Speech Spectrum", 1986) describe sounds by. The features rank models of one dataset. They know
pitch, timbre and loudness, and of time only what these four statistics keep: two clips whose frames come in another
order differ by the differences alone, and no phase is in them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genbench.datasets.dataset import Dataset
from genbench.errors import InputError
from genbench.features.extractor import Extractor
from genbench.features.intake import Clips, RecipeValue
from genbench.features.weight_file import content_sha256
from genbench.kinds.audio import Audio
from genbench.kinds.mel import FLOOR_DB, Mel

__all__ = ["STEP_DB", "audio", "levels", "load_log_mel", "mel_recipe", "statistics"]

STEP_DB = 20.0  # a feature rises by 1 for this
_PROCEDURE = "log-mel-2"  # raise the number whenever a change here changes the numbers


class _Prepared(nn.Module):
    """What `prepare` has done: there is nothing left that a network's precision could change."""

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        return features, None


def statistics(levels: Tensor) -> Tensor:
    """Return what each band does over time: its mean, its deviation, and both of its differences from frame to frame.

    The deviations are those of all frames (divided by their number). A clip of one frame has no differences: zeros.

    Args:
        levels: (B, C, bands, frames).

    Returns:
        (B, 4 C bands): channel by channel the means of all bands, then their deviations, and so of the differences.
    """
    moved = levels.diff(dim=-1) if levels.shape[-1] > 1 else torch.zeros_like(levels)
    parts = [each for part in (levels, moved) for each in (part.mean(-1), part.std(-1, correction=0))]
    return torch.stack(parts, 2).flatten(1)


def levels(clips: Tensor, mel: Mel) -> Tensor:
    """Return (B, C, T) floats in [-1, 1] as (B, C, bands, frames): 0 is the floor, 3 a sine of full scale."""
    return (mel.decibels(clips) - FLOOR_DB) / STEP_DB


def mel_recipe(mel: Mel) -> dict[str, RecipeValue]:
    """Return what of a spectrogram changes the features."""
    return {"window": f"Hann, {mel.window}", "hop": mel.hop, "mels": mel.bands, "floor_db": FLOOR_DB}


def audio(dataset: Dataset) -> Audio:
    """Return the kind of a dataset of clips, which has their rate; raise `InputError` for any other."""
    if not isinstance(dataset.kind, Audio):
        raise InputError(f"extractor 'log-mel': takes clips, and {dataset.name} holds {dataset.kind.noun}")
    return dataset.kind


def load_log_mel(dataset: Dataset, device: torch.device, precision: str) -> Extractor:
    """Return the extractor for clips of the channels and the sample rate of `dataset`, of any length.

    All is computed in float32; with `bf16` the features alone are rounded.
    """
    kind, channels = audio(dataset), dataset.shape[0]
    mel = Mel.of(kind.sample_rate)
    return Extractor(
        name="log-mel",
        network=_Prepared(),
        intake=Clips(kind, channels, lambda clips: statistics(levels(clips, mel)), named=mel_recipe(mel)),
        device=device,
        precision=precision,
        feature_count=4 * channels * mel.bands,
        classes=None,
        weights_sha256=content_sha256({}),
        item_bytes=100 * dataset.shape.numel(),  # a complex spectrum of four overlapping windows, and its power
        fields={"procedure": _PROCEDURE, "statistics": "mean and deviation of levels and of their differences"},
    )
