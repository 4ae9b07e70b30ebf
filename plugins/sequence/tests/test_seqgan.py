"""`seqgan`: roll-outs, rewards per symbol, the policy gradient by enumeration, and the two phases."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from genbench_sequence import seqgan
from genbench_sequence.discriminator import Discriminator
from genbench_sequence.drawing import draw
from genbench_sequence.policy import baseline, policy_loss, rewards_of, roll_out
from genbench_sequence.recurrent import Recurrent
from genbench_sequence.texts import counted, log_probabilities
from torch import Tensor

from genbench import Data, Model, Training
from genbench.contract import CHECKS, Contract

CPU = torch.device("cpu")
LENGTH, SYMBOLS = 4, 3


def _policy() -> Recurrent:
    torch.manual_seed(0)
    policy = Recurrent(SYMBOLS, LENGTH, embedding=4, hidden=6, layers=1)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(3)
    return policy.double()


def _all_texts() -> Tensor:
    texts = [text for size in range(LENGTH + 1) for text in itertools.product(range(1, SYMBOLS), repeat=size)]
    return torch.tensor([[*text, *[0] * (LENGTH - len(text))] for text in texts])


def _score(texts: Tensor) -> Tensor:
    """A reward in [0, 1] that depends on every position and on the length."""
    return ((texts * torch.tensor([1.0, 5.0, 3.0, 2.0])).sum(-1) % 7 / 7).double()


def _noise(count: int, rollouts: int) -> Tensor:
    return torch.rand(count * (1 + rollouts * (LENGTH - 1)), LENGTH)


def _exact_rewards(policy: Recurrent, texts: Tensor) -> Tensor:
    """Return E[score | the text up to each symbol] by summing over all texts, (B, L)."""
    whole = _all_texts()
    masses, scores = log_probabilities(policy(whole), whole).exp(), _score(whole)
    rewards = torch.zeros(texts.shape, dtype=torch.float64)
    for row, text in enumerate(texts):
        for place in range(LENGTH):
            alike = (whole[:, : place + 1] == text[: place + 1]).all(1)
            rewards[row, place] = (masses * scores)[alike].sum() / masses[alike].sum()
    return rewards


# Roll-outs and rewards


@torch.no_grad()
def test_completions_begin_with_the_text_and_have_their_own_ends() -> None:
    policy = _policy()
    texts, completions = roll_out(policy, _noise(50, 4), 50, 4)
    assert texts.shape == (50, LENGTH)
    assert completions.shape == (LENGTH - 1, 4, 50, LENGTH)
    for symbols in range(1, LENGTH):
        beginnings = completions[symbols - 1, :, :, :symbols]
        assert torch.equal(beginnings, texts[:, :symbols].expand(4, -1, -1))
        ended = (texts[:, :symbols] == 0).any(1)
        assert ended.any()
        assert torch.equal(completions[symbols - 1][:, ended], texts[ended].expand(4, -1, -1))
        assert not torch.equal(completions[symbols - 1, 0], completions[symbols - 1, 1])
    drawn = torch.cat([texts, completions.flatten(0, 2)])
    assert not drawn[~counted(drawn)].any()


@torch.no_grad()
def test_each_completion_goes_on_from_its_own_beginning() -> None:
    """Each symbol is drawn again, from all symbols before it in its text and its number of the noise."""
    policy, rollouts, count = _policy(), 2, 300
    noise = _noise(count, rollouts)
    texts, completions = roll_out(policy, noise, count, rollouts)
    drawn = torch.cat([texts, completions.flatten(0, 2)])
    logits, begun = policy(drawn), (torch.arange(len(drawn)) - count).div(rollouts * count, rounding_mode="floor") + 1
    for place in range(LENGTH):
        own = (begun <= place) & (drawn[:, :place] != 0).all(1)
        assert torch.equal(drawn[own, place], draw(logits[own, place], noise[own, place]))


@torch.no_grad()
def test_rewards_of_symbols_are_the_expected_scores() -> None:
    policy, rollouts = _policy(), 2000
    texts, completions = roll_out(policy, _noise(8, rollouts), 8, rollouts)
    rewards = rewards_of(_score(texts), _score(completions))
    assert rewards.shape == (8, LENGTH)
    torch.testing.assert_close(rewards, _exact_rewards(policy, texts), rtol=0, atol=0.04)
    assert torch.equal(rewards[:, -1], _score(texts))


@torch.no_grad()
def test_rolled_out_texts_are_draws_of_the_policy() -> None:
    policy, whole = _policy(), _all_texts()
    texts, _ = roll_out(policy, _noise(20_000, 1), 20_000, 1)
    found = (whole[:, None] == texts).all(2).sum(1)
    expected = 20_000 * log_probabilities(policy(whole), whole).exp()
    assert found.sum() == 20_000
    assert ((found - expected).square() / expected).sum() < 60  # 30 degrees of freedom: p = 1e-3


def test_the_baseline_of_a_text_is_no_function_of_its_own_score() -> None:
    scores = torch.rand(6, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(baseline, scores)
    torch.testing.assert_close(jacobian, (torch.ones(6, 6) - torch.eye(6)) / 5)
    assert baseline(torch.ones(1)).tolist() == [0]


# The policy gradient


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_the_expected_gradient_is_that_of_the_expected_score(shift: float) -> None:
    """Each text is weighted by its probability; `expected` differentiates the sum over all texts."""
    policy, texts = _policy(), _all_texts()
    masses = log_probabilities(policy(texts), texts).exp()
    expected = torch.autograd.grad(-(masses * _score(texts)).sum(), list(policy.parameters()), allow_unused=True)
    advantages = _exact_rewards(policy, texts).detach() - shift
    loss = torch.zeros(())
    for mass, text, row in zip(masses.detach(), texts, advantages, strict=True):
        loss = loss + mass * policy_loss(policy(text[None]), text[None], row[None])
    found = torch.autograd.grad(loss, list(policy.parameters()))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    assert max(float(gradient.abs().max()) for gradient in found) > 0.01


def test_the_loss_is_a_mean_over_texts() -> None:
    logits, texts = torch.randn(4, LENGTH, SYMBOLS), torch.randint(SYMBOLS, (4, LENGTH))
    advantages = torch.randn(4, LENGTH)
    alone = [policy_loss(logits[row : row + 1], texts[row : row + 1], advantages[row : row + 1]) for row in range(4)]
    torch.testing.assert_close(policy_loss(logits, texts, advantages), torch.stack(alone).mean())


# The two phases


def _build(steps: int | None = 10, length: int = 5, **options: Any) -> Model:
    torch.manual_seed(0)
    data = Data("text", torch.Size((length,)), 64, None, 4)
    small = {"embedding": 4, "hidden": 8, "filters": 4, **options}
    return seqgan.build_model(data=data, training=Training(steps, 8), options=small, device=CPU)


PRETRAINING = {True: ["nll", "discriminator"], False: ["nll"]}
BATCH = torch.tensor([[1, 2, 3, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [3, 2, 0, 0, 0]])


@pytest.mark.parametrize(
    ("steps", "options", "first"),
    [(10, {}, 9), (50, {"pretraining": 0.1}, 5), (None, {"pretraining_steps": 5}, 5), (None, {}, 1000)],
)
def test_the_game_follows_pre_training(steps: int | None, options: dict[str, Any], first: int) -> None:
    model = _build(steps, **options)
    for step, names in ((first - 1, PRETRAINING[(first - 1) % 4 == 0]), (first, ["policy", "reward", "discriminator"])):
        before = {name: value.clone() for name, value in model.networks.named_parameters()}
        losses = seqgan.train_step(model=model, batch=BATCH, step=step)
        assert list(losses) == names
        assert all(loss.shape == () and loss.isfinite() and not loss.requires_grad for loss in losses.values())
        moved = {name for name, value in model.networks.named_parameters() if not torch.equal(value, before[name])}
        assert moved == {name for name in before if "discriminator" in losses or not name.startswith("discriminator")}


@pytest.mark.parametrize("check", ["losses", "movement", "waiting", "resume"])
def test_the_contract_holds_in_the_game(check: str) -> None:
    """With the model's default options, the contract would end before the adversarial game begins."""
    contract = Contract("seqgan:pretraining=0.0,embedding=4,hidden=8,filters=4,rollouts=1", shapes=[(5,)])
    contract.verify(CHECKS[check], contract.cases[0])


