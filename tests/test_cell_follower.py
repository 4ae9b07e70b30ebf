"""A rank other than the first, in the test's own process, beside a first rank that is forked and does as it is told."""

from __future__ import annotations

import builtins
import socket
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from rank_cells import CPU, ID, MODEL, SEED, ByHand, Doubling, close, items_of, mean_of, near, payload, point_of
from rank_processes import First, alone, beside, hear, joins, say

from genbench import Training, seeding
from genbench.cell.follower import _Follower, follow
from genbench.errors import PluginError
from genbench.features.extractor import extract
from genbench.plugin import world
from genbench.training import checkpoint, cost, loop


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with alone(monkeypatch):
        yield


def seen(rank: _Follower) -> list[Any]:
    """What the model has noted."""
    return vars(rank.plugin.implementation)["seen"]  # type: ignore[no-any-return]


def test_a_rank_takes_the_steps_of_all_on_its_own_rows(tmp_path: Path) -> None:
    given, hand = payload(tmp_path), ByHand(2)
    with beside(joins(given, lambda first: first.window(3, 2))) as (pipe, listener):
        rank = _Follower(given, 1, pipe, listener)
        rank.model(8, False)
        close(point_of(rank.built), hand.point)
        rank.window(3, 2)
        answer = hear(pipe)
        assert listener.fileno() == -1
    losses = [hand.step(step)[1] for step in (3, 4)]
    close(point_of(rank.built), hand.point)
    assert answer == near(mean_of(losses))
    assert seen(rank) == [Training(8, 12)]


