"""Whether a comparison fails: each term of `--fail-on` for each model is decided or reported as undecided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from genbench.changes.change import Change
from genbench.changes.comparing import Comparison
from genbench.changes.expression import Term, applying
from genbench.changes.losses import Loss
from genbench.changes.pairing import Pair

__all__ = ["Judgement", "Verdict", "judge"]


_TIMED = "two runs also differ by whatever else the machine was doing, so compare cannot decide; `genbench regress` can"


@dataclass(frozen=True)
class Judgement:
    """The verdict of a term on one model; `why` gives the reason in words if there is no change to show."""

    term: Term
    subject: str
    outcome: Literal["regression", "undecided", "ok"]
    change: Change | None
    why: str = ""


@dataclass(frozen=True)
class Verdict:
    """All judgements, the cells that NEW lost, whether no number of a model could be compared, and the exit code."""

    judgements: tuple[Judgement, ...]
    lost_cells: tuple[Loss, ...]
    nothing_compared: bool

    def of(self, outcome: Literal["regression", "undecided", "ok"]) -> list[Judgement]:
        """Return the judgements of one outcome."""
        return [judgement for judgement in self.judgements if judgement.outcome == outcome]

    @property
    def exit_code(self) -> int:
        """1 if something got worse; else 2 if a requested check could not be decided; else 0."""
        if self.of("regression") or self.lost_cells:
            return 1
        return 2 if self.of("undecided") or self.nothing_compared else 0


def judge(comparison: Comparison, terms: Sequence[Term]) -> Verdict:
    """Judge a comparison.

    A term that names a model judges only that model and overrides a term of the same number for every model. A term
    fails for a model if the change of the means lies beyond the bound and is resolved: its p-value, Holm-corrected over
    all terms and models, is below 0.05, so its 95% interval excludes zero change. A number that is finite in BASE but
    not in NEW also fails. For a model in both sets, a term is undecided if there is no interval (a single seed, or a
    time), if the number was refused (another recipe or machine), if one set lacks it, or if it is relative to a mean
    that cannot be distinguished from 0. A cell that finished in BASE and failed in NEW is a regression whatever the
    terms say.
    """
    judgements = [judgement for term in terms for judgement in _judged(comparison, term, terms)]
    lost = tuple(loss for loss in comparison.losses if loss.number is None)
    return Verdict(tuple(judgements), lost, not any(change.pair.is_model for change in comparison.changes))


def _judged(comparison: Comparison, term: Term, terms: Sequence[Term]) -> Iterator[Judgement]:
    pairs = [pair for pair in comparison.pairing.pairs if pair.is_model and pair.base.records and pair.new.records]
    meant = [pair for pair in pairs if applying([term], pair.label, pair.dataset)]
    mine = [pair for pair in meant if term in applying(terms, pair.label, pair.dataset)]
    found = [judgement for pair in mine for judgement in _of_pair(comparison, term, pair)]
    for refusal in comparison.refused:
        rows = [] if refusal.numbers else [row for row in refusal.rows if term in applying(terms, *_label(row))]
        found += [Judgement(term, row, "undecided", None, refusal.what) for row in rows]
    yield from found
    if not found and (mine or not meant):  # otherwise more specific terms override it
        why = "not finished in both sets with" if term.model else "no model that both sets finished has"
        yield Judgement(term, term.model or "every model", "undecided", None, f"{why} {term.name}")


def _label(row: str) -> tuple[str, str]:
    label, _, dataset = row.rpartition(" on ")
    return label, dataset


def _of_pair(comparison: Comparison, term: Term, pair: Pair) -> Iterator[Judgement]:
    subject = str(pair)
    for loss in comparison.losses:
        if loss.pair is pair and loss.number == term.name:
            yield Judgement(term, subject, "regression", None, f"no finite value from {seeds(loss.seeds)}")
            return
    for change in comparison.changes:
        if change.pair is pair and change.measure.name == term.name:
            yield _of_change(term, subject, change)
            return
    for refusal in comparison.refused:
        if term.name in refusal.numbers and subject in refusal.rows:
            yield Judgement(term, subject, "undecided", None, refusal.what)
            return
    for owner, measure, side in comparison.one_sided:
        if owner is pair and measure.name == term.name:
            yield Judgement(term, subject, "undecided", None, f"only {side} has {term.name}")


def _of_change(term: Term, subject: str, change: Change) -> Judgement:
    if change.measure.is_timed:
        said = f"{change.outcome}; " if change.outcome != "ranges overlap" else ""
        return Judgement(term, subject, "undecided", change, f"{said}{_TIMED}")
    if change.p is None:
        why = "one seed has no interval; run both with --seeds 2 or more"
        return Judgement(term, subject, "undecided", change, why)
    size = change.relative if term.relative else change.absolute
    if size is None:
        why = (
            "BASE's mean is indistinguishable from 0, so a share of it means nothing; "
            f"write {term.name}{term.sign}NUMBER"
        )
        return Judgement(term, subject, "undecided", change, why)
    if not term.passed_by(size):
        return Judgement(term, subject, "ok", change)
    if change.resolved:
        return Judgement(term, subject, "regression", change)
    return Judgement(term, subject, "ok", change, "beyond the bound, but not resolved")


def seeds(numbers: Iterable[int]) -> str:
    """Return `seed 1` or `seeds 1, 2`.

    >>> seeds([1, 2])
    'seeds 1, 2'
    """
    shown = [str(number) for number in numbers]
    return f"seed{'s' if len(shown) > 1 else ''} {', '.join(shown)}"
