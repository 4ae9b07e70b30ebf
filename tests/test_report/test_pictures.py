from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from genbench.report.curves import MOST_LINES, loss_figure, quality_figure, rows_with_losses, rows_with_quality
from genbench.report.drawing import caption, count_axis, new_figure, plain_style, png, styles
from genbench.report.machines import machines
from genbench.report.montage import Tile, artifact, sample_tiles, write_montage
from genbench.report.order import in_order
from genbench.report.pictures import PAIRS
from genbench.report.sections import Section, sections
from genbench.report.speed_figures import throughput_figure, trade_off_figure
from genbench.report.speeds import throughput, trade_off

Make = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _styled() -> Iterator[None]:
    with plain_style():
        yield


def only(records: Iterable[dict[str, Any]]) -> Section:
    (section,) = sections(in_order(records))
    return section


def legend(figure: Figure) -> list[str]:
    return [entry.get_text() for entry in figure.legends[0].get_texts()]


def test_the_quality_figure_has_a_line_a_model_and_a_level_a_control(benchmark_records: list[dict[str, Any]]) -> None:
    section = only(benchmark_records)
    figure = quality_figure(section, styles(row.name for row in section.models))
    assert legend(figure) == ["gan", "ae", "dcgan", "vae"]
    images, seconds, flops = figure.axes
    assert (images.get_yscale(), images.get_xscale()) == ("log", "linear")
    assert (seconds.get_xscale(), flops.get_xscale()) == ("log", "log")  # dcgan costs 35 times what ae does
    assert {text.get_text() for text in flops.texts} == {"real", "gaussian", "noise", "copycat"}
    heights = [text.xy[1] for text in flops.texts]  # type: ignore[attr-defined]
    assert min(np.diff(sorted(heights))) > 0.059, "names of controls overlap"


def test_the_thick_line_is_the_mean_over_seeds(make: Make) -> None:
    records = [make("gan", seed) for seed in range(3)]
    figure = quality_figure(only(records), styles(["gan"]))
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "gan"]
    last = np.mean([record["curve"][-1]["numbers"]["fd"] for record in records])
    assert np.asarray(line.get_ydata())[-1] == pytest.approx(last)
    assert len(figure.axes[0].lines) == 4


def test_only_the_best_are_drawn_where_there_are_many(make: Make) -> None:
    section = only([make("gan", seed, label=f"gan:latent={seed}") for seed in range(MOST_LINES + 3)])
    figure = quality_figure(section, styles(row.name for row in section.models))
    assert legend(figure) == [row.name for row in section.models[:MOST_LINES]]


def test_seconds_of_several_machines_are_not_drawn_in_one_panel(make: Make) -> None:
    figure = quality_figure(only([make("gan", 0)]), styles(["gan"]), one_machine=False)
    assert [len(axis.lines) for axis in figure.axes] == [1, 0, 1]
    assert "several machines" in figure.axes[1].texts[0].get_text()


def test_a_seed_that_lost_its_number_leaves_a_gap_and_no_warning(make: Make) -> None:
    record = make("gan", 0)
    record["curve"][8]["numbers"]["fd"] = float("nan")
    record["curve"][12]["numbers"]["fd"] = None
    assert quality_figure(only([record, make("gan", 1)]), styles(["gan"])).axes


def test_losses_have_a_panel_a_model_and_are_named_by_it(benchmark_records: list[dict[str, Any]]) -> None:
    figure = loss_figure(only(benchmark_records))
    assert [axis.get_title() for axis in figure.axes] == ["gan", "ae", "dcgan", "vae"]
    assert legend(figure) == ["generator", "discriminator", "loss", "reconstruction", "kl"]
    assert [axis.get_ylabel() for axis in figure.axes] == ["loss"] * 4
    assert strokes(figure.axes[0])["generator"] == strokes(figure.axes[2])["generator"], (
        "a loss looks the same everywhere"
    )


def strokes(axis: Axes) -> dict[str, tuple[Any, ...]]:
    lines = [line for line in axis.lines if not str(line.get_label()).startswith("_")]
    return {str(line.get_label()): (line.get_color(), line.get_linestyle()) for line in lines}


