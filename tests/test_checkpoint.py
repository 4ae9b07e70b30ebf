"""A checkpoint holds the whole state of one cell, and a damaged one costs nothing but time."""

from __future__ import annotations

import errno
import itertools
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genbench import Data, Training, seeding
from genbench.cell.events import Events
from genbench.cell.training import CellTraining, _progress_event
from genbench.config import Cell, ModelSpec, Settings
from genbench.datasets.dataset import Dataset, Split
from genbench.plugin import finding, loading, options
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.training import checkpoint, loop
from genbench.training.loop import Batches, Progress, Row, Schedule

CPU = torch.device("cpu")
SHAPE = torch.Size((1, 8, 8))
ACCUMULATES = Path(__file__).parent / "models" / "accumulates.py"


def toy_split(count: int = 70) -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, *SHAPE), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(count) % 10)


def load(path: Path) -> Plugin:
    return loading.load(finding.find(ModelSpec(str(path))))


def build(plugin: Plugin, width: int = 16) -> Model:
    seeding.seed_global(0, "build")
    model = options.build(plugin, Data("image", SHAPE, 64, 10), Training(None, 16), {"width": width}, CPU)
    seeding.seed_global(0, "train")
    return model


class StoppedError(Exception):
    """Stands in for whatever ends a process in the middle of training."""


def train(plugin: Plugin, model: Model, progress: Progress, stop: int = -1, path: Path | None = None) -> None:
    """Train 20 steps; save to `path` after step `stop` and stop there."""
    ticks = itertools.count()

    def after_window(progress: Progress) -> None:
        if progress.step == stop:
            assert path is not None
            checkpoint.save(path, model, progress.to_json())
            raise StoppedError

    loop.train(
        plugin,
        model,
        Batches(toy_split(), 16, 0, CPU),
        Schedule(20, None, 4),
        progress,
        clock=lambda: float(next(ticks)),
        evaluate=lambda progress: {"fd": float(progress.step)},
        after_window=after_window,
    )


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("name", ["tiny", "accumulates"])
def test_resuming_ends_bit_for_bit_where_an_unbroken_run_ends(tmp_path: Path, name: str, stop: int) -> None:
    """`accumulates` steps its optimizer every fourth time; in between, its state is in `.grad`."""
    plugin = load(ACCUMULATES.parent / f"{name}.py")
    path = tmp_path / "c.pt"
    whole, whole_model = Progress(), build(plugin)
    train(plugin, whole_model, whole)
    with pytest.raises(StoppedError):
        train(plugin, build(plugin), Progress(), stop, path)
    torch.rand(5)  # another process would be at a different point in the global generator's sequence
    resumed_model = build(plugin)
    resumed = Progress.from_json(checkpoint.restore(path, resumed_model))
    assert resumed.step == stop
    train(plugin, resumed_model, resumed)
    assert resumed.rows == whole.rows
    for key, value in whole_model.networks.state_dict().items():
        assert torch.equal(value, resumed_model.networks.state_dict()[key])


def test_gradients_come_back_and_none_stays_that_was_not_saved(tmp_path: Path) -> None:
    def model() -> Model:
        return Model(nn.ModuleDict({"net": nn.Linear(2, 2), "other": nn.Embedding(3, 2, sparse=True)}), {})

    saved = model()
    saved.networks["net"].weight.grad = torch.ones(2, 2).requires_grad_()  # as after `create_graph=True`
    saved.networks["other"](torch.tensor([1])).sum().backward()
    checkpoint.save(tmp_path / "c.pt", saved, {})
    fresh = model()
    fresh.networks["net"].bias.grad = torch.ones(2)
    checkpoint.restore(tmp_path / "c.pt", fresh)
    assert torch.equal(fresh.networks["net"].weight.grad, torch.ones(2, 2))
    assert not fresh.networks["net"].weight.grad.requires_grad
    assert fresh.networks["net"].bias.grad is None
    assert torch.equal(fresh.networks["other"].weight.grad.to_dense(), saved.networks["other"].weight.grad.to_dense())