def test_pre_training_follows_the_likelihood() -> None:
    model = _build()
    losses = seqgan.train_step(model=model, batch=BATCH, step=0)
    fresh = _build()
    torch.testing.assert_close(losses["nll"], -seqgan.log_likelihood(model=fresh, batch=BATCH).mean().detach())


def test_the_game_makes_likely_what_is_rewarded() -> None:
    """With a discriminator that prefers texts beginning with 2, whatever is drawn."""

    class Liking(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(5.0))

        def forward(self, tokens: Tensor) -> Tensor:
            return ((tokens[:, 0] == 2) * 2.0 - 1.0) * self.scale

    model = _build(pretraining=0.0, policy_learning_rate=0.04)
    model.networks["discriminator"] = Liking()
    rewards = [seqgan.train_step(model=model, batch=BATCH.repeat(8, 1), step=step)["reward"] for step in range(40)]
    assert torch.stack(rewards[:5]).mean() < 0.5
    assert torch.stack(rewards[-5:]).mean() > 0.9


def test_the_discriminator_learns_to_tell_data_from_draws() -> None:
    model = _build(discriminator_learning_rate=0.03, policy_learning_rate=1e-6, pretraining=0.0)
    batch = torch.tensor([[3, 3, 3, 0, 0]]).repeat(16, 1)
    losses = [seqgan.train_step(model=model, batch=batch, step=step) for step in range(40)]
    assert losses[0]["discriminator"].item() == pytest.approx(2 * 0.693, abs=0.2)
    assert losses[-1]["discriminator"] < 0.4
    assert losses[-1]["reward"] < losses[0]["reward"] - 0.2
    with torch.no_grad():
        assert model.networks["discriminator"](batch).min() > 1


