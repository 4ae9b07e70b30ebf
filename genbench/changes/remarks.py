"""What a reader must know besides the figures: what was lost, what was not compared and why, what else differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from genbench.changes.comparing import Comparison
from genbench.changes.gate import seeds
from genbench.changes.pairing import Pair, Refusal
from genbench.report.formatting import NOTHING, plain
from genbench.report.machines import waited

__all__ = ["remarks"]

_MOST_ROWS = 6
_MOST_NUMBERS = 8
_LONG = 16


def remarks(comparison: Comparison) -> list[str]:
    """Return the remarks, one line each."""
    lines = [
        f"failed in NEW: {loss.pair}, {seeds(loss.seeds)}: {loss.why}"
        for loss in comparison.losses
        if loss.number is None
    ]
    lines += [
        f"failed in one run of NEW but finished in another, whose numbers are compared: {pair}, {seeds(twice)}"
        for pair in comparison.pairing.pairs
        if (twice := _failed_once(pair))
    ]
    lines += [
        f"{loss.number} of {loss.pair} is not finite in NEW, {seeds(loss.seeds)}"
        for loss in comparison.losses
        if loss.number
    ]
    lines += [_refused(refusal) for refusal in comparison.refused]
    for side, names in (("BASE", comparison.pairing.only_base), ("NEW", comparison.pairing.only_new)):
        if names:
            lines.append(f"only in {side}: {_listed(names, _MOST_ROWS, 'rows')}")
    for side in ("BASE", "NEW"):
        alone = [measure.name for _, measure, owner in comparison.one_sided if owner == side]
        if alone:
            lines.append(f"measured only in {side}: {_listed(tuple(dict.fromkeys(alone)), _MOST_NUMBERS, 'numbers')}")
    lines += _shared("not compared seed by seed", comparison, _other_seeds)
    lines += _shared("something else used the processor", comparison, _waited)
    lines += _shared("settings", comparison, lambda pair: _fields(pair.settings))
    if comparison.software:
        lines.append(f"software: {_fields(comparison.software)}")
    lines += [
        f"the control {change.pair.name} has {change.measure.name} {plain(change.base.mean)} in BASE and "
        f"{plain(change.new.mean)} in NEW: the measurement itself has changed, so no change can be ascribed to a model"
        for change in comparison.altered_controls
    ]
    return lines


def _shared(title: str, comparison: Comparison, say: Callable[[Pair], str]) -> list[str]:
    """Return one line for each statement, naming all the pairs that it applies to."""
    owners: dict[str, list[str]] = {}
    for pair in comparison.pairing.pairs:
        if said := say(pair):
            owners.setdefault(said, []).append(pair.name)
    return [f"{title}: {_listed(tuple(names), _MOST_ROWS, 'rows')}: {said}" for said, names in owners.items()]


def _failed_once(pair: Pair) -> list[int]:
    finished, failed = ({record["cell"]["seed"] for record in side} for side in (pair.new.records, pair.new.failed))
    return sorted(finished & failed)


def _other_seeds(pair: Pair) -> str:
    ours, theirs = ([record["cell"]["seed"] for record in row.records] for row in (pair.base, pair.new))
    if not ours or not theirs or set(ours) == set(theirs):
        return ""
    return f"BASE has {seeds(ours)}, NEW has {seeds(theirs)}"


def _waited(pair: Pair) -> str:
    shares = (("BASE", waited(pair.base.records)), ("NEW", waited(pair.new.records)))
    told = [f"up to {share:.0%} of the training in {side}" for side, share in shares if share]
    return f"threads waited for it {' and '.join(told)}, so speeds are too low" if told else ""


def _refused(refusal: Refusal) -> str:
    """Return what was not compared, with the differing fields and both their values."""
    rows = _listed(refusal.rows, _MOST_ROWS, "rows")
    numbers = f": {_listed(refusal.numbers, _MOST_NUMBERS, 'numbers')}" if refusal.numbers else ""
    fields = f": {_fields(refusal.fields)}" if refusal.fields else ""
    return f"not compared: {rows}{numbers}: {refusal.what}{fields}"


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