def cell_training(path: Path, told: list[dict[str, Any]]) -> CellTraining:
    cell = Cell(ModelSpec(str(ACCUMULATES), {"width": 16}), "toy", 0, Settings(batch_size=16))
    dataset = Dataset("toy", toy_split(), toy_split(), tuple("0123456789"), "MIT", "0" * 64)
    return CellTraining(cell, load(ACCUMULATES), dataset, CPU, path, None, Events(told.append))


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A checkpoint at step 3, as a killed run leaves it."""
    path = tmp_path / "checkpoints" / "0123456789abcdef.pt"
    path.parent.mkdir()
    plugin = load(ACCUMULATES)
    with pytest.raises(StoppedError):
        train(plugin, build(plugin), Progress(), 3, path)
    return path


def sealed(path: Path, state: Any) -> None:
    """Write any state as a checkpoint with the right checksum."""
    with path.open("w+b") as file:
        file.write(checkpoint.FORMAT + b" " * checkpoint.SEAL_LENGTH)
        torch.save(state, file)
        seal = checkpoint._seal(file)
        file.seek(len(checkpoint.FORMAT))
        file.write(seal)


def resealed(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        state = checkpoint.load(path)
        changed = change(state)
        sealed(path, state if changed is None else changed)

    return apply


def flipped(position: float, bit: int = 1) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(position * (len(data) - 1))] ^= bit
        path.write_bytes(data)

    return apply


def folder(path: Path) -> None:
    path.unlink()
    (path / "of").mkdir(parents=True)
    (path / "of" / "another.txt").write_text("kept")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


FAULTS: dict[str, Callable[[Path], None]] = {
    **{f"bit at {share}": flipped(share) for share in (0.0, 0.001, 0.01, 0.3, 0.5, 0.7, 0.9, 0.999, 1.0)},
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "empty": lambda path: path.write_bytes(b""),
    "the previous format": lambda path: torch.save({"format": 1, "model": {}, "random": {}, "progress": {}}, path),
    "no progress": resealed(lambda state: state.pop("progress") and None),
    "an extra key": resealed(lambda state: state | {"more": 1}),
    "an extra key in progress": resealed(lambda state: state["progress"].update(more=1)),
    "a list as progress": resealed(lambda state: state | {"progress": [1]}),
    "a step below zero": resealed(lambda state: state["progress"].update(step=-5)),
    "NaN seconds": resealed(lambda state: state["progress"].update(elapsed_s=float("nan"))),
    "a list": resealed(lambda state: [state]),
    "a tensor": resealed(lambda state: torch.ones(2)),
    "another cell's": resealed(lambda state: state.update(file="fedcba9876543210.pt")),
    "gradients of the wrong shape": resealed(lambda state: state["gradients"].update({"net.0.weight": torch.ones(3)})),
    "a number as gradients": resealed(lambda state: state.update(gradients=7)),
    "random state of the wrong type": resealed(lambda state: state.update(random={"cpu": "x", "cuda": []})),
    "an optimizer's state of the wrong type": resealed(lambda state: state["model"].update(optimizers={"adam": 3})),
    "a folder": folder,
    "a FIFO": fifo,
    "a link to nowhere": dangling,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_is_wrong_with_a_checkpoint_training_begins_anew_and_says_so_once(left: Path, fault: str) -> None:
    FAULTS[fault](left)
    told: list[dict[str, Any]] = []
    model, progress = cell_training(left, told).begin(2)
    (notice,) = told
    assert notice["event"] == "notice"
    assert notice["text"].startswith(f"checkpoint {left}: cannot be restored: ")
    assert notice["text"].endswith("; training starts over")
    assert "\n" not in notice["text"]
    assert progress == Progress()
    fresh = build(load(ACCUMULATES))
    assert all(map(torch.equal, model.networks.state_dict().values(), fresh.networks.state_dict().values()))
    assert torch.equal(torch.get_rng_state(), seeded())
    checkpoint.save(left, model, progress.to_json())  # the next one can be written
    told.clear()
    cell_training(left, told).begin(2)
    assert [event["text"] for event in told] == ["resumes after step 0"]
    if fault == "a folder":  # genbench does not remove what it has not written
        assert [path.read_text() for path in left.parent.rglob("another.txt")] == ["kept"]


def seeded() -> Tensor:
    seeding.seed_global(0, "train")
    return torch.get_rng_state()


def test_every_bit_counts(left: Path) -> None:
    """Step through the file: every flip is detected, in a tensor, in the archive's own fields or in its padding."""
    whole = left.read_bytes()
    stride = len(whole) // 200
    assert stride > 1
    for position in range(0, len(whole), stride):
        left.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
        with pytest.raises(checkpoint.CheckpointError):
            checkpoint.load(left)
    left.write_bytes(whole)
    checkpoint.load(left)


