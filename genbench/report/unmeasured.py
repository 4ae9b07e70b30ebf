"""Reports which requested metrics could not be measured, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genbench.metrics import METRICS
from genbench.metrics.not_measurable import lacks_evidence
from genbench.records.lean import distinct
from genbench.report.escape import code, text
from genbench.report.merging import with_older
from genbench.report.sections import Section

__all__ = ["few", "reasons", "unmeasured"]

_MOST_NAMED = 8


def reasons(named: Iterable[tuple[str, Iterable[Mapping[str, Any]]]]) -> dict[str, list[str]]:
    """Return why metrics were not measured, each reason with the models that it concerns.

    A metric has one reason per model, that of the first of its seeds that lacks it. A default metric that does not
    apply to a model, as reconstruction does not to a GAN, is left out.

    Args:
        named: each model's name, and its finished records.
    """
    found: dict[str, list[str]] = {}
    for name, records in named:
        told: dict[str, str] = {}
        for record in distinct(records):
            for metric, reason in (record.get("not_measured") or {}).items():
                if not _is_expected(metric, reason) and not _was_measured(metric, record):
                    told.setdefault(metric, reason)
        for reason in dict.fromkeys(told.values()):
            found.setdefault(_said(reason, [metric for metric in told if told[metric] == reason]), []).append(name)
    return found


def unmeasured(section: Section) -> str:
    """Return what the rows of a section lack although it was requested, and why, as a Markdown list."""
    rows = {row.name: row for row in section.rows if row.records}
    lines = []
    for reason, names in reasons((name, row.records) for name, row in rows.items()).items():
        shown = few([code(name) if rows[name].is_model else f"*{text(name)}*" for name in names])
        lines.append(f"- Not measured: {text(reason)} ({shown}).")
    return "\n".join(lines)


def few(names: Sequence[str]) -> str:
    """Return the first of the names, and how many more there are."""
    more = [f"{len(names) - _MOST_NAMED:,} more"] if len(names) > _MOST_NAMED else []
    return ", ".join([*names[:_MOST_NAMED], *more])


def _is_expected(metric: str, reason: str) -> bool:
    return metric in METRICS and METRICS[metric].default and lacks_evidence(reason)


def _was_measured(metric: str, record: Mapping[str, Any]) -> bool:
    """Return whether another run of the cell has a number of the metric."""
    return any(_names(metric) & one["numbers"].keys() for one in with_older(record))


def _said(reason: str, metrics: list[str]) -> str:
    """Return a reason that names what it concerns: most begin with the name of a metric or of its number."""
    begins = any(reason.partition(": ")[0] in _names(metric) for metric in metrics)
    return reason if begins else f"{', '.join(metrics)}: {reason}"


def _names(metric: str) -> set[str]:
    values = METRICS[metric].values if metric in METRICS else ()
    return {metric, *(name for value in values for name in value.names)}
