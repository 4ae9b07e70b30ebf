"""Features that the ranks of a cell extract together, of which the first is the test's own process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from rank_cells import CPU, Doubling, Mailbox, items_of, payload, training_of
from rank_processes import alone, ranks_of, waiting
from torch import Tensor

from genbench.cell import preflight
from genbench.cell import ranks as cell_ranks
from genbench.cell.ranks import Ranks
from genbench.errors import PluginError
from genbench.features.extractor import FeatureError, extract


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with alone(monkeypatch):
        yield


class Signed(Doubling):
    """Its logits are the number of the rank that extracted them."""

    def __call__(self, items: Tensor) -> tuple[Tensor, Tensor | None]:
        return super().__call__(items)[0], torch.full((len(items), 2), float(dist.get_rank()))


Sharing = Callable[[int, Callable[[], Any]], AbstractContextManager[Ranks]]


@pytest.fixture
def sharing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sharing:
    """Ranks that extract as `Doubling` does, in batches of four, after the model has been taken up."""

    @contextmanager
    def made(size: int, extractor: Callable[[], Any]) -> Iterator[Ranks]:
        monkeypatch.setattr(preflight, "load_extractor", lambda *_: extractor())
        given = payload(tmp_path, ranks=size)
        training = training_of(given)
        with ranks_of(given, size) as ranks:
            ranks.take_up(training.plugin, training.follow(8, resumed=False), CPU, 8, False)
            yield ranks

    return made


@pytest.fixture(autouse=True)
def _batches_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_ranks, "default_batch_size", lambda extractor: extractor.size)


def test_each_rank_is_sent_its_items_and_returns_features_and_logits() -> None:
    whole = extract(Doubling(2), items_of(11), batch_size=4)  # type: ignore[arg-type]
    assert whole.logits is not None
    answers = [(rank, part[rank * 4 : rank * 4 + 4]) for rank in (1, 2) for part in (whole.features, whole.logits)]
    with Ranks(3, waiting, print) as ranks:
        ranks._group = mailbox = Mailbox(*answers)  # type: ignore[assignment]
        found = ranks.extract(Doubling(2), items_of(11))  # type: ignore[arg-type]
    assert [to for to, _ in mailbox.sent] == [1, 2]
    assert torch.equal(torch.cat([tensor for _, tensor in mailbox.sent]), items_of(11)[4:])
    assert torch.equal(found.features, whole.features)
    assert found.logits is not None
    assert torch.equal(found.logits, whole.logits)


@pytest.mark.parametrize(("size", "classes"), [(2, 2), (3, None)])
def test_features_of_several_ranks_are_those_of_one(sharing: Sharing, size: int, classes: int | None) -> None:
    with sharing(size, lambda: Doubling(classes)) as ranks:
        for count in (0, 1, 4, 5, 8, 9, 12, 17, 22, 24):
            own, alone = Doubling(classes), Doubling(classes)
            found = ranks.extract(own, items_of(count))  # type: ignore[arg-type]
            expected = extract(alone, items_of(count), batch_size=4)  # type: ignore[arg-type]
            assert torch.equal(found.features, expected.features)
            assert (found.logits is None) == (expected.logits is None) == (classes is None)
            if found.logits is not None and expected.logits is not None:
                assert torch.equal(found.logits, expected.logits)
            batches = len(alone.batches)
            assert own.batches == alone.batches[: batches if batches < 2 else batches // size]


@pytest.mark.parametrize("size", [2, 3])
def test_batches_are_shared_out_evenly_in_order(sharing: Sharing, size: int) -> None:
    with sharing(size, lambda: Signed(2)) as ranks:
        for batches in (2, 3, 4, 5, 6, 7):
            logits = ranks.extract(Signed(2), items_of(4 * batches - 1)).logits  # type: ignore[arg-type]
            assert logits is not None
            signed = logits[::4, 0].tolist()  # of the first item of each batch
            counts = [signed.count(rank) for rank in range(size)]
            assert signed == sorted(signed)
            assert max(counts) - min(counts) <= 1


def test_the_first_rank_extracts_alone_before_the_model_is_taken_up() -> None:
    with Ranks(2, waiting, print) as ranks:
        own = Doubling(2)
        found = ranks.extract(own, items_of(9))  # type: ignore[arg-type]
        with pytest.raises(AssertionError, match=r"^take the model up first$"):
            _ = ranks.lockstep
    assert torch.equal(found.features, extract(Doubling(2), items_of(9)).features)  # type: ignore[arg-type]
    assert own.batches == [9]


class Invalid(Doubling):
    def __call__(self, items: Tensor) -> tuple[Tensor, Tensor | None]:
        raise FeatureError("extractor 'small': returned nan")


@pytest.mark.parametrize(("first", "others", "said"), [(Invalid, Doubling, ""), (Doubling, Invalid, " (rank 1)")])
def test_invalid_features_on_any_rank_fail_the_cell(
    sharing: Sharing, first: type[Doubling], others: type[Doubling], said: str
) -> None:
    """Only where one rank extracts them all, the cell goes on without the numbers that need them."""
    with pytest.raises(PluginError) as error, sharing(2, others) as ranks:
        ranks.extract(first(), items_of(8))  # type: ignore[arg-type]
    assert type(error.value) is PluginError
    assert str(error.value) == f"extractor 'small': returned nan{said}"