def test_no_loss_looks_like_a_model_or_like_another_loss(make: Make) -> None:
    record = make("gan", 0)
    for point in record["curve"][1:]:
        point["losses"] = {f"part {k}": 1.0 + k for k in range(MOST_LINES)}
    figure = loss_figure(only([record]))
    drawn = strokes(figure.axes[0])
    assert len(set(drawn.values())) == MOST_LINES
    models = {colour for colour, _ in styles(f"m{k}" for k in range(9)).values()}
    assert not models & {colour for colour, _ in drawn.values()}


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_legend_covers_no_axes(make: Make, seeds: int) -> None:
    labels = ["gan", "dcgan", "vae", *(f"gan:latent={k}" for k in range(4))]
    records = [make(label, seed) for label in labels for seed in range(seeds)]
    section = only(records)
    for figure in (quality_figure(section, styles(row.name for row in section.models)), loss_figure(section)):
        figure.draw_without_rendering()
        (named,) = figure.legends
        box = named.get_window_extent()
        assert box.width < figure.bbox.width
        for axis in filter(Axes.get_visible, figure.axes):
            assert axis.get_legend() is None
            assert not box.overlaps(axis.get_tightbbox()), "the legend covers an axis, its title or its curves"


def test_what_was_measured_before_the_first_step_is_on_every_axis(make: Make) -> None:
    records = [make(label, seed) for label in ("gan", "dcgan", "ae") for seed in range(2)]
    figure = quality_figure(only(records), styles(["gan", "dcgan", "ae"]))
    begun = np.mean([record["curve"][0]["numbers"]["fd"] for record in records[:2]])
    for axis in figure.axes:
        hollow = [line for line in axis.lines if line.get_markerfacecolor() == "white"]
        heights = {line.get_color(): float(np.asarray(line.get_ydata())[0]) for line in hollow}
        if axis.get_xscale() == "log":
            assert heights[styles(["gan"])["gan"][0]] == pytest.approx(begun)
            assert len(heights) == 3
        else:
            assert not hollow
    assert {axis.get_xscale() for axis in figure.axes} == {"log", "linear"}


def test_a_curve_that_does_not_begin_at_zero_has_no_start(make: Make) -> None:
    records = [make(label) for label in ("gan", "dcgan", "ae")]
    for record in records:
        del record["curve"][0]
    figure = quality_figure(only(records), styles(["gan", "dcgan", "ae"]))
    assert not [line for axis in figure.axes for line in axis.lines if line.get_markerfacecolor() == "white"]


@pytest.mark.parametrize(("noise", "scale"), [(781.0, "log"), (None, "linear")])
def test_one_number_has_one_scale_in_all_figures(make: Make, noise: float | None, scale: str) -> None:
    """With the control `noise` far away, quality has a logarithmic axis, even where `noise` is out of view."""
    records = [make("gan"), make("ae"), *([make("noise")] if noise else [])]
    for record in records[:2]:
        record["curve"] = [point for point in record["curve"] if point["step"] >= 1800]
    section = only(records)
    colours = styles(["gan", "ae"])
    chart = trade_off(section, machines(records))
    assert chart is not None
    figures = quality_figure(section, colours), trade_off_figure(chart, section, colours)
    scales = [{(axis.get_yscale(), axis.get_ylabel()) for axis in figure.axes} for figure in figures if figure]
    assert scales == [{(scale, "fd ↓")}] * 2


def test_bars_are_medians_with_the_windows_percentiles(make: Make) -> None:
    record = make("gan", 0)
    record["cost"]["train_items_per_s"] = {"median": 100.0, "p5": 80.0, "p95": 110.0, "windows": 9}
    chart = throughput(only([record]), machines([record]))
    assert chart is not None
    figure = throughput_figure(chart, styles(["gan"]), one_machine=True)
    (bar,) = figure.axes[0].patches
    assert bar.get_width() == 100.0  # type: ignore[attr-defined]
    ends = figure.axes[0].collections[0].get_paths()[0].vertices
    assert np.asarray(ends)[:, 0].tolist() == [80.0, 110.0]


