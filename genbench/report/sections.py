"""Decides which records may share a table, that is, what a report treats as comparable.

A section holds the cells of one dataset, one budget and one recipe of the main metric. Controls do not train, so they
appear in every section whose recipe they share.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from genbench.kinds.nouns import noun_of
from genbench.records.identity import slug
from genbench.records.lean import entry_kinds, per_template, shared_cell
from genbench.records.statistics import Difference, Rank, pairwise, ranks
from genbench.report.merging import by_recipe, merged, with_older
from genbench.report.order import Record
from genbench.report.quantities import Quantity, in_reading_order, main_metric, quantity
from genbench.report.rows import Column, Row, rows
from genbench.report.series import extremes

__all__ = ["MOST_LINES", "MOST_RANKED", "Section", "sections"]

MOST_LINES = 7
"""The models, the best, that figures of the main number over training draw."""

MOST_RANKED = 300
"""Tables with more models than this are not ranked: the number of pairs grows quadratically."""


@dataclass(frozen=True)
class Section:
    """The content of one table: rows sorted by the main metric, models before controls.

    `title` says what distinguishes the section from the others: the dataset, and its budget or recipe if the records
    hold several.
    """

    title: tuple[str, ...]
    dataset: Mapping[str, Any]
    budget: str
    main: Column | None
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """The name shown to readers: `title` in one line."""
        return " / ".join(self.title)

    @property
    def slug(self) -> str:
        """The unique prefix of this section's file names."""
        return ".".join(slug(part.replace(" ", "-") if place else part) for place, part in enumerate(self.title))

    @property
    def noun(self) -> str:
        """What the dataset's items are called, such as `images`."""
        return noun_of(self.dataset)

    @property
    def quantity(self) -> Quantity | None:
        """The main metric."""
        return quantity(self.main[0]) if self.main else None

    @property
    def is_repeated(self) -> bool:
        """Whether any row has more than one finished seed, so that means and intervals exist."""
        return any(len(row.records) > 1 for row in self.rows)

    def recipe(self, recipe: str) -> Mapping[str, Any]:
        """Return the fields of a recipe by its id; empty if no record here has it."""
        held: Iterable[Mapping[str, Any]] = (record["recipes"] for row in self.rows for record in row.records)
        return next((recipes[recipe] for recipes in held if recipe in recipes), {})

    @functools.cached_property
    def models(self) -> tuple[Row, ...]:
        """The competing rows, those with finished seeds first."""
        return tuple(row for row in self.rows if row.is_model)

    @functools.cached_property
    def controls(self) -> tuple[Row, ...]:
        """The rows that anchor the table."""
        return tuple(row for row in self.rows if not row.is_model)

    @functools.cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every number with every recipe under which it was measured here, in table order."""
        recipes: dict[str, set[str]] = {}
        held = (one for row in self.rows for record in row.records for one in with_older(record))
        for kind in entry_kinds(held):
            recipes.setdefault(kind.name, set()).add(kind.recipe)
        return tuple((metric, recipe) for metric in in_reading_order(recipes) for recipe in sorted(recipes[metric]))

    @functools.cached_property
    def main_values(self) -> dict[str, dict[int, float]]:
        """Model -> training seed -> the main metric, in table order."""
        return {row.name: row.values(self.main) for row in self.models} if self.main else {}

    @functools.cached_property
    def curve_values(self) -> list[float]:
        """The extremes of the main number in the curves of the best `MOST_LINES` models, and its means at the end."""
        if not self.main:
            return []
        drawn = [row for row in self.models if row.records][:MOST_LINES]
        found = extremes([record["curve"] for row in drawn for record in row.records], "numbers", self.main[0])
        means = [row.summary(self.main).mean for row in drawn]
        return [*found, *(mean for mean in means if math.isfinite(mean))]

    @functools.cached_property
    def pairs(self) -> list[Difference]:
        """The models' differences in the main metric; empty if there are more than `MOST_RANKED` models."""
        return pairwise(self.main_values) if len(self.models) <= MOST_RANKED else []

    @functools.cached_property
    def ranks(self) -> dict[str, Rank | None]:
        """The models' ranks by the main metric; None where undetermined."""
        if not self.quantity or not self.quantity.direction or not self.pairs:
            return {row.name: None for row in self.models}
        return ranks(self.main_values, self.quantity.direction, self.pairs)


