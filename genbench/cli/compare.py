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
@click.option("--fail-on", metavar="EXPR", help='What counts as a regression, e.g. "fd>5%,vae:ssim<-0.02".')
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "markdown", "json"]),
    default="table",
    show_default=True,
    help="Format of the output, or of FILE.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the comparison to FILE; the table is still printed.",
)
def compare(base: Path, new: Path, fail_on: str | None, style: str, out: Path | None) -> None:
    """Compare quality, speed and memory of each model that is in both BASE and NEW.

    BASE and NEW are folders that `genbench run` wrote, or files that `genbench baseline` wrote. Numbers with
    different recipes are not compared, nor are speed and memory from different machines; the output says what differs.

    EXPR is a list of terms, [MODEL:]NAME>NUMBER or [MODEL:]NAME<NUMBER, separated by commas. NAME is a number or a cost
    as in results.csv (items/s without _median). A bound with % is relative to BASE's mean; without %, it is in the
    number's own unit. MODEL is a model's label, or label@dataset; such a term overrides one for every model.

    A term fails if the change of the means over seeds is beyond the bound AND resolved: p < 0.05 after Holm's
    correction over all terms and models, so that the 95% interval excludes no change. A change beyond the bound that is
    not resolved passes, and the output says so: more seeds would settle it. A term is undecided if a set has a single
    seed, which gives no interval, or if it concerns a time, because two runs also differ by the machine's other load.
    Use `genbench regress` for speed.

    Exit code 0: every term was decided for every model that both sets hold, and none failed. 1: a term failed, or a
    cell that BASE finished failed in NEW, with or without EXPR. 2: a term could not be decided (one seed, a time,
    another recipe or machine, a number that one set lacks), nothing could be compared, or the request is invalid.

    \b
    Examples:
      genbench compare reports/before reports/after
      genbench compare baseline.json reports/now --fail-on "fd>5%,peak_resident_bytes>10%"
      genbench compare baseline.json reports/now --fail-on "fd>5%,vae:beta=4:fd>20%,dcgan@digits:fd>1%"
      genbench compare baseline.json reports/now --fail-on "ssim<-0.02" --format markdown --out summary.md
      genbench compare reports/fp32 reports/bf16 --format json
    """
    from genbench.machine.home import settings_of_matplotlib

    click.get_current_context().with_resource(settings_of_matplotlib())
    from genbench import changes
    from genbench.machine.atomic import write_text
    from genbench.machine.privacy import without_paths

    with _pointed():
        terms = changes.parse(fail_on) if fail_on is not None else []
    before, after = ([record.data for record in changes.read_set(path)] for path in (base, new))
    comparison = changes.compare(before, after, terms)
    with _pointed():
        changes.check_names(fail_on or "", terms, comparison.names, comparison.models)
    named, other = (Path(without_paths(str(path))) for path in (base, new))  # the page of a CI job is public
    shown = changes.Shown(named, other, comparison, terms, changes.judge(comparison, terms))
    if out is not None:
        try:
            write_text(out, changes.FORMATS[style](shown))
        except OSError as error:  # exit code 1 would mean that something got worse
            raise InputError(f"{out} cannot be written: {error.strerror}; choose another with --out") from error
    click.echo(changes.FORMATS["table" if out is not None else style](shown), nl=False)
    sys.exit(shown.verdict.exit_code)


@contextlib.contextmanager
def _pointed() -> Iterator[None]:
    """Point at the part of an expression that cannot be parsed, before the line that says why."""
    from genbench.changes import ExpressionError

    try:
        yield
    except ExpressionError as error:
        click.echo(error.pointer, err=True)
        raise
