"""How a report begins: who was compared on what, and how its numbers are to be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from genbench.report.escape import code, text
from genbench.report.frame import Record

__all__ = ["opening", "title"]


def title(records: Sequence[Record]) -> str:
    """Return who was compared on what, escaped."""
    models = _distinct(record["cell"]["label"] for record in records if record["cell"]["kind"] == "model")
    datasets = _distinct(record["cell"]["dataset"]["name"] for record in records)
    who = _list([text(model) for model in models], most=6) if models else "controls"
    return f"{who} on {_list([text(dataset) for dataset in datasets], most=6)}" if records else "An empty benchmark"


def opening(records: Sequence[Record]) -> str:
    """Return the paragraph that says how the cells were trained and measured, and what the signs mean."""
    models = [record["cell"] for record in records if record["cell"]["kind"] == "model"]
    controls = _distinct(record["cell"]["label"] for record in records if record["cell"]["kind"] != "model")
    said = []
    if models:
        budgets = _list([code(budget) for budget in _distinct(str(cell.get("budget")) for cell in models)])
        batches = _list([str(size) for size in _distinct(cell.get("batch_size") for cell in models)])
        seeds = sorted({cell["seed"] for cell in models})
        count = len(_distinct(cell["label"] for cell in models))
        said.append(
            f"{_count(count, 'model')} trained for {budgets} with batches of {batches} images, each from "
            f"{_count(len(seeds), 'training seed')} ({_list([str(seed) for seed in seeds], most=8)})."
        )
    if controls:
        names = _list([f"*{text(control)}*" for control in controls])
        said.append(f"Beside them stand the controls {names}." if models else f"Controls alone: {names}.")
    counts = [
        f"{count:,}" if isinstance(count, int) else text(count)
        for count in _distinct(record["cell"].get("samples") for record in records)
    ]
    said.append(
        f"Quality is measured on {_list(counts)} samples a row, at the end of the budget, never at the best moment of "
        "the training. Numbers are means over training seeds ± the half-width of the 95% interval (t); ↓ lower is "
        "better, ↑ higher is better. Models whose difference is not resolved share ranks: 1–2 means first or second."
    )
    return "genbench: " + " ".join(said)


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _list(words: Sequence[str], most: int = 12) -> str:
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
