"""Steps, draws and defaults against the same thing written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from genbench_sequence import rnn, seq2seq_vae, seqgan, transformer
from genbench_sequence.bound import log_weights
from genbench_sequence.drawing import draw, generate
from genbench_sequence.policy import baseline, roll_out
from genbench_sequence.recurrent import Recurrent
from genbench_sequence.texts import log_probabilities
from torch import Tensor
from torch.distributions import Normal

from genbench import Data, Model, Training

CPU = torch.device("cpu")
DATA = Data("text", torch.Size((4,)), 64, None, 3)
TEXTS = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [2, 1, 0, 0], [1, 2, 2, 1]])
# As the README's table gives them, with the steps of the training known.
DEFAULTS: dict[Any, dict[str, Any]] = {
    rnn: {"embedding": 64, "hidden": 128, "layers": 1, "temperature": 1.0, "learning_rate": 5e-3, "clip": 5.0},
    transformer: {"width": 64, "heads": 2, "layers": 2, "temperature": 1.0, "learning_rate": 2e-3},
    seq2seq_vae: {
        "latent": 16,
        "embedding": 32,
        "hidden": 128,
        "warm_up": 0.5,
        "warm_up_steps": 1000,
        "free_nats": 0.25,
        "word_dropout": 0.25,
        "importance_samples": 1,
        "temperature": 1.0,
        "learning_rate": 5e-3,
    },
    seqgan: {
        "embedding": 32,
        "hidden": 64,
        "filters": 16,
        "pretraining": 0.9,
        "pretraining_steps": 1000,
        "rollouts": 2,
        "temperature": 1.0,
        "learning_rate": 5e-3,
        "policy_learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-3,
    },
}
MODELS = pytest.mark.parametrize("module", DEFAULTS, ids=lambda module: module.__name__.partition(".")[2])


def build(module: Any, steps: int | None = 100, **options: Any) -> Model:
    torch.manual_seed(0)
    model: Model = module.build(DATA, Training(steps, 8), CPU, **options)
    return model


def everything(model: Model) -> list[Any]:
    """What options decide: layers, the numbers that modules hold, learning rates, and what is scheduled."""
    held = [
        {name: value for name, value in vars(part).items() if isinstance(value, int | float)}
        for part in model.networks.modules()
    ]
    rates = {name: [group["initial_lr" if "initial_lr" in group else "lr"] for group in optimizer.param_groups]
             for name, optimizer in model.optimizers.items()}  # fmt: skip
    return [str(model.networks), held, rates, sorted(model.schedulers)]


@MODELS
@pytest.mark.parametrize("steps", [100, None])
def test_the_defaults_are_those_of_the_readme(module: Any, steps: int | None) -> None:
    assert everything(build(module, steps)) == everything(build(module, steps, **DEFAULTS[module]))
    for name, value in DEFAULTS[module].items():
        other = {name: value * 2 if isinstance(value, int) else value / 2}
        if name.removesuffix("_steps") not in ("warm_up", "pretraining"):  # only one of the two matters
            assert everything(build(module, steps, **other)) != everything(build(module, steps)), name


@MODELS
def test_a_schedule_has_the_name_of_its_optimizer(module: Any) -> None:
    model = build(module)
    assert set(model.schedulers) == (set() if module is seqgan else set(model.optimizers))
    for name, scheduler in model.schedulers.items():
        assert scheduler.optimizer is model.optimizers[name]  # type: ignore[attr-defined]
    assert build(module, None).schedulers == {}


@pytest.mark.parametrize("option", ["latent", "embedding", "hidden", "importance_samples"])
def test_a_count_of_the_autoencoder_is_at_least_one(option: str) -> None:
    build(seq2seq_vae, **{option: 1})
    with pytest.raises(ValueError, match=rf"^{option} must be at least 1, not 0$"):
        build(seq2seq_vae, **{option: 0})


@pytest.mark.parametrize("option", ["warm_up", "word_dropout"])
def test_a_share_of_the_autoencoder_is_in_its_domain(option: str) -> None:
    for value in (0.0, 1.0):
        build(seq2seq_vae, **{option: value})
    with pytest.raises(ValueError, match=rf"^{option} must be in \[0, 1\], not 1.5$"):
        build(seq2seq_vae, **{option: 1.5})


def test_a_code_is_the_mean_and_the_deviation_times_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(seq2seq_vae, word_dropout=0.0)
    encoder, decoder = model.networks["encoder"], model.networks["decoder"]
    with torch.no_grad():
        for parameter in model.networks.parameters():
            parameter.mul_(3)  # the codes matter, and their deviations are not 1
        mean, log_variance = encoder(TEXTS)
        codes = mean + log_variance.exp().sqrt() * 2.0
        expected = -log_probabilities(decoder(TEXTS, codes), TEXTS).mean()
    monkeypatch.setattr(torch, "randn_like", lambda given: torch.full_like(given, 2.0))
    losses = seq2seq_vae.train_step(model, TEXTS, 0)
    torch.testing.assert_close(losses["reconstruction"], expected)


@torch.no_grad()
def test_a_weight_is_that_of_the_code_that_the_noise_gives() -> None:
    model = build(seq2seq_vae)
    decoder: Any = model.networks["decoder"]
    generator = torch.Generator().manual_seed(0)
    mean, log_variance, noise = torch.randn(3, 4, 16, generator=generator)
    deviation = (0.5 * log_variance).exp()
    codes = mean + deviation * noise
    expected = log_probabilities(decoder(TEXTS, codes), TEXTS)
    expected += (Normal(0.0, 1.0).log_prob(codes) - Normal(mean, deviation).log_prob(codes)).sum(1)
    torch.testing.assert_close(log_weights(decoder, TEXTS, mean, log_variance, noise), expected)


def test_a_network_of_its_own_draws_at_temperature_one_and_clips_nothing() -> None:
    network = Recurrent(3, 4, 8, 8, 1)
    assert (network.temperature, network.clip) == (1.0, None)


@torch.no_grad()
def test_texts_are_drawn_at_temperature_one_and_as_far_as_they_go_unless_said_otherwise() -> None:
    network = build(rnn).networks["language_model"]
    noise = torch.rand(200, 4, generator=torch.Generator().manual_seed(0))
    calls: list[Tensor] = []

    class Counted(torch.nn.Module):
        def advance(self, tokens: Tensor, state: Any) -> Any:
            calls.append(tokens)
            return network.advance(tokens, state)  # type: ignore[union-attr,operator]

    def begin() -> Any:
        return network.begin(200, CPU)  # type: ignore[union-attr,operator]

    drawn = generate(Counted(), begin(), noise)  # type: ignore[arg-type]
    assert torch.equal(drawn, generate(network, begin(), noise, 1.0, early=False))  # type: ignore[arg-type]
    calls.clear()
    ending = torch.zeros(200, 4)  # noise that always draws the first symbol, the end
    assert not generate(Counted(), begin(), ending).any()  # type: ignore[arg-type]
    assert len(calls) == 1


@torch.no_grad()
def test_texts_of_one_symbol_are_drawn_and_completed() -> None:
    network = Recurrent(3, 1, 4, 8, 1)
    noise = torch.rand(5, 1)
    texts = generate(network, network.begin(5, CPU), noise)
    rolled, completions = roll_out(network, noise, 5, 2)
    assert torch.equal(rolled, texts)
    assert completions.shape == (0, 2, 5, 1)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_symbols_of_low_precision_logits_are_drawn_in_float32(kind: torch.dtype) -> None:
    """A sum of a thousand equal masses in bfloat16 stops at 256."""
    noise = torch.tensor([0.0, 0.25, 0.5, 0.9999])
    assert draw(torch.zeros(4, 1000, dtype=kind), noise).tolist() == [0, 250, 500, 999]


def test_the_baseline_of_two_is_each_others_score_and_of_one_zero() -> None:
    assert baseline(torch.tensor([1.0, 3.0])).tolist() == [3.0, 1.0]
    assert baseline(torch.tensor([5.0])).tolist() == [0.0]


@pytest.mark.parametrize("option", ["embedding", "hidden", "filters", "rollouts"])
def test_a_count_of_the_game_is_at_least_one(option: str) -> None:
    build(seqgan, **{option: 1})
    with pytest.raises(ValueError, match=rf"^{option} must be at least 1, not 0$"):
        build(seqgan, **{option: 0})


@pytest.mark.parametrize("option", ["learning_rate", "policy_learning_rate", "discriminator_learning_rate"])
def test_a_rate_of_the_game_is_above_zero(option: str) -> None:
    with pytest.raises(ValueError, match=rf"^{option} must be above 0 and finite, not 0.0$"):
        build(seqgan, **{option: 0.0})


def test_no_step_of_pre_training_waits_for_the_ends_of_its_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def noted(*given: Any, early: bool = True) -> Tensor:
        asked.append(early)
        return generate(*given, early=early)

    monkeypatch.setattr(seqgan, "generate", noted)
    seqgan.train_step(build(seqgan), TEXTS, 0)
    assert asked == [False]


@torch.no_grad()
def test_log_probabilities_of_low_precision_logits_are_float32() -> None:
    logits = torch.randn(4, 4, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    found = log_probabilities(logits, TEXTS)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, log_probabilities(logits.float(), TEXTS))
