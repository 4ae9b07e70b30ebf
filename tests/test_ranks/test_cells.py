"""Whole cells with two ranks: their records, which settings are refused, and the loss of a rank."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest
import torch

import genbench
from genbench.cell.ranks import Ranks
from genbench.config import Budget, Cell, ModelSpec, Settings
from genbench.execution import planning
from genbench.features.extractor import Features
from genbench.training import checkpoint
from genbench.training.cost import largest
from genbench.training.flops import Flops, StepFlops
from genbench.training.ranks.group import ProcessGroup

Command = Callable[..., subprocess.CompletedProcess[str]]
TINY = (Path(__file__).parent.parent / "models" / "tiny.py").read_text()
BACKWARD = "    loss.backward()\n"
QUICK: dict[str, Any] = {"seeds": 1, "evaluations": 2, "samples": 100, "controls": [], "metrics": ("fd",), "ranks": 2}
SLEEP = """\
    import os, time
    time.sleep(0.01)
    if "TEST_NUMBERS" in os.environ:
        open(os.path.join(os.environ["TEST_NUMBERS"], str(os.getpid())), "w").close()
"""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that trains for several seconds, so that it can be interrupted."""
    path = tmp_path_factory.mktemp("ranks") / "slow.py"
    path.write_text(TINY.replace(BACKWARD, BACKWARD + SLEEP))
    return path


@pytest.fixture(scope="module")
def unbroken(warm_servers: None, slow: Path) -> genbench.Record:
    (record,) = genbench.run([str(slow)], budget="60steps", out=slow.parent / "unbroken", **QUICK)
    assert record.finished, record.data["failure"]
    return record


def test_a_record_of_two_ranks_says_so_and_counts_them_together(
    unbroken: genbench.Record, slow: Path, tmp_path: Path
) -> None:
    (one,) = genbench.run([str(slow)], budget="60steps", out=tmp_path, **{**QUICK, "ranks": 1})
    two = unbroken.data
    assert two["cell"]["ranks"] == 2
    assert "ranks" not in one.data["cell"]
    assert one.id != unbroken.id
    assert "--ranks 2" in two["command"]
    assert two["cost"]["items"] == one.data["cost"]["items"] == 60 * 64
    assert two["curve"][-1]["items"] == 60 * 64
    # Each has half of the batch: only the distances between the generated items of different ranks are missing.
    assert two["cost"]["train_flops_per_item"] == pytest.approx(one.data["cost"]["train_flops_per_item"], rel=0.3)
    assert two["numbers"]["fd"]["value"] > 0
    assert two["numbers"]["fd"]["value"] != one.data["numbers"]["fd"]["value"]  # each rank draws its own noise
    assert two["cost"]["peak_resident_bytes"] > 2**20
    assert (slow.parent / "unbroken" / two["artifacts"]["samples"]).exists()


def test_ranks_may_have_one_row_each(warm_servers: None, tmp_path: Path) -> None:
    """BatchNorm then has the rows of all ranks, although torch's own refuses a single one."""
    source = TINY.replace("width), nn.ReLU(), nn", "width), nn.BatchNorm1d(width), nn.ReLU(), nn", 1)
    assert source != TINY
    (tmp_path / "model.py").write_text(source)
    (record,) = genbench.run([str(tmp_path / "model.py")], budget="4steps", batch_size=2, out=tmp_path / "out", **QUICK)
    assert record.finished, record.data["failure"]
    assert record.data["cost"]["train_flops_per_item"] > 0


def lasting(record: genbench.Record) -> dict[str, Any]:
    curve = [{key: value for key, value in row.items() if key != "elapsed_s"} for row in record.data["curve"]]
    return {"curve": curve, **{key: record.data[key] for key in ("id", "cell", "numbers", "recipes", "artifacts")}}


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def step_of(path: Path) -> int:
    return checkpoint.load(path)["progress"]["step"] if path.exists() else 0


