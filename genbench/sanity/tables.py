"""Findings as text, as Markdown and as CSV. Imports no torch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields

from genbench.sanity.constants import PURPOSE_NAMES, Purpose
from genbench.sanity.finding import Finding, Verdict

__all__ = ["BEGIN", "END", "as_csv", "as_markdown", "as_text", "between_markers"]

BEGIN, END = "<!-- checks: make checks -->", "<!-- end of checks -->"

TITLES: dict[Purpose, str] = {
    "fidelity": "Fidelity",
    "diversity": "Diversity",
    "distance": "Distance: fidelity and diversity",
    "generalisation": "Distance that copies raise",
    "copying": "Copying",
}
MARKS: dict[Verdict, str] = {"pass": "pass", "blind": "BLIND", "wrong": "WRONG", "not measurable": "n/m"}


def as_text(findings: Sequence[Finding]) -> str:
    """Return a table for each purpose, checks in rows and numbers in columns, then one line per check not passed."""
    blocks = []
    for purpose, rows in _tables(findings):
        heads, *body = rows
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in body]
        head = "  ".join(cell.ljust(width) for cell, width in zip(heads, widths, strict=True)).rstrip()
        blocks.append("\n".join([TITLES[purpose], head, *lines]))
    failed = [_line(finding) for finding in findings if finding.verdict != "pass"]
    return "\n\n".join([*blocks, "\n".join(failed)] if failed else blocks)


def as_markdown(findings: Sequence[Finding]) -> str:
    """Return the same tables in Markdown: `pass` as ✓, other verdicts in words."""
    blocks = []
    for purpose, rows in _tables(findings):
        (_, *numbers), *body = rows
        lines = [
            f"| {TITLES[purpose]} | {' | '.join(f'`{number}`' for number in numbers)} |",
            f"| --- | {' | '.join('---' for _ in numbers)} |",
        ]
        for check, *marks in body:
            shown = [{"pass": "✓", "BLIND": "blind", "WRONG": "wrong"}.get(mark, mark) for mark in marks]
            lines.append(f"| {check} | {' | '.join(shown)} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def as_csv(findings: Sequence[Finding]) -> str:
    """Return one line per finding, with its evidence to six digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Finding)])
    for finding in findings:
        writer.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in astuple(finding)])
    return out.getvalue()


def between_markers(page: str, tables: str) -> str:
    """Return a page with the tables between its two markers, replacing what was there.

    >>> between_markers(f"a {BEGIN} old {END} b", "new").splitlines()
    ['a <!-- checks: make checks -->', '', 'new', '', '<!-- end of checks --> b']
    """
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def _tables(findings: Sequence[Finding]) -> Iterator[tuple[Purpose, list[list[str]]]]:
    """Yield for each purpose a header and one row per check; a dash where a number is not judged."""
    for purpose in PURPOSE_NAMES:
        own = [finding for finding in findings if finding.purpose == purpose]
        if own:
            numbers = list(dict.fromkeys(finding.number for finding in own))
            marks = {(finding.check, finding.number): MARKS[finding.verdict] for finding in own}
            checks = dict.fromkeys(finding.check for finding in findings)
            body = [[check, *(marks.get((check, number), "–") for number in numbers)] for check in checks]
            yield purpose, [["check", *numbers], *(row for row in body if set(row[1:]) != {"–"})]


def _line(finding: Finding) -> str:
    what = f"{finding.number}, {finding.check}: {finding.verdict}"
    if finding.change is None:
        return f"{what}: {finding.reason}"
    way = "better" if finding.change < 0 else "worse"
    # The change, rounded to the first digit of its error.
    error = finding.error or 0.0
    decimals = max(0, -math.floor(math.log10(error))) if 0 < error < math.inf else 3
    units = f", {abs(finding.change) / finding.unit:.2g} units" if finding.unit else ""
    change = f"{abs(finding.change):.{decimals}f} ± {error:.1g}"
    return (
        f"{what}: expected {finding.expectation}, found {way} by {change} "
        f"than {finding.clean:.3g} at level {finding.level:g}{units}"
    )
