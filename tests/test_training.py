from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from genbench import Data, Training, seeding
from genbench.config import ModelSpec
from genbench.datasets.dataset import Split
from genbench.errors import PluginError
from genbench.execution.messages import encode
from genbench.kinds.image import KIND as IMAGES
from genbench.plugin import finding, loading, options
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.training import checkpoint, cost, loop
from genbench.training.loop import Batches, Progress, Row, Schedule
from genbench.training.losses import check_losses, window_means

CPU = torch.device("cpu")
SHAPE = torch.Size((1, 8, 8))


def toy_split(count: int = 70) -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, *SHAPE), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(count) % 10)


def load(path: Path) -> Plugin:
    return loading.load(finding.find(ModelSpec(str(path))))


def build(plugin: Plugin) -> Model:
    seeding.seed_global(0, "build")
    model = options.build(plugin, Data("image", SHAPE, 64, 10), Training(None, 16), {"width": 16}, CPU)
    seeding.seed_global(0, "train")
    return model


def ticking(step: float = 1.0):
    """A clock that advances by `step` each time it is read."""
    counter = itertools.count()
    return lambda: next(counter) * step


def test_scaling_ends_at_one_and_survives_rounding() -> None:
    values = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
    scaled = IMAGES.deliver(values)
    assert (scaled.min(), scaled.max(), scaled.dtype) == (-1.0, 1.0, torch.float32)
    assert torch.equal(IMAGES.store(scaled), values)


def test_an_epoch_has_each_image_at_most_once_and_the_next_another_order() -> None:
    split = toy_split()
    batches = Batches(split, 16, seed=0, device=CPU)
    assert batches.per_epoch == 4
    epochs = []
    for epoch in range(2):
        images = torch.cat([batches(epoch * 4 + index)[0] for index in range(4)])
        rows = [int((split.items.float() == IMAGES.store(image)).flatten(1).all(1).nonzero()) for image in images]
        assert len(set(rows)) == 64
        epochs.append(rows)
    assert epochs[0] != epochs[1]


def test_images_and_labels_stay_together() -> None:
    split = toy_split()
    images, labels = Batches(split, 16, seed=0, device=CPU)(2)
    for image, label in zip(images, labels, strict=True):
        row = int((split.items == IMAGES.store(image)).flatten(1).all(1).nonzero())
        assert split.labels is not None
        assert split.labels[row] == label


def test_a_batch_depends_on_step_and_seed_alone() -> None:
    far = Batches(toy_split(), 16, seed=0, device=CPU)(9)[0]
    walked = Batches(toy_split(), 16, seed=0, device=CPU)
    for step in range(9):
        walked(step)
    assert torch.equal(walked(9)[0], far)
    assert not torch.equal(Batches(toy_split(), 16, seed=1, device=CPU)(9)[0], far)


@pytest.mark.parametrize(("free", "fits"), [(2 * 70 * 64, False), (2 * 70 * 64 + 2, True), (70 * 64, False)])
@pytest.mark.parametrize(("dtype", "size"), [(torch.uint8, 1), (torch.int16, 2)], ids=["bytes", "samples"])
def test_items_stay_on_a_gpu_where_they_take_less_than_half_of_what_is_free(
    monkeypatch: pytest.MonkeyPatch, free: int, fits: bool, dtype: torch.dtype, size: int
) -> None:
    device, images, free = torch.device("cuda:3"), toy_split().items.to(dtype), free * size
    monkeypatch.setattr(torch.cuda, "mem_get_info", {device: (free, 0)}.__getitem__)
    assert loop._fits(images, device) == fits
    assert loop._fits(images, torch.device("mps"))  # shares the host's memory


