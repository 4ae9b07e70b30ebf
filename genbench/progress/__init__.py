"""Progress of a benchmark: bars on a terminal and in a notebook, plain lines elsewhere or to a function, or nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from functools import partial

import click

from genbench.execution.planning import Listener
from genbench.machine.terminal import watched
from genbench.progress.lines import Lines, Silence
from genbench.progress.shell import display_of_notebook

__all__ = ["Lines", "Silence", "listener_for"]


@contextlib.contextmanager
def listener_for(progress: bool | Callable[[str], object]) -> Iterator[Listener]:
    """Give the listener that fits.

    Args:
        progress: False shows nothing; True shows bars in a notebook's output, or on standard error if that is a
            terminal, and lines if it is not; a function receives each line of text.
    """
    if callable(progress):
        yield Lines(progress)
    elif progress and (display := display_of_notebook()):
        from genbench.progress.notebook import NotebookBars

        with NotebookBars(display) as bars:
            yield bars
    elif progress and watched():
        from genbench.progress.bars import Bars

        with Bars() as bars:
            yield bars
    elif progress and sys.stderr is not None:
        yield Lines(partial(click.echo, err=True))
    else:
        yield Silence()
