"""`seq2seq-vae`: the bound against quadrature, the weight of the divergence, word dropout, and reconstructions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from genbench_sequence import seq2seq_vae
from genbench_sequence.bound import kl_divergence, log_weights
from genbench_sequence.texts import log_probabilities
from torch import Tensor
from torch.distributions import Normal

from genbench import Data, Model, Training

CPU = torch.device("cpu")
TEXTS = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [2, 1, 0, 0], [1, 2, 2, 1], [2, 2, 1, 0]])


def _build(steps: int | None = 100, latent: int = 1, **options: Any) -> Model:
    torch.manual_seed(0)
    data = Data("text", torch.Size((4,)), 64, None, 3)
    small = {"embedding": 4, "hidden": 8, "latent": latent, "free_nats": 0.0, **options}
    return seq2seq_vae.build_model(data=data, training=Training(steps, 8), options=small, device=CPU)


def _moved(**options: Any) -> Model:
    """A model in float64 whose code matters, whose posterior is not the prior, and whose embeddings are far apart."""
    model = _build(**options)
    model.networks.double().eval()
    with torch.no_grad():
        for parameter in model.networks.parameters():
            parameter.mul_(3)
    return model


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _by_quadrature(model: Model, integrand: Any) -> Tensor:
    """Integrate `integrand(log p(x|z), z)` over a one-dimensional z on a fine grid, (texts,)."""
    decoder: Any = model.networks["decoder"]
    grid = torch.linspace(-9, 9, 601, dtype=torch.float64)
    many, codes = TEXTS.repeat_interleave(len(grid), 0), grid.repeat(len(TEXTS))[:, None]
    evidence = log_probabilities(decoder(many, codes), many).view(len(TEXTS), -1)
    return torch.trapezoid(integrand(evidence, grid), grid, dim=1)


def _posterior(model: Model) -> Normal:
    mean, log_variance = model.networks["encoder"](TEXTS)
    return Normal(mean, (0.5 * log_variance).exp())


# The bound


@torch.no_grad()
def test_the_mean_of_the_bound_is_the_elbo_by_quadrature_and_lies_below_the_value() -> None:
    model = _moved()
    posterior, prior = _posterior(model), Normal(0.0, 1.0)

    def elbo(evidence: Tensor, grid: Tensor) -> Tensor:
        return posterior.log_prob(grid).exp() * (evidence + prior.log_prob(grid) - posterior.log_prob(grid))

    expected = _by_quadrature(model, elbo)
    exact = _by_quadrature(model, lambda evidence, grid: (evidence + prior.log_prob(grid)).exp()).log()
    mean, log_variance, decoder = *model.networks["encoder"](TEXTS), model.networks["decoder"]
    noise = torch.randn(1000, 5, 1, dtype=torch.float64, generator=_generator())
    parts = (TEXTS.repeat(1000, 1), mean.repeat(1000, 1), log_variance.repeat(1000, 1), noise.flatten(0, 1))
    draws = log_weights(decoder, *parts).view(1000, 5)  # type: ignore[arg-type]
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - expected).abs() < 4 * error).all()
    assert (exact - expected > 4 * error).all()


@torch.no_grad()
def test_many_importance_samples_close_the_gap() -> None:
    model = _moved(importance_samples=200)
    exact = _by_quadrature(model, lambda evidence, grid: (evidence + Normal(0.0, 1.0).log_prob(grid)).exp()).log()
    bound = seq2seq_vae.log_likelihood(model=model, batch=TEXTS, generator=_generator())
    torch.testing.assert_close(bound, exact, rtol=0, atol=0.25)


@torch.no_grad()
def test_the_exact_posterior_of_a_code_that_does_not_matter_makes_the_bound_exact() -> None:
    model = _moved(latent=3)
    decoder: Any = model.networks["decoder"]
    for weight in (decoder.first.weight, decoder.memory.weight_ih_l0[:, 4:]):  # the weights that read the code
        weight.zero_()
    exact = log_probabilities(decoder(TEXTS, torch.zeros(5, 3).double()), TEXTS)
    noise = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(
        log_weights(decoder, TEXTS, torch.zeros_like(noise), torch.zeros_like(noise), noise), exact
    )


@torch.no_grad()
def test_a_bound_is_at_most_zero() -> None:
    model = _build()
    decoder, encoder = model.networks["decoder"], model.networks["encoder"]
    decoder.head.bias[0] = 100.0  # type: ignore[index,union-attr]  # the empty text is almost certain
    encoder.log_variance.bias.fill_(-3.0)  # type: ignore[operator,union-attr]  # so that some draws exceed 0
    empty = torch.zeros(1000, 4, dtype=torch.int64)
    bound = seq2seq_vae.log_likelihood(model=model, batch=empty, generator=_generator())
    assert bound.max() == 0
    assert bound.mean() < -0.5


def test_the_divergence_is_that_of_torch_distributions() -> None:
    mean, log_variance = torch.randn(2, 5, 3).unbind()
    posterior, prior = Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(posterior, prior)
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected)


# Training


@pytest.mark.parametrize(
    ("steps", "options", "rising"),
    [(100, {}, 50), (100, {"warm_up": 0.2}, 20), (None, {}, 1000), (None, {"warm_up_steps": 10}, 10)],
)
def test_the_weight_of_the_divergence_rises(steps: int | None, options: dict[str, Any], rising: int) -> None:
    for step, weight in ((0, 0.0), (rising // 2, 0.5), (rising, 1.0), (2 * rising, 1.0)):
        losses = seq2seq_vae.train_step(model=_build(steps, **options), batch=TEXTS, step=step)
        assert losses["kl"] > 0.001
        torch.testing.assert_close(losses["loss"], losses["reconstruction"] + weight * losses["kl"])


def test_without_warm_up_it_counts_from_the_first_step() -> None:
    losses = seq2seq_vae.train_step(model=_build(warm_up=0.0), batch=TEXTS, step=0)
    torch.testing.assert_close(losses["loss"], losses["reconstruction"] + losses["kl"])


def test_free_nats_cost_nothing_and_are_no_part_of_the_divergence() -> None:
    losses = [
        seq2seq_vae.train_step(model=_build(latent=3, free_nats=free), batch=TEXTS, step=100) for free in (0.0, 2.0)
    ]
    assert losses[0]["kl"] == losses[1]["kl"] < 2
    torch.testing.assert_close(losses[1]["loss"], losses[1]["reconstruction"] + 3 * 2)  # the whole allowance is charged
    objective: Any = _build(free_nats=0.5).networks["objective"]
    divergences = torch.tensor([[0.0, 1.0], [0.6, 3.0]], requires_grad=True)  # means 0.3 and 2
    cost = objective.cost(divergences, 25)
    assert cost.item() == pytest.approx(0.5 * (0.5 + 2))
    assert torch.autograd.grad(cost, divergences)[0].tolist() == [[0, 0.25], [0, 0.25]]


@torch.no_grad()
def test_word_dropout_hides_inputs_and_no_targets() -> None:
    model = _build()
    decoder: Any = model.networks["decoder"]
    codes, seen = torch.randn(5, 1), []
    decoder.embedding.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    dropped = torch.zeros(5, 4, dtype=torch.bool)
    dropped[:, 1] = True
    before, after = decoder(TEXTS, codes), decoder(TEXTS, codes, dropped)
    assert torch.equal(seen[0], torch.cat([torch.zeros(5, 1, dtype=torch.int64), TEXTS[:, :3]], 1))
    assert (seen[1] != seen[0]).nonzero()[:, 1].tolist() == [2] * 5  # each second symbol is read at the third position
    assert (seen[1][:, 2] == 3).all()
    assert torch.equal(before[:, :2], after[:, :2])
    assert (before[:, 2:] != after[:, 2:]).all()


def test_the_targets_of_a_step_are_the_texts_whatever_is_dropped() -> None:
    model = _build(word_dropout=1.0)
    decoder: Any = model.networks["decoder"]
    outputs: list[Tensor] = []
    decoder.head.register_forward_hook(lambda module, inputs, output: outputs.append(output.detach()))
    losses = seq2seq_vae.train_step(model=model, batch=TEXTS, step=0)
    torch.testing.assert_close(losses["reconstruction"], -log_probabilities(outputs[0], TEXTS).mean())


def test_a_step_drops_symbols_and_draws_codes() -> None:
    model = _build(word_dropout=1.0)
    decoder: Any = model.networks["decoder"]
    seen: list[Tensor] = []
    decoder.embedding.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    seq2seq_vae.train_step(model=model, batch=TEXTS, step=0)
    assert (seen[0][:, 1:] == 3).all()  # all but the start, which is not a symbol of the text
    assert not seen[0][:, 0].any()

    found = []
    for seed in (0, 1):
        model = _build(word_dropout=0.0)
        torch.manual_seed(seed)
        found.append(seq2seq_vae.train_step(model=model, batch=TEXTS, step=0))
    assert found[0]["kl"] == found[1]["kl"]
    assert found[0]["reconstruction"] != found[1]["reconstruction"]


@torch.no_grad()
@pytest.mark.parametrize("way", ["first", "beside"])
def test_the_decoder_reads_the_code_in_two_ways(way: str) -> None:
    decoder: Any = _build(latent=3).networks["decoder"]
    other = decoder.memory.weight_ih_l0[:, 4:] if way == "first" else decoder.first.weight
    other.zero_()
    assert not torch.allclose(decoder(TEXTS, torch.zeros(5, 3)), decoder(TEXTS, torch.ones(5, 3)))


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_symbols_are_dropped_as_often_as_asked(rate: float) -> None:
    objective: Any = _build(word_dropout=rate).networks["objective"]
    dropped = objective.dropped(torch.ones(500, 40))
    assert (0.0 if dropped is None else dropped.float().mean()) == pytest.approx(rate, abs=0.015)


def test_training_puts_what_tells_texts_apart_into_the_codes() -> None:
    torch.manual_seed(0)
    data = Data("text", torch.Size((4,)), 64, None, 3)
    options = {"hidden": 24, "embedding": 8, "latent": 4, "learning_rate": 0.02, "free_nats": 0.0}
    model = seq2seq_vae.build_model(data=data, training=Training(500, 10), options=options, device=CPU)
    for step in range(100):
        seq2seq_vae.train_step(model=model, batch=TEXTS.repeat(4, 1), step=step)
    model.networks.eval()
    with torch.no_grad():
        assert torch.equal(seq2seq_vae.reconstruct(model=model, batch=TEXTS), TEXTS)


# The other hooks


@torch.no_grad()
def test_reconstructions_take_the_likeliest_symbol_at_each_place() -> None:
    model = _moved()
    decoder: Any = model.networks["decoder"]
    restored = seq2seq_vae.reconstruct(model=model, batch=TEXTS)
    logits = decoder(restored, seq2seq_vae.encode(model=model, batch=TEXTS))
    for text, row in zip(restored, logits, strict=True):
        ended = (text == 0).nonzero()[:1].flatten().tolist() or [3]
        assert torch.equal(text[: ended[0] + 1], row.argmax(1)[: ended[0] + 1])
        assert not text[ended[0] + 1 :].any()


@torch.no_grad()
def test_codes_are_the_posterior_means_at_the_last_symbol() -> None:
    model = _moved(latent=2)
    encoder: Any = model.networks["encoder"]
    codes = seq2seq_vae.encode(model=model, batch=TEXTS)
    for text, code in zip(TEXTS, codes, strict=True):
        size = min(int((text != 0).sum()) + 1, 4)
        _, (state, _) = encoder.memory(encoder.embedding(text[None, :size]))
        torch.testing.assert_close(code, encoder.mean(state[0, 0]))


@torch.no_grad()
def test_samples_are_decoded_from_the_prior() -> None:
    """The first symbol's distribution, by quadrature over the code, matches its frequency in samples."""
    model = _moved()
    decoder: Any = model.networks["decoder"]
    grid = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    first = decoder(torch.zeros(len(grid), 4, dtype=torch.int64), grid[:, None])[:, 0].softmax(1)
    expected = torch.trapezoid(first * Normal(0.0, 1.0).log_prob(grid).exp()[:, None], grid, dim=0)
    model.networks.float()
    samples = seq2seq_vae.sample(model=model, count=20_000, generator=_generator())
    found = samples[:, 0].bincount(minlength=3) / len(samples)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=0.015)
