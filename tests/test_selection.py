"""The choice of metrics: by name, or added to the default; part of a cell's identity; a typo is a one-line error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from evaluating import refusal_of

import genbench
from genbench.api import command_for
from genbench.cell import preflight
from genbench.cli.evaluate import evaluate
from genbench.cli.run import run
from genbench.cli.summary import print_summary
from genbench.config import Cell, ModelSpec, Settings, make_benchmark, read_benchmark
from genbench.errors import InputError
from genbench.evaluation.selection import names_in, select
from genbench.execution.planning import _identify
from genbench.metrics.table import METRICS

DEFAULT = [name for name, metric in METRICS.items() if metric.default]


def names(*wanted: str) -> list[str]:
    return [metric.name for metric in select(wanted)]


def test_none_is_the_default_and_a_plus_adds_to_it() -> None:
    assert names() == DEFAULT
    assert names("fid", "kernel_distance", "recall") == ["frechet_distance", "kernel_distance", "precision_recall"]
    assert set(names("+cas", "+kid_subsets")) == {*DEFAULT, "classification_accuracy", "kernel_distance_subsets"}
    assert select(["kid", "fd"]) == select(["frechet_distance", "kernel_distance"])  # and so one identity
    assert names_in(" +cas,fd ,") == ("+cas", "fd")


@pytest.mark.parametrize("text", ["", ",", " , "])
@pytest.mark.parametrize("command", [(evaluate, "a.npy", "-d", "digits"), (run, "-m", "real")], ids=["evaluate", "run"])
def test_a_list_that_names_no_metric_is_not_the_default(text: str, command: tuple[Any, ...]) -> None:
    assert refusal_of(*command, "--metrics", text) == (
        f"--metrics {text!r}: names no metric; name some, or leave it out for the default"
    )


def test_a_benchmark_file_that_names_no_metric_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text("models = ['vae']\nmetrics = []\n")
    with pytest.raises(InputError) as error:
        read_benchmark(path)
    assert str(error.value) == f"{path}:2: metrics names no metric; name some, or leave it out for the default"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["precison"], "unknown metric 'precison'; did you mean precision"),
        (["+cass"], "unknown metric 'cass'; did you mean cas, class_kl or class_fd? (`genbench metrics` lists them)"),
        (["fd", "+cas"], "metrics 'fd,+cas': put a plus before every name"),
    ],
)
def test_an_unknown_name_is_a_one_line_error_everywhere(
    wanted: list[str], message: str, tmp_path: Path, tiny: Path
) -> None:
    with pytest.raises(InputError) as direct:
        select(wanted)
    assert str(direct.value).startswith(message)
    for command, arguments in (
        (run, ["-m", str(tiny), "--out", str(tmp_path / "out")]),
        (evaluate, [str(tmp_path), "-d", "digits"]),
    ):
        with pytest.raises(InputError) as error:
            CliRunner().invoke(command, [*arguments, "--metrics", ",".join(wanted)], catch_exceptions=False)
        assert str(error.value) == str(direct.value)
    assert not (tmp_path / "out").exists()


def test_a_file_and_the_command_that_repeats_it_name_them(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text('models = ["vae"]\nmetrics = ["+cas"]\n')
    benchmark = make_benchmark(read_benchmark(path))
    assert benchmark.settings.metrics == ("+cas",)
    assert "--metrics +cas" in command_for(benchmark)
    assert Cell.from_json(json.loads(json.dumps(benchmark.cells()[0].to_json()))) == benchmark.cells()[0]
    path.write_text('metrics = "fd"\n')
    with pytest.raises(InputError, match=r"b\.toml:1: metrics must be a list"):
        read_benchmark(path)


def test_they_are_part_of_a_cell_s_identity() -> None:
    def cell_id(*wanted: str) -> str:
        cell = Cell(ModelSpec("real"), "digits", 0, Settings(metrics=wanted))
        data = preflight.check_data(cell, lambda event: None)
        assert set(data["metrics"]) == {metric.name for metric in select(wanted, "image")}
        return _identify(cell, data, None, "").id

    assert len({cell_id(), cell_id("fd", "kid"), cell_id("+cas")}) == 3
    assert cell_id("fd", "kid") == cell_id("kernel_distance", "frechet_distance")


def test_a_run_measures_them_alone_and_writes_their_errors(warm_servers: None, tmp_path: Path) -> None:
    (record,) = genbench.run([], seeds=1, controls=["real"], metrics=["fd", "kid"], out=tmp_path)
    assert set(record.numbers) == {"fd", "kid"}
    assert list(record.data["cell"]["metrics"]) == ["frechet_distance", "kernel_distance"]
    assert record.data["numbers"]["fd"]["standard_error"] > 0
    assert (genbench.load_records(tmp_path)["fd_standard_error"] > 0).all()
    assert (tmp_path / "results.csv").read_text().splitlines()[0].count("fd_standard_error") == 1
    assert "Precision of one evaluation" in (tmp_path / "report.md").read_text()


def test_the_summary_puts_the_best_first_whichever_way_the_number_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def record(label: str, recall: float, seed: int = 0) -> genbench.Record:
        cell = {"label": label, "seed": seed, "dataset": {"name": "digits"}}
        numbers = {"recall": {"value": recall, "recipe": "a"}}
        return genbench.Record({"id": label, "status": "finished", "cell": cell, "numbers": numbers})

    of_one_seed = [record("worse", 0.1), record("better", 0.9)]
    print_summary(of_one_seed, tmp_path / "report.md")
    assert "digits: recall of one seed, best first" in capsys.readouterr().out
    print_summary([*of_one_seed, record("worse", 0.2, seed=1)], tmp_path / "report.md")
    shown = capsys.readouterr().out
    assert "digits: mean recall over seeds, best first" in shown
    assert shown.index("better") < shown.index("worse")
