"""`genbench baseline`: a set of records as one small file to commit and to compare with later runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Write a set of records as one small file that `compare` reads.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The file to write.")
def baseline(directory: Path, out: Path) -> None:
    """Write what `genbench compare` needs from DIR's records to FILE: numbers, recipes, costs and environment.

    The file is small and has one line per cell, so it can be committed, and its diff shows the cells that changed.

    \b
    Examples:
      genbench baseline reports/digits --out benchmarks/baselines/digits.json
    """
    from genbench.machine.home import settings_of_matplotlib

    click.get_current_context().with_resource(settings_of_matplotlib())
    from genbench.changes import read_set
    from genbench.records.baseline import write_baseline

    records = read_set(directory)
    write_baseline(out, records)
    failed = sum(record.failed for record in records)
    click.echo(f"{out}: {len(records)} cells{f', {failed} of them failed' if failed else ''}")