def sections(records: Sequence[Record], metric: str | None = None) -> list[Section]:
    """Return the sections of records that are `in_order`; a failed cell counts in the row that it would have joined.

    Args:
        records: finished and failed.
        metric: the main number; by default it is chosen from what each record has (`main_metric`).
    """
    main_of = per_template(lambda record: metric or main_metric(record["numbers"]) or "")
    column_of = per_template(functools.partial(_main, metric=metric))
    place_of = per_template(_place)
    whole = [record for record in merged(records) if record["status"] == "finished"]
    # A cell whose main metric has several recipes appears in the table of each.
    finished = [one for record in whole for one in by_recipe(record, main_of(record))]
    models = [record for record in finished if shared_cell(record)["role"] == "model"]
    controls = [record for record in finished if shared_cell(record)["role"] != "model"]
    groups: dict[tuple[str, str], dict[Column | None, list[Record]]] = {}
    for record in models or controls:
        groups.setdefault(place_of(record), {}).setdefault(column_of(record), []).append(record)
    failed: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record["status"] != "finished":
            failed.setdefault(place_of(record), []).append(record)
    made = []
    for place, by_main in groups.items():
        _join_strays(by_main)
        for position, (main, members) in enumerate(by_main.items()):
            anchors = _anchors(controls, place, main) if models else []
            made.append(_section([*members, *anchors], failed.get(place, []), main, admit_failed=position == 0))
    return _titled(made)


def _place(record: Record) -> tuple[str, str]:
    cell = record["cell"]
    return f"{cell['dataset']['name']}/{cell['dataset'].get('fingerprint')}", str(cell.get("budget"))


def _main(record: Record, metric: str | None) -> Column | None:
    name = metric if metric in record["numbers"] else None if metric else main_metric(record["numbers"])
    return (name, record["numbers"][name]["recipe"]) if name else None


def _join_strays(by_main: dict[Column | None, list[Record]]) -> None:
    # A cell without the main metric, perhaps for lack of samples, is listed with its rivals and shows a dash.
    if None in by_main and len(by_main) > 1:
        strays = by_main.pop(None)
        next(iter(by_main.values())).extend(strays)


def _anchors(controls: Iterable[Record], place: tuple[str, str], main: Column | None) -> list[Record]:
    place_of = per_template(_place)
    fits = per_template(lambda record: _place(record)[0] == place[0] and (not main or _has(record, main)))
    fitting = [record for record in controls if fits(record)]
    return [record for record in fitting if place_of(record) == place] or fitting


def _has(record: Record, column: Column) -> bool:
    number = record["numbers"].get(column[0])
    return number is not None and bool(number["recipe"] == column[1])


def _section(
    finished: Sequence[Record], failed: Sequence[Record], main: Column | None, *, admit_failed: bool
) -> Section:
    upwards = main is not None and quantity(main[0]).direction == "higher"

    def order(row: Row) -> tuple[bool, bool, bool, float]:
        mean = row.summary(main).mean if main else math.nan
        missing = math.isnan(mean)
        return not row.is_model, not row.records, missing, 0.0 if missing else -mean if upwards else mean

    made = tuple(sorted(rows(finished, failed, admit_failed=admit_failed), key=order))
    cell = finished[0]["cell"]
    return Section((cell["dataset"]["name"],), cell["dataset"], str(cell.get("budget")), main, made)


def _titled(made: Sequence[Section]) -> list[Section]:
    titled = []
    for section in made:
        title = [section.title[0]]
        same_name = [other for other in made if other.title[0] == section.title[0]]
        prints = {str(other.dataset.get("fingerprint")) for other in same_name}
        if len(prints) > 1:
            title.append(f"data {str(section.dataset.get('fingerprint'))[:8]}")
        same_data = [
            other for other in same_name if other.dataset.get("fingerprint") == section.dataset.get("fingerprint")
        ]
        if len({other.budget for other in same_data}) > 1:
            title.append(section.budget)
        if section.main and len({other.main for other in same_data if other.budget == section.budget}) > 1:
            title.append(f"{section.main[0]} recipe {section.main[1]}")
        titled.append(replace(section, title=tuple(title)))
    return titled
