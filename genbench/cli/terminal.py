"""One place for all output, so that no untrusted text reaches a terminal unescaped."""

from __future__ import annotations

import click

from genbench.machine.terminal import watched
from genbench.plugin.visible import visible

__all__ = ["go_on_without_cache", "say", "watched"]


def go_on_without_cache() -> None:
    """For the rest of this command, continue without a cache if its folder is not writable, and warn once."""
    from genbench.datasets.cacheless import without_cache
    from genbench.machine.home import settings_of_matplotlib

    context = click.get_current_context()
    context.with_resource(settings_of_matplotlib())
    warning = context.with_resource(without_cache())
    if warning is not None:
        say(f"genbench: {warning}", err=True)


def say(line: object, *, err: bool = False, keep: str = "") -> None:
    """Print one line, control characters shown as escapes; `keep` names those that stay, such as newlines."""
    click.echo(visible(line, keep), err=err)
