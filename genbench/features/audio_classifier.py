"""The audio classifier: the image classifier, applied to log-mel spectrograms.

S. Hershey et al., "CNN Architectures for Large-Scale Audio Classification", 2017, https://arxiv.org/abs/1609.09430,
apply image networks to such spectrograms.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.features import image_classifier
from genbench.features.classifier_network import Design
from genbench.features.intake import Clips
from genbench.features.log_mel import levels, mel_recipe
from genbench.kinds.audio import Audio
from genbench.kinds.mel import Mel

__all__ = ["PROCEDURE", "design"]

PROCEDURE = "audio-classifier-1"  # raise the number whenever a change here or in the training changes the weights
_LEAST_FRAMES = 16
_MIDDLE = 2.0  # lies between the floor and full scale, in the units of `levels`


def design(shape: torch.Size, kind: Audio) -> Design:
    """Return the design for clips of `shape` (C, T): each channel's spectrogram becomes a channel of an image.

    Frames are averaged down to 16 to 31 of them, to limit the cost of a convolution; bands are not averaged, to keep
    the pitch. In training, the clips of a batch are shifted in time by up to a fourteenth of their frames.
    """
    channels, length = shape
    mel = Mel.of(kind.sample_rate)
    pooled = max(1, mel.frames(length) // _LEAST_FRAMES)
    picture = torch.Size((channels, mel.bands, mel.frames(length) // pooled))

    def prepare(clips: Tensor) -> Tensor:
        return F.avg_pool2d(levels(clips, mel) - _MIDDLE, (1, pooled))

    return Design(
        procedure=PROCEDURE,
        intake=Clips(kind, channels, prepare, length, {**mel_recipe(mel), "frames": picture[2]}),
        body=lambda: image_classifier.body(picture),
        varied=_shifted,
        item_bytes=100 * shape.numel() + 1024 * picture.numel(),
        without_labels="log-mel",
    )


def _shifted(spectrograms: Tensor, randomness: torch.Generator) -> Tensor:
    """Shift (B, C, bands, frames) by one random offset in time, never in pitch, repeating the first or last frame."""
    frames = spectrograms.shape[-1]
    most = frames // 14
    padded = F.pad(spectrograms, (most, most, 0, 0), mode="replicate") if most else spectrograms
    start = int(torch.randint(2 * most + 1, (), generator=randomness))
    return padded[..., start : start + frames]
