"""The report as one Markdown page: pictures and tables first, then what makes them traceable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.report import appendix
from genbench.report.curves import MOST_LINES, MOST_PANELS
from genbench.report.escape import code, link_target, text
from genbench.report.frame import Record
from genbench.report.machines import Machine, ran
from genbench.report.montage import MOST_TILES, artifact
from genbench.report.quantities import quantity
from genbench.report.rows import Row
from genbench.report.sections import Section
from genbench.report.speeds import MOST_BARS
from genbench.report.statements import floor, mixed_recipes, resolved
from genbench.report.tables import cost_table, other_table, quality_table

__all__ = ["Pictures", "page"]


@dataclass(frozen=True)
class Pictures:
    """The pictures of one section: kind (`samples`, `quality`, …) -> file, relative to the report."""

    files: Mapping[str, str] = field(default_factory=dict)

    def show(self, kind: str, alt: str, note: str) -> list[str]:
        """Return the picture with its note, or nothing where it was not drawn."""
        if kind not in self.files:
            return []
        return [f"![{text(alt)}]({link_target(self.files[kind])})", *([note] if note else [])]


def page(
    directory: Path,
    records: Sequence[Record],
    made: Sequence[tuple[Section, Pictures]],
    known: Sequence[Machine],
    command: str | None,
) -> str:
    """Return the whole report; `records` are `in_order`."""
    parts = [f"# {_title(records)}", _opening(records)]
    lost = sum(record["status"] != "finished" for record in records)
    if lost:
        parts.append(f"**{lost} of {len(records)} cells failed**: see [Failed](#failed).")
    previous = ""
    for section, pictures in made:
        if len(section.title) > 1 and section.title[0] != previous:
            parts += _mixed(section, [other for other, _ in made])
        previous = section.title[0]
        parts += _section(directory, section, pictures, known)
    parts += [
        appendix.failed(records),
        appendix.families(records),
        appendix.machine(records),
        appendix.recipes(records),
    ]
    parts += [appendix.data(records), appendix.reproduce(records, command), _files()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(records: Sequence[Record]) -> str:
    models = _distinct(record["cell"]["label"] for record in records if record["cell"]["kind"] == "model")
    datasets = _distinct(record["cell"]["dataset"]["name"] for record in records)
    who = _list([text(model) for model in models], most=6) if models else "controls"
    return f"{who} on {_list([text(dataset) for dataset in datasets], most=6)}" if records else "An empty benchmark"


def _opening(records: Sequence[Record]) -> str:
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
        said.append(
            f"Beside {'them' if models else 'no model'} stand the controls {_list([f'*{text(c)}*' for c in controls])}."
        )
    counts = [
        f"{count:,}" if isinstance(count, int) else text(count)
        for count in _distinct(record["cell"].get("samples") for record in records)
    ]
    said.append(
        f"Quality is measured on {_list(counts)} samples a row, at the end of the budget, never at the best moment of "
        "the training. Numbers are means over training seeds ± the half-width of the 95% interval (t); ↓ lower is "
        "better, ↑ higher is better. Models whose difference is not resolved share ranks."
    )
    return "genbench: " + " ".join(said)


def _mixed(section: Section, others: Sequence[Section]) -> list[str]:
    recipes: dict[str, dict[str, dict[str, Any]]] = {}
    for other in others:
        if other.title[0] == section.title[0] and other.main:
            metric, recipe = other.main
            whole = next(r["recipes"].get(recipe) for row in other.rows for r in row.records if recipe in r["recipes"])
            recipes.setdefault(metric, {})[recipe] = whole
    return [mixed_recipes(section.title[0], metric, found) for metric, found in recipes.items() if len(found) > 1]


def _section(directory: Path, section: Section, pictures: Pictures, known: Sequence[Machine]) -> list[str]:
    heading = text(section.quantity.heading) if section.quantity else "quality"
    name = " / ".join(section.title)
    parts = [f"## {text(name)}", quality_table(section), _recipe_line(section)]
    parts += pictures.show("samples", f"samples of each model on {name}", _samples_note(section))
    parts += [_links(directory, section), resolved(section), floor(section), other_table(section)]
    parts += pictures.show("reconstructions", f"reconstructions on {name}", "Reconstructions of held-out images.")
    most = f" The best {MOST_LINES} models are drawn." if len(section.models) > MOST_LINES else ""
    parts += pictures.show(
        "quality",
        f"{heading} against training images, seconds and FLOPs on {name}",
        f"{heading} along the training: thick, the mean over seeds; thin, each seed (beyond five seeds a band from the "
        f"least to the greatest); dashed, the controls.{most}",
    )
    cost = cost_table(section, ran(known, (record for row in section.models for record in row.records)))
    if cost:
        parts += ["### What it cost", cost, _COST_NOTE]
    most = f" The best {MOST_BARS} models are drawn." if len(section.models) > MOST_BARS else ""
    parts += pictures.show(
        "throughput",
        f"training and sampling images per second on {name}",
        f"Bars: mean over seeds of the median window; lines: 5th to 95th percentile of the windows.{most}",
    )
    parts += pictures.show(
        "trade-off",
        f"{heading} against training seconds and sampling images per second on {name}",
        f"{heading} against what it costs, with 95% intervals over seeds; the arrows point to the better side.{most}",
    )
    most = f" The best {MOST_PANELS} models are drawn." if len(section.models) > MOST_PANELS else ""
    parts += pictures.show(
        "losses",
        f"losses of each model on {name}",
        f"Losses, as each model names them; they are not comparable between models.{most}",
    )
    return parts


_COST_NOTE = (
    "Means over seeds ± 95%; memory is the largest of the seeds. Evaluation stands outside every clock. "
    "Each seed's median and 5th and 95th percentile of the windows are in `results.csv`."
)


def _recipe_line(section: Section) -> str:
    if not section.columns:
        return "No cell has a number yet."
    ids: dict[str, list[str]] = {}
    for metric, recipe in section.columns:
        ids.setdefault(recipe, []).append(text(quantity(metric).heading))
    said = ", ".join(f"{' and '.join(headings)} {code(recipe)}" for recipe, headings in ids.items())
    return f"[Recipes](#recipes): {said}."


def _samples_note(section: Section) -> str:
    more = f" The best {MOST_TILES - 1} models are shown." if len(section.models) >= MOST_TILES else ""
    return f"The data and each model's samples, drawn at the end of the budget from its first seed: not chosen.{more}"


def _links(directory: Path, section: Section) -> str:
    lines = []
    for row in section.rows:
        links = [
            f"{text(name)}: {', '.join(found)}" for name, kind in _GRIDS if (found := _seed_links(directory, row, kind))
        ]
        if links:
            lines.append(f"- {code(row.name)}: {'; '.join(links)}")
    if not lines:
        return ""
    return "\n".join(["<details><summary>Every grid of images</summary>", "", *lines, "", "</details>"])


_GRIDS = (("samples", "samples"), ("reconstructions", "reconstructions"))


def _seed_links(directory: Path, row: Row, kind: str) -> list[str]:
    return [
        f"[seed {record['cell']['seed']}]({link_target(record['artifacts'][kind])})"
        for record in row.records
        if artifact(directory, record, kind)
    ]


def _files() -> str:
    return (
        "## Files\n\n"
        "- [`results.csv`](results.csv): one row a cell: what it is, every number with its recipe, every cost.\n"
        "- [`curves.csv`](curves.csv): one row a point of a curve: losses and numbers along the training.\n"
        "- `records/`: one JSON file a cell, from which all of this is rendered."
    )


def _distinct(values: Any) -> list[Any]:
    return list(dict.fromkeys(values))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _list(words: Sequence[str], most: int = 12) -> str:
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
