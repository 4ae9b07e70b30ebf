"""The networks of the sequence models against the same layers written out, or torch's own."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from genbench_sequence import rnn, seq2seq_vae, seqgan, transformer
from genbench_sequence.autoencoder import ConditionalDecoder
from genbench_sequence.causal import Decoder
from genbench_sequence.discriminator import Discriminator
from genbench_sequence.drawing import draw
from torch import nn

from genbench import Data, Model, Training

CPU = torch.device("cpu")
DATA = Data("text", torch.Size((7,)), 64, None, 5)
TEXTS = torch.tensor([[1, 2, 3, 0, 0, 0, 0], [4, 4, 1, 2, 3, 1, 2], [0, 0, 0, 0, 0, 0, 0]])


def build(module: Any, steps: int | None = 100, **options: Any) -> Model:
    torch.manual_seed(0)
    model: Model = module.build_model(data=DATA, training=Training(steps, 8), options=options, device=CPU)
    return model


@torch.no_grad()
def test_the_transformer_is_torchs_own_with_a_causal_mask() -> None:
    torch.manual_seed(0)
    network = Decoder(5, 7, width=12, layers=2, heads=3).double()
    for parameter in network.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    features = network.embedding(F.pad(TEXTS[:, :-1], (1, 0))) + network.places
    mask = nn.Transformer.generate_square_subsequent_mask(7, dtype=torch.float64)
    for block in network.blocks:
        layer = nn.TransformerEncoderLayer(12, 3, 48, 0.0, "relu", batch_first=True, norm_first=True).double()
        theirs = layer.state_dict()
        ours = dict(zip(theirs, (block.state_dict()[name] for name in NAMES), strict=True))
        layer.load_state_dict(ours)
        features = layer(features, mask, is_causal=True)
    torch.testing.assert_close(network(TEXTS), network.head(network.norm(features)))


# In the order of `nn.TransformerEncoderLayer`.
NAMES = [
    *("attention.inward.weight", "attention.inward.bias", "attention.outward.weight", "attention.outward.bias"),
    *("network.0.weight", "network.0.bias", "network.2.weight", "network.2.bias"),
    *("attention_norm.weight", "attention_norm.bias", "network_norm.weight", "network_norm.bias"),
]


@torch.no_grad()
def test_the_transformer_starts_from_small_weights_and_no_biases() -> None:
    network = build(transformer, width=64).networks["language_model"]
    for name, parameter in network.named_parameters():
        if "norm" in name:
            assert (parameter == float(name.endswith("weight"))).all()
        elif name.endswith("bias"):
            assert not parameter.any()
        else:
            assert float(parameter.std()) == pytest.approx(0.02, rel=0.1), name
            assert abs(float(parameter.mean())) < 4 * 0.02 / math.sqrt(parameter.numel()), name


@pytest.mark.parametrize(("module", "first"), [(rnn, 1.0), (transformer, 0.2), (seq2seq_vae, 1.0)])
def test_only_the_transformer_warms_up(module: Any, first: float) -> None:
    """Over a twentieth of its 100 steps, of which the first has a fifth of the rate."""
    (optimizer,) = build(module, learning_rate=0.5).optimizers.values()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * first)


@torch.no_grad()
def test_the_decoder_starts_from_the_code() -> None:
    torch.manual_seed(0)
    decoder = ConditionalDecoder(5, 7, embedding=4, hidden=6, latent=2)
    codes = 5 * torch.randn(3, 2)
    hidden, cell, kept = decoder.begin(codes)
    torch.testing.assert_close(hidden[0], torch.tanh(F.linear(codes, decoder.first.weight, decoder.first.bias)))
    assert not cell.any()
    assert kept is codes


@torch.no_grad()
def test_the_discriminator_is_windows_their_maxima_a_highway_and_a_logit() -> None:
    torch.manual_seed(0)
    network = Discriminator(5, 7, embedding=4, filters=3)
    for parameter in network.parameters():
        parameter.mul_(2)
    symbols = network.embedding(TEXTS)  # (B, L, embedding)
    maxima = []
    for width, window in enumerate(network.windows, 1):
        places = range(7 - width + 1)
        responses = [torch.einsum("bte,fet->bf", symbols[:, at : at + width], window.weight) for at in places]
        maxima.append((torch.stack(responses).amax(0) + window.bias).clamp(min=0))
    features = torch.cat(maxima, 1)
    gate = 1 / (1 + torch.exp(-F.linear(features, network.carried.weight, network.carried.bias)))
    changed = F.linear(features, network.changed.weight, network.changed.bias).clamp(min=0)
    mixed = gate * changed + (1 - gate) * features
    torch.testing.assert_close(network(TEXTS), mixed @ network.head.weight[0] + network.head.bias)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_recurrent_network_has_as_many_layers_as_asked(layers: int) -> None:
    network: Any = build(rnn, layers=layers, hidden=6).networks["language_model"]
    assert network.memory.num_layers == layers
    assert network.begin(2, CPU)[0].shape == (layers, 2, 6)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0.0])
def test_what_must_be_positive_must_be_finite(value: float) -> None:
    with pytest.raises(ValueError, match=f"^temperature must be above 0 and finite, not {value}$"):
        build(rnn, temperature=value)


def test_noise_of_a_higher_precision_than_the_masses_draws_a_symbol() -> None:
    """The largest number below 1 in float64 is 1 in float32, and as much as the whole mass."""
    noise = torch.tensor([1 - 2**-53], dtype=torch.float64)
    assert draw(torch.zeros(1, 3), noise).tolist() == [2]


def test_the_transformer_has_as_many_layers_and_heads_as_asked() -> None:
    network: Any = build(transformer, width=12, layers=4, heads=3).networks["language_model"]
    assert [block.attention.heads for block in network.blocks] == [3] * 4
    assert network.begin(2, CPU).keys.shape == (4, 2, 3, 7, 4)


@pytest.mark.parametrize("module", [rnn, transformer, seq2seq_vae, seqgan])
@torch.no_grad()
def test_samples_depend_on_the_given_generator_alone(module: Any) -> None:
    model, drawn = build(module), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        drawn.append(module.sample(model=model, count=20, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(*drawn)


def test_the_divergence_trains_the_encoder() -> None:
    """With a decoder that ignores the code, the gradient at the mean's bias is that of the squared mean over 2."""
    model = build(seq2seq_vae, free_nats=0.0, latent=3)
    encoder, decoder = model.networks["encoder"], model.networks["decoder"]
    with torch.no_grad():
        for weight in (decoder.first.weight, decoder.memory.weight_ih_l0[:, -3:]):  # type: ignore[union-attr,index]
            weight.zero_()
        mean, log_variance = encoder(TEXTS)
    found: list[torch.Tensor] = []
    model.optimizers["vae"].register_step_pre_hook(lambda *_: found.extend(gradients(encoder)))
    seq2seq_vae.train_step(model=model, batch=TEXTS, step=100)
    torch.testing.assert_close(found[0], mean.mean(0))
    torch.testing.assert_close(found[1], (log_variance.exp() - 1).mean(0) / 2)


def gradients(encoder: Any) -> list[torch.Tensor]:
    return [head.bias.grad.clone() for head in (encoder.mean, encoder.log_variance)]
