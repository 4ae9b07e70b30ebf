"""The command end to end: its folder, what it prints and what it writes; once in its own process, as a user runs it."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest
from click.testing import CliRunner
from PIL import Image

import genbench
from genbench.cli import cli
from genbench.machine.privacy import without_home

Command = Callable[..., subprocess.CompletedProcess[str]]
TINY = str(Path(__file__).parent / "models" / "tiny.py")
QUICK = ("--budget", "20steps", "--evaluations", "2", "--seeds", "2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished benchmark: the small model and the controls on the digits, two seeds."""
    folder = tmp_path_factory.mktemp("cli")
    program = [sys.executable, "-c", "from genbench.cli import main; main()"]
    arguments = ("run", "-m", TINY, *QUICK, "--out", "out")
    answer = subprocess.run([*program, *arguments], capture_output=True, text=True, cwd=folder, timeout=300)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (folder / "stdout").write_text(answer.stdout)
    (folder / "stderr").write_text(answer.stderr)
    return folder / "out"


def records(out: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted((out / "records").glob("*.json"))]


def lasting(record: dict) -> dict:
    """The parts of a record that must repeat to the last digit: everything but times, memory and the machine."""
    curve = [{key: value for key, value in row.items() if key != "elapsed_s"} for row in record["curve"]]
    return {
        "numbers": record["numbers"],
        "recipes": record["recipes"],
        "curve": curve,
        "artifacts": record["artifacts"],
    }


def test_a_run_writes_records_tables_figures_and_pictures(finished: Path) -> None:
    assert len(records(finished)) == 10  # (tiny + 4 controls) × 2 seeds
    (plan,) = (json.loads(path.read_text()) for path in (finished / "plans").iterdir())
    assert {cell["id"] for cell in plan["cells"]} == {record["id"] for record in records(finished)}
    for name in ("results.csv", "curves.csv", "report.md"):
        assert (finished / name).stat().st_size > 0
    for record in records(finished):
        for path in record["artifacts"].values():
            with Image.open(finished / path) as image:
                assert image.size[0] > 100
    assert not list(finished.rglob(".partial-*"))
    assert not list(finished.rglob("*.pt"))


def test_every_number_has_a_recipe_that_says_what_was_computed(finished: Path) -> None:
    for record in records(finished):
        assert {"fd", "classifier_score"} <= set(record["numbers"])
        for number in record["numbers"].values():
            recipe = record["recipes"][number["recipe"]]
            assert recipe["metric"]
            assert len(recipe["dataset_fingerprint"]) == 64
        recipe = record["recipes"][record["numbers"]["fd"]["recipe"]]
        assert (recipe["extractor"], recipe["samples"], recipe["reference_split"]) == ("digits-cnn", 500, "train")
        assert len(recipe["weights_sha256"]) == 64


def test_rows_of_one_benchmark_have_one_recipe(finished: Path) -> None:
    assert len({record["numbers"]["fd"]["recipe"] for record in records(finished)}) == 1


def test_what_it_cost_is_there(finished: Path) -> None:
    cost = next(record for record in records(finished) if record["cell"]["role"] == "model")["cost"]
    assert cost["train_items_per_s"]["p5"] <= cost["train_items_per_s"]["median"] <= cost["train_items_per_s"]["p95"]
    assert cost["sample_items_per_s"]["median"] > 0
    assert (cost["steps"], cost["items"]) == (20, 1280)
    parameters = 16 * 256 + 256 + 256 * 256 + 256 + 256 * 64 + 64
    assert cost["parameters"] == parameters
    assert cost["sample_flops_per_item"] == 2 * (16 * 256 + 256 * 256 + 256 * 64)
    assert cost["peak_resident_bytes"] > 2**20


def test_the_curve_goes_from_before_the_first_step_to_the_end(finished: Path) -> None:
    record = next(record for record in records(finished) if record["cell"]["role"] == "model")
    measured = {row["step"]: row["numbers"]["fd"] for row in record["curve"] if row["numbers"]}
    assert list(measured) == [0, 10, 20]
    assert measured[20] == record["numbers"]["fd"]["value"]


