"""The words of a comparison, as a terminal shows them: Markdown escapes them, and JSON has the figures instead."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.changes.change import Change
from genbench.changes.comparing import Comparison
from genbench.changes.expression import Term
from genbench.changes.gate import Judgement, Verdict, seeds
from genbench.changes.measures import Measure
from genbench.changes.pairing import Refusal
from genbench.comparison import Summary
from genbench.report.formatting import NOTHING, amount, interval, memory, p_value, percent, plain
from genbench.report.quantities import HEADLINE

__all__ = ["Shown", "change_text", "cells", "headline", "judgement_text", "notes", "refusal_text", "split", "HEADER"]

HEADER = ("model", "number", "seeds", "BASE", "NEW", "change, 95% interval", "outcome")
_MOST_ROWS = 6
_MOST_NUMBERS = 8
_WORDS = {"regression": "REGRESSION", "undecided": "NOT DECIDED", "ok": "ok"}
_LONG = 16


@dataclass(frozen=True)
class Shown:
    """What a document shows: where the two sets are from, what they say of each other, and what follows."""

    base: Path
    new: Path
    comparison: Comparison
    terms: Sequence[Term]
    verdict: Verdict


def headline(shown: Shown) -> str:
    """Return the verdict in a sentence."""
    verdict = shown.verdict
    worse, undecided = len(verdict.of("regression")), len(verdict.of("undecided"))
    parts = []
    if worse:
        parts.append(f"{worse} of {len(verdict.judgements)} checks failed")
    if lost := sum(len(loss.seeds) for loss in verdict.lost_cells):
        parts.append(f"{lost} cell{'s' if lost > 1 else ''} that BASE finished failed in NEW")
    if undecided:
        parts.append(f"{undecided} of {len(verdict.judgements)} checks could not be decided")
    if verdict.nothing_compared:
        parts.append("nothing could be compared")
    if verdict.exit_code == 1:
        return f"regression: {'; '.join(parts)}"
    if verdict.exit_code == 2:
        return f"not comparable: {'; '.join(parts)}"
    checks = len(verdict.judgements)
    return (
        f"no regression: {checks} check{'s' if checks > 1 else ''} passed" if checks else "compared; nothing was gated"
    )


def split(shown: Shown) -> tuple[list[Change], list[Change]]:
    """Return the models' changes that a reader wants first, and their others with what controls changed in.

    First: the headline numbers, images a second, memory, what `--fail-on` names, and whatever is resolved.
    """
    gated = {term.name for term in shown.terms}
    changes = [change for change in shown.comparison.changes if change.pair.is_model]
    first = [change for change in changes if _wanted(change, gated)]
    others = [change for change in changes if not _wanted(change, gated)]
    controls = [change for change in shown.comparison.changes if not change.pair.is_model]
    return first, others + [c for c in controls if c.measure.kind == "quality" and c.outcome != "equal"]


def cells(change: Change) -> tuple[str, ...]:
    """Return a change as one line of a table with the header `HEADER`, its texts unescaped."""
    return (
        change.pair.name,
        change.measure.axis,
        str(change.base.n) if change.base.n == change.new.n else f"{change.base.n}, {change.new.n}",
        _value(change.measure, change.base),
        _value(change.measure, change.new),
        change_text(change),
        _outcome(change),
    )


def change_text(change: Change) -> str:
    """Return a change with its interval: in percent, or in the number's own unit where percents mean nothing."""
    if change.outcome == "equal":
        return "0"
    if change.relative is None:
        shown = interval(change.absolute, change.half_width)
        return shown if shown.startswith(("-", "(", NOTHING)) else f"+{shown}"
    if change.low is None or change.high is None or change.low == change.high:
        return percent(change.relative)
    return f"{percent(change.relative)} ({percent(change.low)} to {percent(change.high)})"


def judgement_text(judgement: Judgement) -> str:
    """Return what a term says of a model, in a line."""
    said = [judgement.why] if judgement.why else []
    if judgement.change:
        said.insert(0, change_text(judgement.change))
        if judgement.change.p_holm is not None:
            said.append(f"{p_value(judgement.change.p_holm)}, Holm")
        if judgement.outcome == "ok" and (end := _open_end(judgement.term, judgement.change)):
            said.append(f"{end} is not excluded")
    word = _WORDS[judgement.outcome]
    return f"{word}: {judgement.term.text}: {judgement.subject}: {'; '.join(said)}"


