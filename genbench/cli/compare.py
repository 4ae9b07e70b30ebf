"""`genbench compare`: what changed between two sets of records, and whether it is a regression."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from genbench.errors import InputError


@click.command(short_help="Compare two sets of records; --fail-on gates with exit code 1.")
@click.argument("base", type=click.Path(path_type=Path), metavar="BASE")
@click.argument("new", type=click.Path(path_type=Path), metavar="NEW")
@click.option("--fail-on", metavar="EXPR", help='What is a regression, such as "fd>5%,train_images_per_s<-10%".')
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "markdown", "json"]),
    default="table",
    show_default=True,
    help="Of what is printed, or of FILE.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it to FILE; the table is printed anyway.",
)
def compare(base: Path, new: Path, fail_on: str | None, style: str, out: Path | None) -> None:
    """Compare BASE with NEW: quality, speed and memory of each model that both hold, each with an interval.

    BASE and NEW are folders of `genbench run`, or files of `genbench baseline`. Numbers of different recipes are
    refused, and so are speed and memory of different machines; what differs is said, and the rest is compared.

    EXPR is a list of terms, NAME>NUMBER or NAME<NUMBER, with commas between. NAME is a number or a cost as in
    results.csv (images/s without _median). With % the bound is a share of BASE's mean, without it is in the number's
    own unit. A term fails where, for any model, the change of the means over seeds is beyond the bound AND resolved:
    p < 0.05 after Holm's correction over all terms and models, so that the 95% interval excludes no change. A change
    beyond the bound that is not resolved passes, and is said: more seeds would tell. A single seed has no interval:
    nothing can be resolved, and the term counts as not decided.

    Exit code 0: every term was decided for every model that both sets hold, and none failed. 1: a term failed, or a
    cell that BASE finished failed in NEW, with or without EXPR. 2: a term could not be decided (one seed, another
    recipe or machine, a number that one set lacks), nothing could be compared, or the request is at fault.

    \b
    Examples:
      genbench compare reports/before reports/after
      genbench compare baseline.json reports/now --fail-on "fd>5%,train_images_per_s<-10%"
      genbench compare baseline.json reports/now --fail-on "ssim<-0.02" --format markdown --out summary.md
      genbench compare reports/fp32 reports/bf16 --format json
    """
    from genbench import changes
    from genbench.atomic import write_text
    from genbench.privacy import without_paths

    with _pointed():
        terms = changes.parse(fail_on) if fail_on is not None else []
    before, after = ([record.data for record in changes.read_set(path)] for path in (base, new))
    comparison = changes.compare(before, after, gated={term.name for term in terms})
    with _pointed():
        changes.check_names(fail_on or "", terms, comparison.names)
    named, other = (Path(without_paths(str(path))) for path in (base, new))  # a CI job's page is public
    shown = changes.Shown(named, other, comparison, terms, changes.judge(comparison, terms))
    if out is not None:
        try:
            write_text(out, changes.FORMATS[style](shown))
        except OSError as error:  # exit code 1 would say that something got worse
            raise InputError(f"{out} cannot be written: {error.strerror}") from error
    click.echo(changes.FORMATS["table" if out is not None else style](shown), nl=False)
    sys.exit(shown.verdict.exit_code)


@contextlib.contextmanager
def _pointed() -> Iterator[None]:
    """Show where an expression cannot be read, before the line that says why."""
    from genbench.changes import ExpressionError

    try:
        yield
    except ExpressionError as error:
        click.echo(error.pointer, err=True)
        raise
