"""What is printed: one place, so that nothing that a stranger supplied reaches a terminal as it is."""

from __future__ import annotations

import click

from genbench.terminal import watched
from genbench.visible import visible

__all__ = ["say", "watched"]


def say(line: object, *, err: bool = False, keep: str = "") -> None:
    """Print one line, control characters shown as escapes; `keep` names those that stay, such as newlines."""
    click.echo(visible(line, keep), err=err)
