"""The texts of progress output, each on one line; anything that a model supplied is only ever plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genbench.execution.planning import Planned
from genbench.plugin.visible import visible
from genbench.records.record import Record

__all__ = ["attempt", "cell_name", "losses", "outcome", "remark", "stage_of", "waiting_text"]


def outcome(record: Record, kept: bool) -> str:
    """Return the outcome of a cell in a few words."""
    if record.unsuitable:
        return visible(f"not applicable: {record.unsuitable}")
    if not record.finished:
        failure = record.failure or {}
        return visible(f"FAILED in {failure.get('stage')}: {failure.get('reason')}")
    # The first number is the main one: metrics are in the order of their table.
    text = ", ".join(f"{name} {value:.4g}" for name, value in list(record.numbers.items())[:2])
    seconds = record.cost.get("train_s")
    if seconds is not None:
        text += f", trained {seconds:.1f} s"
    return visible(f"{text} (finished before)" if kept else text)


def losses(event: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the losses of a training event, such as `generator 0.71` and `discriminator 1.3`."""
    return tuple(visible(f"{name} {value:.3g}") for name, value in event.get("losses", {}).items())


def cell_name(planned: Planned) -> str:
    """Return `gan on digits, seed 0`."""
    return visible(f"{planned.cell.model.label} on {planned.cell.dataset}, seed {planned.cell.seed}")


def attempt(before: Record | None) -> str:
    """Return the text about an earlier failed attempt; empty if there was none."""
    if before is None or before.finished or not before.failure:
        return ""
    return visible(f" (failed before: {before.failure.get('reason')})")


def stage_of(event: Mapping[str, Any]) -> str:
    """Return the current stage, from any event that reports progress."""
    return visible(f"measuring {event['name']}" if event["event"] == "metric" else event["stage"])


def remark(event: Mapping[str, Any]) -> str:
    """Return the text of a notice, or of the remark that a working process has not reported for a long time."""
    if event["event"] == "notice":
        return visible(event["text"])
    return f"no report for {event['seconds']:.0f} s; it is still running"


def waiting_text(count: int) -> str:
    """Return the line that reports what another process is still running."""
    return f"waiting for {count} cell{'s' * (count > 1)} that another genbench run is working on"
