"""The report as one Markdown page: pictures and tables first, then what makes them traceable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.report import appendix
from genbench.report.escape import code, link_target, text
from genbench.report.frame import Record
from genbench.report.machines import Machine, ran, shared
from genbench.report.measures import meanings, recipes
from genbench.report.montage import artifact
from genbench.report.opening import opening, title
from genbench.report.pictures import Pictures, losses, quality_curves, reconstructions, samples, speeds
from genbench.report.quantities import quantity
from genbench.report.rows import Row
from genbench.report.sections import Section
from genbench.report.statements import floor, mixed_recipes, resolved
from genbench.report.tables import cost_table, evaluation_table, headline_columns, other_table, quality_table

__all__ = ["page"]


def page(
    directory: Path,
    records: Sequence[Record],
    made: Sequence[tuple[Section, Pictures]],
    known: Sequence[Machine],
    command: str | None,
    planned: Sequence[str] = (),
) -> str:
    """Return the whole report; `records` are `in_order`."""
    parts = [f"# {title(records)}", opening(records)]
    lost = sum(record["status"] != "finished" for record in records)
    if lost:
        parts.append(f"**{lost} of {len(records)} cells failed**: see [Failed](#failed).")
    done = len({record["id"] for record in records} & set(planned))
    if done < len(planned):
        parts.append(
            f"**Partial: {done} of {len(planned)} cells are done.** The same command goes on, and `genbench report` on "
            "this folder shows what is done by then."
        )
    previous = ""
    for section, pictures in made:
        if len(section.title) > 1 and section.title[0] != previous:
            parts += _mixed(section, [other for other, _ in made])
        previous = section.title[0]
        parts += _section(directory, section, pictures, known)
    parts += [
        appendix.failed(records),
        appendix.families(records),
        meanings(records),
        appendix.machine(records),
        recipes(records),
    ]
    parts += [appendix.data(records), appendix.reproduce(records, command), _files()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _mixed(section: Section, others: Sequence[Section]) -> list[str]:
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for other in others:
        if other.title[0] == section.title[0] and other.main:
            metric, recipe = other.main
            held = (r["recipes"] for row in other.rows for r in row.records)
            whole: Mapping[str, Any] = next((recipes_of[recipe] for recipes_of in held if recipe in recipes_of), {})
            found.setdefault(metric, {})[recipe] = whole
    return [mixed_recipes(section.title[0], metric, known) for metric, known in found.items() if len(known) > 1]


def _section(directory: Path, section: Section, pictures: Pictures, known: Sequence[Machine]) -> list[str]:
    parts = [f"## {text(section.name)}", quality_table(section), _recipe_line(section)]
    parts += samples(section, pictures)
    parts += [_links(directory, section), resolved(section), floor(section)]
    parts += reconstructions(section, pictures)
    parts += quality_curves(section, pictures)
    others = other_table(section)
    if others:
        parts += ["### Other numbers", others]
    errors = evaluation_table(section)
    if errors:
        parts += ["### How exact one evaluation is", _ERROR_NOTE, errors]
    own = ran(known, (record for row in section.models for record in row.records))
    cost = cost_table(section, own)
    if cost:
        parts += ["### What it cost", shared(own), cost, _COST_NOTE]
    return parts + speeds(section, pictures) + losses(section, pictures)


_ERROR_NOTE = (
    "The ± of the tables above is the 95% interval over training seeds: train again, and the numbers move so. Below is "
    "the standard error of one evaluation: draw as many samples from the same model again, or take other held-out "
    "images. It is a part of the spread between seeds, so the two are never added."
)
_COST_NOTE = (
    "Means over seeds ± 95%; memory is the largest of the seeds. Evaluation stands outside every clock. "
    "Each seed's median and 5th and 95th percentile of the windows are in `results.csv`."
)


def _recipe_line(section: Section) -> str:
    if not section.columns:
        return "No cell has a number yet."
    ids: dict[str, list[str]] = {}
    for metric, recipe in headline_columns(section):
        ids.setdefault(recipe, []).append(text(quantity(metric).heading))
    said = ", ".join(f"{' and '.join(headings)} {code(recipe)}" for recipe, headings in ids.items())
    return f"[Recipes](#recipes): {said}."


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
        "- `records/`: one JSON file a cell, from which all of this is rendered.\n"
        "- `samples/`: grids of each cell's images, of its reconstructions, and of the data.\n"
        "- `figures/`: the pictures of this page.\n"
        "- `logs/`: what each cell printed, its last 4 MiB; a failed cell's stacks stand there too."
    )
