"""Whole cells of small models, run in this process; older versions wrongly failed some and wrongly passed others."""

from __future__ import annotations

import datetime
import itertools
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_pieces import BUILD, STEP, hook
from torch import Tensor

from genbench import Model, cell, datasets, features, seeding
from genbench.cell.artifacts import save_artifacts
from genbench.cell.events import Emit, Events
from genbench.config import CONTROLS, Budget, Cell, ModelSpec, Settings
from genbench.contract import CHECKS, Contract
from genbench.datasets.dataset import Dataset, Split
from genbench.errors import PluginError
from genbench.evaluation import controls, trained
from genbench.evaluation.measurement import Evaluator
from genbench.evaluation.references import reference_for
from genbench.evaluation.selection import select
from genbench.machine import environment
from genbench.plugin import finding, world
from genbench.records.identity import slug
from genbench.records.record import checkpoint_path, record_path
from genbench.records.schemas import SCHEMA
from genbench.report.sections import sections
from genbench.report.stability import stability

pytestmark = pytest.mark.usefixtures("short_sampling")

MODELS = Path(__file__).parent / "models"
ID = "0123456789abcdef"
METRICS = ("fd", "bits_per_dim", "pixel_w1", "reconstruction_mse")
ENTERED = (  # a mode that passes every call through
    "from torch.utils._python_dispatch import TorchDispatchMode as Mode; "
    "type('Left', (Mode,), {'__torch_dispatch__': lambda self, call, types, args=(), named=None: "
    "call(*args, **(named or {}))})().__enter__()"
)

Run = Callable[..., dict[str, Any]]


