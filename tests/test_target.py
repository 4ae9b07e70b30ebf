"""Targets: read, refused in one line, found on curves, and times to them over seeds and datasets in closed form."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest

from genbench.api import command_for
from genbench.cell import preflight
from genbench.config import Benchmark, Budget, Cell, ModelSpec, Settings, Target, make_benchmark, read_benchmark
from genbench.errors import InputError
from genbench.evaluation.targets import check_benchmark, check_measured, read_targets
from genbench.execution import planning
from genbench.records.fields import fault
from genbench.records.plans import missing_cells, planned_targets, write_plan
from genbench.records.target import first_met, performance_ratios, share_within, time_to_target

INF = math.inf


def curve(*values: float | None, name: str = "fd") -> list[dict[str, Any]]:
    """Return an evaluation every 10 steps (of 64 items, 0.5 s, 1e6 FLOPs), each preceded by a point of losses only."""
    points = []
    for place, value in enumerate(values):
        step = 10 * place
        where = {"step": step, "items": 64 * step, "elapsed_s": 0.5 * step, "flops": 1e6 * step}
        points += [{**where, "step": step - 5, "losses": {"loss": 0.0}}, {**where, "numbers": {name: value}}]
    return points


# What can be asked for


@pytest.mark.parametrize("text", ["fd", "fd<", "<5", "fd=5", "fd<=5", "fd<five", "fd<5%", "fd<5 kid<1", "", "fd<nan"])
def test_what_is_no_target_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read; write for example fd<5 or recall>0\.6$"):
        Target.parse(text)


@pytest.mark.parametrize("text", ["fd<5", "fd_ratio<3.25", "classifier_score>-1e-07", "fd<0.1", f"fd<{1 / 3!r}"])
def test_a_target_is_written_as_it_is_read(text: str) -> None:
    assert str(Target.parse(f"  {text.replace('<', ' < ')} ")) == text
    assert Target.parse(str(Target.parse(text))) == Target.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fdd<5", r"unknown number; did you mean fd, fid or fad\?"),
        ("kid<0.1", "kid is measured only at the end of training; curves contain fd, fid, .*fd_ratio"),
        ("classifier_score_std<1", "classifier_score_std has no better side, so it cannot be a target"),
        ("oracle_nll<1", "oracle_nll has no better side"),
        ("fd>5", "lower fd is better; write fd<5$"),
        ("fd_ratio>5", "lower fd_ratio is better; write fd_ratio<5$"),
        ("classifier_score<5", "higher classifier_score is better; write classifier_score>5$"),
        ("psnr_ratio>2", "unknown number"),
        ("kid_ratio<2", "unknown number"),
        ("fd<1e999", "the bound is too large"),
    ],
)
def test_a_target_that_nothing_can_meet_is_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_targets([text])
    assert str(error.value).startswith("target '")
    assert "\n" not in str(error.value)


def test_numbers_of_either_extractor_and_either_side_can_be_targets() -> None:
    texts = ["fd<5", "fid<5", "fd_ratio<3", "psnr>20", "fd<5"]
    assert list(map(str, read_targets(texts))) == texts[:4]


def benchmark(**values: Any) -> Benchmark:
    return make_benchmark({"models": ["vae"], **values})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stop_at_target": True}, "stop_at_target has no effect without a target"),
        ({"target": "fd<5", "metrics": ["kid"]}, "target 'fd<5': fd is not measured here; add it to --metrics"),
        ({"target": "fd_ratio<5", "controls": ["noise"]}, "needs the control real; add --control real, or give fd"),
        ({"target": "fd<5,fd_ratio<3", "stop_at_target": True}, "'fd_ratio<3': no cell can stop there, as none knows"),
    ],
)
def test_a_benchmark_that_cannot_look_at_its_target_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_benchmark(benchmark(**values))


def test_a_benchmark_that_can_look_at_its_target_is_accepted() -> None:
    check_benchmark(benchmark(target="fd_ratio<5"))
    check_benchmark(benchmark(target=["fd_ratio<5"], controls=[], models=["real", "vae"]))
    check_benchmark(benchmark(target="fd<5", metrics=["+kid"], controls=[], stop_at_target=True))


def test_stopping_at_what_no_curve_of_the_dataset_holds_is_refused() -> None:
    settings = Settings(target=("fd<5",), stop_at_target=True)
    check_measured(settings, "image", {}, "digits")
    check_measured(dataclasses.replace(settings, stop_at_target=False), "image", {"fd": "fid"}, "digits")
    with pytest.raises(InputError, match=r"^target 'fd<5': curves on digits have no fd; they have fid, "):
        check_measured(settings, "image", {"fd": "fid"}, "digits")
    with pytest.raises(InputError, match=r"^target 'psnr>2': curves on names have no psnr; they have fd, "):
        check_measured(dataclasses.replace(settings, target=("psnr>2",)), "text", {}, "names")


def test_the_check_of_the_data_looks_at_it() -> None:
    settings = Settings(Budget.parse("2steps"), samples=50, device="cpu", target=("fid<5",), stop_at_target=True)
    with pytest.raises(InputError, match="curves on digits have no fid"):
        preflight.check_data(Cell(ModelSpec("real"), "digits", 0, settings), lambda event: None)


def test_flags_files_and_the_command_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text('models = ["vae"]\ntarget = ["fd<5", "psnr > 20"]\nstop_at_target = true\n')
    made = make_benchmark(read_benchmark(path))
    assert made == benchmark(target="fd<5,psnr>20,fd<5.0", stop_at_target=True)
    assert command_for(made).endswith("--target 'fd<5,psnr>20' --stop-at-target")
    cell = made.cells()[0]
    assert Cell.from_json(cell.to_json()) == cell
    for wrong, message in (('target = "fd"', "cannot be read"), ("stop_at_target = 1", "must be true or false")):
        path.write_text(f'models = ["vae"]\n{wrong}\n')
        with pytest.raises(InputError, match=f"^{path}:2: .*{message}"):
            read_benchmark(path)


def test_a_target_changes_no_cell_and_stopping_at_it_does() -> None:
    data = {"dataset": {"fingerprint": "f"}, "device": "cpu", "samples": 9, "extractor": {}, "metrics": {}}

    def identified(**settings: Any) -> planning.Planned:
        return planning._identify(Cell(ModelSpec("vae"), "d", 0, Settings(**settings)), data, None, "")

    both = ("fd<5", "psnr>20")
    plain, looked_at = identified(), identified(target=both)
    stopped = [identified(target=each, stop_at_target=True) for each in (both, both[::-1], both[:1])]
    assert plain.id == looked_at.id
    assert plain.description == looked_at.description
    assert stopped[0].id == stopped[1].id  # in whatever order they are given
    assert len({plain.id, stopped[0].id, stopped[2].id}) == 3
    assert stopped[0].description["stop_at_target"] == ["fd<5", "psnr>20"]


def test_a_plan_keeps_the_targets_of_its_run(tmp_path: Path) -> None:
    described = {"label": "vae", "role": "model", "seed": 0, "budget": "9steps", "dataset": {"name": "digits"}}
    write_plan(tmp_path, [("a", described)])
    assert planned_targets(tmp_path) == []
    for targets in (("fd<5", "psnr>2"), ("fd<5",)):
        write_plan(tmp_path, [("a", described)], targets)
    assert sorted(planned_targets(tmp_path)) == ["fd<5", "psnr>2"]
    assert len(missing_cells(tmp_path, [])) == 1
    for path in (tmp_path / "plans").iterdir():
        path.write_text(path.read_text().replace('"fd<5"', '"fd"'))
    with pytest.raises(InputError, match=r"^plan .* cannot be read; delete it"):
        planned_targets(tmp_path)


@pytest.mark.parametrize("value", [5, "fd<5", ["fd"], [5], ["fd < 5"]])
def test_a_record_that_stopped_at_no_target_is_refused(value: Any) -> None:
    record = json.loads((Path(__file__).parent / "records" / "schema-4.json").read_text())
    record["cell"]["stop_at_target"] = ["fd<5"]
    assert fault(record) == ""
    record["cell"]["stop_at_target"] = value
    assert fault(record) == "'cell.stop_at_target' is not a list of targets"


# Where it is met


@pytest.mark.parametrize(
    ("values", "target", "step"),
    [
        ((9, 5, 4, 8, 2), "fd<5", 20),  # the bound itself is not enough, and a later rise does not matter
        ((9, 5, 4, 8, 2), "fd<9.5", 0),
        ((9, 5, 4), "fd<4", None),
        ((None, math.nan, 4), "fd<5", 20),
        ((INF, 4), "fd<5", 10),
        ((), "fd<5", None),
    ],
)
def test_the_first_evaluation_that_meets_it(values: tuple[float, ...], target: str, step: int | None) -> None:
    found = first_met(curve(*values), Target.parse(target))
    assert (found and found["step"]) == step


def test_upwards_and_as_a_ratio() -> None:
    found = first_met(curve(0.2, 0.5, 0.7, name="recall"), Target("recall", ">", 0.5))
    assert found is not None
    assert found["step"] == 20
    found = first_met(curve(9, 5, 4), Target("fd_ratio", "<", 3.0), real=1.5)  # 6, 3.33, 2.67
    assert found is not None
    assert found["step"] == 20
    assert first_met(curve(9, 5, 4), Target("fd_ratio", "<", 3.0)) is None


# Over seeds


@pytest.mark.parametrize(
    ("met_at", "failed", "median"),
    [
        ((1, 2, 4), 0, 20),
        ((1, 2, None), 0, 20),
        ((1, None, None), 0, INF),
        ((1, 2), 0, 15),
        ((1, None), 0, INF),  # the mean of a finite and an infinite one
        ((1, 3, 2), 1, 25),
        ((1, 3), 1, 30),
        ((1, 3), 2, INF),
        ((None,), 0, INF),
        ((), 3, INF),
    ],
)
def test_the_median_counts_what_never_gets_there(met_at: tuple[int | None, ...], failed: int, median: float) -> None:
    curves = [curve(*(9.0 if at is None or place < at else 1.0 for place in range(6))) for at in met_at]
    found = time_to_target(curves, Target("fd", "<", 5.0), failed=failed)
    assert found is not None
    assert (found.met, found.seeds) == (len(met_at) - met_at.count(None), len(met_at) + failed)
    per_step = {"step": 1, "items": 64, "elapsed_s": 0.5, "flops": 1e6}
    assert found.median == {name: each * median for name, each in per_step.items()}


def test_what_is_not_known_is_no_miss() -> None:
    target = Target("fd", "<", 5.0)
    assert time_to_target([], target) is None
    assert time_to_target([curve(0.5, name="psnr")], target, failed=1) is None
    assert time_to_target([curve(1.0)], Target("fd_ratio", "<", 5.0)) is None
    found = time_to_target([curve(9, 1), curve(0.5, name="psnr")], target)
    assert found is not None
    assert (found.met, found.seeds) == (1, 1)
    uncounted = [{**point, "flops": None} for point in curve(9, 1)]
    found = time_to_target([uncounted, curve(9, 1)], target)
    assert found is not None
    assert (found.median["flops"], found.median["step"]) == (None, 10)


# Over datasets


def test_ratios_and_shares_are_those_of_the_definition() -> None:
    """Count every model's share at every bound, dataset by dataset, from the times themselves."""
    times = {"a": [10.0, 30.0, INF, INF, 0.0], "b": [20.0, 15.0, 5.0, INF, 3.0], "c": [10.0, INF, 7.0, INF, 0.0]}
    ratios = performance_ratios(times)
    for (model, held), bound in itertools.product(times.items(), (1.0, 1.39, 1.4, 2.0, 5.0, INF)):
        within = 0
        for problem, time in enumerate(held):
            least = min(other[problem] for other in times.values())
            within += time < INF and (time <= bound * least if least else time == 0)
        assert share_within(ratios[model], bound) == within / 5
    assert ratios["b"] == [1.0, 1.0, 2.0, INF, INF]  # no model met the fourth; on the fifth, two needed no time


def test_a_model_alone_is_at_one_wherever_it_gets_there() -> None:
    assert performance_ratios({"a": [3.0, INF]}) == {"a": [1.0, INF]}
