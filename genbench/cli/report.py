"""`genbench report`: render a report again from its records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genbench.cli.terminal import say
from genbench.errors import InputError

if TYPE_CHECKING:
    from genbench.config.target import Target
    from genbench.report.web import Watched


@click.command(short_help="Render a benchmark's report again from its records.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME<X,...",
    help="Report the time to reach a target, e.g. fd<5; repeatable.",
)
@click.option("--watch", is_flag=True, help="Render again whenever records arrive, until all have.")
def report(directory: Path, targets: tuple[str, ...], watch: bool) -> None:
    """Render report.md, report.html, results.csv, curves.csv and the figures of DIR again from its records.

    Nothing is trained. report.html is one file that opens from disk: sortable, filterable tables to copy from,
    interactive curves, and every sample. If DIR holds the folders of several benchmarks, each is rendered, and
    index.md and index.html link to them.

    With --watch, the pages are rendered again as records arrive and cells begin, until the last planned cell has ended
    or Ctrl-C. They say when they were rendered and what was running then.

    Targets are evaluated along the curves of all records, including older ones; without --target, those of the runs
    apply. If a run was interrupted, the report says how many of the planned cells have run and which are missing.

    \b
    Examples:
      genbench report reports/digits
      genbench report reports/digits --watch    during a `genbench run`
      genbench report reports                   all of them, with an index
      genbench report reports/digits --target 'fd<20' --target 'fd_ratio<3'
    """
    from genbench.machine.collection import no_collection
    from genbench.machine.home import settings_of_matplotlib, variable
    from genbench.machine.matplotlib_import import undocumented
    from genbench.records.rendered import is_current

    given = _read(targets) if targets else None

    warn = partial(say, err=True)
    if not watch and is_current(directory, given, warn):
        # Checked first: merely importing the plotting code takes longer.
        click.echo(directory / "report.md")
        return
    # numpy would start threads that a report has no use for, and a process with threads cannot draw beside itself.
    with settings_of_matplotlib(), variable("OPENBLAS_NUM_THREADS", "1"):
        with no_collection(), undocumented():
            from genbench import report as rendering
            from genbench.report.index import benchmarks, write_index

        folders = benchmarks(directory)
        if watch and folders:
            raise InputError(f"--watch takes the folder of one benchmark; {directory} holds {len(folders)}")
        if watch:
            _watch(directory, lambda folder, watched: rendering.render_again(folder, given, watched))
        elif folders:
            click.echo(write_index(directory, folders, lambda folder: rendering.render_directory(folder, given, warn)))
        else:
            click.echo(rendering.render_again(directory, given))


def _read(texts: Sequence[str]) -> list[Target]:
    from genbench.evaluation.targets import read_targets

    return read_targets([part for text in texts for part in text.split(",")])


def _watch(directory: Path, render: Callable[[Path, Watched | None], Path]) -> None:
    """Render as records arrive, printing a line each time, until all have or an interrupt, a normal way to stop."""
    from genbench.report.watching import INTERVAL_S, watch

    def now() -> str:
        return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")

    awaited = f"{directory} holds no records yet; waiting for the first"

    def rendered(watched: Watched | None) -> None:
        nonlocal awaited
        page = render(directory, watched)
        awaited = "" if watched else f"waiting for the next run on {directory}"
        stands = (
            f"{watched.missing} cell{'' if watched.missing == 1 else 's'} missing, {len(watched.running)} running"
            if watched
            else "every planned cell has ended"
        )
        click.echo(f"{watched.made_at if watched else now()}: {page}; {stands}")

    def waits() -> Iterator[None]:
        yield
        if awaited:
            say(f"genbench: {awaited}; Ctrl-C ends this", err=True)
        while True:
            time.sleep(INTERVAL_S)
            yield

    try:
        watch(directory, rendered, now, waits())
    except KeyboardInterrupt:
        say(f"genbench: no longer watching {directory}", err=True)
