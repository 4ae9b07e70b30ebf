"""What plugins provide besides models: written from the docs alone, installed by pip, listed, checked, combined."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from genbench.cli.plugin import plugin
from genbench.contract import BroughtContract, run_contract
from genbench.contract.fault import Caution, Fault
from genbench.records.files import read_records
from genbench.records.record import cell_id

HERE = Path(__file__).parent / "brought"
FIXTURES = {
    "spectra": "spectra_images",
    "centroid": "centroid_gap",
    "lenet": "lenet_features",
    "json-lines": "json_lines_observer",
}
# Their pages: docs/write-a-dataset.md, docs/write-a-metric.md, docs/write-an-extractor.md, docs/write-an-observer.md
BRINGS = {"spectra": "dataset", "centroid": "metric", "lenet": "extractor", "json-lines": "observer"}
SLOW = {"repeats_elsewhere"}  # starts a process; only the fixtures are checked for it
SPECTRA = "spectra:size=8,count=64,held_out=32"
ASKED = ("--budget", "2steps", "--batch-size", "16", "--seeds", "1", "--evaluations", "1", "--no-controls", "--quiet")
# Each test runs the command in the folder that pip wrote to: there a warm server finds modules as a new server would.
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip has installed the fixtures."""
    folder = tmp_path_factory.mktemp("brought")
    sources = [shutil.copytree(HERE / name, folder / name) for name in FIXTURES]  # pip builds in the folder itself
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    subprocess.run([*pip, "--target", str(folder / "site"), *map(str, sources)], check=True)
    return folder / "site"


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same folder, on the path; its modules do not stay imported."""
    monkeypatch.syspath_prepend(site)
    yield site
    for module in FIXTURES.values():
        sys.modules.pop(module, None)


@pytest.mark.parametrize(("folder", "module"), FIXTURES.items())
def test_each_is_short(folder: str, module: str) -> None:
    assert len((HERE / folder / f"{module}.py").read_text().splitlines()) < 60


def test_they_are_listed_with_their_distribution_and_not_imported(installed: Path, command: Command) -> None:
    shown = {name: command(name, cwd=installed).stdout for name in ("datasets", "metrics", "models", "doctor")}
    summary = "Long-slit spectra as small grey images"
    assert f"spectra\n  {summary}" in shown["datasets"]
    assert "  from spectra-images 0.1.0\n" in shown["datasets"]
    assert "(enable with --metrics +centroid-gap)\n  from centroid-gap 0.1.0\n" in shown["metrics"]
    assert f"dataset spectra  spectra-images 0.1.0  {summary}" in shown["models"]
    assert f"ok  spectra           spectra-images 0.1.0, local, {installed}/spectra_images.py" in shown["doctor"]
    assert "extractor lenet  lenet-features 0.1.0  LeNet-5 with random weights" in shown["models"]
    assert f"ok  lenet             lenet-features 0.1.0, local, {installed}/lenet_features.py" in shown["doctor"]
    assert "Metrics of plugins\n  ok  centroid-gap      centroid-gap 0.1.0, local" in shown["doctor"]
    assert not {*FIXTURES.values()} & {*sys.modules}


def test_the_options_of_a_dataset_are_shown(installed: Path, command: Command) -> None:
    shown = command("datasets", "spectra", cwd=installed).stdout
    assert "  options:\n    size: int = 16\n    count: int = 1000\n" in shown


@pytest.mark.parametrize(
    ("name", "family", "told"),
    [
        (SPECTRA, "dataset", {"known": "skipped", "image_size": "skipped"}),
        ("centroid-gap", "metric", {"near_best": "warning"}),  # noise has its centroid in the middle, like the data
        ("lenet", "extractor", {}),
        ("json-lines:dir=told", "observer", {}),
    ],
)
def test_they_pass_their_contracts(installed: Path, name: str, family: str, told: dict[str, str]) -> None:
    outcomes = run_contract(BroughtContract(name, family))
    assert {outcome.check.name: outcome.status for outcome in outcomes if outcome.status != "ok"} == told


def test_they_are_used_together_in_one_benchmark(installed: Path, command: Command, tiny: Path, tmp_path: Path) -> None:
    asked = (
        "run",
        "-m",
        f"{tiny}:width=8",
        "-d",
        SPECTRA,
        "--extractor",
        "lenet",
        "--metrics",
        "+centroid-gap",
        *ASKED,
    )
    asked += ("--observe", f"json-lines:dir={tmp_path}/told")
    allowed = ("--plugins-from", "file,spectra-images,centroid_gap,lenet-features,json-lines-observer")
    command(*asked, *allowed, "--out", str(tmp_path), cwd=installed)
    (record,) = read_records(tmp_path)

    cell = record.data["cell"]
    assert cell["dataset"]["plugin"]["distribution"] == "spectra-images"
    assert cell["metrics"]["centroid-gap"].startswith("1 of centroid-gap 0.1.0 sha256:")
    assert cell["metrics"]["frechet_distance"] == 1  # genbench's own are unchanged
    recipe = record.data["recipes"][record.data["numbers"]["centroid_gap"]["recipe"]]
    assert recipe["plugin"].startswith("centroid-gap 0.1.0 sha256:")
    assert recipe["dataset_plugin"].startswith("spectra-images 0.1.0 sha256:")
    told = record.data["recipes"][record.data["numbers"]["fd"]["recipe"]]
    assert told["extractor_plugin"].startswith("lenet-features 0.1.0 sha256:")
    assert told["weights_sha256"] == cell["extractor"]["weights_sha256"]
    assert cell["extractor"]["extractor_plugin"] == told["extractor_plugin"]
    assert "extractor_plugin" not in recipe  # it reads only images
    assert recipe["directions"] == {"centroid_gap": "lower", "centroid_spread": None}

    (told,) = tmp_path.glob("told/*/*.jsonl")
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert [line["step"] for line in lines if "step" in line] == [0, 1, 2]
    assert lines[-1]["centroid_gap"] == record.numbers["centroid_gap"]
    page = (tmp_path / "report.md").read_text()
    assert "centroid gap ↓" in page
    assert "distance between the mean centroids of brightness of samples and of data" in page
    again = command(*asked, "--out", str(tmp_path), cwd=installed)
    assert [each.data for each in read_records(tmp_path)] == [record.data], again.stderr
    assert len(told.read_text().splitlines()) == len(lines)

    def with_source(digest: str) -> str:
        plugin = {**cell["dataset"]["plugin"], "source_sha256": digest}
        return cell_id({**cell, "dataset": {**cell["dataset"], "plugin": plugin}})

    assert with_source(cell["dataset"]["plugin"]["source_sha256"]) == record.id
    assert with_source("0" * 64) != record.id
    assert cell_id({**cell, "extractor": {**cell["extractor"], "extractor_plugin": "another"}}) != record.id


@pytest.mark.parametrize(
    ("dataset", "metric", "message"),
    [
        (SPECTRA, "+fd", "dataset 'spectra' is from spectra-images 0.1.0, which --plugins-from does not list"),
        ("digits", "+centroid-gap", "metric 'centroid-gap' is from centroid-gap 0.1.0, which --plugins-from does not"),
        ("spectre", "+fd", "unknown dataset 'spectre'; did you mean spectra?"),
        ("digits", "+centroid_gap", "unknown metric 'centroid_gap'; did you mean centroid-gap"),
    ],
)
def test_what_is_not_allowed_or_not_there_is_one_line_before_anything_starts(
    installed: Path, command: Command, tmp_path: Path, dataset: str, metric: str, message: str
) -> None:
    asked = ("run", "-m", "gan", "-d", dataset, "--metrics", metric, "--plugins-from", "genbench-gan", *ASKED)
    answer = command(*asked, "--out", str(tmp_path / "out"), cwd=installed, code=2)
    assert message in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize(("folder", "module"), FIXTURES.items())
def test_its_page_shows_it_as_it_is(folder: str, module: str) -> None:
    family = BRINGS[folder]
    (path,) = (HERE.parent.parent / "docs").glob(f"write-a*-{family}.md")
    page = path.read_text()
    for name, language in ((f"{module}.py", "python"), ("pyproject.toml", "toml")):
        assert f"```{language} {name}\n{(HERE / folder / name).read_text()}```" in page
    suite = BroughtContract(module, family).suite
    assert [f"| `{check.name}` | {check.promise} |" in page for check in suite.checks] == [True] * len(suite.checks)


@pytest.mark.parametrize(
    ("start", "name"),
    [("dataset", "my-data"), ("metric", "my-metric"), ("extractor", "my-eyes"), ("observer", "my-tracker")],
)
def test_what_new_writes_passes_its_contract(
    start: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    answer = CliRunner().invoke(plugin, ["new", name, "--family", start, "--out", str(folder)])
    assert answer.output.splitlines()[-1] == (
        f"next: pip install -e {folder} && genbench plugin check {name} --family {start}"
    )
    package = name.replace("-", "_")
    source = folder / package / f"{start}.py"
    assert len(source.read_text().splitlines()) < 60
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {f"genbench.{start}s": {name: f"{package}.{start}"}}
    test = (folder / "tests" / "test_contract.py").read_text()
    assert test.splitlines()[-1] == f'test_contract = contract_tests("{name}", family="{start}")'
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", str(folder)]
        assert subprocess.run(ruff, capture_output=True, check=False).returncode == 0

    metadata = folder / f"{package}-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text(f"[genbench.{start}s]\n{name} = {package}.{start}\n")
    monkeypatch.syspath_prepend(folder)
    contract = BroughtContract(name, start)
    results = {check: contract.result(contract.checks[check]) for check in contract.checks if check not in SLOW}
    assert {check: result for check, result in results.items() if isinstance(result, Fault | Caution)} == {}


def test_a_metric_that_a_report_no_longer_finds_keeps_its_direction(command: Command, tmp_path: Path) -> None:
    from genbench.report.quantities import declare, quantity

    declare([{"directions": {"of_a_plugin": "higher", "fd": "higher", "unclear": "lower"}}])
    declare([{"directions": {"unclear": "higher"}}, {"directions": "hostile"}, {"directions": {"odd": ["lower"]}}, {}])
    assert quantity("of_a_plugin").axis == "of a plugin ↑"
    assert quantity("fd").direction == "lower"
    assert (quantity("unclear").direction, quantity("odd").direction) == (None, None)


def test_records_of_what_is_genbenchs_own_say_nothing_of_plugins(tmp_path: Path) -> None:
    from genbench.cell import preflight
    from genbench.config import Cell, ModelSpec, Settings

    told = preflight.check_data(Cell(ModelSpec("real"), "digits", 0, Settings(metrics=("fd",))), lambda event: None)
    assert told["metrics"] == {"frechet_distance": 1}
    assert "plugin" not in json.dumps(told)
