"""`genbench regress`: is one revision slower than another?"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import click
from click.core import ParameterSource

from genbench.cli.numbers import SECONDS, Whole, shape_in
from genbench.cli.terminal import watched
from genbench.errors import InputError

LINE_INTERVAL_S = 10.0  # between plain lines


@click.command(short_help="Count and time two revisions side by side; exit code 1 if the new one is slower.")
@click.option("--base", metavar="REF", help="A branch, tag or commit to compare with.")
@click.option("--head", metavar="REF", help="The revision to check.  [default: the working tree]")
@click.option(
    "-m", "--model", "models", multiple=True, metavar="MODEL", help="A model; repeatable.  [default: the repository's]"
)
@click.option(
    "--pairs", type=Whole(), default=8, show_default=True, metavar="N", help="Pairs of fresh processes, 8 or more."
)
@click.option("--threshold", default="5%", show_default=True, metavar="P%", help="The smallest slowdown that matters.")
@click.option(
    "--seconds",
    type=SECONDS,
    default=1.2,
    show_default=True,
    metavar="S",
    help="Seconds of steps per model and process.",
)
@click.option("--shape", default="1x28x28", show_default=True, metavar="SHAPE", help="CxHxW for images, L for texts.")
@click.option("--format", "form", type=click.Choice(["table", "markdown", "json"]), default="table", show_default=True)
@click.option(
    "--update-counters", is_flag=True, help="Only count the installed version, and write benchmarks/counters.json."
)
def regress(
    base: str | None,
    head: str | None,
    models: tuple[str, ...],
    pairs: int,
    threshold: str,
    seconds: float,
    shape: str,
    form: str,
    update_counters: bool,
) -> None:
    """Install two revisions of this repository side by side and compare the training step of every model.

    Exact counters come first: operator calls, FLOPs, bytes, interpreter calls, graph breaks. A changed counter fails
    unless the head's benchmarks/counters.json records the change. Then come the times: fresh processes of both
    revisions alternate, and a model fails if the lower bound of the interval of its slowdown, corrected for the number
    of models, exceeds the threshold and a second run confirms it. A second base process measures the machine's noise;
    if that exceeds the threshold, the times decide nothing. docs/regression.md has the rule and its false-alarm rate.

    Exit code 0: no regression; 1: a regression; 2: bad input.

    \b
    Examples:
      genbench regress --base main                    the working tree against main
      genbench regress --base v0.1.0 --head HEAD -m gan -m vae --pairs 12
      genbench regress --base origin/main --format markdown >> "$GITHUB_STEP_SUMMARY"
      genbench regress --update-counters              after a change that is meant to move the counters
    """
    from genbench.regression import checkout, gate, rendering, updating

    if update_counters:
        _refuse_beside_updating(click.get_current_context())
    show = _Progress()
    root = checkout.repository(Path.cwd())
    if update_counters:
        for line in updating.update(root, show):
            click.echo(line)
        show.end()
        return
    if base is None:
        raise InputError("name the revision to compare with, for example --base main")
    request = gate.Request(root, base, head, models, pairs, _share(threshold), seconds, shape_in(shape))
    result = gate.regress(request, show)
    show.end()
    if form == "json":
        click.echo(json.dumps(rendering.as_json(result), indent=1, ensure_ascii=False))
    else:
        click.echo(rendering.as_markdown(result) if form == "markdown" else rendering.as_table(result))
    sys.exit(1 if result.regressed else 0)


def _refuse_beside_updating(context: click.Context) -> None:
    """Refuse options of a comparison if no comparison is made."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if name != "update_counters" and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InputError(
                f"{parameter.opts[-1]} has no effect with --update-counters, which only counts; leave it out"
            )


def _share(text: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    if match is None:
        raise InputError(f"--threshold {text!r} cannot be read; write a percentage, for example 5%")
    return float(match[1]) / 100


class _Progress:
    """One line of progress on standard error: rewritten on a terminal, otherwise printed now and then."""

    def __init__(self) -> None:
        self._shown = -LINE_INTERVAL_S
        self._terminal = watched()

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if self._terminal:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)
        elif now - self._shown >= LINE_INTERVAL_S:
            self._shown = now
            click.echo(text, err=True)

    def end(self) -> None:
        if self._terminal:
            click.echo("\r\x1b[K", nl=False, err=True)
