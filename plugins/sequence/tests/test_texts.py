"""What the four models share: which symbols count, drawing, the schedule, and what they refuse."""

from __future__ import annotations

import importlib
import itertools
import math
from types import ModuleType
from typing import Any

import pytest
import torch
from genbench_sequence.drawing import GREEDY, Predictor, draw, generate
from genbench_sequence.schedule import factor
from genbench_sequence.texts import counted, inputs_of, log_probabilities, symbol_log_probabilities, without_rest
from torch import Tensor

from genbench import Data, Model, Training, Unsuitable

CPU = torch.device("cpu")
NAMES = ("rnn", "transformer", "seq2seq_vae", "seqgan")
SMALL: dict[str, dict[str, Any]] = {
    "rnn": {"embedding": 4, "hidden": 8},
    "transformer": {"width": 8, "heads": 2},
    "seq2seq_vae": {"embedding": 4, "hidden": 8, "latent": 2},
    "seqgan": {"embedding": 4, "hidden": 8, "filters": 4},
}
MODELS = pytest.mark.parametrize("name", NAMES)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"genbench_sequence.{name}")


def _build(name: str, length: int = 6, symbols: int = 5, steps: int | None = 100, **options: Any) -> Model:
    torch.manual_seed(0)
    data = Data("text", torch.Size((length,)), 64, None, symbols)
    given = {**SMALL[name], **options}
    model: Model = _module(name).build_model(data=data, training=Training(steps, 8), options=given, device=CPU)
    return model


def _step(name: str, model: Model, batch: Tensor, step: int = 0) -> dict[str, Tensor]:
    numbered = {"step": step} if name.startswith("seq") else {}
    losses: dict[str, Tensor] = _module(name).train_step(model=model, batch=batch, **numbered)
    return losses


def _nats(name: str, model: Model, batch: Tensor) -> Tensor:
    drawn = {"generator": torch.Generator().manual_seed(0)} if name == "seq2seq_vae" else {}
    nats: Tensor = _module(name).log_likelihood(model=model, batch=batch, **drawn)
    return nats


def _all_texts(length: int, symbols: int) -> Tensor:
    """Every text of 0 to `length` characters once, in canonical form."""
    characters = range(1, symbols)
    texts = [text for size in range(length + 1) for text in itertools.product(characters, repeat=size)]
    return torch.tensor([[*text, *[0] * (length - len(text))] for text in texts])


# Which symbols count


def test_symbols_count_up_to_the_first_end() -> None:
    tokens = torch.tensor([[0, 0, 0, 0], [2, 0, 1, 0], [1, 1, 1, 0], [2, 1, 2, 1]])
    expected = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]).bool()
    assert torch.equal(counted(tokens), expected)
    assert torch.equal(without_rest(tokens), torch.tensor([[0, 0, 0, 0], [2, 0, 0, 0], [1, 1, 1, 0], [2, 1, 2, 1]]))
    assert inputs_of(tokens).tolist() == [[0, 0, 0, 0], [0, 2, 0, 1], [0, 1, 1, 1], [0, 2, 1, 2]]


def test_a_text_has_the_sum_of_its_symbols_log_probabilities() -> None:
    logits = torch.randn(3, 4, 5, dtype=torch.float64)
    tokens = torch.tensor([[3, 0, 4, 4], [0, 1, 2, 3], [1, 2, 3, 4]])
    by_symbol = logits.log_softmax(2)
    expected = [by_symbol[0, 0, 3] + by_symbol[0, 1, 0], by_symbol[1, 0, 0]]
    expected.append(sum((by_symbol[2, place, place + 1] for place in range(4)), torch.zeros(())))
    torch.testing.assert_close(log_probabilities(logits, tokens), torch.stack(expected))
    assert symbol_log_probabilities(logits, tokens)[0, 2:].tolist() == [0, 0]