def test_a_rank_follows_messages_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step imports a module that draws random numbers, which must not shift those of the step."""
    (tmp_path / "of_a_library.py").write_text("import torch\n\ntorch.rand(3)\n")
    monkeypatch.delitem(sys.modules, "of_a_library", raising=False)
    step = "def train_step(model, batch):\n"
    given, hand = payload(tmp_path, MODEL.replace(step, f"{step}    import of_a_library\n\n")), ByHand(2)

    def act(pipe: Connection, listener: socket.socket) -> None:
        say(pipe, {"do": "model", "steps": 8, "resumed": False})
        assert hear(pipe) == {}
        first = First(given, pipe, listener)
        found = []
        for begin, steps in ((0, 1), (1, 2)):
            say(pipe, {"do": "window", "first": begin, "steps": steps})
            with world.imports_put_back():
                found.append(first.window(begin, steps))
        say(pipe, {"do": "random"})
        found.append(hear(pipe))
        say(pipe, {"do": "end"})
        found.append(hear(pipe))
        say(pipe, [*found, point_of(first.model).tolist()])

    imports, before = builtins.__import__, cost.peak_memory(CPU)["peak_resident_bytes"]
    with beside(act) as (pipe, listener):
        follow(given, 1, pipe, listener)
        one, two, random, peak, point = hear(pipe)
    losses = [hand.step(step)[1] for step in range(3)]
    assert one == near(losses[0])
    assert two == near(mean_of(losses[1:]))
    close(torch.tensor(point), hand.point)
    assert random == {"cpu": hand.generators[1].get_state().numpy().tobytes().hex(), "cuda": []}
    assert {**peak, "peak_resident_bytes": 0} == {**cost.peak_memory(CPU), "peak_resident_bytes": 0}
    assert before <= peak["peak_resident_bytes"] <= cost.peak_memory(CPU)["peak_resident_bytes"]
    assert builtins.__import__ is imports


def test_a_rank_sees_the_data_as_the_first_does_then_starts_from_its_weights(tmp_path: Path) -> None:
    given = payload(tmp_path, training_precision="bf16")

    def then(first: First) -> Any:
        first.copies(7.0)
        return first.window(0, 1)

    with beside(joins(given, then)) as (pipe, listener):
        rank = _Follower(given, 1, pipe, listener)
        rank.model(8, False)
        rank.built.networks.eval()
        rank.prepare()
        (_, (training, autocast, seed, drawn)) = seen(rank)
        assert (training, autocast, seed) == (True, True, seeding.derive(SEED, "train"))
        assert torch.equal(drawn, torch.rand(2, generator=seeding.generator(SEED, "train")))
        assert torch.equal(point_of(rank.built), torch.full((2, 1, 1), 7.0))
        own = seeding.generator(SEED, "train", "rank", 1)
        assert torch.equal(torch.get_rng_state(), own.get_state())
        rank.window(0, 1)
        assert hear(pipe)["autocast"] == 1.0


@pytest.mark.parametrize("resumed", [True, False])
def test_a_rank_that_resumes_draws_where_its_own_generator_was(tmp_path: Path, resumed: bool) -> None:
    given, states = payload(tmp_path), [torch.Generator().manual_seed(number).get_state() for number in (1, 2)]
    with beside(joins(given)) as (pipe, listener):
        rank = _Follower(given, 1, pipe, listener)
        path = tmp_path / "checkpoints" / f"{ID}.pt"
        path.parent.mkdir()
        model = rank.training.follow(8, resumed=False)
        checkpoint.save(path, model, {}, [{"cpu": state, "cuda": []} for state in states])
        rank.model(8, resumed)
        hear(pipe)
    expected = states[0] if resumed else seeding.generator(SEED, "train", "rank", 1).get_state()
    assert torch.equal(torch.get_rng_state(), expected)


def test_a_rank_says_at_which_step_a_loss_became_invalid(tmp_path: Path) -> None:
    spoilt = MODEL.replace("(model, batch):", "(model, batch, step):")
    spoilt = spoilt.replace("loss.detach()", 'loss.detach() * float("nan" if step == 4 else 1)')
    given = payload(tmp_path, spoilt)

    def then(first: First) -> None:
        loop.window(first.lockstep.step, first.model, first.batches, 3, 2, "fp32")

    with beside(joins(given, then)) as (pipe, listener):
        rank = _Follower(given, 1, pipe, listener)
        rank.model(8, False)
        with pytest.raises(PluginError, match=r"^model 'pushed' \(file\): loss 'loss' became nan at step 4$"):
            rank.window(3, 2)
        hear(pipe)


def test_weights_are_compared_after_the_last_step_of_a_window(tmp_path: Path) -> None:
    given = payload(tmp_path)

    def then(first: First) -> None:
        loop.window(first.lockstep.step, first.model, first.batches, 3, 2, "fp32")
        with torch.no_grad():
            point_of(first.model).add_(1)
        with pytest.raises(PluginError):
            first.lockstep.settle(4)

    with beside(joins(given, then)) as (pipe, listener):
        rank = _Follower(given, 1, pipe, listener)
        rank.model(8, False)
        with pytest.raises(
            PluginError, match=r"^model 'pushed' .*net\.point is not the same on all ranks after step 4:"
        ):
            rank.window(3, 2)
        hear(pipe)


@pytest.mark.parametrize("classes", [None, 2])
def test_features_are_extracted_in_the_batches_asked_for_whatever_is_set(tmp_path: Path, classes: int | None) -> None:
    given, items, size = payload(tmp_path), items_of(10), 4

    def then(first: First) -> list[Any]:
        first.group.send(items, 1)
        counts = [3] if classes is None else [3, classes]
        return [first.group.receive(torch.empty(len(items), count), 1).tolist() for count in counts]

    with beside(joins(given, then)) as (pipe, listener):
        rank = _Follower(given, 1, pipe, listener)
        rank.model(8, False)
        rank.extractor = Doubling(classes)
        torch.set_default_dtype(torch.float64)
        rank.extract([10, 2, 1, 1], size)
        torch.set_default_dtype(torch.float32)
        found = hear(pipe)
    expected = extract(Doubling(classes), items, batch_size=size)  # type: ignore[arg-type]
    assert rank.extractor.batches == [4, 4, 2]
    assert torch.equal(torch.tensor(found[0]), expected.features)
    assert expected.logits is None or torch.equal(torch.tensor(found[1]), expected.logits)


def test_a_new_peak_of_memory_begins_when_the_model_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = payload(tmp_path)
    noted: list[Any] = []
    with beside(joins(given)) as (pipe, listener):
        rank = _Follower(given, 1, pipe, listener)
        monkeypatch.setattr(cost, "reset_peak_memory", lambda device: noted.append((device, len(seen(rank)))))
        rank.model(8, False)
        hear(pipe)
    assert noted == [(rank.device, 1)]
