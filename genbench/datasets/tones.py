"""Drawn clips of known pitch, timbre and envelope: any number of them from a seed, with modes that can be counted.

The audio counterpart of `shapes`. A clip is a sum of harmonics under an envelope that rises once and falls once:

    x(t) = a e(t / T) / A * sum_n h_n sin(2 pi n (f t + p)),  A = sum_n h_n

so no clip reaches full scale. The pitch f lies within half a percent of one of `PITCHES`; phase and loudness in dB are
uniform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.options import given, positive, whole_number
from genbench.datasets.room import shortage
from genbench.datasets.source import Request
from genbench.datasets.tone_modes import ToneModes
from genbench.datasets.tone_parts import ENVELOPES, PITCHES, TIMBRES, envelope
from genbench.kinds.audio import Audio
from genbench.seeding import generator

__all__ = ["Factors", "Options", "draw", "generate", "load", "render"]

DETUNED = 0.005  # relative to the pitch, maximum to either side: 9 cents
LOUDNESS_DB = (-18.0, -3.0)  # of the maximum possible peak of a clip, relative to full scale
LEAST_RATE = 4_000  # below it the fourth harmonic of the highest pitch is beyond half the rate
LEAST_SECONDS = 0.2  # below it the pitches cannot be distinguished reliably
_CHUNK = 256  # clips drawn from one generator, so that a shorter dataset is a prefix of a longer one
_IN_CACHE = 32  # clips rendered at a time
_UNIFORMS = 6  # random numbers per clip
_TAYLOR = [(-1) ** (power // 2) / math.factorial(power) for power in range(14)]  # alternately of sine and cosine


@dataclass(frozen=True)
class Factors:
    """The content of each of N clips.

    Args:
        pitch: (N,) int64, index into `PITCHES`.
        timbre: (N,) int64, index into `TIMBRES`.
        envelope: (N,) int64, index into `ENVELOPES`.
        hertz: (N,) float64, the fundamental.
        turns: (N,) float64, where its sine begins, in [0, 1).
        peak: (N,) float64, the factor `a`.
    """

    pitch: Tensor
    timbre: Tensor
    envelope: Tensor
    hertz: Tensor
    turns: Tensor
    peak: Tensor

    @property
    def mode(self) -> Tensor:
        """(N,) int64: (pitch × number of timbres + timbre) × number of envelopes + envelope."""
        return (self.pitch * len(TIMBRES) + self.timbre) * len(ENVELOPES) + self.envelope


@dataclass(frozen=True)
class Options:
    """The options of `tones`, such as `seconds=1,rate=16000`."""

    seconds: float = 0.5
    rate: int = 8_000
    count: int = 10_000
    held_out: int = 2_500
    seed: int = 0

    @property
    def length(self) -> int:
        """Samples of a clip."""
        return round(self.seconds * self.rate)


def load(request: Request) -> Dataset:
    """Load drawn tones; labels are the pitches, modes the 64 triples of pitch, timbre and envelope.

    The held-out split has its own random stream and may be of any length: `tones:held_out=20000`.
    """
    options = _options(request)
    kind, splits = Audio(options.rate), []
    for name, count in (("train", options.count), ("held-out", options.held_out)):
        clips, factors = generate(count, options.length, options.rate, options.seed, name)
        splits.append(Split(clips, factors.pitch, kind))
    return Dataset(
        name=request.spec,
        train=splits[0],
        held_out=splits[1],
        class_names=tuple(PITCHES),
        licence=request.source.licence,
        fingerprint=fingerprint(*splits),
        nearest_mode=ToneModes(options.rate).nearest,
        mode_count=len(PITCHES) * len(TIMBRES) * len(ENVELOPES),
    )


def generate(count: int, length: int, rate: int, seed: int, split: str) -> tuple[Tensor, Factors]:
    """Draw the first `count` clips of the endless `split` of `seed`: int16 (count, 1, length), and their factors.

    Example:
        >>> clips, factors = generate(3, 2000, 8000, seed=0, split="train")
        >>> clips.shape, factors.mode.shape
        (torch.Size([3, 1, 2000]), torch.Size([3]))
    """
    clips = torch.empty(count, 1, length, dtype=torch.int16)
    parts = []
    for start in range(0, count, _CHUNK):
        drawn = draw(_CHUNK, generator(seed, "tones", split, start // _CHUNK))
        kept = _rows(drawn, slice(None, count - start))
        for first in range(0, len(kept.pitch), _IN_CACHE):
            some = slice(first, first + _IN_CACHE)
            clips[start : start + _CHUNK][some] = render(_rows(kept, some), length, rate)
        parts.append(kept)
    return clips, Factors(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Factors)))


def draw(count: int, random: torch.Generator) -> Factors:
    """Draw `count` independent factors; pitches, timbres and envelopes are uniform."""
    uniform = torch.rand(count, _UNIFORMS, generator=random, dtype=torch.float64)
    pitch, timbre, shape = (
        (uniform[:, place] * count).long() for place, count in enumerate((len(PITCHES), len(TIMBRES), len(ENVELOPES)))
    )
    quiet, loud = LOUDNESS_DB
    hertz = torch.tensor(list(PITCHES.values()), dtype=torch.float64)[pitch]
    return Factors(
        pitch=pitch,
        timbre=timbre,
        envelope=shape,
        hertz=hertz * (1 + DETUNED * (2 * uniform[:, 3] - 1)),
        turns=uniform[:, 4],
        peak=_amplitude(quiet + (loud - quiet) * uniform[:, 5]),
    )


def render(factors: Factors, length: int, rate: int) -> Tensor:
    """Return the clips of these factors: int16 (N, 1, length).

    Only elementwise additions, products and floors are used, which give the same bytes on every machine: a library's
    sine may differ in its last digit.
    """
    time = torch.arange(length, dtype=torch.float64)
    turns = factors.hertz[:, None] * (time / rate) + factors.turns[:, None]
    turns -= turns.floor()
    sine, cosine = _circle(turns.float())
    weights = torch.tensor(list(TIMBRES.values()), dtype=torch.float64)[factors.timbre]  # (N, H)
    first, second, third, fourth = (weights / weights.sum(1, keepdim=True) * factors.peak[:, None])[..., None].unbind(1)
    # sin(2x), sin(3x) and sin(4x) are sin(x) times 2c, 4c² - 1 and 8c³ - 4c, where c = cos(x).
    wave = (8 * fourth).float() * cosine
    for weight in (4 * third, 2 * second - 4 * fourth):
        wave.add_(weight.float()).mul_(cosine)
    wave.add_((first - third).float()).mul_(sine)
    for number, name in enumerate(ENVELOPES):
        rows = factors.envelope == number
        wave[rows] *= envelope(name, ((time + 0.5) / length).float())
    return wave.mul_(32767).round_().to(torch.int16)[:, None]


def _circle(turns: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sine and the cosine of 2 pi t, of t in [0, 1] float32, from their Taylor series on a quarter turn."""
    upper = turns <= 0.5
    within = torch.where(upper, turns, 1 - turns)  # the cosine is even about half a turn
    angle = (0.25 - within).mul_(2 * math.pi)  # from -pi/2 to pi/2: cos(2 pi t) is its sine
    square = angle * angle
    odd, even = torch.full_like(angle, _TAYLOR[13]), torch.full_like(angle, _TAYLOR[12])
    for power in range(11, 0, -2):
        odd.mul_(square).add_(_TAYLOR[power])
        even.mul_(square).add_(_TAYLOR[power - 1])
    return torch.where(upper, even, -even), odd.mul_(angle)