def test_plain_lines_without_a_terminal(finished: Path) -> None:
    lines = (finished.parent / "stderr").read_text()
    assert "\x1b" not in lines
    assert "\r" not in lines
    assert re.search(r"\[10/10\] tiny on digits, seed 1: fd [\d.]+, .*trained [\d.]+ s", lines)
    shown = (finished.parent / "stdout").read_text()
    assert "report: out/report.md" in shown
    assert re.search(r"real +[\d.]+", shown)


def test_the_same_command_again_trains_nothing_and_changes_nothing(command: Command, finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    answer = command("run", "-m", TINY, *QUICK, "--out", "out", cwd=finished.parent)
    assert answer.stderr.count("(finished before)") == 10
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_the_same_command_elsewhere_gives_the_same_numbers_to_the_last_digit(
    command: Command, finished: Path, tmp_path: Path
) -> None:
    command("run", "-m", TINY, *QUICK, "--out", "out", "--quiet", cwd=tmp_path)
    first, second = records(finished), records(tmp_path / "out")
    assert [record["id"] for record in first] == [record["id"] for record in second]
    assert [lasting(record) for record in first] == [lasting(record) for record in second]
    for record in first:
        for path in record["artifacts"].values():
            assert (finished / path).read_bytes() == (tmp_path / "out" / path).read_bytes()


def test_a_report_is_rendered_again_from_the_records_alone(command: Command, finished: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy, ignore=shutil.ignore_patterns("report.md", "*.csv", "figures"))
    command("report", "copy", cwd=tmp_path)
    for name in ("report.md", "results.csv", "curves.csv"):
        assert (copy / name).read_bytes() == (finished / name).read_bytes()
    assert {path.name for path in (copy / "figures").iterdir()} == {
        path.name for path in (finished / "figures").iterdir()
    }


def test_results_have_one_row_a_cell(finished: Path) -> None:
    with open(finished / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert {row["label"] for row in rows} == {"tiny", "real", "gaussian", "noise", "copycat"}


def test_load_records_gives_a_tidy_table(finished: Path) -> None:
    table = genbench.load_records(finished)
    assert isinstance(table, pandas.DataFrame)
    assert len(table) == 10
    means = table.groupby("label")["fd"].mean()
    assert means["copycat"] <= means["real"] < means["gaussian"] < means["noise"]


def test_quiet_prints_nothing(command: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    answer = command("run", "-m", TINY, "--budget", "2steps", "--seeds", "1", "--no-controls", "-q", cwd=tmp_path)
    assert answer.stdout + answer.stderr == ""
    assert capfd.readouterr() == ("", "")  # and neither do the processes that it starts
    assert (tmp_path / "reports" / "digits-2steps" / "report.md").exists()


def test_a_failed_cell_is_a_record_and_the_others_go_on(
    command: Command, write_plugin, tmp_path: Path, finished: Path
) -> None:
    faulty = write_plugin('return {"energy": loss.detach()}', "return {\"energy\": loss.detach() * float('nan')}")
    arguments = ("-m", TINY, "-m", str(faulty), "--control", "real", *QUICK, "--out", "out")
    answer = command("run", *arguments, cwd=tmp_path, code=1)
    assert "2 of 6 cells failed; the report says why" in answer.stdout
    again = command("run", *arguments, "-q", cwd=tmp_path, code=1)
    assert (again.stdout, again.stderr) == ("", "2 of 6 cells failed; the report says why\n")
    failed = [record for record in records(tmp_path / "out") if record["status"] == "failed"]
    assert [record["failure"]["stage"] for record in failed] == ["training", "training"]
    assert "loss 'energy' became nan at step 0" in failed[0]["failure"]["reason"]
    assert "Traceback" in failed[0]["failure"]["traceback"]
    assert failed[0]["cell"]["plugin"]["source_sha256"]
    assert "## Failed" in (tmp_path / "out" / "report.md").read_text()
    # The others have the same numbers as in a run without it.
    good = {record["id"]: lasting(record) for record in records(tmp_path / "out") if record["status"] == "finished"}
    assert len(good) == 4
    assert good.items() <= {record["id"]: lasting(record) for record in records(finished)}.items()


def test_a_changed_source_is_another_cell(command: Command, write_plugin, tmp_path: Path) -> None:
    model = write_plugin(name="mine")
    quick = ("--budget", "2steps", "--seeds", "1", "--no-controls", "--out", "out")
    command("run", "-m", str(model), *quick, cwd=tmp_path)
    model.write_text(model.read_text().replace("LATENT = 16", "LATENT = 8"))
    answer = command("run", "-m", str(model), *quick, cwd=tmp_path)
    assert "(finished before)" not in answer.stderr
    assert len(records(tmp_path / "out")) == 2


def test_python_api_returns_the_records(warm_servers: None, tmp_path: Path) -> None:
    target = {"target": "fd_ratio<1e9"}
    found = genbench.run([TINY], budget="2steps", seeds=1, controls=["real"], out=tmp_path, batch_size=32, **target)
    assert [(record.label, record.finished) for record in found] == [("real", True), ("tiny", True)]
    assert found[1].numbers["fd"] > 0
    assert found[1].data["cell"]["batch_size"] == 32
    page = (tmp_path / "report.md").read_text()  # it takes the target from the files that the run left
    assert re.search(
        r"^## Time to target\n\n### fd ÷ real (.*\n)+\| digits \| `tiny` \| 1 of 1 \| 0 \| 0 \| ", page, re.M
    )


def test_the_command_in_a_record_runs_it_again(finished: Path) -> None:
    line = str(records(finished)[0]["command"])
    assert line == f"genbench run -m {without_home(TINY)} -d digits --seeds 2 --budget 20steps --evaluations 2"


@pytest.mark.parametrize("name", [*cli.commands, "plugin new", "plugin check"])
def test_every_command_has_an_example(name: str) -> None:
    answer = CliRunner().invoke(cli, [*name.split(), "--help"], catch_exceptions=False)
    assert f"genbench {name}" in answer.output.split("Examples:")[1]


def test_the_module_is_the_command(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "genbench", "models", "nosuch"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (answer.returncode, answer.stderr.split(";")[0]) == (2, "genbench: unknown model 'nosuch'")


def test_models_lists_what_is_installed_and_one_models_options(command: Command, tmp_path: Path) -> None:
    text = command("models", cwd=tmp_path).stdout
    for name in ("gan", "dcgan", "vae", "conv-vae", "ae", "conv-ae", "rnn", "transformer", "seq2seq-vae", "seqgan"):
        assert re.search(rf"^{name} +genbench-\w+ 0\.1\.0 +\w", text, re.MULTILINE)
    text = command("models", TINY, cwd=tmp_path).stdout
    assert "hooks: build_model, train_step, sample\n" in text
    assert "width: int = 256" in text


def test_doctor_says_what_is_missing_and_how_to_get_it(command: Command, tmp_path: Path) -> None:
    text = command("doctor", "--data-root", str(tmp_path), cwd=tmp_path).stdout
    for part in ("torch ", "genbench-gan 0.1.0, editable", "--weights", "mnist", "digits-cnn"):
        assert part in text
    assert text.count(str(tmp_path)) == 1
    assert text.splitlines()[-1].endswith(f"data root: {tmp_path}; --data-root DIR or $GENBENCH_DATA sets another")


def test_an_unlabelled_folder_of_images(command: Command, tmp_path: Path) -> None:
    import torch

    generator = torch.Generator().manual_seed(0)
    (tmp_path / "images").mkdir()
    for index in range(120):
        pixels = torch.randint(256, (12, 12, 3), generator=generator, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(tmp_path / "images" / f"{index}.png")
    command(
        "run",
        "-m",
        TINY,
        "-d",
        "folder:images",
        "--budget",
        "3steps",
        "--seeds",
        "1",
        "--batch-size",
        "16",
        cwd=tmp_path,
    )
    table = genbench.load_records(next((tmp_path / "reports").iterdir()))
    assert set(table["dataset"]) == {"folder:images"}
    assert table["fd"].notna().all()


def test_a_budget_in_seconds(warm_servers: None, tmp_path: Path) -> None:
    found = genbench.run([TINY], budget="0.5s", seeds=1, controls=[], out=tmp_path)
    assert 0.5 <= found[0].cost["train_s"] < 5
    assert os.path.exists(tmp_path / "report.md")