def refusal_text(refusal: Refusal) -> str:
    """Return what was not compared, and the fields that differ with both values."""
    rows = _listed(refusal.rows, _MOST_ROWS, "rows")
    numbers = f": {_listed(refusal.numbers, _MOST_NUMBERS, 'numbers')}" if refusal.numbers else ""
    fields = f": {_fields(refusal.fields)}" if refusal.fields else ""
    return f"not compared: {rows}{numbers}: {refusal.what}{fields}"


def notes(shown: Shown) -> list[str]:
    """Return what else a reader must know, one line each."""
    comparison = shown.comparison
    lines = [f"failed in NEW: {loss.pair}, {seeds(loss.seeds)}: {loss.why}" for loss in shown.verdict.lost_cells]
    lines += [
        f"{loss.number} of {loss.pair} is no finite number in NEW, {seeds(loss.seeds)}"
        for loss in comparison.losses
        if loss.number
    ]
    lines += [refusal_text(refusal) for refusal in comparison.refused]
    for side, names in (("BASE", comparison.pairing.only_base), ("NEW", comparison.pairing.only_new)):
        if names:
            lines.append(f"only in {side}: {_listed(names, _MOST_ROWS, 'rows')}")
    for side in ("BASE", "NEW"):
        alone = [measure.name for _, measure, owner in comparison.one_sided if owner == side]
        if alone:
            lines.append(f"measured only in {side}: {_listed(tuple(dict.fromkeys(alone)), _MOST_NUMBERS, 'numbers')}")
    settings: dict[str, list[str]] = {}
    for pair in comparison.pairing.pairs:
        if pair.settings:
            settings.setdefault(_fields(pair.settings), []).append(pair.name)
    lines += [f"settings of {_listed(tuple(names), _MOST_ROWS, 'rows')}: {said}" for said, names in settings.items()]
    if comparison.software:
        lines.append(f"software: {_fields(comparison.software)}")
    lines += [
        f"the control {change.pair.name} has {change.measure.name} {plain(change.base.mean)} in BASE and "
        f"{plain(change.new.mean)} in NEW: measuring itself has changed, so no change is the model's alone"
        for change in comparison.altered_controls
    ]
    return lines


def _wanted(change: Change, gated: Collection[str]) -> bool:
    name, kind = change.measure.name, change.measure.kind
    return (
        name in gated
        or change.resolved
        or (kind == "quality" and name in HEADLINE)
        or (kind == "speed" and name.endswith("_per_s"))
        or kind == "memory"
    )


def _open_end(term: Term, change: Change) -> str | None:
    """Return the end of the interval where it lies beyond a bound that the change itself keeps: what stays unseen."""
    upwards = term.sign == ">"
    if term.relative:
        end = change.high if upwards else change.low
        shown = percent(end) if end is not None else NOTHING
    else:
        half_width = change.half_width
        end = None if half_width is None else change.absolute + (half_width if upwards else -half_width)
        shown = plain(end)
    return shown if end is not None and term.passed_by(end) else None


def _value(measure: Measure, summary: Summary) -> str:
    if measure.kind == "memory":
        return memory(summary.mean)
    if measure.kind == "size":
        return amount(summary.mean)
    return interval(summary.mean, summary.half_width)


def _outcome(change: Change) -> str:
    if change.p_holm is None or change.outcome == "equal" or change.measure.kind == "size":
        return change.outcome
    return f"{change.outcome}, {p_value(change.p_holm)}"


def _fields(fields: Mapping[str, tuple[Any, Any]]) -> str:
    return "; ".join(
        f"{name.replace('_', ' ')} is {_short(base)} in BASE and {_short(new)} in NEW"
        for name, (base, new) in fields.items()
    )


def _short(value: Any) -> str:
    shown = value if isinstance(value, str) else NOTHING if value is None else json.dumps(value, default=str)
    is_digest = len(shown) > _LONG and all(digit in "0123456789abcdef" for digit in shown)
    return f"{shown[:8]}…" if is_digest else shown


def _listed(names: Iterable[str], most: int, what: str) -> str:
    known = tuple(names)
    if len(known) <= most:
        return ", ".join(known)
    return f"{', '.join(known[:most])} and {len(known) - most} more {what}"
