"""`genbench metrics`: each metric, its better direction and its paper, and what each number is blind to."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from genbench.cli.numbers import Whole
from genbench.cli.terminal import say
from genbench.errors import InputError
from genbench.sanity.constants import PURPOSE_NAMES, SEEDS, Purpose

ARROWS = {"lower": "lower is better", "higher": "higher is better", None: "neither direction is better"}
LEAST_SEEDS = 5
LONG_S = 300.0  # a suite that will take longer is announced


@click.group(invoke_without_command=True, short_help="List the metrics, or check what they detect.")
@click.pass_context
def metrics(context: click.Context) -> None:
    """List every metric with its numbers, the better direction, the minimum number of items and the paper.

    Metrics of plugins follow, from their distributions' metadata; they are measured only if requested by name.

    \b
    Examples:
      genbench metrics
      genbench metrics check precision recall
    """
    if context.invoked_subcommand is not None:
        return
    from genbench.cli.brought import offers
    from genbench.metrics.table import METRICS
    from genbench.plugin.families import METRIC

    for metric in METRICS.values():
        asked = "" if metric.default else f" (enable with --metrics +{metric.values[0].name})"
        click.echo(f"{metric.name}: {metric.summary}{asked}")
        for value in metric.values:
            earned = "; ".join(f"{name} with {weights}" for name, weights in value.earned.items())
            click.echo(f"  {value.name}{earned and f' ({earned})'}: {ARROWS[value.direction]}")
        of = " or ".join(metric.kinds or ("image",))
        count = f"{metric.least_count} {of}{'' if metric.least_count == 1 else 's'}"
        click.echo(f"  at least {count}{' per feature' if metric.per_feature else ''}; {metric.paper}")
    for offer in offers(METRIC, METRICS):
        say(f"{offer.found.name}: {offer.found.summary()} (enable with --metrics +{offer.found.name})")
        say(f"  from {offer.origin}")


@metrics.command(short_help="Run sanity checks on metrics, and list what each number is blind to.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--seeds", type=Whole(), default=SEEDS, show_default=True, help="Draws per case, 5 or more.")
@click.option(
    "--purpose",
    type=click.Choice(PURPOSE_NAMES),
    help="What the numbers of your own metric are meant to measure.  [default: distance]",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.csv", help="Write the measurements."
)
@click.option("--markdown", is_flag=True, help="Print the tables in Markdown.")
def check(names: tuple[str, ...], seeds: int, purpose: Purpose | None, out: Path | None, markdown: bool) -> None:
    """Draw samples that differ from known distributions in known ways, and show which failures each NAME detects.

    NAME is a number or a metric listed by `genbench metrics`, or module:ATTRIBUTE of your own genbench.metrics.Metric
    that needs only features; the default is all metrics. docs/metrics.md describes the checks and explains the results
    for all metrics.

    The exit code is 0 whatever the verdicts: you decide which checks matter.

    \b
    Examples:
      genbench metrics check                         all metrics, about three minutes
      genbench metrics check fd recall --out checks.csv
      genbench metrics check my_package.my_metric:METRIC --purpose fidelity
    """
    if seeds < LEAST_SEEDS:
        raise InputError(f"--seeds: {seeds} is too few for a verdict; give {LEAST_SEEDS} or more")
    from genbench.sanity.candidates import choose
    from genbench.sanity.purposes import PURPOSES, readings

    chosen = choose(names)
    if purpose is not None and all(name in PURPOSES for metric in chosen for name in readings(metric)):
        raise InputError("--purpose has no effect on numbers of genbench's own, whose purpose is known; leave it out")
    from genbench.sanity.suite import run_checks
    from genbench.sanity.tables import as_csv, as_markdown, as_text

    progress = _Progress()
    findings = run_checks(chosen, seeds, purpose=purpose, observe=progress.show)
    progress.clear()
    if out is not None:
        out.write_text(as_csv(findings))
        click.echo(f"wrote {out}", err=True)
    say(as_markdown(findings) if markdown else as_text(findings), keep="\n")


class _Progress:
    """Progress on standard error while checks run: each check, and one warning if the whole will take long."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()
        self.last = ""
        self.announced = False

    def show(self, check: str, done: int, total: int) -> None:
        """Called after each measurement."""
        each = (time.perf_counter() - self.begin) / done
        if not self.announced and each * total > LONG_S:
            self.announced = True
            self.clear()
            say(f"a measurement takes {each:.1f} s: all {total} take about {each * total / 60:.0f} minutes", err=True)
        if self.terminal:
            click.echo(f"\r\033[K{check} ({done} of {total})", nl=False, err=True)
        elif check != self.last:
            say(f"{check} ({done} of {total})", err=True)
        self.last = check

    def clear(self) -> None:
        """Clear the progress line on a terminal."""
        if self.terminal:
            click.echo("\r\033[K", nl=False, err=True)

    @property
    def terminal(self) -> bool:
        """Whether standard error is a terminal."""
        return sys.stderr.isatty()
