"""`genbench report`: render again from the records."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Render a benchmark's report again from its records.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--target", "targets", multiple=True, metavar="NAME<X,...", help="Report the time to it, as fd<5; repeatable."
)
def report(directory: Path, targets: tuple[str, ...]) -> None:
    """Write report.md, results.csv, curves.csv and the figures of DIR again from its records; nothing is trained.

    Targets are looked for along the curves of any records, older ones too; without --target, those that the runs had.
    If a run was interrupted, the report says how many of the planned cells have run and which are missing.

    \b
    Examples:
      genbench report reports/digits
      genbench report reports/digits --target 'fd<20' --target 'fd_ratio<3'
    """
    from genbench.datasets.cacheless import settings_of_matplotlib
    from genbench.evaluation.targets import read_targets

    given = read_targets([part for text in targets for part in text.split(",")]) if targets else None
    with settings_of_matplotlib():
        from genbench import report as rendering

        click.echo(rendering.render_directory(directory, given, lambda line: click.echo(line, err=True)))
