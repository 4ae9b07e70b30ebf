"""`log-mel`: the loudness of each band of a clip, its variation and its change; for any clips, without a weights file.

S. Davis and P. Mermelstein ("Comparison of Parametric Representations for Monosyllabic Word Recognition", 1980) and
S. Furui ("Speaker-Independent Isolated Word Recognition Using Dynamic Features of Speech Spectrum", 1986) describe
sounds by means, deviations and differences of spectra over time. The features rank models trained on one dataset. They
capture pitch, timbre and loudness, but only as much temporal structure as these four statistics retain: if two clips
have the same frames in a different order, only the statistics of the differences change. They contain no phase.
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

STEP_DB = 20.0  # a rise of this size raises a feature by 1
_PROCEDURE = "log-mel-2"  # raise the number whenever a change here changes the numbers


class _Prepared(nn.Module):
    """Returns its input: `prepare` has done all the work, so a network's precision cannot change anything."""

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        return features, None


def statistics(levels: Tensor) -> Tensor:
    """Return statistics of each band over time: mean and deviation of its levels, and of their frame differences.

    The deviations are population deviations (divided by the number of frames). A clip of one frame has no
    differences, so their statistics are zero.

    Args:
        levels: (B, C, bands, frames).

    Returns:
        (B, 4 C bands): for each channel, the means of all bands, then their deviations, then both for the differences.
    """
    moved = levels.diff(dim=-1) if levels.shape[-1] > 1 else torch.zeros_like(levels)
    parts = [each for part in (levels, moved) for each in (part.mean(-1), part.std(-1, correction=0))]
    return torch.stack(parts, 2).flatten(1)


def levels(clips: Tensor, mel: Mel) -> Tensor:
    """Convert (B, C, T) floats in [-1, 1] to (B, C, bands, frames): 0 is the floor, 3 a full-scale sine."""
    return (mel.decibels(clips) - FLOOR_DB) / STEP_DB


def mel_recipe(mel: Mel) -> dict[str, RecipeValue]:
    """Return the spectrogram settings that affect the features."""
    return {"window": f"Hann, {mel.window}", "hop": mel.hop, "mels": mel.bands, "floor_db": FLOOR_DB}


def audio(dataset: Dataset) -> Audio:
    """Return the kind of a dataset of clips, which holds the sample rate; raise `InputError` for any other kind."""
    if not isinstance(dataset.kind, Audio):
        raise InputError(f"extractor 'log-mel': takes clips, but {dataset.name} holds {dataset.kind.noun}")
    return dataset.kind


def load_log_mel(dataset: Dataset, device: torch.device, precision: str) -> Extractor:
    """Return the extractor for clips of any length with the channels and the sample rate of `dataset`.

    Everything is computed in float32; with `bf16`, only the features are rounded.
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
        item_bytes=100 * dataset.shape.numel(),  # the complex spectrum of four overlapping windows, and its power
        fields={"procedure": _PROCEDURE, "statistics": "mean and deviation of levels and of their differences"},
    )
