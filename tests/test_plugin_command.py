"""`genbench plugin new` writes a plugin that installs, passes its contract and learns; `plugin check` lists results."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from genbench import Training, datasets, seeding
from genbench.cli.plugin import plugin
from genbench.config import ModelSpec
from genbench.contract import Contract, run_contract
from genbench.errors import InputError
from genbench.evaluation import sampling
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.gaussian import GaussianStatistics
from genbench.plugin import finding, loading, options
from genbench.scaffold import MODELS
from genbench.scaffold.distribution import write_distribution
from genbench.training import cost, loop
from genbench.training.passes import passes

FILES = ["README.md", "my_model/__init__.py", "my_model/model.py", "pyproject.toml", "tests/test_contract.py"]
RUFF = (sys.executable, "-m", "ruff")


def genbench_plugin(*arguments: str) -> Result:
    """Run the command; an InputError is raised, which `genbench` itself turns into one line and exit code 2."""
    result = CliRunner().invoke(plugin, arguments)
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


@pytest.fixture(scope="module", params=MODELS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A distribution `my-model` of each family."""
    folder = tmp_path_factory.mktemp(request.param) / "my-model"
    write_distribution("my-model", request.param, folder)
    return folder


@pytest.fixture
def installed(written: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same distribution as if installed by pip: on the path, with the metadata that pip writes."""
    project = tomllib.loads((written / "pyproject.toml").read_text())["project"]
    points = "".join(f"{name} = {target}\n" for name, target in project["entry-points"]["genbench"].items())
    metadata = written / "my_model-0.1.0.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (metadata / "entry_points.txt").write_text(f"[genbench]\n{points}")
    monkeypatch.syspath_prepend(written)
    yield written
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_model"]:
        del sys.modules[name]


def test_what_is_written(written: Path) -> None:
    assert sorted(str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()) == FILES
    assert (written / "tests/test_contract.py").read_text().splitlines()[
        -1
    ] == 'test_contract = contract_tests("my-model")'
    assert "{" not in (written / "README.md").read_text()


def test_it_passes_ruff_with_its_own_defaults(written: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        answer = subprocess.run(
            [*RUFF, *command, "--isolated", str(written)], capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stdout


def test_it_passes_the_contract_once_installed(installed: Path) -> None:
    found = finding.find(ModelSpec("my-model"))
    assert (found.distribution, found.version, found.path) == ("my-model", "0.1.0", installed / "my_model/model.py")
    outcomes = run_contract(Contract("my-model", [(1, 8, 8), (3, 12, 10)]))
    assert [outcome for outcome in outcomes if outcome.status == "failed"] == []
    assert {outcome.check.name for outcome in outcomes if outcome.status == "ok"} >= {
        "resume",
        "global_state",
        "memory",
    }


def test_it_learns_digits(written: Path) -> None:
    loaded = loading.load(finding.find(ModelSpec(str(written / "my_model/model.py"))))
    dataset, device = datasets.load("digits"), torch.device("cpu")
    seeding.seed_global(0, "build")
    model = options.build(loaded, dataset.data, Training(None, 64), {}, device)

    def distance() -> float:
        sampling.prepare(loaded, model, passes(dataset.train, 250, device))
        images, _ = sampling.draw(loaded, model, dataset, 500, 0, device)
        drawn, real = (values.flatten(1) / 255 for values in (images, dataset.held_out.items))
        return frechet_distance(GaussianStatistics.from_features(drawn), GaussianStatistics.from_features(real))

    before = distance()
    batches = loop.Batches(dataset.train, 64, 0, device)
    schedule = loop.Schedule(steps=250, seconds=None, evaluations=1)
    loop.train(loaded, model, batches, schedule, loop.Progress(), clock=cost.clock(device))
    assert distance() < before / 3


def test_new_says_what_it_wrote_and_what_is_next(tmp_path: Path) -> None:
    folder = tmp_path / "a-model"
    result = genbench_plugin("new", "a-model", "--family", "gan", "--out", str(folder))
    assert result.exit_code == 0
    assert f"wrote {folder}/a_model/model.py\n" in result.output
    assert result.output.splitlines()[-1] == f"next: pip install -e {folder} && genbench plugin check a-model"
    assert "discriminator" in (folder / "a_model/model.py").read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "My_Model",
            "name 'My_Model' cannot be used: use lower-case letters, digits and single dashes, as in my-model",
        ),
        ("../x", "name '../x' cannot be used: use lower-case letters, digits and single dashes, as in x"),
        ("9", "name '9' cannot be used: use lower-case letters, digits and single dashes, as in my-model"),
        ("class", "name 'class' cannot be used: class is reserved by Python"),
        ("json", "name 'json' cannot be used: json is reserved by Python"),
        ("torch", "name 'torch' cannot be used: a module torch already exists"),
        ("tests", "name 'tests' cannot be used: a module tests already exists"),
        ("copycat", "name 'copycat' cannot be used: it is a control"),
        ("gan", "name 'gan' cannot be used: genbench-gan 0.1.0 already provides a model of that name"),
    ],
)
def test_names_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        genbench_plugin("new", name)
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=f"{tmp_path} already exists; choose another name, or another folder with --out"
    ):
        genbench_plugin("new", "a-model", "--out", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_check_lists_what_holds(tiny: Path) -> None:
    result = genbench_plugin("check", f"{tiny}:width=16", "--shape", "1x8x8", "--shape", "2x4x6")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert (
        "ok       sample                  `sample` returns the requested number of items, valid for their kind, on the"
        in result.output
    )
    assert "skipped  reconstruct             the plugin has no reconstruct" in lines
    assert lines[-1].startswith(f"{tiny}:width=16: 19 ok, 8 skipped in ")
    listed = [line.split()[1] for line in lines if line.startswith(("ok ", "skipped "))]
    assert sorted(listed) == sorted(set(listed))  # each once, also what is skipped on both shapes


def test_check_tells_each_fault_once_and_where(write_plugin) -> None:
    path = write_plugin(
        'return model.networks["generator"](noise)', 'return model.networks["generator"](noise)[..., 1:]'
    )
    result = genbench_plugin("check", str(path), "--shape", "1x8x8")
    assert result.exit_code == 1
    assert (
        "FAILED   sample                  1x8x8 images without labels, 1x8x8 images with labels: "
        "expected sample to return (7, 1, 8, 8), found (7, 1, 8, 7)\n"
        "                                 to fix it: take sizes from data.shape and count; see nn.Unflatten\n"
    ) in result.output
    assert result.output.count("FAILED") == 1
    assert "skipped  resume                  needs sample, which failed" in result.output
    waiting = result.output.count("which failed")
    assert waiting > 1
    assert f"skipped ({waiting} until the failures are fixed) in " in result.output.splitlines()[-1]


def test_check_ends_although_a_thread_of_the_plugin_never_does(write_plugin) -> None:
    sleeps = "import threading, time\n\nthreading.Thread(target=time.sleep, args=(3600,)).start()\nLATENT = 16"
    command = (sys.executable, "-m", "genbench", "plugin", "check", write_plugin("LATENT = 16", sleeps))
    ended = subprocess.run((*command, "--shape", "1x4x4"), capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 1
    assert "expected hooks that leave nothing running, found thread 'Thread-1 (sleep)'" in ended.stdout
    assert "faulty.py: " in ended.stdout.splitlines()[-1]


def test_a_check_that_waits_for_another_is_not_told_as_unsuitable(write_plugin) -> None:
    """The model does not take texts, and cannot be built on the images that it takes."""
    result = genbench_plugin(
        "check", str(write_plugin("**options)", "**options, wrong=1)")), "--shape", "1x4x4", "--shape", "12"
    )
    lines = {line.split()[1]: line for line in result.output.splitlines() if line.startswith("skipped")}
    assert lines["losses"].endswith("needs build, which failed")
    assert lines["reconstruct"].endswith("needs build, which failed")
    assert "24 until the failures are fixed" in result.output.splitlines()[-1]


def test_what_is_missing_is_told_before_what_is_unsuitable(write_plugin) -> None:
    refuses = 'if not data.classes:\n        raise Unsuitable("needs labels")\n    return build(data'
    result = genbench_plugin("check", str(write_plugin("return build(data", refuses)), "--shape", "1x4x4")
    lines = {line.split()[1]: line for line in result.output.splitlines() if line.startswith("skipped")}
    assert lines["reconstruct"].endswith("the plugin has no reconstruct")


def test_what_a_plugin_prints_is_not_in_the_list(write_plugin) -> None:
    path = write_plugin("    loss.backward()\n", "    loss.backward()\n    print('chatter')\n")
    result = genbench_plugin("check", str(path), "--shape", "1x8x8")
    assert result.exit_code == 0
    assert "chatter" not in result.output


def test_without_pytest_check_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)
    monkeypatch.delitem(sys.modules, "genbench.contract")
    with pytest.raises(InputError, match=r"^genbench.contract needs pytest: pip install pytest$"):
        genbench_plugin("check", "gan")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vea"], "unknown model 'vea'; did you mean vae"),
        (["./none.py"], r"model file \./none\.py does not exist"),
        (
            ["gan", "--shape", "1x28x28x1"],
            "shape '1x28x28x1' cannot be read; write channels x height x width for images, for example 1x28x28, the "
            "length for texts, for example 12, or channels x samples for clips, for example 1x4000",
        ),
        (["gan", "--shape", "1x0x8"], "shape '1x0x8' cannot be read"),
        (["gan", "--device", "abacus"], "device 'abacus' cannot be read"),
    ],
)
def test_a_bad_request(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        genbench_plugin("check", *arguments)
