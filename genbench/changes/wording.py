"""The wording of a comparison, as a terminal shows it: Markdown escapes it, and JSON has the figures instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.changes.change import Change
from genbench.changes.comparing import Comparison
from genbench.changes.expression import Term, applying
from genbench.changes.gate import Judgement, Verdict
from genbench.changes.measures import Measure
from genbench.records.statistics import Summary
from genbench.report.formatting import NOTHING, amount, flag, interval, memory, p_value, percent, plain
from genbench.report.quantities import FLAGS, HEADLINE

__all__ = ["Shown", "cells", "headline", "judgement_text", "split", "HEADER"]

HEADER = ("model", "number", "seeds", "BASE", "NEW", "change, 95% interval", "outcome")
_WORDS = {"regression": "REGRESSION", "undecided": "NOT DECIDED", "ok": "ok"}


@dataclass(frozen=True)
class Shown:
    """What a document shows: where the two sets come from, their comparison, and the verdict."""

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
        parts.append(f"{lost} cell{'s' if lost > 1 else ''} that finished in BASE failed in NEW")
    if undecided:
        parts.append(f"{undecided} of {len(verdict.judgements)} checks could not be decided")
    if verdict.nothing_compared:
        parts.append("no number of a model could be compared")
    if verdict.exit_code == 1:
        return f"regression: {'; '.join(parts)}"
    if verdict.exit_code == 2:
        return f"not comparable: {'; '.join(parts)}"
    checks = len(verdict.judgements)
    return (
        f"no regression: {checks} check{'s' if checks > 1 else ''} passed" if checks else "compared; nothing was gated"
    )


def split(shown: Shown) -> tuple[list[Change], list[Change]]:
    """Return the models' changes that a reader wants first, and the others, with those of controls.

    First come the headline numbers, items per second, memory, what `--fail-on` names, and whatever is resolved.
    """
    changes = [change for change in shown.comparison.changes if change.pair.is_model]
    first = [change for change in changes if _wanted(change, shown.terms)]
    others = [change for change in changes if not _wanted(change, shown.terms)]
    controls = [change for change in shown.comparison.changes if not change.pair.is_model]
    return first, others + [c for c in controls if c.measure.kind == "quality" and c.outcome != "equal"]


def cells(change: Change) -> tuple[str, ...]:
    """Return a change as one row of a table with the header `HEADER`, unescaped."""
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
    """Return a change with its interval: in percent, or in the number's own unit if percentages mean nothing."""
    if change.outcome == "equal":
        return "0"
    if change.relative is None:
        shown = interval(change.absolute, change.half_width)
        return shown if shown.startswith(("-", "(", NOTHING)) else f"+{shown}"
    if change.low is None or change.high is None or change.low == change.high:
        return percent(change.relative)
    return f"{percent(change.relative)} ({percent(change.low)} to {percent(change.high)})"


def judgement_text(judgement: Judgement) -> str:
    """Return a term's verdict on a model, in one line."""
    said = [judgement.why] if judgement.why else []
    if judgement.change:
        said.insert(0, change_text(judgement.change))
        if judgement.change.p_holm is not None:
            said.append(f"{p_value(judgement.change.p_holm)}, Holm")
        if judgement.outcome == "ok" and (end := _open_end(judgement.term, judgement.change)):
            said.append(f"{end} is not excluded")
    word = _WORDS[judgement.outcome]
    return f"{word}: {judgement.term.text}: {judgement.subject}: {'; '.join(said)}"


def _wanted(change: Change, terms: Sequence[Term]) -> bool:
    name, kind = change.measure.name, change.measure.kind
    return (
        any(term.name == name for term in applying(terms, change.pair.label, change.pair.dataset))
        or change.resolved
        or (kind == "quality" and name in HEADLINE)
        or (kind == "speed" and name.endswith("_per_s"))
        or kind == "memory"
    )


def _open_end(term: Term, change: Change) -> str | None:
    """Return the end of the interval if it exceeds a bound that the change itself respects: what may go unseen."""
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
    if measure.name in FLAGS:
        return flag(summary.mean)
    return interval(summary.mean, summary.half_width)


def _outcome(change: Change) -> str:
    if change.p_holm is None or change.outcome == "equal" or change.measure.kind == "size":
        return change.outcome
    return f"{change.outcome}, {p_value(change.p_holm)}"
