"""`genbench report`: render again from the records."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Render a benchmark's report again from its records.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
def report(directory: Path) -> None:
    """Write report.md, results.csv, curves.csv and the figures of DIR again from its records; nothing is trained.

    If a run was interrupted, the report says how many of the planned cells have run and which are missing.

    \b
    Examples:
      genbench report reports/digits
    """
    from genbench.datasets.cacheless import settings_of_matplotlib

    with settings_of_matplotlib():
        from genbench import report as rendering

        click.echo(rendering.render_directory(directory, lambda line: click.echo(line, err=True)))
