"""What `genbench run` prints at the end: the outcome in a few lines, and the path of the report."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import click

from genbench.cli.terminal import say
from genbench.plugin.visible import visible
from genbench.records.record import Record

__all__ = ["print_failed", "print_summary"]


def print_summary(records: Sequence[Record], page: Path) -> None:
    """Print each model's main number per dataset, averaged over seeds; then what is missing and the report's path."""
    from genbench.report.unmeasured import few, reasons

    for dataset in dict.fromkeys(record.dataset for record in records):
        finished = [record for record in records if record.dataset == dataset and record.finished]
        _print_best(dataset, [record for record in finished if record.numbers])
        labels = dict.fromkeys(record.label for record in finished)
        of = {label: [record.data for record in finished if record.label == label] for label in labels}
        for why, names in reasons(of.items()).items():
            say(f"{dataset}: not measured: {visible(why)} ({few([*map(visible, names)])})")
    print_failed(records)
    for label, dataset, reason in dict.fromkeys((each.label, each.dataset, each.unsuitable) for each in records):
        if reason:
            say(f"{visible(label)} is not applicable to {visible(dataset)}: {visible(reason)}")
    say(f"report: {page}")


def print_failed(records: Sequence[Record], err: bool = False) -> None:
    """Print how many cells failed, if any did.

    Args:
        records: of the run.
        err: whether to print to standard error.
    """
    failed = sum(record.failed for record in records)
    if failed:
        click.echo(f"{failed} of {len(records)} cells failed; the report says why", err=err)


def _print_best(dataset: str, finished: Sequence[Record]) -> None:
    from genbench.report.quantities import main_metric, quantity

    main = main_metric(finished[0].numbers) if finished else None
    if main is None:
        return
    means = {
        label: statistics.fmean(
            record.numbers[main] for record in finished if record.label == label and main in record.numbers
        )
        for label in dict.fromkeys(record.label for record in finished)
        if any(main in record.numbers for record in finished if record.label == label)
    }
    seeds = {record.seed for record in finished if main in record.numbers}
    shown = f"mean {main} over seeds" if len(seeds) > 1 else f"{main} of one seed"
    say(f"{dataset}: {shown}, best first; the report says what is resolved")
    width = max(map(len, map(visible, means)))
    upwards = quantity(main).direction == "higher"
    for label, mean in sorted(means.items(), key=lambda pair: pair[1], reverse=upwards):
        say(f"  {visible(label):<{width}}  {mean:.4g}")
