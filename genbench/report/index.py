"""One page for all benchmarks in a folder: a row and the first tables of each, with links to their reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, InputError
from genbench.machine.atomic import write_text
from genbench.records.plans import missing_cells
from genbench.report import web
from genbench.report.captions import quality_caption
from genbench.report.escape import code, link_target, text
from genbench.report.formatting import NOTHING, interval
from genbench.report.merging import merged, outcomes
from genbench.report.model import Cell, Table, markdown
from genbench.report.opening import partial, title
from genbench.report.order import in_order
from genbench.report.sections import Section, sections
from genbench.report.stored import stored_records
from genbench.report.tables import quality_table

__all__ = ["benchmarks", "write_index"]

_MOST_NAMED = 4  # datasets per benchmark whose best model is named in its row
_HEADER = ("benchmark", "models", "datasets", "cells", "failed", "missing", "best", "last record")
_LEAD = (
    "One row per benchmark; its name links to the full report. Numbers come from its first tables: means over training "
    "seeds ± the half-width of the 95% interval (t). Two benchmarks are comparable only if their recipes are equal."
)


@dataclass(frozen=True)
class _Benchmark:
    """One benchmark as shown in the index; without records if `fault` says why they cannot be read."""

    name: str
    records: Sequence[Mapping[str, Any]] = ()
    made: Sequence[Section] = ()
    missing: Sequence[Mapping[str, Any]] = ()
    fault: str = ""


def benchmarks(directory: Path) -> list[Path]:
    """Return the benchmark folders in a folder; empty if that folder is itself a benchmark with records."""
    if (directory / "records").is_dir() or not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if any(path.glob("records/[!.]*.json")))


def write_index(directory: Path, folders: Sequence[Path], render: Callable[[Path], object]) -> Path:
    """Render the report of each folder, and write `index.md` and `index.html`; return the path of the first.

    A benchmark whose records cannot be read gets a row that says why.

    Args:
        directory: where the pages are written; it contains the folders.
        folders: the benchmarks' folders.
        render: renders the report of one folder.

    Raises:
        InputError: none of them can be read.
    """
    found = [_read(folder, render) for folder in folders]
    if all(each.fault for each in found):
        raise InputError("; ".join(each.fault for each in found))
    parts: list[str] = [
        f"# {_count(len(found))}",
        _LEAD,
        _table(found),
        *(part for one in found for part in _part(one)),
    ]
    write_text(directory / "index.html", web.page(parts, directory, (), {}, ()))
    write_text(directory / "index.md", markdown(parts) + "\n")
    return directory / "index.md"


def _read(folder: Path, render: Callable[[Path], object]) -> _Benchmark:
    try:
        render(folder)
        records = in_order(record.data for record in stored_records(folder))
        return _Benchmark(folder.name, records, sections(in_order(merged(records))), missing_cells(folder, records))
    except GenbenchError as error:
        return _Benchmark(folder.name, fault=str(error))


def _count(count: int) -> str:
    return f"{count} benchmark{'' if count == 1 else 's'}"


def _table(found: Sequence[_Benchmark]) -> Table:
    return Table(_HEADER, [_row(one) for one in found], left=3, words=("best", "last record"))


def _row(one: _Benchmark) -> list[str]:
    if one.fault:
        return [text(one.name), *[NOTHING] * 5, f"cannot be read: {text(one.fault)}", NOTHING]
    models = dict.fromkeys(row.name for section in one.made for row in section.models)
    datasets = dict.fromkeys(section.title[0] for section in one.made)
    ended = outcomes(one.records)
    return [
        f"[{text(one.name)}]({link_target(f'{one.name}/report.md')})",
        _names([code(name) for name in models]),
        _names([text(name) for name in datasets]),
        Cell(f"{ended.cells} of {ended.cells + len(one.missing)}", ended.cells),
        str(ended.failed),
        str(len(one.missing)),
        "; ".join(best for section in one.made[:_MOST_NAMED] if (best := _best(section))) or NOTHING,
        text(max(str(record.get("finished_at") or "") for record in one.records)[:16].replace("T", " ") or NOTHING),
    ]


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return (", ".join(names[:6]) + more) or NOTHING


def _best(section: Section) -> str:
    """Return the first model with its number; an empty string if it has none."""
    if not section.main or not section.quantity or not section.models:
        return ""
    first = section.models[0]
    summary = first.summary(section.main)
    if not summary.n:
        return ""
    where = f"{text(section.name)}: "
    return f"{where}{code(first.name)}, {text(section.quantity.heading)} {interval(summary.mean, summary.half_width)}"


def _part(one: _Benchmark) -> list[str]:
    if one.fault:
        return []
    parts = [f"## {text(one.name)}", f"[{title(one.records)}]({link_target(f'{one.name}/report.md')})"]
    parts.append(
        partial(one.records, one.missing).replace("(#how-to-reproduce)", f"({link_target(one.name)}/report.md)")
    )
    for section in one.made:
        parts += [f"### {text(section.name)}", quality_caption(section), quality_table(section)]
    return parts