def test_an_advantage_is_the_reward_of_a_symbol_less_the_other_texts_scores() -> None:
    discriminator: Any = _build().networks["discriminator"]
    texts, completions = torch.randint(4, (3, 5)), torch.randint(4, (4, 2, 3, 5))
    with torch.no_grad():
        scores, advantages = seqgan._judge(discriminator, texts, completions)
        torch.testing.assert_close(scores, torch.sigmoid(discriminator(texts)))
        for row in range(3):
            others = (scores.sum() - scores[row]) / 2
            for place in range(4):
                worth = torch.sigmoid(discriminator(completions[place, :, row])).mean()
                torch.testing.assert_close(advantages[row, place], worth - others)
            torch.testing.assert_close(advantages[row, 4], scores[row] - others)


@pytest.mark.parametrize("length", [1, 3, 40])
def test_the_discriminator_takes_texts_of_any_length(length: int) -> None:
    found = Discriminator(4, length, embedding=4, filters=3)
    texts = torch.randint(4, (6, length))
    logits = found(texts)
    assert logits.shape == (6,)
    torch.testing.assert_close(found(texts[:2]), logits[:2])
    assert len(found.windows) == min(length, 5)


@torch.no_grad()
def test_the_discriminator_takes_the_largest_response_over_a_text() -> None:
    found = Discriminator(4, 4, embedding=4, filters=3)
    for window in list(found.windows)[1:]:  # so that only single symbols matter
        for parameter in window.parameters():
            parameter.zero_()
    found.carried.bias.fill_(-100.0)  # the highway passes the responses through unchanged
    one, same, other = found(torch.tensor([[1, 2, 1, 1], [2, 2, 1, 2], [3, 3, 3, 3]]))
    torch.testing.assert_close(one, same)
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("step", [0, 99], ids=["pre-training", "game"])
def test_no_gradient_is_left_for_the_next_step(step: int) -> None:
    model = _build(100)
    seqgan.train_step(model=model, batch=BATCH, step=step)
    assert all(parameter.grad is None for parameter in model.networks.parameters())


def test_each_optimizer_has_its_own_rate() -> None:
    model = _build(learning_rate=0.5, policy_learning_rate=0.25, discriminator_learning_rate=0.125)
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in model.optimizers.items()}
    assert rates == {"generator": 0.5, "policy": 0.25, "discriminator": 0.125}


def test_the_policy_has_one_layer_as_in_the_paper() -> None:
    (memory,) = (part for part in _build().networks["generator"].modules() if isinstance(part, torch.nn.LSTM))
    assert memory.num_layers == 1