@pytest.mark.parametrize("labelled", [True, False])
def test_batches_are_rows_in_the_epochs_own_order_which_is_drawn_once(
    monkeypatch: pytest.MonkeyPatch, labelled: bool
) -> None:
    generator, drawn = seeding.generator, list[tuple[int | str, ...]]()
    monkeypatch.setattr(seeding, "generator", lambda *names: drawn.append(names) or generator(*names))
    split = toy_split() if labelled else Split(toy_split().items, None)
    batches = Batches(split, 16, 3, CPU)
    for step in (4, 5, 7, 0, 1):  # from the second epoch on, as after a checkpoint
        images, labels = batches(step)
        order = torch.randperm(70, generator=generator(3, "batches", step // 4))
        rows = order[step % 4 * 16 : (step % 4 + 1) * 16]
        assert torch.equal(IMAGES.store(images), split.items[rows])
        assert (labels is None) == (split.labels is None)
        assert labels is None or split.labels is None or torch.equal(labels, split.labels[rows])
    assert drawn == [(3, "batches", 1), (3, "batches", 0)]


class Pinned:
    """A pinned tensor that records where it is copied to."""

    asked: ClassVar[list[tuple[object, bool]]] = []

    def __init__(self, tensor: torch.Tensor) -> None:
        assert tensor.device == CPU
        self.tensor = tensor

    def to(self, device: object, *, non_blocking: bool = False) -> torch.Tensor:
        self.asked.append((device, non_blocking))
        return self.tensor


@pytest.mark.parametrize("labelled", [True, False])
def test_images_that_do_not_fit_are_copied_batch_by_batch_without_waiting(
    monkeypatch: pytest.MonkeyPatch, labelled: bool
) -> None:
    device, split = torch.device("cuda"), toy_split() if labelled else Split(toy_split().items, None)
    monkeypatch.setattr(loop, "_fits", lambda images, device: False)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: Pinned(tensor))
    monkeypatch.setattr(Pinned, "asked", [])
    images, labels = Batches(split, 16, 0, device)(2)
    assert Pinned.asked == [(device, True)] * (2 if labelled else 1)
    monkeypatch.undo()
    expected_images, expected_labels = Batches(split, 16, 0, CPU)(2)
    assert torch.equal(images, expected_images)
    assert (labels is None) == (expected_labels is None)
    assert labels is None or expected_labels is None or torch.equal(labels, expected_labels)


def test_images_go_where_they_fit_and_batches_are_given_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, split, device = list[object](), toy_split(), torch.device("meta")
    assert Batches(split, 16, 0, CPU).resident
    monkeypatch.setattr(loop, "_fits", lambda images, device: asked.append((images is split.items, device)) or True)
    batches = Batches(split, 16, 0, device)
    images, labels = batches(0)
    assert asked == [(True, device)]
    assert batches.resident
    assert labels is not None
    assert images.device == labels.device == device


ROWS = [Row(0, 0, 0.0), Row(1, 16, 1.5), Row(3, 48, 2.5, 7.0, {"l": 1.0}, {"fd": 2.0})]
PROGRESS = Progress(3, 2.5, ROWS, [(16, 1.5), (32, 1.0)], 1)


@pytest.mark.parametrize("progress", [Progress(), PROGRESS])
def test_progress_comes_back_from_json(progress: Progress) -> None:
    assert Progress.from_json(json.loads(json.dumps(progress.to_json()))) == progress


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"step": -2}, "out of range"),
        ({"step": 3.0}, "out of range"),
        ({"evaluated": -2}, "out of range"),
        ({"evaluated": True}, "out of range"),
        ({"elapsed_s": -1e-9}, "out of range"),
        ({"elapsed_s": math.inf}, "out of range"),
        ({"elapsed_s": math.nan}, "out of range"),
        ({"step": 2}, "the last row is of another step"),
        ({"step": 1, "rows": []}, "the last row is of another step"),
    ],
    ids=str,
)
def test_progress_that_cannot_be_is_refused(changed: dict, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Progress.from_json(PROGRESS.to_json() | changed)


def test_the_share_of_a_budget_that_is_spent_is_of_steps_or_of_seconds() -> None:
    assert Schedule(10, None, 4).fraction(Progress(step=5, elapsed_s=100.0)) == 0.5
    by_time = Schedule(None, 8.0, 4)
    assert [by_time.fraction(Progress(elapsed_s=seconds)) for seconds in (0.0, 2.0, 8.0)] == [0.0, 0.25, 1.0]
    assert [by_time.due(Progress(elapsed_s=seconds)) for seconds in (0.0, 1.9, 2.0, 7.9, 8.0, 9.0, 20.0)] == (
        [0, 0, 1, 3, 4, 4, 4]
    )


@pytest.mark.parametrize("steps", [1, 3, 99, 100, 101, 250, 3000])
@pytest.mark.parametrize("evaluations", [1, 3, 7])
def test_windows_end_exactly_at_the_budget_and_at_each_evaluation(steps: int, evaluations: int) -> None:
    schedule = Schedule(steps, None, evaluations)
    progress, evaluated = Progress(), [schedule.due(Progress())]
    while window := schedule.window(progress):
        progress.step += window
        evaluated.append(schedule.due(progress))
    assert progress.step == steps
    assert evaluated[-1] == evaluations
    expected = {0, *(math.ceil(steps * i / evaluations) for i in range(1, evaluations + 1))}
    assert len(set(evaluated)) == len(expected)


def test_a_budget_in_seconds_is_kept_to_a_hundredth(tiny: Path) -> None:
    plugin = load(tiny)
    model, progress = build(plugin), Progress()
    now = 0.0

    def clock() -> float:  # every training step takes a hundredth of a second, the first a whole one
        return progress_time()

    def progress_time() -> float:
        return now

    batches = Batches(toy_split(), 16, seed=0, device=CPU)

    class Timed:
        batch_size, device = 16, CPU

        def __call__(self, step: int):
            nonlocal now
            now += 1.0 if step == 0 else 0.01
            return batches(step)

    loop.train(plugin, model, Timed(), Schedule(None, 5.0, 2), progress, clock=clock)  # type: ignore[arg-type]
    assert 5.0 <= progress.elapsed_s <= 5.06
    assert 390 <= progress.step <= 410


def test_evaluation_is_off_the_clock_and_leaves_training_as_it_was(tiny: Path) -> None:
    def run(disturb: bool) -> tuple[Progress, Model]:
        plugin = load(tiny)
        model, progress = build(plugin), Progress()

        def evaluate(_: Progress) -> dict[str, float]:
            state = seeding.random_state()
            if disturb:
                model.networks.eval()
                torch.rand(1000)
            seeding.restore_random_state(state)
            return {"fd": 1.0}

        loop.train(
            plugin,
            model,
            Batches(toy_split(), 16, 0, CPU),
            Schedule(10, None, 2),
            progress,
            clock=ticking(),
            evaluate=evaluate,
        )
        return progress, model

    plain, plain_model = run(False)
    disturbed, disturbed_model = run(True)
    assert disturbed.rows == plain.rows
    assert plain.elapsed_s == len(plain.windows)
    for name, value in plain_model.networks.state_dict().items():
        assert torch.equal(value, disturbed_model.networks.state_dict()[name])


def test_the_curve_starts_before_the_first_step_and_losses_are_means(tiny: Path) -> None:
    plugin = load(tiny)
    progress = Progress()
    loop.train(
        plugin,
        build(plugin),
        Batches(toy_split(), 16, 0, CPU),
        Schedule(4, None, 2),
        progress,
        clock=ticking(),
        evaluate=lambda progress: {"fd": float(progress.step)},
    )
    assert [(row.step, row.items, row.numbers) for row in progress.rows] == [
        (0, 0, {"fd": 0.0}),
        (1, 16, {}),
        (2, 32, {"fd": 2.0}),
        (3, 48, {}),
        (4, 64, {}),
    ]
    assert progress.rows[1].losses["energy"] > 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_finite_again_at_the_end_of_a_window_is_named_with_its_step(bad: float) -> None:
    window = [{"norm": 1.0}, {"norm": 1.0, "energy": 2.0}, {"energy": bad}, {"energy": 2.0}]
    losses = [{name: torch.tensor(value) for name, value in step.items()} for step in window]
    with pytest.raises(PluginError, match=f"^a plugin: loss 'energy' became {bad} at step 12$"):
        window_means("a plugin", losses, 10)


def test_losses_as_nearly_every_step_returns_them_are_not_copied() -> None:
    usual = {"energy": torch.tensor(1.0), "norm": torch.tensor(2.0)}
    unusual = {"energy": torch.tensor(1.0, dtype=torch.float64)}
    assert check_losses("a plugin", usual) is usual
    assert check_losses("a plugin", unusual) is not unusual


def test_the_name_of_a_loss_becomes_plain_text() -> None:
    class Name(str):  # local, so it cannot be pickled
        pass

    (name,) = check_losses("a plugin", {Name("energy"): torch.tensor(1.0)})
    assert (type(name), name) == (str, "energy")


def test_losses_that_no_event_could_hold_are_refused_at_the_first_step() -> None:
    value = torch.tensor(1.0)
    most = {f"{place:\x1f>100}": value for place in range(256)}
    assert check_losses("p", most) is most
    assert len(encode({"event": "progress", "stage": "", "done": 1, "total": 1, "losses": dict.fromkeys(most, 1.0)}))
    with pytest.raises(PluginError, match="returned 100,000 losses, expected at most 256"):
        check_losses("p", {str(place): value for place in range(100_000)})
    with pytest.raises(PluginError, match="name has 101 characters, expected text as its name, 100 characters at most"):
        check_losses("p", {"x" * 101: value})
    with pytest.raises(PluginError, match="returned 300 losses"):  # each step has others
        window_means("p", [{str(step): value} for step in range(300)], 0)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("return loss.detach()", "train_step returned Tensor, expected a dict"),
        ("return {'energy': loss}", r"returned a tensor of shape \(\) that requires grad for loss 'energy'"),
        ("return {'energy': loss.item()}", "returned float for loss 'energy'"),
        ("return {'energy': real.detach()}", r"returned a tensor of shape \(16, 64\) for loss 'energy'"),
        ("return {0: loss.detach()}", "train_step returned a loss named 0, expected text as its name"),
        (r"return {'\ud800': loss.detach()}", r"a loss named \\ud800, which is not valid Unicode, expected text"),
        (
            "return {'energy': loss.detach() + 1j}",
            "returned torch.complex64 for loss 'energy', expected a detached real",
        ),
        ("return {'energy': loss.detach().to('meta')}", "returned a tensor on meta, which holds no values for loss"),
        ("return {'energy': loss.detach().to_sparse()}", "returned a tensor of layout torch.sparse_coo"),
        ("return {'energy': loss.detach().to(torch.float8_e5m2)}", "returned torch.float8_e5m2 for loss 'energy'"),
        ("return {'energy': loss.detach() / (step - 3)}", "loss 'energy' became inf at step 3"),
        ("return {'energy': loss.detach() * (0 / step if step else 1) * float('nan')}", "became nan at step 0"),
    ],
)
def test_a_bad_loss_is_named_with_its_step(write_plugin, new: str, message: str) -> None:
    path = write_plugin('return {"energy": loss.detach()}', new)
    path.write_text(path.read_text().replace("def train_step(model, batch)", "def train_step(model, batch, step)"))
    plugin = load(path)
    with pytest.raises(PluginError, match=message) as error:
        loop.train(
            plugin, build(plugin), Batches(toy_split(), 16, 0, CPU), Schedule(8, None, 1), Progress(), clock=ticking()
        )
    assert str(error.value).startswith("model 'faulty' (file)")


