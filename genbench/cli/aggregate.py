"""`genbench aggregate`: models over several datasets, from the records alone."""

from __future__ import annotations

from pathlib import Path

import click

from genbench.cli.terminal import say


@click.command(short_help="Score models over several datasets, from records alone.")
@click.argument("directories", type=click.Path(path_type=Path), metavar="DIR...", nargs=-1, required=True)
@click.option("--metric", metavar="NAME", help="A number with a direction.  [default: each dataset's fid or fd]")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    default=Path("reports/aggregate"),
    show_default=True,
    help="Where the page, its tables and figures are written.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the bootstrap's draws.")
def aggregate(directories: tuple[Path, ...], metric: str | None, out: Path, seed: int) -> None:
    """Score the models of each DIR over all datasets that their records hold; nothing is trained.

    A score is 0 where the number is that of the control gaussian (of texts, ngram) on the same dataset, 1 where it is
    that of real, and linear in its logarithm. Printed are interquartile means over datasets and seeds with 95%
    intervals; aggregate.md has the scores by dataset, every pair of models, performance profiles, and what is missing.
    Budgets are kept apart as in a report; a dataset whose number has two recipes is refused, with what differs.

    \b
    Examples:
      genbench aggregate reports/digits reports/shapes
      genbench aggregate reports/five --metric kid --out reports/five
    """
    from genbench.datasets.cacheless import settings_of_matplotlib

    with settings_of_matplotlib():
        from genbench.report.across_tables import plain_standings
        from genbench.report.aggregating import aggregate_directories, write_aggregate

        found = aggregate_directories(directories, metric, seed)
        page = write_aggregate(found, out)
    for across, made in zip(found.found, found.standings, strict=True):
        for line in plain_standings(across, made):
            say(line)
    say(page)
