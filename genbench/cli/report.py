"""`genbench report`: render again from the records."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Render the report of a benchmark again, from its records.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
def report(directory: Path) -> None:
    """Write report.md, results.csv, curves.csv and the figures of DIR again, from DIR/records alone.

    \b
    Examples:
      genbench report reports/digits
    """
    from genbench.datasets.cacheless import settings_of_matplotlib

    with settings_of_matplotlib():
        from genbench import report as rendering

        click.echo(rendering.render_directory(directory))
