"""What the numbers of a report mean, and exactly how each was measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from genbench.metrics import METRICS
from genbench.records.lean import distinct
from genbench.report.escape import code, fence, text
from genbench.report.formatting import NOTHING
from genbench.report.model import Details
from genbench.report.order import Record
from genbench.report.quantities import quantity
from genbench.report.tables import field_value, markdown_table

__all__ = ["meanings", "recipes"]


def meanings(records: Iterable[Record]) -> str:
    """Return the meaning of each measured number, with its paper, in a fold."""
    records = list(distinct(records))
    measured = {name for record in records for name in record["numbers"]}
    lines = []
    for metric in METRICS.values():
        known = [name for value in metric.values for name in value.names]
        names = [name for name in known if name in measured]
        if names:
            axes = ", ".join(text(quantity(name).axis) for name in names)
            lines.append(f"- {axes}: {text(metric.summary)} ([paper]({metric.paper}))")
    lines += _meanings_of_plugins(records)
    if not lines:
        return ""
    return Details("What the numbers mean", ["\n".join(lines)])


def _meanings_of_plugins(records: Iterable[Record]) -> list[str]:
    """Return the same of the metrics that plugins brought, as their recipes say it."""
    lines: dict[str, None] = {}
    for record in records:
        for name, number in record["numbers"].items():
            recipe = record["recipes"].get(number["recipe"], {})
            if (plugin := recipe.get("plugin")) and recipe.get("summary"):
                source = f"{text(str(plugin).partition(' sha256:')[0])}; {text(recipe.get('paper', ''))}"
                lines[f"- {text(quantity(name).axis)}: {text(recipe['summary'])} ({source})"] = None
    return list(lines)


def recipes(records: Iterable[Record]) -> list[str]:
    """Return every recipe: the fields common to all in a sentence, the others in a table, and all of them in a fold."""
    known: dict[str, Mapping[str, Any]] = {}
    for record in distinct(records):
        known |= record["recipes"]
    if not known:
        return []
    ordered = dict(sorted(known.items(), key=lambda entry: (str(entry[1].get("metric")), entry[0])))
    fields = dict.fromkeys(field for recipe in ordered.values() for field in recipe)
    shared = [field for field in fields if len({_canonical(recipe.get(field)) for recipe in ordered.values()}) == 1]
    if len(ordered) == 1:
        shared = [field for field in shared if field != "metric"]
    own = [field for field in fields if field not in shared]
    # A field that few metrics have, such as a number of neighbours, would fill a column with dashes.
    rare = [
        field for field in own if sum(recipe.get(field) is not None for recipe in ordered.values()) * 2 < len(ordered)
    ]
    own = [field for field in own if field not in rare]
    lines = [[code(name), *(field_value(recipe.get(field)) for field in own)] for name, recipe in ordered.items()]
    header = ["recipe", *map(_spaced, own)]
    if rare:
        header.append("own settings")
        for line, recipe in zip(lines, ordered.values(), strict=True):
            line.append(_settings(recipe, [field for field in rare if recipe.get(field) is not None]) or NOTHING)
    table = markdown_table(header, lines, left=len(header))
    first = next(iter(ordered.values()))
    parts = ["## Recipes", "Two numbers may be compared only if their recipes are equal.", table]
    if shared:
        parts.append(f"The same for {'all' if len(ordered) > 1 else 'it'}: {_settings(first, shared)}.")
    whole = fence(json.dumps(ordered, indent=2, sort_keys=True, ensure_ascii=False, default=str), "json")
    return [*parts, Details("The recipes in full", [whole])]


def _spaced(field: str) -> str:
    return text(field.replace("_", " "))


def _settings(recipe: Mapping[str, Any], fields: Iterable[str]) -> str:
    return "; ".join(f"{_spaced(field)} {field_value(recipe.get(field))}" for field in fields)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