def test_a_resumed_training_says_after_which_step(left: Path) -> None:
    told: list[dict[str, Any]] = []
    _, progress = cell_training(left, told).begin(2)
    assert progress.step == 3
    assert told == [{"event": "notice", "text": "resumes after step 3"}]


@pytest.mark.parametrize(("interval", "saved"), [(0.0, [1, 2, 3]), (1e9, [3])])
def test_a_training_is_saved_at_its_interval_and_before_the_last_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval: float, saved: list[int]
) -> None:
    """Right after a checkpoint, another one at the end would not be worth its cost."""
    ticks, steps = itertools.count(), list[int]()
    monkeypatch.setattr("genbench.cell.training.time.monotonic", lambda: float(next(ticks)))
    monkeypatch.setattr(checkpoint, "save", lambda path, model, progress, ranks: steps.append(progress["step"]))
    training = replace(cell_training(tmp_path / "c.pt", []), checkpoint_interval=interval)
    model, progress = training.begin(3)
    training.train(model, progress, dict, 3)
    assert (steps, progress.step) == (saved, 3)


def test_a_checkpoint_that_cannot_be_written_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    told: list[dict[str, Any]] = []
    training = replace(cell_training(tmp_path / "c.pt", told), checkpoint_interval=0.0)
    training.train(*training.begin(2), dict, 2)
    notices = [event["text"] for event in told if event["event"] == "notice"]
    assert notices == ["checkpoint not written: No space left on device; training continues without it"]


@pytest.mark.parametrize(("schedule", "total"), [(Schedule(10, None, 1), 10), (Schedule(None, 20.0, 1), 12)])
def test_progress_is_reported_with_the_last_window(schedule: Schedule, total: int) -> None:
    progress = Progress(3, 5.0, [Row(1, 16, 4.0), Row(3, 48, 5.0, losses={"loss": 2.0})], [(16, 4.0), (32, 0.5)])
    event = {"event": "progress", "stage": "training", "done": 3, "total": total, "losses": {"loss": 2.0}}
    assert _progress_event(progress, schedule) == event | {"items_per_s": 64.0}
    progress = Progress(3, 0.0, [Row(3, 48, 0.0)], [(48, 0.0)])  # a clock may stand still
    assert math.isfinite(_progress_event(progress, schedule)["items_per_s"])


def test_too_little_memory_is_no_fault_of_the_checkpoint(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(torch, "load", exhausted)
    with pytest.raises(MemoryError):
        cell_training(left, []).begin(2)
    assert left.exists()


def test_a_checkpoint_of_another_size_of_model_is_named(tiny: Path, tmp_path: Path) -> None:
    plugin = load(tiny)
    checkpoint.save(tmp_path / "c.pt", build(plugin), {"step": 1})
    with pytest.raises(checkpoint.CheckpointError, match=r"c\.pt: cannot be restored"):
        checkpoint.restore(tmp_path / "c.pt", build(plugin, width=17))


def test_a_checkpoint_never_runs_code(tiny: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    path = tmp_path / "c.pt"
    checkpoint.save(path, build(load(tiny)), {})
    sealed(path, checkpoint.load(path) | {"model": Evil()})
    with pytest.raises(checkpoint.CheckpointError, match="cannot be restored"):
        checkpoint.restore(path, build(load(tiny)))
    assert not (tmp_path / "ran").exists()
