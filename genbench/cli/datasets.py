"""`genbench datasets`: what can be trained on."""

from __future__ import annotations

from pathlib import Path

import click

_VALUES = {"length": "N", "symbols": "char or byte", "window": "N", "seconds": "S", "rate": "N", "channels": "N"}


@click.command(short_help="List the datasets, and which are available here.")
@click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where datasets are kept.")
def datasets(data_root: Path | None) -> None:
    """List every dataset: what it holds, its licence, and whether it is on this machine.

    `-d NAME:fraction=F` trains on that share of any of them, and `held_out=N` holds out so many.

    \b
    Examples:
      genbench datasets
      genbench datasets --data-root ~/data
    """
    from genbench.datasets import OPTIONS, SOURCES, is_at_hand

    for source in SOURCES.values():
        presence = is_at_hand(source.name, data_root)
        argument = f":{source.argument}" if source.argument else ""
        click.echo(f"{source.name}{argument}")
        if source.options:
            click.echo(f"  options: {', '.join(f'{name}={_VALUES[name]}' for name in source.options)}")
        click.echo(f"  {source.summary}")
        click.echo(f"  licence: {source.licence}")
        click.echo(f"  {'available' if presence.at_hand else 'not on disk'}: {presence.advice}")
    click.echo(f"a part: {OPTIONS} behind the colon, or the path, of any: mnist:fraction=0.01,held_out=1000")
    click.echo(data_root_line(data_root))


def data_root_line(data_root: Path | None) -> str:
    """Return where datasets are kept and how to choose another folder, once for all of them."""
    from genbench.datasets import default_data_root

    root = (data_root or default_data_root()).expanduser()
    return f"data root: {root}; --data-root DIR or $GENBENCH_DATA sets another"
