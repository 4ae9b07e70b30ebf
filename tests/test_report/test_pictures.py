from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from PIL import Image

from genbench.report.curves import MOST_LINES, loss_figure, quality_figure
from genbench.report.drawing import caption, new_figure, plain_style, save, styles
from genbench.report.frame import in_order
from genbench.report.machines import machines
from genbench.report.montage import Tile, artifact, sample_tiles, write_montage
from genbench.report.sections import Section, sections
from genbench.report.speeds import throughput_figure, trade_off_figure

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
    assert figure is not None
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
    assert figure is not None
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "gan"]
    last = np.mean([record["curve"][-1]["numbers"]["fd"] for record in records])
    assert np.asarray(line.get_ydata())[-1] == pytest.approx(last)
    assert len(figure.axes[0].lines) == 4


def test_only_the_best_are_drawn_where_there_are_many(make: Make) -> None:
    section = only([make("gan", seed, label=f"gan:latent={seed}") for seed in range(MOST_LINES + 3)])
    figure = quality_figure(section, styles(row.name for row in section.models))
    assert figure is not None
    assert legend(figure) == [row.name for row in section.models[:MOST_LINES]]


def test_seconds_of_several_machines_are_not_drawn_in_one_panel(make: Make) -> None:
    figure = quality_figure(only([make("gan", 0)]), styles(["gan"]), one_machine=False)
    assert figure is not None
    assert [len(axis.lines) for axis in figure.axes] == [1, 0, 1]
    assert "several machines" in figure.axes[1].texts[0].get_text()


def test_a_seed_that_lost_its_number_leaves_a_gap_and_no_warning(make: Make) -> None:
    record = make("gan", 0)
    record["curve"][8]["numbers"]["fd"] = float("nan")
    record["curve"][12]["numbers"]["fd"] = None
    assert quality_figure(only([record, make("gan", 1)]), styles(["gan"])) is not None


def test_losses_have_a_panel_a_model_and_are_named_by_it(benchmark_records: list[dict[str, Any]]) -> None:
    figure = loss_figure(only(benchmark_records))
    assert figure is not None
    assert [axis.get_title() for axis in figure.axes] == ["gan", "ae", "dcgan", "vae"]
    first = figure.axes[0].get_legend()
    assert first is not None
    assert [entry.get_text() for entry in first.get_texts()] == ["generator", "discriminator"]


def test_bars_are_medians_with_the_windows_percentiles(make: Make) -> None:
    record = make("gan", 0)
    record["cost"]["train_items_per_s"] = {"median": 100.0, "p5": 80.0, "p95": 110.0, "windows": 9}
    figure = throughput_figure(only([record]), styles(["gan"]), machines([record]))
    assert figure is not None
    (bar,) = figure.axes[0].patches
    assert bar.get_width() == 100.0  # type: ignore[attr-defined]
    ends = figure.axes[0].collections[0].get_paths()[0].vertices
    assert np.asarray(ends)[:, 0].tolist() == [80.0, 110.0]


def test_a_trade_off_needs_two_models_on_one_machine(make: Make) -> None:
    gan, vae, other = make("gan", 0), make("vae", 0), make("ae", 0)
    other["environment"]["processor"] = "another"
    colours = styles(["gan", "vae", "ae"])
    assert trade_off_figure(only([gan]), colours, machines([gan])) is None
    assert trade_off_figure(only([gan, other]), colours, machines([gan, other])) is None
    assert trade_off_figure(only([gan, vae]), colours, machines([gan, vae])) is not None


def test_the_intervals_of_costs_are_those_of_logarithms(make: Make) -> None:
    records = [make(label, seed) for label in ("gan", "vae") for seed in range(3)]
    for record, seconds in zip(records[:3], (1.0, 10.0, 100.0), strict=True):
        record["cost"]["train_s"] = seconds
        record["cost"]["sample_items_per_s"]["median"] = 1000 / seconds
    figure = trade_off_figure(only(records), styles(["gan", "vae"]), machines(records))
    assert figure is not None
    log_half_width = 4.302653 * math.log(10) / math.sqrt(3)  # the logarithms deviate by log 10
    for axis, middle in zip(figure.axes, (10.0, 100.0), strict=True):
        (bar,) = [held for held in axis.containers if held.lines[0].get_xdata()[0] == pytest.approx(middle)]
        ends = bar.lines[2][0].get_segments()[0][:, 0]
        assert ends == pytest.approx([middle * math.exp(-log_half_width), middle * math.exp(log_half_width)], rel=1e-5)


def test_a_cost_of_one_seed_has_no_interval(make: Make) -> None:
    records = [make("gan"), make("vae")]
    figure = trade_off_figure(only(records), styles(["gan", "vae"]), machines(records))
    assert figure is not None
    assert [held.has_xerr for axis in figure.axes for held in axis.containers] == [False] * 4


def test_nothing_recorded_gives_no_figure(make: Make) -> None:
    record = make("gan", 0)
    record["curve"], record["cost"] = [], {}
    section = only([record])
    assert quality_figure(section, styles(["gan"])) is None
    assert loss_figure(section) is None
    assert throughput_figure(section, styles(["gan"]), machines([record])) is None
    assert trade_off_figure(section, styles(["gan"]), machines([record])) is None


@pytest.mark.parametrize("name", ["$x$ and $y$", "_hidden", "模型 \U0001f600", "a\nb", "w" * 100, r"\frac{1}{2} $"])
def test_any_name_can_be_drawn_as_text(name: str, tmp_path: Path) -> None:
    figure, (axis,) = new_figure(3, 2)
    axis.plot([0, 1], [0, 1], label=caption(name))
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(figure, tmp_path / "x.png")
    assert len(labels) == 1, "the name is missing in the legend"
    assert len(caption(name)) <= 40
    assert not is_math_text(caption(name)), "the name would be set as a formula"


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


def png(path: Path, width: int, height: int, colour: tuple[int, int, int]) -> Path:
    Image.new("RGB", (width, height), colour).save(path)
    return path


def test_a_montage_shows_each_grid_whole_and_unsmoothed(tmp_path: Path) -> None:
    checks = Image.fromarray((np.indices((30, 30)).sum(axis=0) % 2 * 255).astype(np.uint8))
    checks.save(tmp_path / "a.png")
    tiles = [Tile("data", tmp_path / "a.png"), Tile("gan", png(tmp_path / "b.png", 60, 60, (200, 0, 0)))]
    assert write_montage(tiles, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as opened:
        pixels = np.asarray(opened.convert("RGB")).reshape(-1, 3)
    assert (pixels == (200, 0, 0)).all(axis=1).sum() == 300 * 300
    assert (pixels == (0, 0, 0)).all(axis=1).sum() >= 300 * 300 // 2


def test_a_montage_leaves_out_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    broken = Tile("broken", tmp_path / "broken.png")
    assert not write_montage([broken], tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
    assert write_montage([broken, Tile("a", png(tmp_path / "a.png", 8, 8, (1, 2, 3)))], tmp_path / "out.png")


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
