"""`genbench datasets`: the datasets that models can be trained on."""

from __future__ import annotations

import os
from pathlib import Path

import click

from genbench.cli.terminal import say
from genbench.errors import InputError

_VALUES = {"length": "N", "symbols": "char or byte", "window": "N", "seconds": "S", "rate": "N", "channels": "N"}


@click.command(short_help="List the datasets, and show which are available here.")
@click.argument("name", required=False)
@click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where datasets are kept.")
def datasets(name: str | None, data_root: Path | None) -> None:
    """List every dataset: its content, its licence, and whether it is on this machine; then the datasets of plugins.

    Plugins are listed from their distributions' metadata without being imported. With NAME, a plugin's dataset, show
    its options.

    For any dataset, `-d NAME:fraction=F` trains on that fraction, and `held_out=N` holds out N items.
    `-d npz:PATH,held_out=PATH` holds out all of another file; the same works for folders.

    \b
    Examples:
      genbench datasets
      genbench datasets --data-root ~/data
    """
    if name is not None:
        _show(name)
        return
    from genbench.cli.brought import offers
    from genbench.datasets import OPTIONS, SOURCES, presence_of
    from genbench.plugin.families import DATASET

    for source in SOURCES.values():
        presence = presence_of(source.name, data_root)
        argument = f":{source.argument}" if source.argument else ""
        click.echo(f"{source.name}{argument}")
        if source.options:
            click.echo(f"  options: {', '.join(f'{name}={_VALUES[name]}' for name in source.options)}")
        click.echo(f"  {source.summary}")
        click.echo(f"  licence: {source.licence}")
        click.echo(f"  {'available' if presence.available else 'not on disk'}: {presence.advice}")
    for offer in offers(DATASET, SOURCES):
        say(offer.found.name)
        say(f"  {offer.found.summary()}")
        say(f"  from {offer.origin}")
    click.echo(f"a part of any dataset: {OPTIONS} after the colon or the path: mnist:fraction=0.01,held_out=1000")
    own = ", ".join(source.name for source in SOURCES.values() if source.own_held_out)
    click.echo(f"your own held-out set, for {own}: held_out=PATH after the path: npz:a.npz,held_out=b.npz")
    click.echo(data_root_line(data_root))


def _show(name: str) -> None:
    """Import the plugin that provides one dataset, and show its options."""
    from genbench.cli.models import show_options
    from genbench.datasets import SOURCES
    from genbench.plugin import finding, loading
    from genbench.plugin.families import DATASET

    if name in SOURCES:
        raise InputError(f"dataset {name!r} ships with genbench: `genbench datasets` lists it with its options")
    found = finding.find_brought(DATASET, name, known=SOURCES, lister="genbench datasets")
    plugin = loading.load(found)
    say(f"{found.name}: {found.summary()}")
    say(f"  from {found.distribution} {found.version}, {found.path}")
    show_options(plugin)


def data_root_line(data_root: Path | None) -> str:
    """Return the line that says where all datasets are kept and how to choose another folder."""
    from genbench.datasets import default_data_root

    root = os.path.expanduser(data_root or default_data_root())
    return f"data root: {root}; --data-root DIR or $GENBENCH_DATA sets another"
