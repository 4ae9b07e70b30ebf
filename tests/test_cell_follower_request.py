"""What a rank other than the first does that needs no other rank: most of it before it joins them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rank_cells import MODEL, RATE, Doubling, Mailbox, items_of, payload
from rank_processes import alone

from genbench import seeding
from genbench.cell import preflight
from genbench.cell.follower import _Follower
from genbench.config import Cell, ModelSpec
from genbench.features.extractor import extract
from genbench.machine import environment
from genbench.plugin import finding


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with alone(monkeypatch):
        yield


def unheard(given: dict[str, Any], rank: int = 1) -> _Follower:
    """A rank without a first one."""
    return _Follower(given, rank, None, None)  # type: ignore[arg-type]


def test_a_model_without_preparation_is_not_asked_for_it(tmp_path: Path) -> None:
    given = payload(tmp_path, MODEL.replace("@hookimpl\ndef before_training", "def before_training"))
    rank = unheard(given)
    rank.built = rank.training.follow(8, resumed=False)
    with pytest.raises(AssertionError, match=r"^the first rank has the same plugin$"):
        rank.prepare()


def test_generators_of_every_device_are_reported_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"cpu": torch.tensor([1, 255], dtype=torch.uint8), "cuda": [torch.tensor([3]), torch.tensor([254, 0])]}
    rank = unheard(payload(tmp_path))
    told: list[Any] = []
    monkeypatch.setattr(seeding, "random_state", lambda: state)
    monkeypatch.setattr(rank, "answer", told.append)
    rank.random()
    assert told == [{"cpu": "01ff", "cuda": ["03", "fe00"]}]


@pytest.mark.parametrize(("ranks", "rank", "shared"), [(2, 1, (5, 6)), (3, 1, (7, 9)), (3, 2, (8, 9))])
def test_each_rank_has_its_own_share_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: int, rank: int, shared: tuple[int, int]
) -> None:
    """The cell is the third of three that run at once."""
    asked: Any = []
    own = torch.device("cpu", 0)
    monkeypatch.setattr(environment, "share", lambda *given: asked.append(given) or own)
    found = unheard(payload(tmp_path, ranks=ranks), rank)
    assert asked == [("cpu", *shared)]
    assert found.device is found.training.device is found.batches.device is own
    assert (found.batches.rank, found.batches.ranks) == (rank, ranks)


def test_importing_the_model_draws_no_random_numbers(tmp_path: Path) -> None:
    given, before = payload(tmp_path), torch.get_rng_state()
    rank = unheard(given)
    assert torch.equal(torch.get_rng_state(), before)
    assert rank.ended is False
    assert rank.training.cell.model.options == {"rate": RATE}


@pytest.mark.parametrize("allowed", [["mine"], None])
def test_what_plugins_bring_comes_from_allowed_distributions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: list[str] | None
) -> None:
    asked: Any = []
    load, find = preflight.load_dataset, finding.find
    monkeypatch.setattr(preflight, "load_dataset", lambda *given: asked.append(given) or load(*given))
    monkeypatch.setattr(preflight, "load_extractor", lambda *given: asked.append(given) or "the extractor")
    monkeypatch.setattr(finding, "find", lambda *given: asked.append(given) or find(*given))
    given = payload(tmp_path, image_size=1)
    rank = unheard({**given, "plugins_from": allowed} if allowed else given)
    assert rank.extractor == rank.extractor == "the extractor"
    dataset, model, (*extractor, emit, extractors_from) = asked
    settings = Cell.from_json(given["cell"]).settings
    assert dataset == ("gaussians", settings, allowed)
    assert model == (ModelSpec(str(tmp_path / "pushed.py"), {"rate": RATE}), ["file"])
    assert extractor == [rank.dataset, settings, rank.device]
    assert extractors_from == allowed
    emit({"event": "progress"})  # only the first rank's progress is shown
    rank.training.events.notice("heard by nobody")


@pytest.mark.parametrize("classes", [None, 2])
def test_the_first_rank_is_sent_the_features_and_then_any_logits(tmp_path: Path, classes: int | None) -> None:
    rank = unheard(payload(tmp_path))
    rank.group = mailbox = Mailbox((0, items_of(5)))  # type: ignore[assignment]
    rank.extractor = Doubling(classes)
    rank.extract([5, 2, 1, 1], 4)
    expected = extract(Doubling(classes), items_of(5), batch_size=4)  # type: ignore[arg-type]
    assert [to for to, _ in mailbox.sent] == [0] * (1 if classes is None else 2)
    for (_, sent), features in zip(mailbox.sent, (expected.features, expected.logits), strict=False):
        assert features is not None
        assert torch.equal(sent, features)
