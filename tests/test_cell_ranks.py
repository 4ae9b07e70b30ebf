"""All ranks of a cell, of which the first is the test's own process and the others are forked and follow it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rank_cells import CPU, ID, ByHand, close, mean_of, near, payload, point_of, training_of
from rank_processes import PATIENCE_S, alone, hear, mortal, ranks_of, say, waiting

from genbench.cell import forked
from genbench.cell.forked import RankError
from genbench.cell.ranks import Ranks, from_text, to_text
from genbench.errors import PluginError
from genbench.training import checkpoint, cost, loop
from genbench.training.losses import window_means


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with alone(monkeypatch):
        yield


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_take_the_same_steps_and_losses_are_means_over_those_that_have_them(tmp_path: Path, size: int) -> None:
    given, hand = payload(tmp_path, ranks=size), ByHand(size)
    training = training_of(given)
    model, batches = training.follow(8, resumed=False), training.batches()
    with ranks_of(given, size) as ranks:
        ranks.take_up(training.plugin, model, CPU, 8, False)
        for first, steps in ((0, 1), (1, 1), (2, 1), (3, 3)):
            ranks.begin(first, steps)
            losses = loop.window(ranks.lockstep.step, model, batches, first, steps, "fp32")
            found = ranks.end(first + steps - 1, window_means(training.plugin, losses, first))
            by_rank = zip(*(hand.step(step) for step in range(first, first + steps)), strict=True)
            assert found == near(mean_of([mean_of([*each]) for each in by_rank]))
        close(point_of(model), hand.point)
        states = ranks.random_states()
        peaks = ranks.finish()
    assert [each["cuda"] for each in states] == [[]] * (size - 1)
    for each, generator in zip(states, hand.generators[1:], strict=True):
        assert torch.equal(each["cpu"], generator.get_state())
    assert [each.keys() for each in peaks] == [cost.peak_memory(CPU).keys()] * (size - 1)
    assert all((each["peak_resident_bytes"] or 0) > 1 << 20 for each in peaks)


def test_every_rank_sees_the_data_and_starts_from_what_the_first_learns(tmp_path: Path) -> None:
    given = payload(tmp_path)
    training = training_of(given)
    model = training.follow(8, resumed=False)
    before = training.before(model)
    assert before is not None
    with ranks_of(given) as ranks:
        ranks.take_up(training.plugin, model, CPU, 8, False)
        ranks.prepare(before)
        assert torch.equal(point_of(model), torch.full((2, 1, 1), float(os.getpid())))
        ranks.begin(0, 1)
        loop.window(ranks.lockstep.step, model, training.batches(), 0, 1, "fp32")
        ranks.end(0, {})


def test_weights_that_differ_after_a_window_are_the_plugins_fault(tmp_path: Path) -> None:
    given = payload(tmp_path)
    training = training_of(given)
    model = training.follow(8, resumed=False)
    with ranks_of(given) as ranks:
        ranks.take_up(training.plugin, model, CPU, 8, False)
        ranks.begin(0, 1)
        loop.window(ranks.lockstep.step, model, training.batches(), 0, 1, "fp32")
        with torch.no_grad():
            point_of(model).add_(1)
        with pytest.raises(
            PluginError, match=r"^model 'pushed' .*net\.point is not the same on all ranks after step 0"
        ):
            ranks.end(0, {})


@pytest.mark.parametrize("resumed", [True, False])
def test_ranks_resume_where_the_first_does_and_know_what_it_knows(tmp_path: Path, resumed: bool) -> None:
    given = payload(tmp_path)
    training = training_of(given)
    model = training.follow(None, resumed=False)
    state = torch.Generator().manual_seed(1).get_state()
    path = tmp_path / "checkpoints" / f"{ID}.pt"
    path.parent.mkdir()
    checkpoint.save(path, model, {}, [{"cpu": state, "cuda": []}])
    with ranks_of(given) as ranks:
        ranks.take_up(training.plugin, model, CPU, None, resumed)
        (found,) = ranks.random_states()
        ranks.begin(0, 1)
        loop.window(ranks.lockstep.step, model, training.batches(), 0, 1, "fp32")
        assert ranks.end(0, {})["steps"] == 0.0
    assert torch.equal(found["cpu"], state) == resumed


def test_generators_of_every_device_are_reported_by_each_rank() -> None:
    def tells(rank: int, pipe: Any, listener: socket.socket) -> None:
        waiting(rank, pipe, listener)
        pipe.send_bytes(b'{"cpu": "00ff0%d", "cuda": ["01", "0203"]}' % rank)

    with Ranks(3, tells, print) as ranks:
        found = ranks.random_states()
    assert [[each["cpu"].tolist(), *(one.tolist() for one in each["cuda"])] for each in found] == [
        [[0, 255, rank], [1], [2, 3]] for rank in (1, 2)
    ]


def test_a_lost_rank_is_the_reason_and_any_other_error_passes() -> None:
    def fails(rank: int, pipe: Any, listener: socket.socket) -> None:
        waiting(rank, pipe, listener)
        raise ValueError("bad luck")

    with pytest.raises(RankError, match=r"^rank 1 raised ValueError: bad luck"), Ranks(2, fails, print) as ranks:
        ranks.random_states()
    with pytest.raises(KeyError, match="mine"), Ranks(2, waiting, print):
        raise KeyError("mine")


def test_a_rank_that_ends_while_the_first_computes_ends_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    ended = threading.Event()
    monkeypatch.setattr(forked, "GRACE_S", 0.05)
    with Ranks(2, waiting, told.append) as ranks:
        monkeypatch.setattr(os, "_exit", lambda code: ended.set())  # after the fork
        ranks.begin(0, 1)
        assert ended.wait(PATIENCE_S)
    (event,) = told
    assert (event["event"], event["reason"]) == ("error", "rank 1 ended with exit code 0")


def test_each_rank_knows_where_the_first_answers_and_is_asked_to_end() -> None:
    def tells(rank: int, pipe: Any, listener: socket.socket) -> None:
        mortal()
        say(pipe, {"rank": rank, "port": listener.getsockname()[1], "asked": hear(pipe)})

    with Ranks(3, tells, print) as ranks:
        port = ranks._listener.getsockname()[1]
        assert ranks.finish() == [{"rank": rank, "port": port, "asked": {"do": "end"}} for rank in (1, 2)]


def test_the_first_rank_listens_on_this_machine_alone_and_only_as_long_as_it_must() -> None:
    with Ranks(2, waiting, print) as ranks, Ranks(2, waiting, print) as others:
        listeners = [each._listener for each in (ranks, others)]
        addresses = [listener.getsockname() for listener in listeners]
        assert [host for host, _ in addresses] == ["127.0.0.1"] * 2
        assert all(port >= 1024 for _, port in addresses)
        socket.create_connection(addresses[0], timeout=5).close()
    assert [listener.fileno() for listener in listeners] == [-1, -1]
    end = time.monotonic() + PATIENCE_S
    while is_open(addresses[0]):  # until the other, which inherited it, has been killed
        assert time.monotonic() < end
        time.sleep(0.01)


def is_open(address: Any) -> bool:
    with socket.socket() as one:
        one.settimeout(5)
        return one.connect_ex(address) == 0


def test_states_of_generators_pass_as_text() -> None:
    state = torch.tensor([0, 1, 15, 16, 255], dtype=torch.uint8)
    assert to_text(state) == "00010f10ff"
    back = from_text("00010f10ff")
    assert torch.equal(back, state)
    assert back.dtype is torch.uint8
    generator = torch.Generator().manual_seed(9)
    other = torch.Generator()
    other.set_state(from_text(to_text(generator.get_state())))
    assert torch.equal(torch.rand(3, generator=other), torch.rand(3, generator=generator))
