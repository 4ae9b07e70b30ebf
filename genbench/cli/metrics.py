"""`genbench metrics`: what is measured, which way is better, where it comes from, and what each number is blind to."""

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


@click.group(invoke_without_command=True, short_help="List the metrics, or check what they see.")
@click.pass_context
def metrics(context: click.Context) -> None:
    """List every metric with its numbers, which direction is better, the minimum number of images and the paper.

    Those of plugins follow, from the distributions' metadata; they are measured where they are asked for by name.

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


@metrics.command(short_help="Put metrics through sanity checks and list what each number is blind to.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--seeds", type=Whole(), default=SEEDS, show_default=True, help="Draws of each case, 5 or more.")
@click.option(
    "--purpose",
    type=click.Choice(PURPOSE_NAMES),
    help="What numbers that are not genbench's are meant to measure.  [default: distance]",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.csv", help="Write the evidence.")
@click.option("--markdown", is_flag=True, help="Print the tables in Markdown.")
def check(names: tuple[str, ...], seeds: int, purpose: Purpose | None, out: Path | None, markdown: bool) -> None:
    """Draw samples of known distributions that fail in known ways, and say which NAME sees it; by default all.

    NAME is a number or a metric of `genbench metrics`, or module:ATTRIBUTE of a genbench.metrics.Metric of your own
    that needs features alone. docs/metrics.md has the checks, and the table of all metrics with its explanations.

    Exit code 0 whatever the verdicts are: which check matters is yours to say.

    \b
    Examples:
      genbench metrics check                         all metrics, about three minutes
      genbench metrics check fd recall --out checks.csv
      genbench metrics check my_package.my_metric:METRIC --purpose fidelity
    """
    if seeds < LEAST_SEEDS:
        raise InputError(f"--seeds: {seeds} is too few for a verdict; give {LEAST_SEEDS} or more")
    from genbench.sanity.candidates import choose

    chosen = choose(names)
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
    """What is said on the standard error while checks run: each check, and once that it will take long."""

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
        """Remove the line that a terminal shows."""
        if self.terminal:
            click.echo("\r\033[K", nl=False, err=True)

    @property
    def terminal(self) -> bool:
        """Whether the standard error is a terminal."""
        return sys.stderr.isatty()
