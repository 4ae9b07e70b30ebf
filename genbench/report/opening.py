"""The start of a report: what was compared on what, and how to read its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genbench.kinds.nouns import noun_of
from genbench.records.lean import distinct, seed_of, shared_cell
from genbench.report.escape import code, text
from genbench.report.merging import outcomes
from genbench.report.order import Record

__all__ = ["opening", "partial", "title"]


def title(records: Sequence[Record]) -> str:
    """Return what was compared on what, escaped."""
    cells = [record["cell"] for record in distinct(records)]
    models = _distinct(cell["label"] for cell in cells if cell["role"] == "model")
    datasets = _distinct(cell["dataset"]["name"] for cell in cells)
    who = _list([text(model) for model in models], most=6) if models else "controls"
    return f"{who} on {_list([text(dataset) for dataset in datasets], most=6)}" if records else "An empty benchmark"


def opening(records: Sequence[Record]) -> str:
    """Return the paragraph on how the cells were trained and measured, and what the symbols mean."""
    cells = [record["cell"] for record in distinct(records)]
    models = [cell for cell in cells if cell["role"] == "model"]
    controls = _distinct(cell["label"] for cell in cells if cell["role"] != "model")
    said = []
    if models:
        budgets = _list([code(budget) for budget in _distinct(str(cell.get("budget")) for cell in models)])
        batches = _list([str(size) for size in _distinct(cell.get("batch_size") for cell in models)])
        nouns = " or ".join(_distinct(noun_of(cell["dataset"]) for cell in models))
        seeds = sorted({seed_of(record) for record in records if shared_cell(record)["role"] == "model"})
        count = len(_distinct(cell["label"] for cell in models))
        said.append(
            f"{_count(count, 'model')} trained for {budgets} with batches of {batches} {nouns}, each from "
            f"{'one training seed' if len(seeds) == 1 else f'{len(seeds)} training seeds'} "
            f"({_list([str(seed) for seed in seeds], most=8)})."
        )
    if controls:
        names = _list([f"*{text(control)}*" for control in controls])
        said.append(f"Controls: {names}." if models else f"Only controls: {names}.")
    if any(record["status"] == "finished" for record in records):
        counts = [
            f"{count:,}" if isinstance(count, int) else text(count)
            for count in _distinct(cell.get("samples") for cell in cells)
        ]
        said.append(
            f"Quality is measured on {_list(counts)} samples per row at the end of the budget, not at the best point "
            f"of training. {_SEVERAL if _repeated(records) else _SINGLE}"
        )
    return "genbench: " + " ".join(said)


def partial(records: Sequence[Record], missing: Sequence[Mapping[str, Any]]) -> str:
    """Return how many of the planned cells have run and which have not; an empty string if all have."""
    if not missing:
        return ""
    seeds: dict[tuple[str, str, str], list[int]] = {}
    for cell in missing:
        budget = str(cell["budget"]) if cell["role"] == "model" else ""
        seeds.setdefault((str(cell["label"]), str(cell["dataset"]), budget), []).append(cell["seed"])
    several = len({budget for *_, budget in seeds if budget}) > 1
    lines = [
        f"{code(label)} on {text(dataset)}{f' for {code(budget)}' if several and budget else ''}, "
        f"seed{'s' if len(numbers) > 1 else ''} {_list([str(number) for number in sorted(numbers)], most=8)}"
        for (label, dataset, budget), numbers in seeds.items()
    ]
    run = outcomes(records).cells  # some may have several records
    more = f"; and {len(lines) - _MOST_MISSING} more rows" if len(lines) > _MOST_MISSING else ""
    return (
        f"**Partial report: {run} of {run + len(missing)} planned cells have run.** "
        f"Missing: {'; '.join(lines[:_MOST_MISSING])}{more}. "
        "The command under [How to reproduce](#how-to-reproduce) runs them."
    )


_MOST_MISSING = 12
_SEVERAL = (
    "Numbers are means over training seeds ± the half-width of the 95% interval (t); ↓ lower is better, ↑ higher is "
    "better. Models whose difference is not resolved share ranks: 1–2 means first or second."
)
_SINGLE = (
    "Each number comes from a single training seed, so none has an interval; ↓ lower is better, ↑ higher is better."
)


def _repeated(records: Sequence[Record]) -> bool:
    """Whether any row has finished with more than one seed."""
    rows: dict[tuple[Any, ...], set[int]] = {}
    for record in records:
        if record["status"] == "finished":
            cell = shared_cell(record)
            place = cell["label"], cell["dataset"]["name"], cell.get("budget")
            rows.setdefault(place, set()).add(seed_of(record))
    return any(len(seeds) > 1 for seeds in rows.values())


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _list(words: Sequence[str], most: int = 12) -> str:
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
