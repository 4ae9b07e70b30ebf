"""Where standard error goes, and what a command says there before it begins."""

from __future__ import annotations

import sys

import click

__all__ = ["go_on_without_cache", "watched"]


def go_on_without_cache() -> None:
    """For the rest of this command go on without a cache where its folder cannot be written, and say so once."""
    from genbench.datasets.cacheless import settings_of_matplotlib, without_cache

    context = click.get_current_context()
    context.with_resource(settings_of_matplotlib())
    warning = context.with_resource(without_cache())
    if warning is not None:
        click.echo(f"genbench: {warning}", err=True)


def watched() -> bool:
    """Return whether standard error is a terminal; where a program has closed it, there is none at all."""
    return sys.stderr is not None and sys.stderr.isatty()
