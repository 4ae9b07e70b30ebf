"""The report as one Markdown page: pictures and tables first, then what makes them traceable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.report import appendix
from genbench.report.against_real import anchor, ratio_note, ratio_table
from genbench.report.augmentation import augmentation
from genbench.report.captions import cost_note, error_note, quality_caption
from genbench.report.escape import code, link_target, text
from genbench.report.frame import Record
from genbench.report.machines import Machine, ran, shared
from genbench.report.measures import meanings, recipes
from genbench.report.merging import Outcomes, outcomes
from genbench.report.montage import artifact
from genbench.report.opening import opening, partial, title
from genbench.report.pictures import Pictures, losses, quality_curves, reconstructions, samples, speeds
from genbench.report.quantities import quantity
from genbench.report.rows import Row
from genbench.report.sections import Section
from genbench.report.silent import beaten_by_silence
from genbench.report.stability import stability
from genbench.report.statements import floor, mixed_recipes, remarks, resolved
from genbench.report.tables import cost_table, evaluation_table, headline_columns, other_table, quality_table
from genbench.report.target_page import stopped_note

__all__ = ["page"]


def page(
    directory: Path,
    records: Sequence[Record],
    made: Sequence[tuple[Section, Pictures]],
    known: Sequence[Machine],
    command: str | None,
    missing: Sequence[Mapping[str, Any]] = (),
    beyond: Sequence[str] = (),
) -> str:
    """Return the whole report.

    Args:
        directory: where the records' artifacts lie.
        records: all that were read, `in_order`.
        made: each section with its pictures.
        known: the machines of the records.
        command: what made them.
        missing: cells that were planned and have no record.
        beyond: the paragraphs across datasets.
    """
    parts = [f"# {title(records)}", partial(records, missing), opening(records), *_ends(outcomes(records))]
    previous = ""
    for section, pictures in made:
        if len(section.title) > 1 and section.title[0] != previous:
            parts += _mixed(section, [other for other, _ in made])
        previous = section.title[0]
        parts += _section(directory, section, pictures, known)
    parts += augmentation([section for section, _ in made])
    parts += [
        *beyond,
        appendix.failed(records),
        appendix.families(records),
        meanings(records),
        appendix.machine(records),
        recipes(records),
    ]
    parts += [appendix.data(records), appendix.reproduce(records, command), _files()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _ends(found: Outcomes) -> list[str]:
    """Say which cells failed, and of which there are several runs."""
    said = []
    if found.failed:
        said.append(f"**{found.failed} of {found.cells} cells failed**: see [Failed](#failed).")
    if found.failed_once:
        said.append(
            f"**{found.failed_once} of {found.cells} cells failed in one run and finished in another**, whose numbers "
            "are shown: see [Failed](#failed)."
        )
    if found.repeated:
        said.append(
            f"{found.repeated} of {found.cells} cells finished more than once: each number is the newest of its "
            "recipe; costs, pictures and losses are the newest run's. `records/` has all of them."
        )
    return said


def _mixed(section: Section, others: Sequence[Section]) -> list[str]:
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for other in others:
        if other.title[0] == section.title[0] and other.main:
            metric, recipe = other.main
            found.setdefault(metric, {})[recipe] = other.recipe(recipe)
    return [mixed_recipes(section.title[0], metric, known) for metric, known in found.items() if len(known) > 1]


def _section(directory: Path, section: Section, pictures: Pictures, known: Sequence[Machine]) -> list[str]:
    parts = [f"## {text(section.name)}", quality_caption(section), quality_table(section), _recipe_line(section)]
    parts.append(stopped_note(section))
    parts += samples(section, pictures)
    parts += [_links(directory, section), resolved(section), floor(section), beaten_by_silence(section)]
    if compared := ratio_table(section):
        parts += ["### Against real data", compared, ratio_note(section)]
    parts += reconstructions(section, pictures)
    parts += quality_curves(section, pictures)
    parts += stability(section)
    others = other_table(section)
    if others:
        parts += [f'<a id="{anchor(section)}"></a>', "### Other numbers", others, remarks(section)]
    errors = evaluation_table(section)
    if errors:
        parts += ["### How precise one evaluation is", error_note(section), errors]
    own = ran(known, (record for row in section.models for record in row.records))
    cost = cost_table(section, own)
    if cost:
        parts += ["### What it cost", shared(own), cost, cost_note(section)]
    return parts + speeds(section, pictures) + losses(section, pictures)


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
    return "\n".join(["<details><summary>The samples of every cell</summary>", "", *lines, "", "</details>"])


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
        "- [`results.csv`](results.csv): one row per cell: its settings, every number with its recipe, every cost.\n"
        "- [`curves.csv`](curves.csv): one row per point of a curve: losses and numbers during training.\n"
        "- `samples/`: what each cell made, its reconstructions, and the data: grids of images, listings of texts.\n"
        "- `figures/`: the images of this page.\n"
        "- `logs/`: what each cell printed, its last 4 MiB; a failed cell's stacks are there too.\n"
        "- `records/`: one JSON file per cell, from which all of this is rendered.\n"
        "- `plans/`: which cells each run was to make, so that what is missing can be reported."
    )
