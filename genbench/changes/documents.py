"""A comparison as a table for a terminal, as Markdown for a CI job's summary, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from genbench.changes.change import Change
from genbench.changes.remarks import remarks
from genbench.changes.wording import HEADER, Shown, cells, headline, judgement_text, split
from genbench.plugin.visible import visible
from genbench.records.statistics import Summary
from genbench.report.escape import code, text
from genbench.report.tables import markdown_table

__all__ = ["FORMATS"]

_FOOT = (
    "± and brackets are 95% intervals over training seeds, each for that number only; p is Holm-corrected over "
    "{family}."
)
_FOOT_COSTS = (
    " Changes of speed and memory are ratios of geometric means. Times have no interval: the seeds of a set ran one "
    "after another and share whatever else the machine was doing. `genbench regress` times two revisions alternately."
)
_GATED = "all --fail-on checks together, and for any other number over the models"
_FREE = "the models that have each number"


def as_table(shown: Shown) -> str:
    """Return lines of plain text, with the verdict last, where a terminal user looks first."""
    first, others = split(shown)
    lines = [f"BASE  {visible(shown.base)}", f"NEW   {visible(shown.new)}"]
    for title, changes in _by_place(first).items():
        lines += ["", title, *_aligned([HEADER, *map(cells, changes)])]
    if others:
        lines += ["", f"{len(others)} other numbers, in which no model's change is resolved: see --format json"]
    if first:
        lines += ["", _foot(shown)]
    if said := remarks(shown.comparison):
        lines += ["", *(visible(line) for line in said)]
    if shown.verdict.judgements:
        lines += ["", *(visible(judgement_text(judgement)) for judgement in shown.verdict.judgements)]
    return "\n".join([*lines, "", headline(shown)]) + "\n"


def as_markdown(shown: Shown) -> str:
    """Return a section of Markdown, with the verdict first and the numbers that were not requested in a fold."""
    first, others = split(shown)
    parts = [f"## genbench compare: {text(headline(shown))}", f"{code(shown.base)} (BASE) and {code(shown.new)} (NEW)"]
    verdict = shown.verdict
    urgent = [*verdict.of("regression"), *verdict.of("undecided")]
    parts += ["\n".join(f"- {text(judgement_text(judgement))}" for judgement in urgent)] if urgent else []
    parts += [f"**{text(title)}**\n\n{_markdown_rows(changes, shown)}" for title, changes in _by_place(first).items()]
    parts += [text(_foot(shown))] if first else []
    if said := remarks(shown.comparison):
        parts.append("\n".join(f"- {text(line)}" for line in said))
    if passed := verdict.of("ok"):
        parts.append(_fold("Checks that passed", "\n".join(f"- {text(judgement_text(each))}" for each in passed)))
    if others:
        rest = "\n\n".join(
            f"{text(title)}\n\n{_markdown_rows(rows, shown)}" for title, rows in _by_place(others).items()
        )
        parts.append(_fold("Other numbers", rest))
    return "\n\n".join(parts) + "\n"


def as_json(shown: Shown) -> str:
    """Return the whole comparison as one JSON object; numbers that are not finite are null."""
    comparison, verdict = shown.comparison, shown.verdict
    document = {
        "base": str(shown.base),
        "new": str(shown.new),
        "verdict": headline(shown),
        "exit_code": verdict.exit_code,
        "checks": [
            {
                "term": judgement.term.text,
                "name": judgement.term.name,
                "subject": judgement.subject,
                "outcome": judgement.outcome,
                "why": judgement.why or None,
            }
            for judgement in verdict.judgements
        ],
        "changes": [_change(change) for change in comparison.changes],
        "not_compared": [asdict(refusal) for refusal in comparison.refused],
        "lost": [
            {"subject": str(loss.pair), "number": loss.number, "seeds": loss.seeds, "why": loss.why}
            for loss in comparison.losses
        ],
        "only_in_base": comparison.pairing.only_base,
        "only_in_new": comparison.pairing.only_new,
        "measured_in_one": [
            {"subject": str(pair), "name": measure.name, "in": side} for pair, measure, side in comparison.one_sided
        ],
        "settings": {str(pair): pair.settings for pair in comparison.pairing.pairs if pair.settings},
        "software": comparison.software,
    }
    return json.dumps(_strict(document), indent=1, allow_nan=False, default=str) + "\n"


FORMATS: Mapping[str, Callable[[Shown], str]] = {"table": as_table, "markdown": as_markdown, "json": as_json}


def _foot(shown: Shown) -> str:
    timed = any(change.measure.is_timed for change in shown.comparison.changes)
    return _FOOT.format(family=_GATED if shown.terms else _FREE) + (_FOOT_COSTS if timed else "")


def _by_place(changes: Sequence[Change]) -> dict[str, list[Change]]:
    places: dict[str, list[Change]] = {}
    for change in changes:
        pair = change.pair
        title = f"{pair.dataset}, {pair.budget}" if pair.is_model else f"{pair.dataset}, controls"
        places.setdefault(title, []).append(change)
    return places


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    shown = [[visible(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in shown]


def _markdown_rows(changes: Sequence[Change], shown: Shown) -> str:
    failed = [judgement.change for judgement in shown.verdict.of("regression")]
    lines = []
    for change in changes:
        model, *rest = cells(change)
        name = code(model) if change.pair.is_model else f"*{text(model)}*"
        bold = "**" if any(change is worse for worse in failed) else ""
        lines.append([name, *(f"{bold}{text(cell)}{bold}" for cell in rest)])
    return markdown_table(HEADER, lines, left=2, words=["outcome"])


def _fold(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _change(change: Change) -> dict[str, Any]:
    return {
        "dataset": change.pair.dataset,
        "budget": change.pair.budget,
        "model": change.pair.name,
        "control": not change.pair.is_model,
        "name": change.measure.name,
        "kind": change.measure.kind,
        "direction": change.measure.direction,
        "base": _summary(change.base),
        "new": _summary(change.new),
        "absolute": change.absolute,
        "absolute_half_width": change.half_width,
        "relative": change.relative,
        "relative_low": change.low,
        "relative_high": change.high,
        "p": change.p,
        "p_holm": change.p_holm,
        "paired": change.paired,
        "outcome": change.outcome,
    }


def _summary(summary: Summary) -> dict[str, Any]:
    return {"mean": summary.mean, "half_width": summary.half_width, "seeds": summary.n, "missing": summary.missing}


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _strict(entry) for name, entry in value.items()}
    return [_strict(entry) for entry in value] if isinstance(value, list | tuple) else value
