"""Time to target: how long each model takes to become good enough, per dataset and over datasets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.config.target import Target
from genbench.errors import InputError
from genbench.records.target import ToTarget, performance_ratios, time_to_target
from genbench.report.against_real import real_of
from genbench.report.machines import Machine, ran
from genbench.report.order import Record
from genbench.report.quantities import in_reading_order
from genbench.report.rows import Column
from genbench.report.sections import Section

__all__ = ["MEASURED", "Place", "Profiles", "check_held", "places", "profiles"]

MEASURED = {"items": "training {noun}", "elapsed_s": "training seconds", "flops": "training FLOPs"}


@dataclass(frozen=True)
class Place:
    """A target on one dataset: model -> how long it takes. Seconds are compared only if all are from `one_machine`."""

    section: Section
    recipe: str
    found: Mapping[str, ToTarget]
    unknown: tuple[str, ...]  # models whose curves do not have the number
    one_machine: bool

    @property
    def name(self) -> str:
        """The section's name, with the recipe if the target was measured under several."""
        return self.section.name + (f" / recipe {self.recipe}" if self.recipe else "")


@dataclass(frozen=True)
class Profiles:
    """Performance profiles of one target.

    Args:
        ratios: measure -> model -> its ratios, for each comparable measure.
        datasets: the datasets that the profiles cover.
        left_out: datasets that not all models ran on, or that appear in several sections.
    """

    ratios: Mapping[str, Mapping[str, Sequence[float]]]
    datasets: tuple[str, ...]
    left_out: tuple[str, ...]


def check_held(targets: Iterable[Target], records: Iterable[Record], directory: Path) -> None:
    """Raise `InputError` if no curve has a target's number, or if a ratio target lacks the number of `real`."""
    of_real: set[str] = set()
    on_curves: set[str] = set()
    for record in records:
        if record["cell"]["model"] == "real":
            of_real |= record["numbers"].keys()
        for point in record["curve"]:
            on_curves |= (point.get("numbers") or {}).keys()
    for target in targets:
        if target.number not in on_curves:
            have = ", ".join(in_reading_order(on_curves)) or "no numbers"
            raise InputError(f"target '{target}': no curve in {directory} has {target.number}; they have {have}")
        if target.is_ratio and target.number not in of_real:
            raise InputError(
                f"target '{target}': {directory} has no record of the control real with {target.number}; run it with "
                "--control real"
            )


def places(made: Sequence[Section], target: Target, known: Sequence[Machine]) -> list[Place]:
    """Return the results for a target: for each section, and for each recipe of the number in it."""
    found = []
    for section in made:
        columns = [column for column in section.columns if column[0] == target.number]
        for column in columns:
            place = _place(section, column, target, known, several=len(columns) > 1)
            if place.found:
                found.append(place)
    return found


def profiles(found: Sequence[Place]) -> Profiles | None:
    """Return the profiles over the datasets that all models share; None with fewer than two datasets or models."""
    once = [place for place in found if [other.section.title[0] for other in found].count(place.section.title[0]) == 1]
    models = list(dict.fromkeys(name for place in once for name in place.found))
    used = [place for place in once if all(name in place.found for name in models)]
    if len(used) < 2 or len(models) < 2:
        return None
    ratios = {}
    for measure in MEASURED:
        times = {name: [place.found[name].median[measure] for place in used] for name in models}
        comparable = measure != "elapsed_s" or all(place.one_machine for place in used)
        whole = {name: [time for time in held if time is not None] for name, held in times.items()}
        if comparable and all(len(held) == len(used) for held in whole.values()):
            ratios[measure] = performance_ratios(whole)
    left = dict.fromkeys(place.name for place in found if place not in used)
    return Profiles(ratios, tuple(place.name for place in used), tuple(left))


def _place(section: Section, column: Column, target: Target, known: Sequence[Machine], *, several: bool) -> Place:
    real = real_of(section, column)
    found, unknown = {}, []
    for row in section.models:
        curves = [record["curve"] for record in row.records if _has(record, column)]
        measured = bool(curves) or not row.records
        result = time_to_target(curves, target, None if real is None else real.mean, row.lost) if measured else None
        if result is not None:
            found[row.name] = result
        elif row.records:
            unknown.append(row.name)
    machines = ran(known, (record for row in section.models for record in row.records))
    return Place(section, column[1] if several else "", found, tuple(unknown), len(machines) < 2)


def _has(record: Record, column: Column) -> bool:
    """Whether a record's curve belongs to a recipe: its final number has it, and its points are measured alike."""
    return bool((record["numbers"].get(column[0]) or {}).get("recipe") == column[1])