def test_the_ticks_of_an_axis_have_one_unit() -> None:
    figure, (axis,) = new_figure(4.0, 2.0)
    axis.set_xlim(0, 21_000)
    axis.set_xticks([0, 5000, 10_000, 15_000, 20_000])
    count_axis(axis, [])
    figure.canvas.draw()
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "5k", "10k", "15k", "20k"]


def test_a_trade_off_needs_two_models_on_one_machine(make: Make) -> None:
    gan, vae, other = make("gan", 0), make("vae", 0), make("ae", 0)
    other["environment"]["processor"] = "another"
    assert trade_off(only([gan]), machines([gan])) is None
    assert trade_off(only([gan, other]), machines([gan, other])) is None
    assert trade_off(only([gan, vae]), machines([gan, vae])) is not None


def priced(records: list[dict[str, Any]]) -> Figure:
    """The trade-off of gan and vae."""
    section = only(records)
    chart = trade_off(section, machines(records))
    assert chart is not None
    return trade_off_figure(chart, section, styles(["gan", "vae"]))


def test_the_intervals_of_costs_are_those_of_logarithms(make: Make) -> None:
    records = [make(label, seed) for label in ("gan", "vae") for seed in range(3)]
    for record, seconds in zip(records[:3], (1.0, 10.0, 100.0), strict=True):
        record["cost"]["train_s"] = seconds
        record["cost"]["sample_items_per_s"]["median"] = 1000 / seconds
    figure = priced(records)
    log_half_width = 4.302653 * math.log(10) / math.sqrt(3)  # the standard deviation of the logarithms is log 10
    for axis, middle in zip(figure.axes, (10.0, 100.0), strict=True):
        (bar,) = [held for held in axis.containers if held.lines[0].get_xdata()[0] == pytest.approx(middle)]
        ends = bar.lines[2][0].get_segments()[0][:, 0]
        assert ends == pytest.approx([middle * math.exp(-log_half_width), middle * math.exp(log_half_width)], rel=1e-5)


def test_a_cost_of_one_seed_has_no_interval(make: Make) -> None:
    records = [make("gan"), make("vae")]
    figure = priced(records)
    assert [held.has_xerr for axis in figure.axes for held in axis.containers] == [False] * 4


def test_nothing_recorded_gives_no_figure(make: Make) -> None:
    record = make("gan", 0)
    record["curve"], record["cost"] = [], {}
    section = only([record])
    assert rows_with_quality(section) == []
    assert rows_with_losses(section) == []
    assert throughput(section, machines([record])) is None
    assert trade_off(section, machines([record])) is None


@pytest.mark.parametrize("name", ["$x$ and $y$", "_hidden", "模型 \U0001f600", "a\nb", "w" * 100, r"\frac{1}{2} $"])
def test_any_name_can_be_drawn_as_text(name: str) -> None:
    figure, (axis,) = new_figure(3, 2)
    axis.plot([0, 1], [0, 1], label=caption(name))
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png(figure)
    assert len(labels) == 1, "the name is missing from the legend"
    assert len(caption(name)) <= 40
    assert not is_math_text(caption(name)), "the name would be typeset as a formula"


def test_drawing_leaves_no_trace_and_takes_none(tmp_path: Path) -> None:
    with matplotlib.rc_context({"lines.linewidth": 9.0, "font.size": 30.0}):
        with plain_style():
            assert matplotlib.rcParams["font.size"] == 11.0
        assert matplotlib.rcParams["font.size"] == 30.0


def test_colours_are_distinct_until_they_run_out() -> None:
    found = list(styles(f"m{k}" for k in range(9)).values())
    assert len(set(found[:7])) == 7
    assert len({colour for colour, _ in found[:7]}) == 7
    assert found[7] == found[8]


def picture(path: Path, width: int, height: int, colour: tuple[int, int, int]) -> Path:
    Image.new("RGB", (width, height), colour).save(path)
    return path


