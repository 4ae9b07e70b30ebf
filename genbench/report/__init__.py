"""Turns records into a report: `render` writes tables, figures and the pages. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from genbench.config.target import Target
from genbench.machine import atomic
from genbench.machine.atomic import Replacing
from genbench.machine.collection import no_collection
from genbench.records import rendered
from genbench.records.identity import slug
from genbench.records.lean import distinct
from genbench.records.plans import missing_cells, planned_targets
from genbench.report import pages, web
from genbench.report.across import Across, across
from genbench.report.across_charts import across_charts
from genbench.report.across_figures import draw_across
from genbench.report.across_page import across_parts
from genbench.report.columns import result_columns
from genbench.report.curve_rows import write_curves
from genbench.report.curves import loss_figure, quality_figure, rows_with_losses, rows_with_quality
from genbench.report.drawing import Style, styles
from genbench.report.escape import text
from genbench.report.figure_files import FigureFiles
from genbench.report.listing import pair_listing, text_listing
from genbench.report.machines import Machine, machines, ran
from genbench.report.merging import Cells, merged
from genbench.report.model import markdown
from genbench.report.montage import reconstruction_tiles, sample_tiles, write_montage
from genbench.report.order import in_order
from genbench.report.pictures import PAIRS, Pictures
from genbench.report.quantities import declare
from genbench.report.sections import Section, sections
from genbench.report.speed_figures import throughput_figure, trade_off_figure
from genbench.report.speeds import throughput, trade_off
from genbench.report.standings import standings
from genbench.report.stored import stored_records
from genbench.report.study_page import study_parts
from genbench.report.table_file import write_table
from genbench.report.target_chart import profile_chart
from genbench.report.target_figure import profile_figure
from genbench.report.target_page import target_parts
from genbench.report.to_target import check_held, places, profiles
from genbench.report.web import Watched
from genbench.study.reading import stored_results

__all__ = ["render", "render_again", "render_directory"]


def render_directory(
    directory: Path,
    targets: Sequence[Target] | None = None,
    say: Callable[[str], None] = lambda line: None,
    watched: Watched | None = None,
) -> Path:
    """Render the report of a benchmark's folder from its records only; return the report's path.

    A report that is up to date (`rendered.is_current`) is not rendered again.

    Args:
        directory: the benchmark's folder.
        targets: what to report the time to; None takes the targets that its runs were given.
        say: receives one line if the notes about the last report cannot be used.
        watched: what the pages say about a benchmark that is still running; such a report is always rendered.

    Raises:
        InputError: there are no records, or a target is given that none of their curves contains.
    """
    if watched is None and rendered.is_current(directory, targets, say):
        return directory / "report.md"
    return render_again(directory, targets, watched)


def render_again(directory: Path, targets: Sequence[Target] | None = None, watched: Watched | None = None) -> Path:
    """Do what `render_directory` does for a report that is out of date, and note what it was made from."""
    with no_collection():
        return _rendered(directory, targets, watched)


def _rendered(directory: Path, targets: Sequence[Target] | None, watched: Watched | None) -> Path:
    made = rendered.Made(directory, targets)
    records = [record.data for record in stored_records(directory, made.records)]
    made.look(records)
    several = list(distinct(records))
    commands = dict.fromkeys(str(record["command"]) for record in several if record.get("command"))
    if targets is None:
        stopped = (text for record in several for text in record["cell"].get("stop_at_target", ()))
        targets = [Target.parse(text) for text in dict.fromkeys([*planned_targets(directory), *stopped])]
    elif watched is None:  # of a running benchmark, the curves that have it may be still to come
        check_held(targets, records, directory)
    missing = missing_cells(directory, records)
    report = render(directory, records, "\n".join(commands) or None, missing, targets, made.replacing, watched)
    if watched is None:
        rendered.note(made)
    else:
        (directory / rendered.NOTE).unlink(missing_ok=True)  # this page is not the final one
    return report


def render(
    directory: Path,
    records: Sequence[Mapping[str, Any]],
    command: str | None = None,
    missing: Sequence[Mapping[str, Any]] = (),
    targets: Sequence[Target] = (),
    replacing: Replacing = atomic.replacing,
    watched: Watched | None = None,
) -> Path:
    """Write `report.md`, `report.html`, `results.csv`, `curves.csv` and `figures/*.png`; return the path of the first.

    Each file is written atomically. The same records give the same bytes, whatever their order.

    Args:
        directory: holds the records' artifacts (`samples/`); missing ones are left out.
        records: as read from `records/*.json`, finished and failed.
        command: what produced them, for "How to reproduce"; derived from the cells if it is not given.
        missing: planned cells that have no record yet, as returned by `missing_cells`.
        targets: what to report the time to.
        replacing: used to write each file.
        watched: what the pages say about a benchmark that is still running.
    """
    declare(recipe for record in distinct(records) for recipe in record["recipes"].values())
    every = in_order(records)
    ordered = Cells(in_order(merged(every)))
    made, known = sections(ordered), machines(every)
    several = [found for found in across(made) if len(found.places) + len(found.conflicts) > 1]
    colours = _colours(made, several)
    figures = FigureFiles(directory, replacing)
    drawn = [(section, _pictures(figures, directory, section, colours, known, replacing)) for section in made]
    beyond = [part for found in several for part in _across(figures, found, colours)]
    timed = [part for target in targets for part in _to_target(figures, made, target, colours, known)]
    if timed:
        beyond += ["## Time to target", *timed]
    with figures.drawn():
        with replacing(directory / "results.csv") as temporary:
            write_table(temporary, *result_columns(ordered))
        write_curves(directory / "curves.csv", ordered, replacing)
        beyond += study_parts(stored_results(directory))
        parts = pages.page_parts(directory, every, drawn, known, command, missing, beyond)
        with replacing(directory / "report.html") as temporary:
            temporary.write_bytes(web.page(parts, directory, made, colours, known, watched).encode())
    report = directory / "report.md"
    state = [] if watched is None else [text(watched.state)]
    with replacing(report) as temporary:
        temporary.write_bytes((markdown([parts[0], *state, *parts[1:]]) + "\n").encode())
    return report


def _colours(made: Sequence[Section], several: Sequence[Across]) -> dict[str, Style]:
    # Best first: when colours run out, the last models are grey.
    names = [row.name for section in made for row in section.models]
    return styles([*names, *(model for found in several for model in found.outcomes)])


def _across(figures: FigureFiles, found: Across, colours: Mapping[str, Style]) -> list[str]:
    made = [] if found.fault else standings(found)
    pictures = draw_across(figures, found, made, colours)
    charts = {} if found.fault else across_charts(found, made)
    return ["## Across datasets", *across_parts(found, made, pictures, charts=charts)]


def _to_target(
    figures: FigureFiles,
    made: Sequence[Section],
    target: Target,
    colours: Mapping[str, Style],
    known: Sequence[Machine],
) -> list[str]:
    found = places(made, target, known)
    over = profiles(found)
    name = chart = None
    if over is not None:
        chart = profile_chart(over)
        name = figures.add(f"time-to-{slug(target)}", partial(profile_figure, over, colours))
    return target_parts(target, found, over, name, chart)


def _pictures(
    figures: FigureFiles,
    directory: Path,
    section: Section,
    colours: Mapping[str, Style],
    known: Sequence[Machine],
    replacing: Replacing,
) -> Pictures:
    files, listings = {}, {}
    for kind, tiles, listed, note in (
        ("samples", sample_tiles(section, directory), text_listing, ""),
        ("reconstructions", reconstruction_tiles(section, directory), pair_listing, PAIRS),
    ):
        name = f"figures/{section.slug}-{kind}.png"
        if write_montage(tiles, directory / name, replacing, note):
            files[kind] = name
        elif listing := listed(tiles):
            listings[kind] = listing
    here = ran(known, (record for row in section.models for record in row.records))
    rates, prices = throughput(section, here), trade_off(section, here)
    drawings: dict[str, Callable[[], Figure]] = {}
    if rows_with_quality(section):
        drawings["quality"] = partial(quality_figure, section, colours, one_machine=len(here) < 2)
    if rates:
        drawings["throughput"] = partial(throughput_figure, rates, colours, one_machine=len(here) < 2)
    if prices:
        drawings["trade-off"] = partial(trade_off_figure, prices, section, colours)
    if rows_with_losses(section):
        drawings["losses"] = partial(loss_figure, section)
    files |= {kind: figures.add(f"{section.slug}-{kind}", make) for kind, make in drawings.items()}
    charts = {"throughput": rates, "trade-off": prices}
    return Pictures(files, listings, {kind: chart for kind, chart in charts.items() if chart})
