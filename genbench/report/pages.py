"""The report as one page: pictures and tables first, then everything that makes them traceable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.report import appendix
from genbench.report.against_real import anchor, ratio_note, ratio_table
from genbench.report.augmentation import augmentation
from genbench.report.captions import assumed, contended, cost_note, error_note, quality_caption
from genbench.report.escape import code, link_target, text
from genbench.report.machines import Machine, ran, shared
from genbench.report.measures import meanings, recipes
from genbench.report.merging import Outcomes, outcomes
from genbench.report.model import Anchor, Details
from genbench.report.montage import artifact
from genbench.report.opening import opening, partial, title
from genbench.report.order import Record
from genbench.report.pictures import Pictures, losses, quality_curves, reconstructions, samples, speeds
from genbench.report.quantities import quantity
from genbench.report.rows import Row
from genbench.report.sections import Section
from genbench.report.silent import beaten_by_silence
from genbench.report.stability import stability
from genbench.report.statements import floor, mixed_recipes, remarks, resolved
from genbench.report.tables import cost_table, evaluation_table, headline_columns, other_table, quality_table
from genbench.report.target_page import stopped_note
from genbench.report.unmeasured import unmeasured

__all__ = ["page_parts"]


def page_parts(
    directory: Path,
    records: Sequence[Record],
    made: Sequence[tuple[Section, Pictures]],
    known: Sequence[Machine],
    command: str | None,
    missing: Sequence[Mapping[str, Any]] = (),
    beyond: Sequence[str] = (),
) -> list[str]:
    """Return the whole report as its parts (`model`).

    Args:
        directory: holds the records' artifacts.
        records: all records read, `in_order`.
        made: each section with its pictures.
        known: the machines of the records.
        command: what produced them.
        missing: planned cells without a record.
        beyond: the parts that span sections: across datasets, time to target, studies.
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
        *appendix.failed(records),
        *appendix.families(records),
        meanings(records),
        *appendix.machine(records),
        *recipes(records),
    ]
    parts += [*appendix.data(records), *appendix.reproduce(records, command), *_files()]
    return parts


def _ends(found: Outcomes) -> list[str]:
    """Return how many cells failed, and how many have several runs."""
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
            f"{found.repeated} of {found.cells} cells finished more than once: each number is the newest for its "
            "recipe; costs, pictures and losses are from the newest run. `records/` has all of them."
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
    parts += [_links(directory, section), *resolved(section), floor(section), beaten_by_silence(section)]
    if compared := ratio_table(section):
        parts += ["### Against real data", compared, ratio_note(section)]
    parts += reconstructions(section, pictures)
    parts += quality_curves(section, pictures)
    parts += stability(section)
    others, lacking = other_table(section), unmeasured(section)
    if others or lacking:
        parts += [Anchor(anchor(section)), "### Other numbers", others, remarks(section), lacking]
    errors = evaluation_table(section)
    if errors:
        parts += ["### Precision of one evaluation", error_note(section), errors]
    own = ran(known, (record for row in section.models for record in row.records))
    cost = cost_table(section, own)
    if cost:
        parts += ["### Cost", shared(own), contended(section), assumed(section), cost, cost_note(section)]
    return parts + speeds(section, pictures) + losses(section, pictures)


def _recipe_line(section: Section) -> str:
    if not section.columns:
        return "No cell has a number yet."
    ids: dict[str, list[str]] = {}
    for metric, recipe in headline_columns(section):
        ids.setdefault(recipe, []).append(text(quantity(metric).heading))
    said = ", ".join(f"{' and '.join(headings)} {code(recipe)}" for recipe, headings in ids.items())
    return f"[Recipes](#recipes): {said}." if said else ""  # numbers that no headline shows have theirs beside them


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
    return Details("Samples of every cell", ["\n".join(lines)])


_GRIDS = (("samples", "samples"), ("reconstructions", "reconstructions"))


def _seed_links(directory: Path, row: Row, kind: str) -> list[str]:
    return [
        f"[seed {record['cell']['seed']}]({link_target(record['artifacts'][kind])})"
        for record in row.records
        if artifact(directory, record, kind)
    ]


def _files() -> list[str]:
    return ["## Files", _FILES]


_FILES = (
    "- [`results.csv`](results.csv): one row per cell: its settings, every number with its recipe, every cost.\n"
    "- [`curves.csv`](curves.csv): one row per curve point: losses and numbers during training.\n"
    "- `samples/`: samples and reconstructions of each cell, and the data: grids of images, listings of texts.\n"
    "- `figures/`: the images of this page.\n"
    "- `logs/`: the last 4 MiB of each cell's output, including the stack traces of failed cells.\n"
    "- `records/`: one JSON file per cell, from which this whole report is rendered.\n"
    "- `plans/`: the cells that belong to each run, so that missing ones can be reported."
)