def run_cell(
    directory: Path,
    spec: ModelSpec,
    budget: str,
    emit: Emit = lambda event: None,
    slot: int = 0,
    jobs: int = 1,
    dataset: str = "digits",
    **more: Any,
) -> dict[str, Any]:
    """Run one cell in this process, on the digits by default, and return its record."""
    fixed: dict[str, Any] = {"evaluations": 1, "samples": 100, "device": "cpu", "metrics": ("fd",)}
    settings = Settings(Budget.parse(budget), **{**fixed, **more})
    is_control = spec.name in CONTROLS
    payload = {
        "cell": Cell(spec, dataset, 0, settings).to_json(),
        "id": ID,
        "description": {
            "samples": settings.samples,
            "device": "cpu",
            "plugin": {},
            "dataset": {},
            "metrics": {metric.name: metric.version for metric in select(settings.metrics, "image")},
        },
        "distribution": "file",
        "covered": None if is_control else finding.find(spec).coverage(spec.options).to_json(),
        "directory": str(directory),
        "command": "genbench run it again",
        "checkpoint_interval": None,
        "grace": 10.0,
        "jobs": jobs,
        "slot": slot,
    }
    with world.kept():
        told = cell.run(json.loads(json.dumps(payload)), emit)
    assert told == {"id": ID}
    found: dict[str, Any] = json.loads(record_path(directory, ID).read_text())
    assert list(found["recipes"]) == sorted(found["recipes"]), "resumed cells measure in a different order"
    return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run one cell on the digits and return its record."""
    return lambda path, budget, options=None, **more: run_cell(
        tmp_path, ModelSpec(str(path), options or {}), budget, **more
    )


def test_a_wgan_with_a_gradient_penalty_runs_and_pays_for_each_generator_step_once(run: Run) -> None:
    options = {"width": 16, "latent": 4}
    record = run(MODELS / "wgan_gp.py", "12steps", options, batch_size=8)
    flops = [row["flops"] for row in record["curve"]]
    steps = [after - before for before, after in itertools.pairwise(flops)]
    of_critic, of_both = steps[0], steps[4]
    # The same closed form as in test_flops.py: three products per layer, two for the generator's first.
    generator, critic = (4 * 16, 16 * 16, 16 * 64), (64 * 16, 16 * 16, 16 * 1)
    assert of_both - of_critic == 2 * 8 * (3 * sum(generator) - generator[0] + 3 * sum(critic))
    assert steps == [of_critic, of_critic, of_critic, of_critic, of_both] * 2 + [of_critic] * 2
    assert record["cost"]["flops_counted"] == "steps 0 to 11 counted; later steps repeat the last 5"
    assert record["cost"]["train_flops_per_item"] == pytest.approx((4 * of_critic + of_both) / 5 / 8)
    paid = run(MODELS / "wgan_gp.py", f"{int(flops[10] - 1)}flop", options, batch_size=8)
    assert (paid["cost"]["steps"], paid["curve"][-1]["flops"]) == (9, flops[9])


@pytest.mark.parametrize("name", ["class_conditional", "flow"])
def test_a_model_that_is_right_finishes(run: Run, name: str) -> None:
    record = run(MODELS / f"{name}.py", "2steps")
    assert record["numbers"]["fd"]["value"] > 0
    assert record["cost"]["flops_counted"] == "steps 0 to 1 counted; later steps are as the last"


@pytest.mark.parametrize("where", ["top", "step"])
def test_what_a_library_draws_while_it_is_imported_is_no_fault(
    run: Run, write_plugin: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / f"drawing_{where}.py").write_text(
        "import random, numpy\nrandom.random()\nnumpy.random.rand()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    place = {"top": "LATENT = 16\n", "step": STEP}[where]
    indent = " " * (len(place) - len(place.lstrip()))
    record = run(write_plugin(place, f"{indent}import drawing_{where}\n{place}"), "2steps")
    assert record["status"] == "finished"


def test_training_before_sampling_is_refused_in_one_line(run: Run) -> None:
    with pytest.raises(PluginError) as error:
        run(MODELS / "trains_before_sampling.py", "2steps")
    assert str(error.value) == (
        "model 'trains_before_sampling' (file): before_sampling changed net.down.weight, which is trained; train "
        "only in train_step, where time and FLOPs are counted, and keep in buffers what is fitted for sampling"
    )


def test_a_trained_parameter_that_is_replaced_before_sampling_is_found(
    run: Run, write_plugin: Callable[..., Path]
) -> None:
    layer = 'model.networks["generator"][4]'
    replacing = (
        'group = model.optimizers["generator"].param_groups[0]',
        f'group["params"] = [each for each in group["params"] if each is not {layer}.bias]',
        f"{layer}.bias = nn.Parameter(next(iter(batches))[0].flatten(1).mean(0), requires_grad=False)",
    )
    path = write_plugin(*hook("before_sampling(model, batches)", *replacing))
    with pytest.raises(PluginError, match=r"before_sampling changed generator\.4\.bias, which is trained"):
        run(path, "2steps")
    contract = Contract(str(path), [(1, 8, 8)])
    found = contract.result(CHECKS["before_sampling"], contract.cases[0])
    assert "expected before_sampling not to change trained parameters, found another generator.4.bias" in str(found)


def test_an_optimizer_that_steps_before_sampling_fails_the_cell_whatever_it_trains(
    run: Run, write_plugin: Callable[..., Path]
) -> None:
    own = "own = torch.zeros(1, requires_grad=True)", "own.grad = torch.ones(1)", "torch.optim.SGD([own], 0.1).step()"
    path = write_plugin(*hook("before_sampling(model, batches)", *own))
    with pytest.raises(PluginError, match="before_sampling takes steps of SGD; train only in train_step, where time"):
        run(path, "2steps")


@pytest.mark.parametrize("step", ["Adam(net.parameters()).step()", "LBFGS(net.parameters()).step(lambda: 0.0)"])
def test_an_optimizer_that_steps_while_the_model_is_built_trains_off_the_clock(
    run: Run, write_plugin: Callable[..., Path], step: str
) -> None:
    graded = "net[0].bias.sum().backward()\n    " if step.startswith("Adam") else ""  # LBFGS calls what computes them
    path = write_plugin(BUILD, f"{graded}torch.optim.{step}\n    {BUILD}")
    found = f"build_model takes steps of {step.partition('(')[0]}; train in before_training or train_step, where time"
    with pytest.raises(PluginError, match=re.escape(found)):
        run(path, "2steps")


def test_a_step_without_gradients_while_the_model_is_built_only_allocates_state(
    run: Run, write_plugin: Callable[..., Path]
) -> None:
    path = write_plugin(BUILD, f"torch.optim.Adam(net.parameters()).step()\n    {BUILD}")
    assert run(path, "2steps")["status"] == "finished"


def test_variables_that_a_library_sets_when_a_step_imports_it_are_no_fault(
    run: Run, write_plugin: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_plugin(STEP, f"{STEP}    import setting_of_a_step\n")
    (path.parent / "setting_of_a_step.py").write_text("import os\nos.environ['SET_BY_A_LIBRARY'] = '1'\n")
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setenv("SET_BY_A_LIBRARY", "")
    monkeypatch.delenv("SET_BY_A_LIBRARY")
    assert run(path, "2steps")["status"] == "finished"


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs g++")
def test_what_torch_s_compiler_changes_when_it_compiles_for_the_first_time_is_no_fault(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Compiled code in the cache of a machine used before would hide it."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    try:
        assert run(MODELS / "tiny.py", "2steps", compile=True)["status"] == "finished"
    finally:
        sys.setrecursionlimit(limit)
        torch._dynamo.reset()
    assert list((tmp_path / "inductor").rglob("*.cpp"))


@pytest.mark.parametrize(
    ("left", "named"),
    [
        ("torch.autocast('cpu', torch.bfloat16).__enter__()", "torch's autocast (cpu: off became torch.bfloat16)"),
        ("torch.backends.mkldnn.set_flags(False)", "torch's kernel settings (mkldnn: True became False)"),
        ("torch.manual_seed(3)", "the seed of torch's global generator"),
        (ENTERED, "torch's modes ([] became ['Left'])"),
        (
            "model.optimizers['generator'].step(); torch.set_default_device('meta')",
            "torch's default device (cpu became meta)",
        ),
    ],
)
@pytest.mark.parametrize("budget", ["2steps", "1e9flop"])
def test_a_mode_that_a_step_leaves_on_fails_the_cell(
    run: Run, write_plugin: Callable[..., Path], left: str, named: str, budget: str
) -> None:
    with pytest.raises(PluginError) as error:
        run(write_plugin(STEP, f"{STEP}    {left}\n"), budget)
    assert f"changed {named}; a hook must restore what it changes" in str(error.value)


@pytest.mark.parametrize("place", ["LATENT = 16\n", "    return Model("])
def test_a_default_device_that_an_import_or_building_leaves_is_named(
    run: Run, write_plugin: Callable[..., Path], place: str
) -> None:
    indent = place[: len(place) - len(place.lstrip())]
    path = write_plugin(place, f"{indent}torch.set_default_device('meta')\n{place}")
    with pytest.raises(PluginError, match="changed torch's default device"):
        run(path, "2steps")


def test_a_thread_that_a_step_leaves_running_fails_the_cell(run: Run, write_plugin: Callable[..., Path]) -> None:
    left = "threading.Thread(target=threading.Event().wait, args=(5,), name='mine', daemon=True).start()"
    path = write_plugin(STEP, f"{STEP}    import threading; {left}\n")
    told = r"left (thread 'mine'(, )?)+ running; end what you start before the hook returns$"
    with pytest.raises(PluginError, match=told):
        run(path, "1steps")


def test_what_the_last_evaluation_alone_leaves_fails_the_cell(
    run: Run, write_plugin: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the first draw takes on a busy machine: the seed is put back after that one, not after those that
    # are only timed.
    monkeypatch.setattr(trained, "SAMPLING_S", 1.0)
    place = "    return model.networks["
    left = "    DRAWN.append(count)\n    if sum(DRAWN) > 150: torch.manual_seed(3)\n"
    path = write_plugin(place, left + place)
    path.write_text(path.read_text().replace("LATENT = 16\n", "LATENT = 16\nDRAWN = []\n"))
    with pytest.raises(PluginError, match="changed the seed of torch's global generator; a hook must restore"):
        run(path, "1steps")


def test_one_of_several_jobs_takes_its_share_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    share = environment.share
    monkeypatch.setattr(environment, "share", lambda *given: asked.append(given) or share("cpu"))
    record = run_cell(tmp_path, ModelSpec("noise"), "1steps", slot=2, jobs=3)
    assert (asked, record["environment"]["jobs"]) == ([("cpu", 2, 3)], 3)


def test_networks_are_compiled_where_it_is_asked_for(run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    monkeypatch.setattr("genbench.cell.stages.compile_networks", compiled.append)
    run(tiny, "1steps")
    assert compiled == []
    run(tiny, "1steps", compile=True)
    assert [type(model) for model in compiled] == [Model]


def test_a_loss_without_a_name_fails_before_the_training(run: Run, write_plugin: Callable[..., Path]) -> None:
    path = write_plugin('{"energy": loss.detach()}', "{None: loss.detach()}")
    with pytest.raises(PluginError, match="train_step returned a loss named None, expected text as its name"):
        run(path, "1e6steps")


@dataclass(frozen=True)
class Told:
    """A cell that has run: its directory, its record and the events that it sent."""

    directory: Path
    record: dict[str, Any]
    events: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Told:
    directory, events = tmp_path_factory.mktemp("flow"), list[dict[str, Any]]()
    more = {"evaluations": 2, "batch_size": 8, "metrics": METRICS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genbench.cell.events.INTERVAL_S", 0.0)
        record = run_cell(directory, ModelSpec(str(MODELS / "flow.py")), "6steps", events.append, **more)
    return Told(directory, record, events)


def test_a_cell_tells_its_stages_and_how_far_each_is(flow: Told) -> None:
    assert [event["stage"] for event in flow.of("stage")] == (
        ["loading", "building", "training", *["evaluating", "training"] * 2, "measuring", "counting", "recording"]
    )
    metrics = select(METRICS)
    expected = [("features", 0), *((metric.name, place) for place, metric in enumerate(metrics))]
    on_curve = [("features", 0), *((metric.name, place) for place, metric in enumerate(metrics) if metric.curve)]
    told = [(event["name"], event["done"]) for event in flow.of("metric")]
    assert told == [*on_curve * 2, *expected]
    assert {event["total"] for event in flow.of("metric")} == {len(METRICS)}
    training = [event for event in flow.of("progress") if event["stage"] == "training"]
    assert [event["done"] for event in training] == [1, 2, 3, 4, 5, 6]
    for event in training:
        row = flow.record["curve"][event["done"]]
        assert (event["total"], event["losses"]) == (6, row["losses"])
        seconds = row["elapsed_s"] - flow.record["curve"][event["done"] - 1]["elapsed_s"]
        assert event["items_per_s"] == pytest.approx(8 / seconds, rel=1e-6)


def test_the_record_of_a_cell_holds_what_was_run_and_what_it_cost(flow: Told) -> None:
    record, cost = flow.record, flow.record["cost"]
    assert (record["schema"], record["id"], record["status"], record["failure"]) == (SCHEMA, ID, "finished", None)
    assert record["cell"].items() >= {"samples": 100, "device": "cpu", "plugin": {}}.items()
    assert record["command"] == "genbench run it again"
    assert (record["environment"]["jobs"], record["environment"]["device"]) == (1, "cpu")
    started, finished = (datetime.datetime.fromisoformat(record[name]) for name in ("started_at", "finished_at"))
    assert started <= finished <= started + datetime.timedelta(minutes=10)
    # A coupling's two layers, 64 to 32 to 128 values; backward, each takes two products, but the very first only one.
    layers = 64 * 32 + 32 * 128
    assert cost["parameters"] == 4 * (layers + 32 + 128)
    assert cost["sample_flops_per_item"] == 4 * 2 * layers
    assert cost["train_flops_per_item"] == 3 * 4 * 2 * layers - 2 * 64 * 32
    assert (cost["steps"], cost["items"], cost["sample_batch_size"], cost["replayed"]) == (6, 48, 250, False)
    assert cost["train_items_per_s"]["windows"] == 5  # the first is warm-up
    assert cost["sample_items_per_s"]["median"] > 0
    assert cost["before_sampling_s"] >= 0
    assert set(cost["metric_s"]) >= {"features", "frechet_distance", "likelihood"}
    assert cost["evaluation_s"] >= sum(cost["metric_s"].values()) > 0
    assert cost["peak_resident_bytes"] > 100 * 2**20
    assert record["numbers"]["fd"]["recipe"] in record["recipes"]
    assert set(record["not_measured"]) <= {"reconstruction"}
    assert not checkpoint_path(flow.directory, ID).exists()


def test_the_curve_of_a_cell_ends_with_its_numbers(flow: Told) -> None:
    rows, cost = flow.record["curve"], flow.record["cost"]
    assert [(row["step"], row["items"]) for row in rows] == [(step, 8 * step) for step in range(7)]
    assert [row["flops"] for row in rows] == [step * 8 * cost["train_flops_per_item"] for step in range(7)]
    assert [list(row["numbers"]) for row in rows] == [["fd"], [], [], ["fd"], [], [], ["fd"]]
    assert rows[-1]["numbers"]["fd"] == flow.record["numbers"]["fd"]["value"]
    assert rows[-1]["elapsed_s"] == cost["train_s"]


@pytest.mark.parametrize("name", ["real", "copycat"])
def test_a_control_is_drawn_from_its_own_stream_and_measured(tmp_path: Path, name: str) -> None:
    events: list[dict[str, Any]] = []
    record = run_cell(tmp_path, ModelSpec(name), "6steps", events.append, metrics=("fd", "c_t"), samples=300)
    digits = datasets.load("digits")
    extractor = features.load("digits-cnn", dataset=digits, device=torch.device("cpu"))
    evaluator = Evaluator(digits, extractor, reference_for(digits, extractor), select(("fd", "c_t")))
    images = controls.draw(name, digits, 300, seeding.generator(0, "control", name))
    numbers = evaluator.score(images, None, samples_held_out=name == "real")
    assert {key: value["value"] for key, value in record["numbers"].items()} == (
        {key: pytest.approx(number.value) for key, number in numbers.items()}
    )
    assert record["numbers"].keys() == numbers.keys()
    assert record["curve"] == []
    assert record["cost"]["evaluation_s"] >= sum(record["cost"]["metric_s"].values()) > 0
    assert record["cost"]["peak_resident_bytes"] > 0
    assert [event["stage"] for event in events if event["event"] == "stage"] == (
        ["loading", "sampling", "measuring", "recording"]
    )
    for path in record["artifacts"].values():
        assert (tmp_path / path).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("restored", [True, False])
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 1, 1)], ids=["images", "points"])
def test_a_cell_leaves_grids_of_its_first_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], restored: bool
) -> None:
    saved: dict[str, Tensor] = {}
    monkeypatch.setattr(
        "genbench.kinds.pictures.save_grid",
        lambda path, images: saved.update({str(path.relative_to(tmp_path)): images}),
    )
    monkeypatch.setattr(
        "genbench.kinds.pictures.save_pairs",
        lambda path, *sides: saved.update({str(path.relative_to(tmp_path)): torch.stack(sides, 1).flatten(0, 1)}),
    )
    train, held_out, images, again = torch.randint(256, (4, 100, *shape), dtype=torch.uint8).unbind()
    data = Dataset("my data", Split(train, None), Split(held_out, None), None, "", "fedcba9876")
    spec = ModelSpec("vae", {"beta": 4})
    whose = Cell(spec, "my data", 3, Settings())
    paths = save_artifacts(tmp_path, whose, ID, data, images, again if restored else None)
    name = slug("vae:beta=4-my data-seed3")
    kept = {
        "samples": (f"samples/{name}-012345.png", images),
        "reference": (f"samples/{slug('my data')}-fedcba-reference.png", train),
    }
    shown = {path: part if shape == (2, 1, 1) else part[:64] for path, part in kept.values()}
    if restored:
        kept["reconstructions"] = f"samples/{name}-012345-reconstructions.png", again
        pairs = [each for place in range(32) for each in (held_out[place], again[place])]
        shown[kept["reconstructions"][0]] = torch.stack(pairs)
    assert paths == {kind: path for kind, (path, _) in kept.items()}
    assert saved.keys() == shown.keys()
    assert all(torch.equal(saved[path], expected) for path, expected in shown.items())


def test_progress_is_passed_on_no_faster_than_an_eye_can_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = 0.0, list[dict[str, Any]]()
    monkeypatch.setattr("genbench.cell.events.time.monotonic", lambda: now)
    events = Events(told.append)
    for now in (0.1, 0.15, 0.19, 0.25, 0.3, 0.4):
        events({"event": "progress", "done": now})
    assert [event["done"] for event in told] == [0.1, 0.25, 0.4]
    told.clear()
    events.stage("training")
    events.metric("fd", 2, 5)
    events.notice("resumes")
    events({"event": "progress", "done": 1})  # too soon after the last progress, whatever was sent in between
    assert told == [
        {"event": "stage", "stage": "training"},
        {"event": "metric", "name": "fd", "done": 2, "total": 5},
        {"event": "notice", "text": "resumes"},
    ]


def test_a_report_names_a_generator_that_collapses_and_one_that_drops_modes_and_no_other(tmp_path: Path) -> None:
    records = []
    for fault in ("collapses", "drops", "none"):
        record = run_cell(
            tmp_path,
            ModelSpec(str(MODELS / "replays.py"), {"fault": fault}),
            "24steps",
            dataset="gaussians:ring,fraction=0.02,held_out=200",
            evaluations=6,
            samples=200,
            extractor="random-conv",
            metrics=("fd", "modes_covered"),
        )
        described = {"name": "gaussians", "classes": 8, "fingerprint": "of the ring"}
        told = {"model": fault, "label": fault, "role": "model", "seed": 0, "dataset": described, "budget": "24 steps"}
        records.append(record | {"cell": record["cell"] | told})
    (section,) = sections(records)
    _, table, named, _ = stability(section)
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")] for line in table.splitlines()[2:]}
    assert rows["`none`"][4] == "no"
    # Sampled at steps 0, 4, 8, ...: a fault after step 12 first shows at 16.
    assert rows["`collapses`"][4] == "**step 16**"
    assert [rows[f"`{fault}`"][5] for fault in ("collapses", "drops", "none")] == ["8 → 0", "8 → 3", "8 → 8"]
    told = named.splitlines()
    assert [line for line in told if "`none`" in line] == []
    assert any(line.startswith("- `collapses` deteriorated for good: from step 16 on, its fd") for line in told)
    assert any(line.startswith("- `drops` lost modes: modes covered 8 → 3, for good from step 16 on") for line in told)