class Recorder:
    """A stand-in for a plugin: its hooks record their calls, on a model with one weight."""

    def __init__(self, losses=lambda step: {}) -> None:
        self.losses = losses
        self.hook = self
        self.training: list[bool] = []
        self.given: list[tuple[torch.Tensor, torch.Tensor]] = []

    def function(self, hook: str):
        return getattr(self, hook)

    def train_step(self, model: Model, batch: torch.Tensor, labels: torch.Tensor, step: int):
        self.training.append(model.networks.training)
        assert step == len(self.given)
        self.given.append((batch, labels))
        return self.losses(step)

    def train(self, schedule: Schedule, **more) -> tuple[Progress, Model]:
        model, progress = Model(torch.nn.ModuleDict({"net": torch.nn.Linear(1, 1)}), {}), Progress()
        batches = Batches(toy_split(), 16, 0, CPU)
        loop.train(self, model, batches, schedule, progress, **{"clock": ticking(), **more})  # type: ignore[arg-type]
        return progress, model


def test_every_step_is_in_training_mode_also_after_an_evaluation() -> None:
    recorder = Recorder()
    model = Model(torch.nn.ModuleDict({"net": torch.nn.Linear(1, 1)}), {})
    batches = Batches(toy_split(), 16, 0, CPU)

    def evaluate(_: Progress) -> dict[str, float]:
        model.networks.eval()
        return {}

    loop.train(
        recorder,  # type: ignore[arg-type]
        model,
        batches,
        Schedule(6, None, 3),
        Progress(),
        clock=ticking(),
        evaluate=evaluate,
    )
    assert recorder.training == [True] * 6