def ranks_in(folder: Path) -> tuple[psutil.Process, psutil.Process]:
    """The processes of the first and the second rank, each of which has written its process id."""
    one, two = (psutil.Process(int(path.name)) for path in folder.iterdir())
    return (one, two) if two.ppid() == one.pid else (two, one)


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended, even if its exit code has not been collected yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def started(program: list[str], slow: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, Path]]:
    out, numbers = tmp_path / "out", tmp_path / "numbers"
    numbers.mkdir()
    arguments = [*("-m", str(slow), "--out", str(out), "--budget", "60steps", "--checkpoint-interval", "0.05")]
    arguments += [*("--seeds", "1", "--evaluations", "2", "--samples", "100", "--no-controls", "--metrics", "fd")]
    process = subprocess.Popen(
        [*program, "run", *arguments, "--ranks", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TEST_NUMBERS": str(numbers)},
    )
    yield process, out, numbers
    process.kill()
    process.communicate()


def test_a_run_that_is_killed_leaves_no_rank_and_ends_where_an_unbroken_one_ends(
    started: tuple[subprocess.Popen[str], Path, Path], slow: Path, unbroken: genbench.Record
) -> None:
    process, out, numbers = started
    path = out / "checkpoints" / f"{unbroken.id}.pt"
    wait_for(lambda: step_of(path) >= 10)
    worker, other = ranks_in(numbers)
    assert os.getpgid(worker.pid) == os.getpgid(other.pid)  # a process group is ended together
    worker.send_signal(signal.SIGSTOP)  # so that it can neither end its rank nor see it end
    process.kill()
    worker.kill()
    wait_for(lambda: is_gone(worker) and is_gone(other), 20)
    state = checkpoint.load(path)
    assert 10 <= state["progress"]["step"] < 60
    assert not torch.equal(state["random"]["ranks"][0]["cpu"], state["random"]["cpu"])
    (record,) = genbench.run([str(slow)], budget="60steps", out=out, **QUICK)
    assert lasting(record) == lasting(unbroken)
    for name in record.data["artifacts"].values():
        assert (out / name).read_bytes() == (slow.parent / "unbroken" / name).read_bytes()


def test_a_rank_that_is_killed_ends_its_cell_within_seconds(
    started: tuple[subprocess.Popen[str], Path, Path], unbroken: genbench.Record
) -> None:
    process, out, numbers = started
    wait_for(lambda: step_of(out / "checkpoints" / f"{unbroken.id}.pt") >= 5)
    worker, other = ranks_in(numbers)
    other.kill()
    begin = time.monotonic()
    wait_for(lambda: is_gone(worker))
    assert time.monotonic() - begin < 30
    lines = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "RankError: rank 1 was ended by a signal (Killed)" in lines


ON_RANK_1 = (
    "    import torch.distributed as dist\n    if dist.is_initialized() and dist.get_rank() == 1 and step == 3:\n"
)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("raise ValueError('bad luck')", "RankError: rank 1 raised ValueError: bad luck"),
        ("import os; os._exit(3)", "RankError: rank 1 ended with exit code 3"),
        ("loss = loss * float('nan')", "loss 'energy' became nan at step 3 (rank 1)"),
    ],
)
def test_a_rank_that_fails_fails_its_cell_with_its_reason(
    warm_servers: None, tmp_path: Path, what: str, said: str
) -> None:
    source = TINY.replace("def train_step(model, batch)", "def train_step(model, batch, step)")
    (tmp_path / "model.py").write_text(source.replace(BACKWARD, f"{ON_RANK_1}        {what}\n{BACKWARD}"))
    begin = time.monotonic()
    (record,) = genbench.run([str(tmp_path / "model.py")], budget="60steps", out=tmp_path / "out", **QUICK)
    assert record.failed
    assert said in record.data["failure"]["reason"]
    assert record.data["failure"]["stage"] == "training"
    if "bad luck" in what:
        assert "On rank 1:" in record.data["failure"]["traceback"]
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--ranks", "3"], "a batch of 64 does not divide among 3 ranks; use --batch-size 63 or 66"),
        (["--ranks", "3", "--batch-size", "2"], "a batch of 2 does not divide among 3 ranks; use --batch-size 3"),
        (["--ranks", "2", "--compile"], "--compile and --ranks cannot be combined; leave one out"),
        (["--ranks", "2", "--cuda-graph"], "--cuda-graph and --ranks cannot be combined; leave one out"),
        (["--ranks", "0"], "--ranks must be a whole number above zero, not 0"),
        (["--ranks", "65"], "ranks must be at most 64, not 65"),
    ],
)
def test_impossible_ranks_are_refused_in_one_line(
    command: Command, tmp_path: Path, flags: list[str], said: str
) -> None:
    ended = command("run", "-m", "gan", "--device", "cpu", *flags, "--out", "out", cwd=tmp_path, code=2)
    assert ended.stderr.strip().splitlines()[-1] == f"genbench: {said}"
    assert not list((tmp_path / "out").glob("records/*"))


