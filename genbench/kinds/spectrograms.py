"""Turns clips into a PNG grid of spectrograms for people to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from genbench.kinds.mel import FLOOR_DB, Mel, mel_of
from genbench.machine.atomic import replacing

__all__ = ["MOST", "save_grid"]

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

COLUMNS, ROWS = 4, 3
MOST = COLUMNS * ROWS  # clips per grid
PANEL = (132, 108)  # pixels; the whole grid is 600 wide, which a montage uses unscaled
_LEFT, _RIGHT, _TITLE, _GAP, _BOTTOM = 46, 8, 15, 6, 30
_TICK, _TEXT = 4, 10
_INK = (34, 34, 34)
_TICKS_HZ = (0, 125, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000)
_TICKS_S = [factor * 10**power for power in range(-4, 4) for factor in (1, 2, 5)]
# Evenly spaced colours of viridis (S. van der Walt, N. Smith, 2015), whose lightness also increases evenly in grey
# print.
_COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def save_grid(path: Path, clips: Tensor, rate: int, *, are_pairs: bool = False) -> None:
    """Write (N, C, T) floats in [-1, 1] as a PNG of log-mel spectrograms, row by row; completely or not at all.

    Each panel shows its clip's channels, averaged in power, over time in seconds and frequency in Hz, evenly spaced on
    the mel scale. Dark is 60 dB or more below a full-scale sine, bright is full scale, in all panels alike.

    Args:
        path: of the file.
        clips: the clips, of which `MOST` are shown.
        rate: in Hz.
        are_pairs: whether every second clip is the reconstruction of the one before it, and named accordingly.
    """
    mel, seconds = Mel.of(rate), clips.shape[-1] / rate
    decibels = mel.decibels(clips[:MOST])
    power = (10 ** (decibels / 10)).mean(1)
    panels = [_panel(each) for each in (1 - 10 * power.log10() / FLOOR_DB).clamp(0, 1)]
    rows = -(-len(panels) // COLUMNS)
    size = (
        _LEFT + COLUMNS * (PANEL[0] + _GAP) - _GAP + _RIGHT,
        rows * (_TITLE + PANEL[1] + _GAP) - _GAP + _BOTTOM,
    )
    canvas = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_TEXT)
    for number, panel in enumerate(panels):
        row, column = divmod(number, COLUMNS)
        left, top = _LEFT + column * (PANEL[0] + _GAP), row * (_TITLE + PANEL[1] + _GAP) + _TITLE
        canvas.paste(panel, (left, top))
        name = f"{number // 2 + 1}, {('data', 'restored')[number % 2]}" if are_pairs else f"{number + 1}"
        draw.text((left + PANEL[0] / 2, top - 3), name, fill=_INK, font=font, anchor="ms")
        if column == 0:
            _frequencies(draw, font, left, top, rate)
        if number + COLUMNS >= len(panels):  # no panel below it
            _times(draw, font, left, top + PANEL[1], seconds)
    with replacing(path) as temporary:
        canvas.save(temporary, format="PNG")


def _panel(loudness: Tensor) -> Image.Image:
    """Return (bands, frames) in [0, 1] as a picture, with the lowest band at the bottom."""
    place = loudness.flip(0) * (len(_COLOURS) - 1)
    colours = torch.tensor(_COLOURS, dtype=torch.float32)
    below = place.long().clamp(max=len(_COLOURS) - 2)
    pixels = torch.lerp(colours[below], colours[below + 1], (place - below)[..., None])
    image = Image.fromarray(pixels.round().numpy().astype(np.uint8))
    return image.resize(PANEL, Image.Resampling.BOX if image.width > PANEL[0] else Image.Resampling.NEAREST)


def _frequencies(draw: ImageDraw.ImageDraw, font: _Font, left: int, top: int, rate: int) -> None:
    """Label the frequencies next to a panel whose upper left corner is given."""
    above = -2.0 * _TEXT
    for hertz in _TICKS_HZ:
        height = PANEL[1] * mel_of(hertz) / mel_of(rate / 2)
        if height > PANEL[1] or height - above < 1.5 * _TEXT:
            continue
        above, y = height, top + PANEL[1] - height
        draw.line([(left - _TICK, y), (left - 1, y)], fill=_INK)
        name = f"{hertz:,}" if hertz else "0 Hz"
        draw.text((left - _TICK - 2, min(y, top + PANEL[1] - 4)), name, fill=_INK, font=font, anchor="rm")


def _times(draw: ImageDraw.ImageDraw, font: _Font, left: int, bottom: int, seconds: float) -> None:
    """Label the seconds below a panel whose lower left corner is given."""
    step = next((step for step in _TICKS_S if seconds / step <= 4), _TICKS_S[-1])
    for number in range(int(seconds / step) + 1):
        x = left + PANEL[0] * number * step / seconds
        draw.line([(x, bottom), (x, bottom + _TICK)], fill=_INK)
        if x <= left + 0.85 * PANEL[0]:  # the next panel's name begins there
            name = f"{number * step:g}" if number else "0 s"
            draw.text((x, bottom + _TICK + 2), name, fill=_INK, font=font, anchor="ma")
