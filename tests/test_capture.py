"""Replayed steps equal ordinary training steps, with a CUDA graph emulated on the CPU and with a real one.

The emulation records operations as a graph does: the effects of recording are undone, and a replay runs the operations
again on the same tensors. Neither includes what the host does in a step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genbench import Model
from genbench.cell.events import Events
from genbench.cell.training import CellTraining
from genbench.config import Cell, ModelSpec, Settings
from genbench.contract import Contract
from genbench.contract.checks import capturing
from genbench.contract.fault import Fault
from genbench.errors import PluginError
from genbench.execution import planning
from genbench.regression import workload
from genbench.report import appendix
from genbench.training import loop
from genbench.training.capture import WARM_UP_STEPS, ReplayedStep
from genbench.training.loop import Progress, Schedule

STEPS = 6
MODELS = ["gan", "dcgan:channels=8", "vae", "conv-vae", "ae:denoising=0.2", "conv-ae"]
CPU = torch.device("cpu")


class Graph:
    """Stands in for `torch.cuda.CUDAGraph`, for operations on the CPU."""

    def __init__(self) -> None:
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        with torch.no_grad():
            for func, args, kwargs, recorded in self.operations:
                for old, new in zip(tensors(recorded), tensors(func(*args, **kwargs)), strict=True):
                    if old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class Recording(TorchDispatchMode):
    """Stands in for `torch.cuda.graph`: records operations in a graph, and undoes them on exit."""

    def __init__(self, graph: Graph, stream: object = None) -> None:
        super().__init__()
        self.graph = graph
        self.before: dict[int, tuple[Any, Any]] = {}
        self.made: set[int] = set()
        self.random = torch.get_rng_state()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for storage in (leaf.untyped_storage() for leaf in tensors((args, kwargs))):
            if storage._cdata not in self.made:
                self.before.setdefault(storage._cdata, (storage, storage.clone()))
        result = func(*args, **kwargs)
        self.made |= {leaf.untyped_storage()._cdata for leaf in tensors(result)} - self.before.keys()
        if func.namespace != "profiler":
            self.graph.operations.append((func, args, kwargs, result))
        return result

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch.set_rng_state(self.random)
        for storage, value in self.before.values():
            storage.copy_(value)


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(*_: object) -> Any:
        return SimpleNamespace(wait_stream=lambda other: None)

    for name, stands_in in {
        "CUDAGraph": Graph,
        "graph": Recording,
        "Stream": stream,
        "current_stream": stream,
        "stream": contextlib.nullcontext,
        "device": contextlib.nullcontext,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stands_in)


def trained(model: str, by_graph: bool, device: torch.device = CPU, precision: str = "fp32") -> tuple[Any, Any, Any]:
    """The model and the losses after some steps, and the hook that replayed them."""
    work = workload.workload_for(model, (1, 8, 8), device=device)
    hook = ReplayedStep(work.plugin, work.plugin.hook.train_step, work.model, device) if by_graph else None
    progress = Progress()
    schedule = Schedule(STEPS, None, 1)
    loop.train(
        work.plugin, work.model, work.batches, schedule, progress, clock=lambda: 0.0, precision=precision, step=hook
    )
    return work.model, [row.losses for row in progress.rows], hook


@pytest.mark.parametrize(("model", "precision"), [*((model, "fp32") for model in MODELS), (MODELS[0], "bf16")])
def test_replayed_training_is_the_training(emulated: None, model: str, precision: str) -> None:
    steps, losses, _ = trained(model, False, precision=precision)
    replayed, its_losses, hook = trained(model, True, precision=precision)
    assert steps.capturable
    assert hook._graph.replays == STEPS - WARM_UP_STEPS
    assert its_losses == losses  # one row per step here
    assert len(losses) == STEPS
    for name, value in steps.networks.state_dict().items():
        assert torch.equal(value, replayed.networks.state_dict()[name]), name
    for optimizer in replayed.optimizers.values():
        assert all(group["capturable"] for group in optimizer.param_groups)


def test_labels_are_copied_and_losses_kept(emulated: None) -> None:
    def hook(model: Model, batch: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        return {"sum": (batch.sum() + labels.sum()).detach()}

    model = Model(nn.ModuleDict(), {})
    replayed = ReplayedStep("model 'x'", hook, model, CPU)
    losses = [replayed(model, torch.full((2,), float(n)), torch.tensor([10 * n]), n)["sum"] for n in range(6)]
    assert [float(loss) for loss in losses] == [12.0 * n for n in range(6)]


def test_a_step_that_cannot_be_captured_is_one_line(emulated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def refusing(graph: Graph, stream: object) -> Iterator[None]:
        try:
            yield
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    def hook(model: Model, batch: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
        if step == WARM_UP_STEPS:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        return {}

    monkeypatch.setattr(torch.cuda, "graph", refusing)
    model = Model(nn.ModuleDict(), {})
    replayed = ReplayedStep("model 'x'", hook, model, CPU)
    with pytest.raises(PluginError) as error:
        [replayed(model, torch.zeros(1), None, step) for step in range(STEPS)]
    assert str(error.value) == (
        "model 'x': its step cannot be captured in a CUDA graph: operation not permitted when stream is capturing"
    )


def test_a_scheduler_is_refused() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    schedulers = {"rate": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)}
    with pytest.raises(PluginError, match="model 'x': declares capturable, but its scheduler sets rates"):
        ReplayedStep("model 'x'", None, Model(nn.ModuleDict(), {}, schedulers, True), CPU)  # type: ignore[arg-type]


HOST = "    real = real * len(globals().setdefault('DONE', []))\n    DONE.append(0)\n"
REPLACED = """    net = model.networks["generator"]
    net.register_buffer("count", getattr(net, "count", torch.tensor(0)) + 1)
