"""Audio clips: stored as int16 (C, T), delivered to models as float32 in [-1, 1], shown as spectrograms.

The stored value s is delivered as (s + 1/2) / 32767.5: the 16-bit values are spaced evenly from -1 to 1, both included,
like the 8-bit values of an image, so one formula in `data.levels` serves the likelihood of both. Zero then becomes
1.5e-5, which is 96 dB below full scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genbench.kinds import spectrograms, wave_file
from genbench.kinds.bounded import bounded
from genbench.kinds.kind import Kind, Whole
from genbench.plugin.data import Data

__all__ = ["KIND", "Audio"]

_LEVELS = 2**16
_LEAST, _GREATEST = -(2**15), 2**15 - 1
_HALF_RANGE = 32767.5
_RATE = 16_000
_IN_HALVES = ((2, 257), (8, 4369), (64, 4369))  # samples, and every so many levels: 256 or 16, with both ends


@dataclass(frozen=True)
class Audio(Kind):
    """Clips of one sample rate.

    Args:
        sample_rate: in Hz.
    """

    sample_rate: int = _RATE

    name = "audio"
    rounding = "(x*32767.5-0.5).round().clamp(-32768,32767)"
    suffix = ".png"
    dtype = torch.int16
    likelihood_advice = (
        "count the bin of a 16-bit value (2 / 65,535 of [-1, 1]), the Jacobian of each change of variables, and the "
        "cost of the code (the KL term)"
    )

    @property
    def levels(self) -> int:
        return _LEVELS

    @property
    def identity(self) -> bytes:
        return f"{self.sample_rate} Hz".encode()

    def data(self, shape: Sequence[int], count: int, classes: int | None) -> Data:
        return Data(self.name, torch.Size(shape), count, classes, self.levels, sample_rate=self.sample_rate)

    def deliver(self, stored: Tensor) -> Tensor:
        """Return int16 clips as float32 in [-1, 1]: -32,768 is -1 and 32,767 is 1."""
        return stored.float().add_(0.5).div_(_HALF_RANGE)

    def store(self, batch: Tensor) -> Tensor:
        """Round clips in [-1, 1] to int16: `(x * 32767.5 - 0.5).round().clamp(-32768, 32767)`; 0 stays 0."""
        return batch.float().mul(_HALF_RANGE).sub_(0.5).round_().clamp_(_LEAST, _GREATEST).to(torch.int16)

    def check(self, returned: object, expected: Sequence[int]) -> Tensor:
        return bounded(returned, expected)

    def random(self, count: int, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        return torch.randint(_LEAST, _GREATEST + 1, (count, *shape), generator=generator, dtype=torch.int16)

    def nearest(self, values: Tensor) -> Tensor:
        return values.round().clamp_(_LEAST, _GREATEST).to(torch.int16)

    def wholes(self) -> Iterator[Whole]:
        every = torch.arange(_LEAST, _GREATEST + 1).to(torch.int16)
        yield Whole(self, every.view(-1, 1, 1), "the 65,536 clips of one sample", 4)

    def parts(self) -> Iterator[Whole]:
        for samples, every in _IN_HALVES:
            levels = torch.arange(_LEAST, _GREATEST + 1, every).to(torch.int16)
            items = torch.cartesian_prod(levels, levels).repeat_interleave(samples // 2, 1)[:, None]
            yield Whole(self, items, f"{len(items):,} clips of {samples} samples in two halves", 4)

    def show(self, path: Path, items: Tensor) -> None:
        spectrograms.save_grid(path, self.deliver(items), self.sample_rate)

    def show_pairs(self, path: Path, originals: Tensor, restored: Tensor) -> None:
        pairs = torch.stack([originals, restored], 1).flatten(0, 1)
        spectrograms.save_grid(path, self.deliver(pairs[: spectrograms.MOST]), self.sample_rate, are_pairs=True)

    def keep(self, stem: Path, items: Tensor) -> list[Path]:
        """Write the first clips as 16-bit WAV, exactly as stored: nothing is made louder."""
        paths = []
        for number, clip in enumerate(items[: wave_file.MOST], 1):
            paths.append(stem.with_name(f"{stem.name}-{number}.wav"))
            wave_file.save(paths[-1], clip, self.sample_rate)
        return paths

    def shown(self, shape: torch.Size) -> int:
        return spectrograms.MOST


KIND: Kind = Audio()
