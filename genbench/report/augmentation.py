"""The gain from augmentation for several fractions of one dataset: one row per fraction, one column per model."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from genbench.report.escape import code, text
from genbench.report.formatting import NOTHING, interval, plain
from genbench.report.rows import Column, Row
from genbench.report.sections import Section
from genbench.report.tables import markdown_table

__all__ = ["augmentation"]

GAIN, REAL = "augmentation_gain", "accuracy_real"
_FRACTION = re.compile(r"(?<=[:,])fraction=(\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,2})?(?:,|$)")


def augmentation(made: Sequence[Section]) -> list[str]:
    """Return the part of the page with a table for each dataset that has gains for several fractions."""
    groups: dict[tuple[str, str], list[tuple[float, Section]]] = {}
    for section in made:
        if any(_columns(section, GAIN)):
            whole, fraction = _whole(str(section.dataset["name"]))
            groups.setdefault((whole, section.budget), []).append((fraction, section))
    tables = [
        part
        for (whole, budget), parts in groups.items()
        if len({fraction for fraction, _ in parts}) > 1
        for part in (f"{text(whole)}, {text(budget)}:", _table(sorted(parts, key=lambda part: part[0])))
    ]
    return ["## Augmentation", *tables, _NOTE] if tables else []


def _whole(name: str) -> tuple[str, float]:
    """Return the whole dataset that a dataset is a fraction of, and the fraction.

    >>> _whole("digits:fraction=0.1"), _whole("shapes:size=16,fraction=1e-2,seed=3"), _whole("folder:a,b")
    (('digits', 0.1), ('shapes:size=16,seed=3', 0.01), ('folder:a,b', 1.0))
    """
    found = _FRACTION.search(name)
    if found is None:
        return name, 1.0
    return (name[: found.start()] + name[found.end() :]).rstrip(",:"), float(found[1] + (found[2] or ""))


def _table(parts: Sequence[tuple[float, Section]]) -> str:
    names = list(dict.fromkeys(row.name for _, section in parts for row in section.rows if _gain(section, row)))
    models = {row.name for _, section in parts for row in section.models}
    lines = []
    for fraction, section in parts:
        gains = {row.name: found for row in section.rows if (found := _gain(section, row))}
        count = section.dataset.get("train_count")
        lines.append(
            [
                f"{plain(100 * fraction)}%",
                f"{count:,}" if isinstance(count, int) else NOTHING,
                _accuracy(section),
                *(gains.get(name, NOTHING) for name in names),
            ]
        )
    header = ["of the training split", "items", "accuracy with real items only"]
    return markdown_table([*header, *(code(name) if name in models else f"*{text(name)}*" for name in names)], lines)


def _columns(section: Section, name: str) -> list[Column]:
    return [column for column in section.columns if column[0] == name]


def _gain(section: Section, row: Row) -> str | None:
    """Return a row's gain with a 95% interval that covers training seeds and the held-out items, which seeds share."""
    for column in _columns(section, GAIN):
        summary = row.summary(column)
        if summary.n:
            error = 1.96 * (row.standard_error(column) or math.nan)
            half = math.hypot(summary.half_width or 0.0, error)
            return interval(summary.mean, None if math.isnan(half) else half)
    return None


def _accuracy(section: Section) -> str:
    """Return the accuracy without samples: the same for all rows except `real`, which is tested on half the items."""
    for column in _columns(section, REAL):
        for row in section.rows:
            if row.cell["model"] != "real" and (summary := row.summary(column)).n:
                return plain(summary.mean)
    return NOTHING


_NOTE = (
    "What samples add to the held-out accuracy of a small classifier of real items: accuracy with both minus accuracy "
    "with real items only; above 0, samples help. ± is a 95% interval that covers training seeds and held-out items, "
    "which all models share, but not the classifier's initialisation: *copycat* adds nothing new, so its column shows "
    "how far that alone moves a gain. A smaller fraction is a subset of a larger one. *real* adds half of the held-out "
    "items and is tested on the other half: the gain that new data would give."
)
