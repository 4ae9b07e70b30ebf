"""`genbench aggregate`: score models over several datasets, using only the records."""

from __future__ import annotations

from pathlib import Path

import click

from genbench.cli.terminal import say


@click.command(short_help="Score models over several datasets, using only records.")
@click.argument("directories", type=click.Path(path_type=Path), metavar="DIR...", nargs=-1, required=True)
@click.option("--metric", metavar="NAME", help="A number with a better direction.  [default: each dataset's fid or fd]")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    default=Path("reports/aggregate"),
    show_default=True,
    help="Output folder for the page, its tables and figures.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the bootstrap.")
def aggregate(directories: tuple[Path, ...], metric: str | None, out: Path, seed: int) -> None:
    """Score the models in the records of all DIRs over all their datasets; nothing is trained.

    A score is linear in the logarithm of the number: 0 at the number of the control gaussian (for texts, ngram) on the
    same dataset, 1 at that of real. The command prints interquartile means over datasets and seeds with 95% intervals;
    aggregate.md adds the scores by dataset, every pair of models, performance profiles, and what is missing. Budgets
    are kept separate, as in a report; a dataset whose number has two recipes is refused, with the difference.

    \b
    Examples:
      genbench aggregate reports/digits reports/shapes
      genbench aggregate reports/five --metric kid --out reports/five
    """
    from genbench.machine.home import settings_of_matplotlib

    with settings_of_matplotlib():
        from genbench.report.across_tables import plain_standings
        from genbench.report.aggregating import aggregate_directories, write_aggregate

        found = aggregate_directories(directories, metric, seed)
        page = write_aggregate(found, out)
    for across, made in zip(found.found, found.standings, strict=True):
        for line in plain_standings(across, made):
            say(line)
    say(page)