def test_each_step_gets_the_images_and_labels_of_its_batch_and_after_window_gets_the_progress() -> None:
    recorder, told = Recorder(), list[Progress]()
    progress, _ = recorder.train(Schedule(6, None, 1), after_window=told.append)
    batches = Batches(toy_split(), 16, 0, CPU)
    for step, (images, labels) in enumerate(recorder.given):
        assert torch.equal(images, batches(step)[0])
        assert torch.equal(labels, batches(step)[1])
    assert [one is progress for one in told] == [True] * 6


def test_no_window_holds_the_time_of_an_evaluation_or_of_what_comes_after_one() -> None:
    now = 0.0

    def pass_time(seconds: float) -> dict:
        nonlocal now
        now += seconds
        return {}

    progress, _ = Recorder(lambda step: pass_time(1.0)).train(
        Schedule(6, None, 3),
        clock=lambda: now,
        evaluate=lambda progress: pass_time(1000.0),
        after_window=lambda progress: pass_time(50.0) and None,
    )
    assert progress.windows == [(16, 1.0)] * 6
    assert progress.elapsed_s == 6.0
    assert [row.elapsed_s for row in progress.rows] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_a_row_holds_the_mean_of_its_windows_losses_over_the_steps_that_have_them() -> None:
    def losses(step: int) -> dict[str, torch.Tensor]:
        more = {"rare": torch.tensor(float(step))} if step % 5 == 4 else {}
        return {} if step == 1 else {"square": torch.tensor(float(step) ** 2), **more}

    progress, _ = Recorder(losses).train(Schedule(250, None, 1))
    first = 0
    for row in progress.rows:
        steps = [step for step in range(first, row.step) if step != 1]
        rare = [step for step in steps if step % 5 == 4]
        expected = {"square": sum(step**2 for step in steps) / len(steps)}
        assert row.losses == pytest.approx(expected | ({"rare": sum(rare) / len(rare)} if rare else {}))
        first = row.step
    assert first == 250


