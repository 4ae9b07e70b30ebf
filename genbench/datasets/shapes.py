"""Drawn RGB images with known factors: any number of them from a seed, with modes that can be counted exactly."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.options import whole_numbers
from genbench.datasets.outlines import COLOURS, KINDS, RADIUS, coverage
from genbench.datasets.room import require_memory
from genbench.datasets.shape_modes import nearest_mode
from genbench.datasets.source import Request
from genbench.seeding import generator

__all__ = ["COLOURS", "KINDS", "generate", "load"]

MARGIN = 1.5  # pixels around a shape that show only background
LEAST_SIZE = 16  # below it the kinds cannot be distinguished reliably
_CHUNK = 1024  # images drawn from one generator, so that a shorter dataset is a prefix of a longer one
_UNIFORMS = 8  # random numbers per image


@dataclass(frozen=True)
class Factors:
    """The content of each of N images.

    Args:
        kind: (N,) int64, index into `KINDS`.
        colour: (N,) int64, index into the values of `COLOURS`.
        centre: (N, 2) float32, x and y, in shares of the side.
        radius: (N,) float32, in shares of the side.
        top, bottom: (N, 3) float32, the background's colour in its first and its last row, 0..255.
    """

    kind: Tensor
    colour: Tensor
    centre: Tensor
    radius: Tensor
    top: Tensor
    bottom: Tensor

    @property
    def mode(self) -> Tensor:
        """(N,) int64: kind × number of colours + colour."""
        return self.kind * len(COLOURS) + self.colour


@dataclass(frozen=True)
class Options:
    """The options of `shapes`, such as `size=64,seed=1`."""

    size: int = 32
    count: int = 20_000
    held_out: int = 5_000
    seed: int = 0


def load(request: Request) -> Dataset:
    """Load drawn shapes; labels are the kinds, modes the 64 pairs of kind and colour.

    The held-out split has its own random stream and may be of any length: `shapes:held_out=100000`.
    """
    options = _options(request)
    splits = []
    for name, count in (("train", options.count), ("held-out", options.held_out)):
        images, factors = generate(count, options.size, options.seed, name)
        splits.append(Split(images, factors.kind))
    return Dataset(
        name=request.spec,
        train=splits[0],
        held_out=splits[1],
        class_names=KINDS,
        licence=request.source.licence,
        fingerprint=fingerprint(*splits),
        nearest_mode=nearest_mode,
        mode_count=len(KINDS) * len(COLOURS),
    )


def generate(count: int, size: int, seed: int, split: str) -> tuple[Tensor, Factors]:
    """Draw the first `count` images of the endless `split` of `seed`: uint8 (count, 3, size, size), and their factors.

    Example:
        >>> images, factors = generate(3, 32, seed=0, split="train")
        >>> images.shape, factors.mode.shape
        (torch.Size([3, 3, 32, 32]), torch.Size([3]))
    """
    images = torch.empty(count, 3, size, size, dtype=torch.uint8)
    parts = []
    for start in range(0, count, _CHUNK):
        factors = draw(_CHUNK, size, generator(seed, "shapes", split, start // _CHUNK))
        kept = Factors(*(getattr(factors, field.name)[: count - start] for field in fields(Factors)))
        images[start : start + _CHUNK] = render(kept, size)
        parts.append(kept)
    return images, Factors(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Factors)))


def draw(count: int, size: int, random: torch.Generator) -> Factors:
    """Draw `count` independent factors; kinds and colours are uniform, each shape lies wholly within `size` pixels."""
    uniform = torch.rand(count, _UNIFORMS, generator=random)
    radius = RADIUS[0] + (RADIUS[1] - RADIUS[0]) * uniform[:, 2]
    inset = radius + MARGIN / size
    centre = inset[:, None] + (1 - 2 * inset[:, None]) * uniform[:, 3:5]
    top, bottom = _background(uniform[:, 5], uniform[:, 6], uniform[:, 7])
    return Factors(
        kind=(uniform[:, 0] * len(KINDS)).long(),
        colour=(uniform[:, 1] * len(COLOURS)).long(),
        centre=centre,
        radius=radius,
        top=top,
        bottom=bottom,
    )


def render(factors: Factors, size: int) -> Tensor:
    """Paint each shape on its background: uint8 (N, 3, size, size), with smooth edges.

    A pixel is background + coverage × (colour − background). Only elementwise additions, products and square roots are
    used, which give the same bytes on every machine.
    """
    share = torch.arange(size, dtype=torch.float32) / (size - 1)
    background = factors.top[:, :, None] + (factors.bottom - factors.top)[:, :, None] * share  # (N, 3, H)
    colour = torch.tensor(list(COLOURS.values()), dtype=torch.float32)[factors.colour]
    covered = torch.empty(len(factors.kind), size, size)
    for number, name in enumerate(KINDS):
        rows = (factors.kind == number).nonzero()[:, 0]
        covered[rows] = coverage(name, factors.centre[rows] * size, factors.radius[rows] * size, size)
    image = background[..., None] + covered[:, None] * (colour[:, :, None] - background)[..., None]
    return image.round().clamp(0, 255).to(torch.uint8)


def _background(hue: Tensor, shade: Tensor, fade: Tensor) -> tuple[Tensor, Tensor]:
    """Return the colours of the first and last row: muted, light or dark, fading slightly from top to bottom."""
    light = shade < 0.5
    within = 2 * torch.where(light, shade, shade - 0.5)
    value = torch.where(light, 0.86 + 0.12 * within, 0.14 + 0.14 * within)
    saturation = torch.where(light, 0.12, 0.4)
    top = _rgb(hue, saturation, value)
    return top, top * (0.8 + 0.2 * fade)[:, None]


def _rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Return the colours (N, 3), 0..255, of hue, saturation and value in [0, 1]."""
    sector = (torch.tensor([5.0, 3.0, 1.0]) + 6 * hue[:, None]) % 6
    depth = torch.minimum(sector, 4 - sector).clamp(0, 1)
    return 255 * value[:, None] * (1 - saturation[:, None] * depth)


def _options(request: Request) -> Options:
    least = {"size": LEAST_SIZE, "count": 1, "held_out": 1, "seed": 0}
    defaults = asdict(Options())
    if request.image_size is not None:
        defaults["size"] = request.image_size
    options = Options(**whole_numbers(request, defaults, least))
    if request.image_size not in (None, options.size):
        raise request.fault(
            f"size={options.size} and --image-size {request.image_size} contradict each other; give one"
        )
    if options.size < LEAST_SIZE:
        raise request.fault(f"size must be at least {LEAST_SIZE}, not {options.size}")
    # In addition to the images, drawing a chunk needs about sixteen four-byte numbers per pixel.
    pixels = options.size**2
    longest = min(_CHUNK, max(options.count, options.held_out))
    require_memory(request, 3 * pixels * (options.count + options.held_out) + 64 * pixels * longest)
    return options
