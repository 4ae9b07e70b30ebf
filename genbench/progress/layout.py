"""Which columns a progress line has at a given width: the most important are dropped last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

__all__ = ["Line", "Widths", "cut", "duration", "fitting", "widths"]

PERCENT, LEFT = 4, 8  # "100%" and "12:34:56"
LEAST_NAME, LEAST_STAGE = 17, 10
LEAST_BAR, GOOD_BAR, LARGEST_BAR = 8, 16, 24
TAIL = 8  # characters kept at the end of a truncated name: its seed


@dataclass(frozen=True)
class Line:
    """What to show for one cell, or for all.

    Args:
        name: of the cell.
        stage: the current stage.
        done, total: progress within the stage; None if unknown.
        left_s: seconds until it is done, or None.
        rate: such as `12,300 images/s`; or a note that nothing has been reported for a long time.
        losses: each as text.
    """

    name: str
    stage: str = ""
    done: int = 0
    total: int | None = None
    left_s: float | None = None
    rate: str = ""
    losses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Widths:
    """The width of each variable-width column in characters; 0 leaves it out."""

    name: int
    stage: int
    bar: int
    rate: int
    losses: int


def widths(lines: Sequence[Line], width: int) -> Widths:
    """Divide `width` characters among the columns of all lines; percentage and time left are always shown.

    First come a part of the name, the stage and the bar; then the full name and stage, the rate and a longer bar; then
    the losses.

    >>> widths([Line("gan on digits, seed 0", "training", rate="900 images/s", losses=("generator 0.71",))], 60)
    Widths(name=21, stage=8, bar=14, rate=0, losses=0)
    """
    whole = {
        "name": max((cell_len(line.name) for line in lines), default=0),
        "stage": max((cell_len(line.stage) for line in lines), default=0),
        "rate": max((cell_len(line.rate) for line in lines), default=0),
        "losses": max((cell_len(", ".join(line.losses)) for line in lines), default=0),
    }
    first_loss = max((cell_len(line.losses[0]) for line in lines if line.losses), default=0)
    given = dict.fromkeys(("name", "stage", "bar", "rate", "losses"), 0)
    left = width - (PERCENT + 1) - (LEFT + 1)

    def grant(column: str, wanted: int, least: int) -> None:
        """Widen a column as far as there is room, unless it would remain narrower than `least`."""
        nonlocal left
        new = min(wanted, left - (1 if not given[column] else 0) + given[column])
        if new > given[column] and new >= least:
            left -= new - given[column] + (1 if not given[column] else 0)
            given[column] = new

    grant("name", min(whole["name"], LEAST_NAME), 1)
    grant("stage", min(whole["stage"], LEAST_STAGE), min(whole["stage"], LEAST_STAGE))
    grant("bar", LEAST_BAR, LEAST_BAR)
    grant("name", whole["name"], 1)
    grant("stage", whole["stage"], 1)
    grant("rate", whole["rate"], whole["rate"])
    grant("bar", GOOD_BAR, LEAST_BAR)
    grant("losses", whole["losses"], first_loss or 1)
    grant("bar", LARGEST_BAR, LEAST_BAR)
    return Widths(**given)


def cut(text: str, width: int) -> str:
    """Return `text` in at most `width` characters: a long one loses its middle, because its end distinguishes seeds.

    >>> cut("conv-vae:beta=4,latent=64 on digits, seed 3", 24)
    'conv-vae:beta=4,… seed 3'
    """
    if cell_len(text) <= width:
        return text
    if width <= 2 * TAIL:
        return set_cell_size(text, max(0, width - 1)) + "…"
    tail = text[-TAIL + 1 :]
    return set_cell_size(text, width - 1 - cell_len(tail)).rstrip() + "…" + tail


def fitting(losses: Sequence[str], width: int) -> str:
    """Return as many losses as fit, each in full: half a number is useless.

    >>> fitting(("generator 0.71", "discriminator 1.3"), 20)
    'generator 0.71'
    """
    shown = ""
    for loss in losses:
        longer = f"{shown}, {loss}" if shown else loss
        if cell_len(longer) > width:
            break
        shown = longer
    return shown


def duration(seconds: float | None) -> str:
    """Return seconds as `1:02:03`, `2:03` or, for several days, `100 h`.

    >>> duration(3723), duration(123.4), duration(None), duration(1e6)
    ('1:02:03', '2:03', '', '277 h')
    """
    if seconds is None:
        return ""
    minutes, rest = divmod(round(min(seconds, 1e9)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        return f"{hours} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
