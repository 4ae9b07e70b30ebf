"""`genbench report`: render again from the records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from genbench.config.target import Target


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
    from genbench.records.rendered import is_current

    given = _read(targets) if targets else None
    page = directory / "report.md"
    # Looked at first: only to import what draws takes longer.
    if not is_current(directory, given, lambda line: click.echo(line, err=True)):
        with settings_of_matplotlib():
            from genbench.report import render_again

            page = render_again(directory, given)
    click.echo(page)


def _read(texts: Sequence[str]) -> list[Target]:
    from genbench.evaluation.targets import read_targets

    return read_targets([part for text in texts for part in text.split(",")])
