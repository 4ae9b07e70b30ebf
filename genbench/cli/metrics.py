"""`genbench metrics`: what is measured, which way is better, and where it comes from."""

from __future__ import annotations

import click

ARROWS = {"lower": "lower is better", "higher": "higher is better", None: "neither direction is better"}


@click.command(short_help="List the metrics: direction, minimum image count, paper.")
def metrics() -> None:
    """List every metric with its numbers, which direction is better, the minimum number of images and the paper.

    \b
    Examples:
      genbench metrics
    """
    from genbench.metrics.table import METRICS

    for metric in METRICS.values():
        asked = "" if metric.default else f" (enable with --metrics +{metric.values[0].name})"
        click.echo(f"{metric.name}: {metric.summary}{asked}")
        for value in metric.values:
            earned = "; ".join(f"{name} with {weights}" for name, weights in value.earned.items())
            click.echo(f"  {value.name}{earned and f' ({earned})'}: {ARROWS[value.direction]}")
        of = " or ".join(metric.kinds or ("image",))
        count = f"{metric.least_count} {of}{'' if metric.least_count == 1 else 's'}"
        click.echo(f"  at least {count}{' per feature' if metric.per_feature else ''}; {metric.paper}")