def test_a_checkpoint_restores_the_global_generator(tmp_path: Path) -> None:
    model = Model(torch.nn.ModuleDict({"net": torch.nn.Linear(1, 1)}), {})
    torch.manual_seed(5)
    checkpoint.save(tmp_path / "c.pt", model, {})
    expected = torch.rand(3)
    torch.manual_seed(6)
    checkpoint.restore(tmp_path / "c.pt", model)
    assert torch.equal(torch.rand(3), expected)


def test_bf16_steps_run_under_autocast(write_plugin) -> None:
    reported = "{'bf16': torch.tensor(float((real @ real.T).dtype == torch.bfloat16))}"
    plugin = load(write_plugin('{"energy": loss.detach()}', reported))
    kinds = {}
    for precision in ("fp32", "bf16"):
        progress = Progress()
        batches = Batches(toy_split(), 16, 0, CPU)
        schedule = Schedule(1, None, 1)
        loop.train(plugin, build(plugin), batches, schedule, progress, clock=ticking(), precision=precision)
        kinds[precision] = progress.rows[-1].losses["bf16"]
    assert kinds == {"fp32": 0.0, "bf16": 1.0}


def test_bf16_sees_an_update_within_its_step(write_plugin) -> None:
    """A GAN's generator is judged by the discriminator that has just been updated."""
    again = "{'moved': (model.networks['generator'](noise).flatten(1) - fake).abs().max().detach()}"
    plugin = load(write_plugin('{"energy": loss.detach()}', again))
    progress = Progress()
    batches = Batches(toy_split(), 16, 0, CPU)
    loop.train(plugin, build(plugin), batches, Schedule(1, None, 1), progress, clock=ticking(), precision="bf16")
    assert progress.rows[-1].losses["moved"] > 0


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_precision_says_whether_cuda_rounds_to_tf32(precision: str) -> None:
    def settings() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = settings()
    with loop.in_precision(precision, torch.device("cuda")):
        assert settings() == {"fp32": ("highest", False), "tf32": ("high", True)}[precision]
    assert settings() == before


def test_a_precision_that_a_step_sets_stays_for_the_check_of_the_world() -> None:
    try:
        with loop.in_precision("fp32", torch.device("cuda")):
            torch.set_float32_matmul_precision("medium")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = True


def test_throughput_leaves_the_warm_up_out() -> None:
    windows = [(64, 100.0)] + [(64, 1.0)] * 39 + [(64, 2.0)]
    result = cost.throughput(windows)
    assert result is not None
    assert (result.median, result.windows) == (64.0, 39)
    assert result.p5 <= result.median <= result.p95
    assert cost.throughput([]) is None
    assert cost.throughput([(64, 2.0)]) == cost.Throughput(32.0, 32.0, 32.0, 1)


def test_the_slow_and_the_fast_end_of_a_throughput_are_its_5th_and_95th_percentile() -> None:
    """Of the 21 rates 100, 101, … 120, they are the second and the last but one; quartiles would be 105 and 115."""
    windows = [(1, 1.0)] + [(rate, 1.0) for rate in range(100, 121)]
    found = cost.throughput(windows[:1] + windows[:0:-1])
    assert found == cost.Throughput(110.0, 101.0, 119.0, 21)


def test_peak_memory_is_in_bytes() -> None:
    peak = cost.peak_memory(CPU)
    assert peak["peak_allocated_bytes"] is None
    assert (peak["peak_resident_bytes"] or 0) > 100 * 2**20  # torch alone takes that much


def test_peak_memory_is_that_of_this_process_alone() -> None:
    large = "kept = bytearray(2**29); kept[::4096] = b'x' * len(kept[::4096])"
    subprocess.run([sys.executable, "-S", "-c", large], check=True)
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("only Linux offers another way to read a process's own peak")
    (own,) = (int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    assert cost.peak_memory(CPU)["peak_resident_bytes"] == pytest.approx(own, rel=0.01)