@pytest.mark.parametrize("name", ["rnn", "transformer", "seqgan"])
@torch.no_grad()
def test_the_probabilities_of_all_texts_sum_to_one(name: str) -> None:
    model = _build(name, length=4, symbols=3)
    model.networks.double().eval()
    for parameter in model.networks.parameters():
        parameter.mul_(4)  # far from uniform, which would hide mistakes
    masses = _nats(name, model, _all_texts(4, 3)).exp()
    assert len(masses) == 1 + 2 + 4 + 8 + 16
    assert masses.dtype == torch.float64
    assert masses.max() > 3 * masses.min()
    assert masses.sum().item() == pytest.approx(1, abs=1e-5)


@MODELS
def test_what_follows_an_end_changes_neither_likelihood_nor_training(name: str) -> None:
    texts = torch.tensor([[0, 0, 0, 0, 0, 0], [1, 2, 0, 0, 0, 0], [4, 3, 2, 1, 0, 0], [1, 2, 3, 4, 1, 2]])
    rest = torch.tensor([[0, 1, 2, 0, 3, 4], [1, 2, 0, 4, 4, 4], [4, 3, 2, 1, 0, 1], [1, 2, 3, 4, 1, 2]])
    models = [_build(name), _build(name)]
    for number in (0, 1, 99):  # the last is in seqgan's game
        losses = []
        for model, batch in zip(models, (texts, rest), strict=True):
            torch.manual_seed(number)
            losses.append(_step(name, model, batch, number))
        assert losses[0].keys() == losses[1].keys()
        assert all(torch.equal(losses[0][each], losses[1][each]) for each in losses[0])
    first, second = (model.networks.state_dict() for model in models)
    assert all(torch.equal(first[each], second[each]) for each in first)
    with torch.no_grad():
        assert torch.equal(_nats(name, models[0], texts), _nats(name, models[0], rest))


@MODELS
@pytest.mark.parametrize("step", [0, 99], ids=["first", "last"])
def test_steps_under_bfloat16_give_float32_losses(name: str, step: int) -> None:
    options = {"word_dropout": 0.0} if name == "seq2seq_vae" else {}
    rounded, exact = _build(name, **options), _build(name, **options)
    batch = torch.randint(5, (8, 6))
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        losses = _step(name, rounded, batch, step)
        with torch.no_grad():
            assert _nats(name, rounded, batch).dtype == torch.float32
            assert _module(name).sample(model=rounded, count=3, generator=torch.Generator()).shape == (3, 6)
    torch.manual_seed(0)
    for each, loss in _step(name, exact, batch, step).items():
        assert losses[each].dtype == torch.float32
        if each != "policy":  # its draws may differ through rounding
            torch.testing.assert_close(losses[each], loss, rtol=0.02, atol=0.02)


# Drawing


def test_symbols_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([[0.0, 1.0, -30.0, 2.0]])
    noise = (torch.arange(10_000) + 0.5) / 10_000
    for temperature in (1.0, 0.5):
        found = draw(logits.expand(10_000, 4), noise, temperature).bincount(minlength=4) / 10_000
        torch.testing.assert_close(found, (logits[0] / temperature).softmax(0), rtol=0, atol=2e-4)


def test_extreme_noise_draws_symbols_that_are_possible() -> None:
    logits = torch.tensor([[-math.inf, 0.0, 0.0, -math.inf]]).expand(2, 4)
    assert draw(logits, torch.tensor([0.0, 1 - 2**-24])).tolist() == [1, 2]


def test_a_temperature_near_zero_is_greedy() -> None:
    logits, noise = torch.randn(1000, 7), torch.rand(1000)
    for temperature in (GREEDY, 1e-6, 1e-44):
        assert torch.equal(draw(logits, noise, temperature), logits.argmax(1))
    assert not torch.equal(draw(logits, noise, 1.0), logits.argmax(1))


