"""The gate's findings as text, Markdown or plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from genbench.regression.baseline import UPDATE
from genbench.regression.decision import Estimate, Judgement
from genbench.regression.gate import Result, Row

__all__ = ["as_json", "as_markdown", "as_table"]

HEADER = ("model", "head ÷ base", "95% interval", "noise floor", "limit", "verdict")


def as_table(result: Result) -> str:
    """Return aligned columns, and the lines on counters and the outcome."""
    rows = [HEADER, *(_cells(row) for row in result.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([_title(result), "", *_counters(result), "", *lines, "", *_ending(result)])


def as_markdown(result: Result) -> str:
    """Return the same as Markdown, for the summary of a CI job."""
    rows = [HEADER, ("---",) * len(HEADER), *(_cells(row) for row in result.rows)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    counters = [f"- {line}" for line in _counters(result)]
    return "\n".join([f"### {_title(result)}", "", *counters, "", *lines, "", *(f"- {x}" for x in _ending(result))])


def as_json(result: Result) -> dict[str, Any]:
    """Return plain values; ratios are of times, head ÷ base, above 1 if the head is slower."""
    return {
        "base": result.base,
        "head": result.head,
        "regressed": result.regressed,
        "counters": {
            "moved": [asdict(moved) for moved in result.moved],
            "unexplained": [asdict(moved) for moved in result.unexplained],
        },
        "times": [
            {
                **asdict(row.case),
                "first": asdict(row.judgement),
                "confirming": None if row.confirming is None else asdict(row.confirming),
                "regressed": row.regressed,
            }
            for row in result.rows
        ],
        "notes": list(result.notes),
    }


def _title(result: Result) -> str:
    return f"{result.head} against {result.base}"


def _counters(result: Result) -> list[str]:
    if not result.moved:
        return ["counters: equal"]
    explained = [moved for moved in result.moved if moved not in result.unexplained]
    return [
        *(f"counter moved: {moved}" for moved in result.unexplained),
        *(f"counter moved, as the baseline says: {moved}" for moved in explained),
    ]


def _cells(row: Row) -> tuple[str, ...]:
    judgement = row.judgement
    return (
        str(row.case),
        f"{judgement.estimate.ratio:.3f}",
        _interval(judgement.estimate),
        _interval(judgement.floor),
        f"{judgement.limit:.3f}",
        _verdict(judgement, row.confirming),
    )


def _verdict(first: Judgement, second: Judgement | None) -> str:
    if first.verdict == "cannot tell":
        return "this machine cannot tell"
    if second is None:
        return first.verdict
    confirmed = "confirmed" if second.verdict == "slower" else f"not confirmed ({second.verdict})"
    return f"slower, {confirmed}: {second.estimate.ratio:.3f}, {_interval(second.estimate)}"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def _ending(result: Result) -> list[str]:
    lines = list(result.notes)
    blind = [str(row.case) for row in result.rows if row.judgement.verdict == "cannot tell"]
    if blind:
        lines.append(
            f"this machine cannot tell the times of {', '.join(blind)} apart: its noise floor is above the threshold, "
            "so only the counters decide"
        )
    if result.unexplained:
        lines.append(f"counters moved that head's baseline does not explain; if this is intended: {UPDATE}")
    slower = [str(row.case) for row in result.rows if row.regressed]
    lines.append(f"REGRESSION: {', '.join(slower) or 'counters'}" if result.regressed else "no regression")
    return lines
