"""Human evaluation in a report: one part per study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genbench.records.identity import identity
from genbench.records.statistics import is_resolved
from genbench.report.escape import code, text
from genbench.report.formatting import NOTHING, p_value
from genbench.report.tables import markdown_table
from genbench.study.clusters import LEAST_RATERS
from genbench.study.power import resolvable_share

__all__ = ["study_parts"]

Found = Mapping[str, Any]


def study_parts(studies: Sequence[Found]) -> list[str]:
    """Return the parts of a report on its studies; empty if there are none.

    Each study stays separate: numbers of two studies are never combined, because items, raters or the question may
    differ.

    Args:
        studies: as returned by `study.reading.stored_results`.
    """
    parts = ["## Human evaluation"] if studies else []
    for found in studies:
        parts += [f"### {text(found['recipe']['dataset'])}: {text(found['recipe']['protocol'])}", _who(found)]
        parts += _BODIES[found["recipe"]["protocol"]](found)
        parts.append(_recipe(found))
    return parts


def _who(found: Found) -> str:
    recipe, votes = found["recipe"], found["votes"]
    left_out = ", ".join(f"{number} {text(kind)}" for kind, number in found["left_out"].items())
    limit = "no time limit" if recipe["time_limit_ms"] is None else f"shown for {recipe['time_limit_ms']} ms"
    least = resolvable_share(votes["each"])
    reach = "" if least is None else f", enough at 80% power to tell {least:.0%} from 50% if they were independent"
    spread = (
        "Intervals are 95% intervals over raters, for these items."
        if recipe["raters"] >= LEAST_RATERS
        else f"Fewer than {LEAST_RATERS} raters give no intervals and resolve nothing."
    )
    return (
        f"{recipe['raters']} rater{'' if recipe['raters'] == 1 else 's'}"
        f"{f' (files left out: {left_out})' if left_out else ''}, {votes['each']} {text(votes['what'])}{reach}. "
        f"Magnification {recipe['magnification']}, {limit}, median answer after {found['median_ms'] / 1000:.1f} s. "
        f"{spread}"
    )


def _detection(found: Found) -> list[str]:
    results, limit = found["results"], found["recipe"]["time_limit_ms"]
    # Zhou et al. call it HYPE∞ only if time is unlimited.
    error = "HYPE∞ error" if limit is None else f"error at {limit} ms"
    ranked = sorted(found["models"], key=lambda label: -results["models"][label]["error"]["value"])
    rows = [
        ("real, treated as fake (ceiling)", results["ceiling"]),
        *((code(label), results["models"][label]) for label in ranked),
        ("noise (floor)", results["floor"]),
    ]
    shares, levels = ("error", "fake_as_real", "real_as_fake"), ("d_prime", "bias")
    lines = [
        [name, *(_share(one[column]) for column in shares), *(_level(one[column]) for column in levels)]
        for name, one in rows
    ]
    note = (
        "The error (HYPE, Zhou et al. 2019) is the mean of both error rates: 50% if nobody can tell a model's "
        "items from real ones. For the ceiling, half of the real items are treated as fake; the floor is noise "
        "in the catch trials, most of which raters must get right. d′ is 0 if real and fake look the "
        "same; c is above 0 if raters say fake too often."
    )
    table = markdown_table(["items", error, "fake taken for real", "real taken for fake", "d′", "bias c"], lines)
    alike = _alike(found, [one[level] for _, one in rows for level in levels])
    return [table, note + alike, *_resolved(results["pairs"], "difference", error, 0.0)]


def _preference(found: Found) -> list[str]:
    results = found["results"]
    ranked = sorted(found["models"], key=lambda label: -results["models"][label]["value"])
    shares = {(pair["first"], pair["second"]): pair["share"] for pair in results["pairs"]}
    shares |= {(other, one): _turned(share) for (one, other), share in shares.items()}
    lines = [
        [
            code(label),
            _points(results["models"][label]),
            *(NOTHING if other == label else _share(shares[label, other]) for other in ranked),
        ]
        for label in ranked
    ]
    notes = [
        "Elo points are Bradley-Terry (1952) strengths: 400 points are odds of 10 to 1, and the mean over these models "
        "is 0. A cell is how often the row was preferred to the column, with a tie as half."
    ]
    if results["regularised"]:
        notes.append(
            "Some models won or lost everything, so half a win was added to both sides of each pair; "
            "without this, the strengths would be infinite. The votes bound them on one side only, so they have no "
            "intervals."
        )
    notes.append(_sides(results))
    alike = "" if results["regularised"] else _alike(found, list(results["models"].values()))
    table = markdown_table(["model", "Elo", *(f"over {code(label)}" for label in ranked)], lines)
    return [table, " ".join(notes) + alike, *_resolved(results["pairs"], "share", "preference", 0.5)]


def _alike(found: Found, levels: Sequence[Found]) -> str:
    """Return why some of a study's levels have no interval although it has enough raters."""
    if found["recipe"]["raters"] < LEAST_RATERS or all(level["low"] is not None for level in levels):
        return ""
    return " A number has no interval where all raters answered alike."


