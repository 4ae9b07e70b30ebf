"""`vggish`: the network behind the Fréchet audio distance, with weights from a file.

S. Hershey et al., "CNN Architectures for Large-Scale Audio Classification", 2017, https://arxiv.org/abs/1609.09430; the
distance is from K. Kilgour, M. Zuluaga, D. Roblek, M. Sharifi, "Fréchet Audio Distance", 2019,
https://arxiv.org/abs/1812.08466. Processing follows torchvggish: 16 kHz, one channel, disjoint windows of 0.96 s,
each a log-mel spectrogram of 96 × 64. The features are those of the last layer, before its ReLU, as in
frechet_audio_distance, and without the PCA of AudioSet's release.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.datasets.dataset import Dataset
from genbench.datasets.resampling import FILTER, resampled, resampled_length
from genbench.errors import InputError
from genbench.features.extractor import Extractor, place
from genbench.features.intake import Clips
from genbench.features.log_mel import audio
from genbench.features.vggish_file import PUBLISHED_SHA256, URL
from genbench.features.weight_file import check_shapes, content_sha256, file_sha256, read_tensors
from genbench.kinds.mel import triangles

__all__ = ["FEATURES", "RATE", "VGGish", "examples", "load_vggish", "windows"]

RATE = 16_000
FEATURES = 128
_WHAT = "extractor 'vggish'"
_FRAMES, _BANDS = 96, 64  # of an example
_WIDTHS = ((64,), (128,), (256, 256), (512, 512))  # of convolutions, with halving after each group
_INNER = 4096
_WINDOW, _HOP, _FFT = 400, 160, 512
_LOW, _HIGH, _OFFSET = 125.0, 7500.0, 0.01
_EXAMPLE = (_FRAMES - 1) * _HOP + _WINDOW  # samples in one example


class VGGish(nn.Module):
    """Maps (B, W, 96, 64) examples to (B, 128) features: the mean over a clip's W windows. Names match torchvggish."""

    def __init__(self) -> None:
        super().__init__()
        layers, channels = list[nn.Module](), 1
        for widths in _WIDTHS:
            for width in widths:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        flat = channels * (_FRAMES // 16) * (_BANDS // 16)
        self.embeddings = nn.Sequential(
            nn.Linear(flat, _INNER), nn.ReLU(), nn.Linear(_INNER, _INNER), nn.ReLU(), nn.Linear(_INNER, FEATURES)
        )

    def forward(self, examples: Tensor) -> tuple[Tensor, None]:
        maps = self.features(examples.flatten(0, 1)[:, None])
        # TensorFlow's order, in which the weights were trained: time, frequency, channels.
        found = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return found.unflatten(0, examples.shape[:2]).mean(1), None


def windows(length: int) -> int:
    """Return the number of windows in a clip of `length` samples at 16 kHz: at least one, as short clips are padded."""
    return max(1, (1 + (length - _WINDOW) // _HOP) // _FRAMES)


def examples(mono: Tensor) -> Tensor:
    """Convert (B, T) floats in [-1, 1] at 16 kHz to (B, W, 96, 64): log(mel + 0.01) of the magnitudes in each window.

    Samples after the last whole window of 0.96 s are ignored; a clip shorter than one window is padded with silence.
    """
    padded = F.pad(mono, (0, max(0, _EXAMPLE - mono.shape[1])))
    frames = padded.unfold(1, _WINDOW, _HOP) * torch.hann_window(_WINDOW, device=mono.device)
    weights = triangles(_FFT // 2 + 1, RATE, _BANDS, _LOW, _HIGH).to(device=mono.device, dtype=mono.dtype)
    levels = torch.log(torch.fft.rfft(frames, _FFT).abs() @ weights.T + _OFFSET)  # (B, frames, 64)
    count = windows(padded.shape[1])
    found: Tensor = levels[:, : count * _FRAMES].unflatten(1, (count, _FRAMES))
    return found


def load_vggish(dataset: Dataset, given: Path | None, device: torch.device, precision: str) -> Extractor:
    """Return the extractor with the weights in a file.

    Its distance is called `fad` if the weights are the published ones and a clip fills exactly one window: Kilgour et
    al. compare windows, not means over several windows.

    Raises:
        InputError: no file is given, or the file is missing, damaged, or of another network.
    """
    kind = audio(dataset)
    channels, length = dataset.shape
    if given is None:
        raise InputError(f"{_WHAT}: needs a weights file; download {URL} and add --weights FILE")
    tensors = _read(given)
    with torch.device("meta"):  # no time or random numbers for weights that are immediately replaced
        network = VGGish()
    check_shapes(
        tensors, {name: tuple(value.shape) for name, value in network.state_dict().items()}, f"{_WHAT}: {given}"
    )
    network.load_state_dict(tensors, assign=True)
    network.requires_grad_(False).eval()
    place(network, device, precision)
    rate = kind.sample_rate

    def prepare(clips: Tensor) -> Tensor:
        mono = resampled(clips.mean(1).cpu().numpy(), rate, RATE)
        return examples(torch.from_numpy(mono).to(clips.device))

    at_16k = resampled_length(length, rate, RATE)
    published = file_sha256(given) == PUBLISHED_SHA256
    return Extractor(
        name="vggish",
        network=network,
        intake=Clips(
            kind,
            channels,
            prepare,
            named={"profile": "torchvggish", "resizer": "none" if rate == RATE else FILTER, "windows": windows(at_16k)},
        ),
        device=device,
        precision=precision,
        feature_count=FEATURES,
        classes=None,
        weights_sha256=content_sha256(tensors),
        earned={"fd": "fad"} if published and at_16k >= _EXAMPLE and windows(at_16k) == 1 else {},
        item_bytes=windows(at_16k) * (6 << 20),
        fields={"padded": at_16k < _EXAMPLE, "layer": "embedding before its ReLU, without PCA"},
    )


def _read(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors in float32."""
    return {name: value.float() for name, value in read_tensors(path, _WHAT).items()}
