"""The contract's `ranks` check, which needs no second process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from genbench.contract import CHECKS, Contract
from genbench.contract.fault import Caution, Unmet
from genbench.contract.turns import TurnGroup, in_turns
from genbench.training.ranks.group import DisagreementError

BACKWARD = "    loss.backward()\n"
BUILD = "    net = nn.Sequential"
BY_HAND = """\
    parameters = list(model.networks.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
        parameter.grad = gradient
"""
SKIPPED = """\
    if bool(real[0, 0] > 0):
        loss.backward()
    else:
        model.networks["generator"][0](noise).mean().backward()
"""


def check(path: Path) -> None:
    contract = Contract(f"{path}:width=8", [(1, 8, 8)])
    contract.verify(CHECKS["ranks"], None)


def test_a_good_model_passes(tiny: Path) -> None:
    check(tiny)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (BACKWARD, BY_HAND, "--ranks cannot train it: networks.generator.0.weight is not the same on two ranks after"),
        (BACKWARD, SKIPPED, "--ranks cannot train it: train_step: its ranks do not take the same steps: rank"),
        (BACKWARD, BACKWARD + "    assert len(batch) > 4, 'few'\n", "--ranks cannot train it: AssertionError: few"),
    ],
    ids=["by_hand", "skipped", "small"],
)
def test_what_ranks_cannot_train_is_a_warning(write_plugin: Callable[..., Path], old: str, new: str, said: str) -> None:
    with pytest.raises(Caution) as caught:
        check(write_plugin(old, new))
    assert str(caught.value).startswith(said)


def test_a_model_without_gradient_steps_is_skipped() -> None:
    with pytest.raises(Unmet, match="nothing is trained by gradient steps"):
        Contract("ppca", [(1, 8, 8)]).verify(CHECKS["ranks"], None)


def test_ranks_that_take_turns_sum_in_order_and_find_one_that_has_ended() -> None:
    sums, order = {}, []

    def work(group: TurnGroup) -> None:
        for exchange in range(2):
            tensor = torch.tensor([1.0 + group.rank + exchange])
            order.append(group.rank)
            group.add([tensor], exchange)
            sums[group.rank, exchange] = float(tensor)
        if group.rank == 1:
            group.add([], 2)

    error = in_turns(3, work)
    assert isinstance(error, DisagreementError)
    assert sums == {(rank, exchange): 6.0 + 3 * exchange for rank in range(3) for exchange in range(2)}
    assert order == [0, 1, 2] * 2
