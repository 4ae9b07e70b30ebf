"""Text for the end of a cell: its numbers with their recipes, and why it failed."""

from __future__ import annotations

import json

from genbench import ObservedEnd

__all__ = ["failure_page", "numbers_page"]


def numbers_page(end: ObservedEnd) -> str:
    """Return a Markdown table of the numbers, each with its standard error and its recipe; empty if there are none."""
    if not end.numbers:
        return ""
    lines = ["| number | value | standard error | recipe |", "| --- | ---: | ---: | --- |"]
    for name, value in end.numbers.items():
        error = end.standard_errors.get(name)
        recipe = json.dumps(dict(end.recipes.get(name, {})), ensure_ascii=False).replace("|", "\\|")
        lines.append(f"| {name} | {value:.6g} | {'' if error is None else f'{error:.2g}'} | `{recipe}` |")
    return "\n".join(lines)


def failure_page(end: ObservedEnd) -> str:
    """Return the stage, the reason and the traceback of a cell without numbers; empty for a finished cell."""
    stage, reason, trace = (end.failure.get(name, "") for name in ("stage", "reason", "traceback"))
    if not reason:
        return ""
    where = f" in {stage}" if stage else ""
    quoted = "\n".join(f"    {line}" for line in trace.splitlines())
    return f"**{end.status}{where}**: {reason}" + (f"\n\n{quoted}" if quoted else "")