class _Counter(Predictor[Tensor]):
    """Symbol n follows n - 1, and the end follows each text's last symbol: the draw is known whatever the noise."""

    def __init__(self, last: Tensor) -> None:
        super().__init__()
        self.last, self.calls = last, 0

    def advance(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        following = (tokens + 1).where(tokens < self.last, 0)
        return torch.nn.functional.one_hot(following, 10) * 1000.0, state


@pytest.mark.parametrize("early", [True, False])
def test_a_text_ends_at_its_end_and_all_end_early(early: bool) -> None:
    network = _Counter(torch.tensor([2, 4, 3]))
    texts = generate(network, torch.zeros(3), torch.rand(3, 9), early=early)
    assert texts.tolist() == [[1, 2, *[0] * 7], [1, 2, 3, 4, *[0] * 5], [1, 2, 3, *[0] * 6]]
    assert network.calls == (5 if early else 9)


@MODELS
@torch.no_grad()
def test_untrained_samples_are_as_likely_as_the_model_says(name: str) -> None:
    """Chi-square over all texts; the model with a code is integrated over draws from its prior."""
    model = _build(name, length=3, symbols=3)
    model.networks.eval()
    for parameter in model.networks.parameters():
        parameter.mul_(3)
    count, texts = 20_000, _all_texts(3, 3)
    drawn = _module(name).sample(model=model, count=count, generator=torch.Generator().manual_seed(5))
    places = (texts[:, None] == drawn).all(2)
    assert places.sum().item() == count  # every sample is canonical
    if name == "seq2seq_vae":
        decoder: Any = model.networks["decoder"]
        many, codes = texts.repeat(3000, 1), torch.randn(3000, 2).repeat_interleave(len(texts), 0)
        masses = log_probabilities(decoder(many, codes), many).exp().view(3000, -1).mean(0)
    else:
        masses = _nats(name, model, texts).exp()
    statistic = ((places.sum(1) - count * masses).square() / (count * masses)).sum()
    assert statistic < 38  # 14 degrees of freedom: p = 5e-4


@MODELS
@torch.no_grad()
def test_temperature_sharpens_samples_and_leaves_likelihood_alone(name: str) -> None:
    cold, warm = _build(name, temperature=1e-6), _build(name)
    texts = _all_texts(2, 5)[:, [0, 1, 1, 1, 1, 1]]
    assert torch.equal(_nats(name, cold, texts), _nats(name, warm, texts))
    if name == "seq2seq_vae":  # its codes are still drawn
        for model in (cold, warm):
            for parameter in model.networks["decoder"].first.parameters():  # type: ignore[union-attr]
                parameter.zero_()
    samples = _module(name).sample(model=cold, count=8, generator=torch.Generator().manual_seed(0))
    others = _module(name).sample(model=warm, count=8, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(samples, others)
    if name != "seq2seq_vae":
        assert (samples == samples[0]).all()


def test_the_cache_gives_what_attention_to_all_gives() -> None:
    network: Any = _build("transformer", length=9, layers=3).networks["language_model"]
    texts = torch.randint(5, (4, 9))
    with torch.no_grad():
        network.places.mul_(50)  # so that a wrong position shows
        whole, state, last = network(texts), network.begin(4, CPU), torch.zeros(4, dtype=torch.int64)
        for place in range(9):
            logits, state = network.advance(last, state)
            torch.testing.assert_close(logits, whole[:, place], rtol=1e-4, atol=1e-5)
            last = texts[:, place]


@pytest.mark.parametrize("name", ["rnn", "transformer", "seq2seq_vae"])
@torch.no_grad()
def test_a_symbol_is_predicted_from_those_before_it_alone(name: str) -> None:
    model = _build(name, layers=2) if name != "seq2seq_vae" else _build(name)
    network: Any = model.networks["decoder" if name == "seq2seq_vae" else "language_model"]
    codes = (torch.randn(1, 2),) if name == "seq2seq_vae" else ()
    texts = torch.tensor([[1, 2, 3, 4, 1, 2]])
    for place in range(6):
        changed = texts.clone()
        changed[0, place] = 4 if texts[0, place] != 4 else 1
        different = (network(texts, *codes) != network(changed, *codes)).any(2)[0]
        assert different.tolist() == [False] * (place + 1) + [True] * (5 - place)


# The schedule and the options


def test_the_rate_rises_and_falls() -> None:
    rates = [factor(step, 200, 0.1) for step in range(201)]
    assert rates[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert rates[20] == pytest.approx(1)
    assert rates[110] == pytest.approx(0.5)
    assert (rates[200], factor(500, 200, 0.1)) == (0, 0)
    assert factor(0, 200, 0) == 1


@pytest.mark.parametrize("name", ["rnn", "transformer", "seq2seq_vae"])
def test_there_is_a_schedule_where_the_steps_are_known(name: str) -> None:
    rates = []
    for steps in (4, None):
        model = _build(name, steps=steps, learning_rate=0.5)
        for step in range(4):
            _step(name, model, torch.randint(5, (8, 6)), step)
        (optimizer,) = model.optimizers.values()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [0, 0.5]


@pytest.mark.parametrize("name", ["rnn", "transformer"])
def test_training_is_adam_on_the_mean_over_the_texts(name: str) -> None:
    model, same = _build(name, steps=None), _build(name, steps=None)
    network: Any = same.networks["language_model"]
    optimizer = torch.optim.Adam(network.parameters(), model.optimizers["language_model"].param_groups[0]["lr"])
    for number in range(3):
        batch = torch.randint(5, (8, 6), generator=torch.Generator().manual_seed(number))
        optimizer.zero_grad()
        loss = torch.stack([-log_probabilities(network(text[None]), text[None]) for text in batch]).mean()
        loss.backward()
        if name == "rnn":
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        torch.testing.assert_close(_step(name, model, batch, number)["nll"], loss.detach())
    for ours, theirs in zip(model.networks.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["rnn", "seq2seq_vae", "seqgan"])
def test_gradients_are_clipped(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    model = _build(name)
    optimizer = model.optimizers[{"rnn": "language_model", "seq2seq_vae": "vae", "seqgan": "generator"}[name]]

    def note(*_: object) -> None:
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        norms.append(float(torch.stack([each.grad.norm() for each in parameters]).norm()))

    optimizer.register_step_pre_hook(note)
    with torch.no_grad():
        for parameter in model.networks.parameters():
            parameter.mul_(8)
    _step(name, model, torch.full((8, 6), 3))
    assert norms == [pytest.approx(5, rel=1e-4)]


@MODELS
def test_other_kinds_are_unsuitable(name: str) -> None:
    for kind, shape in (("image", (1, 8, 8)), ("audio", (1, 64))):
        with pytest.raises(Unsuitable, match=r"^takes texts only$"):
            _module(name).build_model(
                data=Data(kind, torch.Size(shape), 64), training=Training(10, 8), options={}, device=CPU
            )


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        *[(name, {"temperature": 0.0}, "temperature must be above 0 and finite, not 0.0") for name in NAMES],
        *[(name, {"learning_rate": math.nan}, "learning_rate must be above 0 and finite, not nan") for name in NAMES],
        ("rnn", {"layers": 0}, "layers must be at least 1, not 0"),
        ("rnn", {"clip": -1.0}, "clip must be above 0 and finite, not -1.0"),
        ("transformer", {"width": 10, "heads": 4}, "width must be a multiple of heads, 4, not 10"),
        ("seq2seq_vae", {"free_nats": math.inf}, "free_nats must be at least 0 and finite, not inf"),
        ("seq2seq_vae", {"word_dropout": 1.5}, "word_dropout must be in [0, 1], not 1.5"),
        ("seq2seq_vae", {"importance_samples": 0}, "importance_samples must be at least 1, not 0"),
        ("seq2seq_vae", {"warm_up_steps": -1}, "warm_up_steps must be at least 0 and finite, not -1"),
        ("seqgan", {"rollouts": 0}, "rollouts must be at least 1, not 0"),
        ("seqgan", {"pretraining": -0.5}, "pretraining must be in [0, 1], not -0.5"),
        ("seqgan", {"pretraining_steps": -1}, "pretraining_steps must be at least 0 and finite, not -1"),
    ],
    ids=str,
)
def test_a_value_out_of_its_domain_is_refused(name: str, option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the whole message is compared
        _build(name, **option)
    assert str(refused.value) == message