def test_a_montage_shows_each_grid_whole_and_unsmoothed(tmp_path: Path) -> None:
    checks = Image.fromarray((np.indices((30, 30)).sum(axis=0) % 2 * 255).astype(np.uint8))
    checks.save(tmp_path / "a.png")
    tiles = [Tile("data", tmp_path / "a.png"), Tile("gan", picture(tmp_path / "b.png", 60, 60, (200, 0, 0)))]
    assert write_montage(tiles, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as opened:
        pixels = np.asarray(opened.convert("RGB")).reshape(-1, 3)
    assert (pixels == (200, 0, 0)).all(axis=1).sum() == 300 * 300
    assert (pixels == (0, 0, 0)).all(axis=1).sum() >= 300 * 300 // 2


def test_a_montage_says_over_its_grids_what_they_hold(tmp_path: Path) -> None:
    grid = picture(tmp_path / "a.png", 300, 300, (200, 0, 0))
    sizes = []
    for note in ("", "pairs of original (left)"):
        assert write_montage([Tile("vae", grid), Tile("ae", grid)], tmp_path / "out.png", note=note)
        with Image.open(tmp_path / "out.png") as opened:
            sizes.append(opened.height)
            pixels = np.asarray(opened.convert("RGB"))
        assert (pixels == (200, 0, 0)).all(axis=2).sum() == 2 * 300 * 300, "the note covers a grid"
    assert sizes[1] > sizes[0]
    assert (pixels[: sizes[1] - sizes[0]] < 200).any(), "nothing is written there"


def test_a_note_over_a_single_narrow_grid_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def text(self: ImageDraw.ImageDraw, place: object, said: str, font: ImageFont.FreeTypeFont, **rest: object) -> None:
        assert font.getlength(said) <= 300
        written.append(said)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    tile = Tile("vae", picture(tmp_path / "a.png", 300, 300, (0, 0, 0)))
    assert write_montage([tile], tmp_path / "out.png", note=PAIRS)
    assert " ".join(written) == f"{PAIRS} vae"


def test_a_montage_leaves_out_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    broken = Tile("broken", tmp_path / "broken.png")
    assert not write_montage([broken], tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
    assert write_montage([broken, Tile("a", picture(tmp_path / "a.png", 8, 8, (1, 2, 3)))], tmp_path / "out.png")


def test_samples_are_those_of_the_first_seed_after_the_data(
    make: Make, grids: Callable[[Path, Iterable[dict[str, Any]]], None], tmp_path: Path
) -> None:
    records = [make(label, seed) for label in ("gan", "vae", "noise") for seed in (1, 2)]
    grids(tmp_path, records)
    tiles = sample_tiles(only(records), tmp_path)
    assert [(tile.name, tile.path.name) for tile in tiles] == [
        ("data", "digits-reference.png"),
        ("gan", "gan-digits-seed1.png"),
        ("vae", "vae-digits-seed1.png"),
    ]


@pytest.mark.parametrize(
    "relative", ["../secret.png", "/etc/hostname", "samples/../../secret.png", "", None, "missing.png"]
)
def test_an_artifact_outside_the_directory_is_none(make: Make, tmp_path: Path, relative: str | None) -> None:
    (tmp_path / "secret.png").write_bytes(b"")
    inside = tmp_path / "out"
    (inside / "samples").mkdir(parents=True)
    record = make("gan", 0) | {"artifacts": {"samples": relative}}
    assert artifact(inside, record, "samples") is None


def test_a_link_out_of_the_folder_is_no_artifact(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "benchmark"
    for each in (outside, folder / "samples"):
        each.mkdir(parents=True)
    (outside / "secret.png").write_bytes(b"secret")
    (folder / "samples" / "own.png").write_bytes(b"own")
    (folder / "samples" / "link.png").symlink_to(outside / "secret.png")
    (folder / "samples" / "near.png").symlink_to("own.png")
    (folder / "elsewhere").symlink_to(outside)
    found = {
        name: artifact(folder, {"artifacts": {"samples": name}}, "samples")
        for name in ("samples/own.png", "samples/near.png", "samples/link.png", "elsewhere/secret.png")
    }
    assert [name for name, path in found.items() if path is not None] == ["samples/own.png", "samples/near.png"]
