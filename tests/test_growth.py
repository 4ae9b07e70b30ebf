"""`benchmarks/growth` measures, writes and redraws, at a size that takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from growth.figures import FIGURES
from matplotlib import pyplot

from genbench.report.drawing import plain_style

ROOT = Path(__file__).parent.parent


def growth(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "growth"), *words], capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("growth")
    done = growth("all", "--quick", "--out", str(out))
    assert done.returncode == 0, done.stderr
    return out


LINES = {
    "training": ("model", {"ae", "vae"}),
    "evaluation": (
        "part",
        {
            "all",
            "pairs: KID, precision, recall, density, coverage, copies",
            "Fréchet distances",
            "fd_infinity",
            "pixels and MS-SSIM",
            "classifier scores",
            "standard errors",
        },
    ),
    "report": ("part", {"all", "reading", "CSV files", "pictures", "page"}),
}


@pytest.mark.parametrize("name", LINES)
def test_each_part_leaves_a_table_a_figure_and_where_it_was_measured(measured: Path, name: str) -> None:
    about = json.loads((measured / f"{name}.json").read_text())
    assert about["quick"]
    assert about["left_out"] == []
    assert about["environment"]["torch"]
    table = pd.read_csv(measured / f"{name}.csv")
    column, lines = LINES[name]
    assert set(table[column]) == lines
    figure = (measured / f"{name}.svg").read_text()
    assert figure.rstrip().endswith("</svg>")
    for line in lines:
        assert f"<!-- {line.partition(':')[0]} -->" in figure  # matplotlib writes such a comment for each text
    if name == "training":
        assert (table["images_per_s"] > 0).all()
        return
    whole = table["part"] == "all"
    assert (table["seconds"][whole] > 0).all()
    assert table["seconds"][~whole].sum() == pytest.approx(table["seconds"][whole].sum())


def test_a_figure_is_drawn_again_from_its_table(measured: Path) -> None:
    path = measured / "training.svg"
    before = path.read_bytes()
    path.unlink()
    done = growth("training", "--redraw", "--out", str(measured))
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == before


def test_nothing_to_draw_again_is_one_line(tmp_path: Path) -> None:
    done = growth("report", "--redraw", "--out", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("growth: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", FIGURES)
def test_no_line_passes_through_the_name_of_a_growth_law(name: str) -> None:
    table = pd.read_csv(ROOT / "docs" / "performance" / f"{name}.csv")
    with plain_style():
        figure = FIGURES[name](table, {})
        figure.canvas.draw()
        names = [(axis, text) for axis in figure.axes for text in axis.texts if text.get_text().startswith("∝")]
        assert names
        for axis, text in names:
            box = text.get_window_extent()
            for line in axis.lines:
                assert not line.get_transform().transform_path(line.get_path()).intersects_bbox(box, filled=False)
        pyplot.close(figure)
