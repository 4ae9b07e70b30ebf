"""The text above and below the tables of a section: what was measured on what, and how to read the ±."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genbench.kinds.nouns import NOUNS
from genbench.report.escape import code, text
from genbench.report.machines import waited
from genbench.report.quantities import quantity
from genbench.report.sections import Section
from genbench.report.tables import headline_columns

__all__ = ["assumed", "contended", "cost_note", "error_note", "quality_caption"]


def quality_caption(section: Section) -> str:
    """Return which numbers of the first table were computed with which extractor, on how many items of each side."""
    numbers: dict[str, list[str]] = {}
    for metric, recipe in headline_columns(section):
        heading = text(quantity(metric).heading)
        known = numbers.setdefault(_evidence(section.recipe(recipe), section.noun), [])
        known.extend([heading] if heading not in known else [])
    said = [f"{_joined(headings)}{evidence}" for evidence, headings in numbers.items() if evidence]
    if not said:
        return ""
    is_fd = any(metric == "fd" for metric, _ in headline_columns(section))
    return "; ".join(said) + "." + (" fd applies FID's formula to other features: it is not FID." if is_fd else "")


def error_note(section: Section) -> str:
    """Return how to read the standard errors of one evaluation."""
    if section.is_repeated:
        return (
            "The ± of the tables above is the 95% interval over training seeds: train again, and the numbers move by "
            "about that much. Below is the standard error of one evaluation: draw as many samples from the same model "
            f"again, or take other held-out {section.noun}. It is part of the spread between seeds, so do not add the "
            "two."
        )
    return (
        "The standard error of one evaluation: draw as many samples from the same model again, or take other held-out "
        f"{section.noun}, and the numbers move by about that much. What another training seed would give is not in it."
    )


def cost_note(section: Section) -> str:
    """Return how to read the costs."""
    if section.is_repeated:
        return (
            "Means over seeds ± the half-width of a 95% interval; memory is the largest of the seeds. The intervals "
            "describe this run: its seeds share whatever else the machine was doing. Evaluation time is not included. "
            "Each seed's median, 5th and 95th percentile over windows are in `results.csv`."
        )
    return (
        "From one seed; times depend on whatever else the machine was doing. Evaluation time is not included. "
        "The median, 5th and 95th percentile over windows are in `results.csv`."
    )


def contended(section: Section) -> str:
    """Return a note on the models whose training threads waited for a processor, or an empty string."""
    shares = {row.name: waited(row.records) for row in section.models}
    told = [f"{code(name)} (up to {share:.0%} of the time)" for name, share in shares.items() if share]
    if not told:
        return ""
    return (
        f"**Contended:** while {_joined(told)} trained, something else used the processor that its threads were "
        "waiting for, so its speeds are too low."
    )


def assumed(section: Section) -> str:
    """Return a note on the models whose later steps cost other FLOPs than was assumed, or an empty string."""
    counted = {
        row.name: next((how for record in row.records if ", but " in (how := _counted(record))), "")
        for row in section.models
    }
    told = [f"{code(label)} ({text(how)})" for label, how in counted.items() if how]
    return f"**Assumed:** the training FLOPs of {_joined(told)} are not exact." if told else ""


def _counted(record: Mapping[str, Any]) -> str:
    return str(record["cost"].get("flops_counted") or "")


def _evidence(recipe: Mapping[str, Any], noun: str) -> str:
    """Return what a number was computed from, as the end of a phrase; empty if the recipe does not say."""
    said = ""
    if extractor := recipe.get("extractor"):
        profile = f" ({text(recipe['profile'])})" if recipe.get("profile") else ""
        said = f" in features of {code(extractor)}{profile}"
    for name in NOUNS.values():
        if (count := recipe.get(name)) is not None:
            return f"{said} on {_count(count)} {text(recipe.get('split') or '')} {name}"
    samples, reference = recipe.get("samples"), recipe.get("reference_count")
    if samples is None or reference is None:
        return said
    split = {"train": "training"}.get(str(recipe.get("reference_split")), recipe.get("reference_split") or "reference")
    return f"{said}{',' if said else ' on'} {_count(samples)} samples against {_count(reference)} {text(split)} {noun}"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else text(value)


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