def test_several_ranks_are_part_of_a_model_s_identity() -> None:
    data = {"device": "cpu", "samples": 1, "extractor": {}, "metrics": {}, "dataset": {}}

    def described(name: str, ranks: int) -> dict[str, Any]:
        cell = Cell(ModelSpec(name), "digits", 0, Settings(Budget(1, "steps"), ranks=ranks))
        return planning._description(cell, data, None, "")

    assert described("gan", 2) == {**described("gan", 1), "ranks": 2}
    assert described("noise", 2) == described("noise", 1)


class Doubling:
    """Replaces an extractor: features are twice the items, and contain the number of their batch."""

    feature_count, classes, item_bytes, device = 3, 2, 1, torch.device("cpu")

    def __call__(self, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 2.0 * items, torch.full((len(items), 2), float(len(items)))


def extracts(rank: int, pipe: Any, listener: Any) -> None:
    """A rank that only extracts features."""
    from genbench.cell import follower

    torch.set_num_threads(1)
    each = follower._Follower.__new__(follower._Follower)
    each.group, each.extractor, each.commands = ProcessGroup(rank, 2, torch.device("cpu"), listener), Doubling(), pipe
    each.dataset = type("", (), {"train": type("", (), {"items": torch.zeros(1, dtype=torch.int16)})})
    each.ended, each.device = False, torch.device("cpu")
    while not each.ended:
        message = json.loads(pipe.recv_bytes())
        getattr(each, message.pop("do"))(**message)


def test_extraction_is_shared_out_by_the_batches_of_one_rank(together: Any) -> None:
    from genbench.cell import ranks as module
    from genbench.features import extractor

    def share(group: Any) -> Any:
        if group.rank:
            return {}
        torch.distributed.destroy_process_group()
        found = {}
        with mock.patch.object(module, "default_batch_size", return_value=4), Ranks(2, extracts, print) as ranks:
            ranks._group = ProcessGroup(0, 2, torch.device("cpu"), ranks._listener)
            for count in (0, 4, 5, 8, 17, 22):
                items = torch.arange(3 * count, dtype=torch.int16).reshape(count, 3)
                shared = ranks.extract(Doubling(), items)
                alone: Features = extractor.extract(Doubling(), items, batch_size=4)
                found[count] = torch.equal(shared.features, alone.features) and torch.equal(shared.logits, alone.logits)
            ranks._others.finish({"do": "end"})
        return found

    assert together(share)[0] == dict.fromkeys((0, 4, 5, 8, 17, 22), True)


def test_what_ranks_learn_before_the_first_step_is_that_of_the_first() -> None:
    """Each rank passes over the data itself, and may have found something different."""
    told: list[Any] = []
    ranks = Ranks.__new__(Ranks)
    ranks._others = mock.Mock(tell_all=told.append)
    ranks._lockstep = mock.Mock(copy_from_first=lambda: told.append("copied"))
    ranks.prepare(lambda: told.append("seen"))
    assert told == [{"do": "prepare"}, "seen", "copied"]


def test_costs_of_all_ranks() -> None:
    flops = Flops(StepFlops((10, 30), 2), sample=7, before=5).of_ranks(3)
    assert (flops.total(4), flops.sample) == (3 * (5 + 80), 7)
    peaks = [{"a": 3, "b": None}, {"a": 9, "b": None}, {"a": 4, "b": 2}]
    assert largest(peaks) == {"a": 9, "b": 2}