"""


@pytest.mark.parametrize(
    ("inserted", "fault"),
    [("", None), (HOST, "to train like the steps.* apart"), (REPLACED, "to count like the steps.* generator.count")],
)
def test_the_contract_compares_replays_with_steps(
    emulated: None, write_plugin: Any, inserted: str, fault: str | None
) -> None:
    loss = "    loss = 2 * torch"
    path: Path = write_plugin(loss, inserted + loss)
    path.write_text(path.read_text().replace("parameters(), rate)", "parameters(), rate, fused=True)"))
    contract = Contract(f"{path}:width=16", [(1, 8, 8)])
    subject = contract.subject(contract.cases[0])
    with pytest.raises(Fault, match=fault) if fault else contextlib.nullcontext():
        capturing.replays(subject)


@pytest.mark.parametrize("capturable", [True, False])
def test_a_cell_replays_what_allows_it_and_says_what_does_not(emulated: None, capturable: bool, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    asked = Cell(ModelSpec("gan"), "digits", 0, Settings(cuda_graph=True))
    model = Model(nn.ModuleDict(), {}, capturable=capturable)
    plugin: Any = workload.workload_for("gan", (1, 8, 8)).plugin
    data: Any = None  # not used before a batch is drawn
    fit = CellTraining(asked, plugin, data, CPU, tmp_path / "checkpoint", None, Events(events.append))
    assert isinstance(fit.replayed_step(model), ReplayedStep if capturable else type(None))
    assert fit.replayed(model, Progress(step=WARM_UP_STEPS + 1)) == capturable
    assert not fit.replayed(model, Progress(step=WARM_UP_STEPS))
    assert [event["text"] for event in events] == [
        "model 'gan' (genbench-gan 0.1.0): does not declare its steps capturable, so they run without a CUDA graph"
    ][capturable:]


def test_the_flag_is_part_of_a_cells_identity_and_of_its_command() -> None:
    data = {
        "dataset": {"name": "d", "fingerprint": "f"},
        "extractor": {},
        "metrics": {},
        "samples": 1,
        "device": "cuda",
    }
    planned = [
        planning._identify(Cell(ModelSpec("gan"), "d", 0, Settings(cuda_graph=asked)), data, None, "")
        for asked in (False, True)
    ]
    assert planned[0].id != planned[1].id
    # The flag is recorded only if set, or every older record would differ.
    assert ["cuda_graph" in each.description for each in planned] == [False, True]
    commands = [appendix.command_of([{"cell": each.description}])[0] for each in planned]
    assert ["--cuda-graph" in command for command in commands] == [False, True]


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("model", MODELS)
def test_a_real_graph_trains_as_the_steps(model: str, precision: str) -> None:
    device = torch.device("cuda")
    initial = workload.workload_for(model, (1, 8, 8), device=device).model
    steps, losses, _ = trained(model, False, device, precision)
    replayed, its_losses, _ = trained(model, True, device, precision)
    first, second, third = (capturing._networks(one) for one in (initial, steps, replayed))
    assert capturing._distance(second, third) <= capturing.NEAR * capturing._distance(first, second)
    for row, its_row in zip(losses, its_losses, strict=True):
        assert its_row == pytest.approx(row, rel=0.02, abs=0.02)