def _sides(results: Found) -> str:
    left = results["left"]
    biased = left["low"] is not None and not left["low"] <= 0.5 <= left["high"]
    noted = ": a position bias" if biased else ""
    said = (
        f"The left side got {_share(left)} of the answers other than ties{noted}; ties were {_share(results['ties'])}."
    )
    if results["transitivity_p"] is None:
        return said
    p = results["transitivity_p"]
    fits = "do not explain the votes" if is_resolved(p) else "are not contradicted by the votes"
    circles = "; ".join(" over ".join(code(label) for label in (*circle, circle[0])) for circle in results["circles"])
    return f"{said} Strengths on one scale {fits} ({p_value(p)}){f'; cycles: {circles}' if circles else ''}."


def _resolved(pairs: Sequence[Found], number: str, what: str, none: float) -> list[str]:
    """Return which pairs differ and which are not resolved, which does not mean that they are equal."""
    lines = []
    for pair in pairs:
        found = pair[number]
        if is_resolved(pair["p_holm"]):
            above, below = (pair["first"], pair["second"])[:: 1 if found["value"] > none else -1]
            lines.append(f"- {code(above)} above {code(below)} ({p_value(pair['p_holm'])})")
        else:
            lines.append(
                f"- {code(pair['first'])} and {code(pair['second'])}: not resolved ({p_value(pair['p_holm'])})"
            )
    return [f"Pairs by {what}, tested over raters, Holm-corrected:", "\n".join(lines)] if lines else []


def _turned(share: Found) -> Found:
    low, high = share["low"], share["high"]
    ends = {"low": None, "high": None} if low is None else {"low": 1 - high, "high": 1 - low}
    return {"value": 1 - share["value"], **ends}


def _share(found: Found) -> str:
    return _with_ends(found, lambda value: f"{100 * value:.1f}%")


def _level(found: Found) -> str:
    return _with_ends(found, lambda value: f"{value + 0.0:.2f}")


def _points(found: Found) -> str:
    return _with_ends(found, lambda value: f"{value + 0.0:.0f}")


def _with_ends(found: Found, shown: Any) -> str:
    if found["value"] != found["value"]:
        return NOTHING
    if found["low"] is None:
        return str(shown(found["value"]))
    return f"{shown(found['value'])} ({shown(found['low'])} to {shown(found['high'])})"


def _recipe(found: Found) -> str:
    recipe = found["recipe"]
    return (
        f"Recipe {code(identity(recipe, 8))}: study {code(found['study'][:8])}, items "
        f"{code(recipe['items_sha256'][:8])}, seed {recipe['seed']}, budget {text(recipe['budget'])}, "
        f"{recipe['questions']} questions per rater in {recipe['forms']} forms. Numbers under another recipe are a "
        "different measurement: do not compare them."
    )


_BODIES = {"real-or-fake": _detection, "preference": _preference}