def _amplitude(decibels: Tensor) -> Tensor:
    """Return 10^(dB / 20), rounded to five digits so that the last ones of a library's power do not matter."""
    return (10 ** (decibels / 20) * 1e5).round() / 1e5


def _rows(factors: Factors, rows: slice) -> Factors:
    return Factors(*(getattr(factors, field.name)[rows] for field in fields(Factors)))


def _options(request: Request) -> Options:
    if request.image_size is not None:
        raise request.fault(f"--image-size {request.image_size} has no effect on clips; leave it out")
    names = [field.name for field in fields(Options)]
    asked = given(request, names)
    least = {"rate": LEAST_RATE, "count": 1, "held_out": 1, "seed": 0}
    numbers = {name: whole_number(request, name, asked[name], least[name]) for name in least if name in asked}
    seconds = positive(request, "seconds", asked["seconds"]) if "seconds" in asked else Options.seconds
    options = Options(seconds=seconds, **numbers)
    if seconds < LEAST_SECONDS:
        raise request.fault(f"seconds must be at least {LEAST_SECONDS}, not {seconds:g}: pitches cannot be told apart")
    # In addition to the clips, drawing a chunk needs about ten eight-byte numbers per sample.
    size = options.length * (2 * (options.count + options.held_out) + 80 * _IN_CACHE)
    if (fault := shortage(size)) is not None:
        raise request.fault(f"its clips {fault}")
    return options
