"""FLOPs of training steps: closed forms, parity with torch's counter, and steps that differ."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from genbench import Data, Training, seeding
from genbench.config import Budget, ModelSpec
from genbench.errors import PluginError
from genbench.plugin import finding, loading, options
from genbench.plugin.model import Model
from genbench.training import counters
from genbench.training.counters import count_flops as count_call
from genbench.training.flops import FIRST_STEPS, MOST_STEPS, Flops, StepFlops, count_flops, count_steps

GIVEN = (Data("image", torch.Size((1, 8, 8)), 64, None), Training(None, 16))  # what a model is built for

WGAN = Path(__file__).parent / "models" / "wgan_gp.py"
BATCH, SIZE, WIDTH, LATENT = 8, 64, 16, 4


def test_flops_of_a_linear_layer_are_its_multiply_adds() -> None:
    layer = nn.Linear(20, 30)
    inputs = torch.randn(7, 20)
    assert count_call(lambda: layer(inputs)) == 2 * 7 * 20 * 30
    # Backward: only the weights' gradient, since the inputs need none.
    assert count_call(lambda: layer(inputs).sum().backward()) == 2 * 2 * 7 * 20 * 30


def test_a_gradient_of_a_gradient_is_counted() -> None:
    critic = nn.Linear(20, 1, bias=False)
    inputs = torch.randn(7, 20, requires_grad=True)

    def penalty() -> None:
        (slope,) = torch.autograd.grad(critic(inputs).sum(), inputs, create_graph=True)
        slope.square().sum().backward()

    # Three products of that size: the layer, its gradient w.r.t. the inputs, and that gradient's w.r.t. the weights.
    assert count_call(penalty) == 3 * 2 * 7 * 20


@pytest.mark.parametrize("directions", [1, 2])
def test_the_products_within_recurrent_layers_are_counted(directions: int) -> None:
    """Torch runs float32 with one operator per layer, float64 product by product: both cost the same FLOPs."""
    layers = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=directions == 2)
    texts = torch.randn(3, 7, 6, requires_grad=True)
    expected = 2 * 21 * directions * (20 * (6 + 5) + 20 * (5 * directions + 5))
    assert count_call(lambda: layers(texts)) == expected
    output = layers(texts)[0].sum()
    assert count_call(output.backward) == 2 * expected
    layers, texts = layers.double(), texts.double()
    assert count_call(lambda: layers(texts)) == expected


def test_the_layers_of_cudnn_are_counted_by_their_weights() -> None:
    """From shapes only, since no test may need a GPU: an LSTM of 5 cells over 3 texts of 7 symbols."""
    count = counters._RECURRENT[torch.ops.aten._cudnn_rnn]
    assert count((7, 3, 6), [(20, 6), (20, 5), (20,), (20,)], 4) == 2 * 21 * 20 * 11
    backward = counters._RECURRENT[torch.ops.aten._cudnn_rnn_backward]
    assert backward((21, 6), [(20, 6), (20, 5), (20,), (20,)], 4) == 4 * 21 * 20 * 11


def test_where_torchs_own_counter_works_both_agree() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2), nn.Flatten())
    images, query = torch.randn(2, 3, 8, 8), torch.randn(2, 4, 5, 16, requires_grad=True)

    def step() -> None:
        net(images).square().mean().backward()
        nn.functional.scaled_dot_product_attention(query, query, query).sum().backward()
        torch.baddbmm(torch.zeros(2, 3, 3), torch.ones(2, 3, 4), torch.ones(2, 4, 3))

    with FlopCounterMode(display=False) as counter:
        step()
    assert count_call(step) == counter.get_total_flops() > 0


@pytest.mark.parametrize(
    ("flops", "period"),
    [
        (lambda step: 7, 1),
        (lambda step: 7 if step else 9, 1),  # the first step does extra work once
        (lambda step: 7 + 5 * (step % 5 == 4), 5),  # WGAN's generator
        (lambda step: 7 + 5 * (step % 16 == 0), 16),  # lazy regularisation
        (lambda step: 7 + 5 * (step % 16 == 15), 16),
        (lambda step: 7 + 5 * (step % 4 == 3) + 11 * (step % 16 == 0), 16),
        (lambda step: 5 if step < 6 else 3, 1),  # a warm-up
        (lambda step: step * step, None),
    ],
)
def test_the_period_of_the_steps_is_seen(flops, period: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genbench.training.counters.count_flops", lambda call: flops(call.args[0]))
    counted = count_steps(lambda step: None)
    assert counted.period == period
    assert len(counted.counted) == (FIRST_STEPS if period == 1 else MOST_STEPS)
    if period is None:
        return
    truth = list(accumulate(flops(step) for step in range(500)))
    assert [counted.total(steps) for steps in range(501)] == [0, *truth]
    for amount in (0, 1, 6, 7, 100, truth[41] - 1, truth[41], truth[399] - 1, truth[399]):
        assert counted.steps_within(amount) == sum(total <= amount for total in truth)
    assert counted.per_step == pytest.approx((counted.total(10_000 + 80) - counted.total(10_000)) / 80)


def test_a_short_training_is_counted_whole_and_a_small_budget_no_further_than_it_reaches() -> None:
    layer, inputs = nn.Linear(20, 30), torch.randn(7, 20)

    def step(number: int) -> None:
        for _ in range(number + 1):
            layer(inputs)

    one = 2 * 7 * 20 * 30
    assert count_steps(step, most=4).counted == (one, 2 * one, 3 * one, 4 * one)
    spent = count_steps(step, budget=3 * one)
    assert spent.counted == (one, 2 * one, 3 * one)
    assert Budget(3 * one, "flop").steps(1, spent.steps_within) == 2
    for amount in (5, 6):
        assert StepFlops((5, 0, 0, 0), 1).steps_within(amount) is None  # no step after the first costs anything
    assert StepFlops((0, 7, 0, 7), 2).steps_within(14) == 5  # the next step is free


@pytest.mark.parametrize(
    ("counted", "period", "text"),
    [
        ((5,), None, "step 0 counted, no period seen; later steps by their mean"),
        ((5, 6), None, "steps 0 to 1 counted, no period seen; later steps by their mean"),
        ((5, 6, 5), None, "steps 0 to 2 counted, no period seen; later steps by their mean"),  # once is no period
        (
            (1, 2, 3, 4, 5, 5),
            None,
            "steps 0 to 5 counted, no period seen; later steps by their mean",
        ),  # begins too late
        ((7, 5, 5), 1, "steps 0 to 2 counted; later steps are as the last"),
        ((1, 2, 3, 3), 1, "steps 0 to 3 counted; later steps are as the last"),
        ((5, 6, 5, 6), 2, "steps 0 to 3 counted; later steps repeat the last 2"),
    ],
)
def test_the_record_says_how_steps_were_counted(counted: tuple[int, ...], period: int | None, text: str) -> None:
    flops = StepFlops.of(counted)
    assert (flops.period, str(flops)) == (period, text)


def counted_as(flops: Callable[[int], int], last: int, patch: pytest.MonkeyPatch) -> tuple[StepFlops, list[int]]:
    """Count a training of `last` steps that cost `flops` each; return also the numbers of the steps taken."""
    taken: list[int] = []

    def count(call: Any) -> int:
        taken.append(call.args[0])
        return flops(taken[-1])

    patch.setattr("genbench.training.counters.count_flops", count)
    return count_steps(lambda step: None, last), taken


@pytest.mark.parametrize(
    ("flops", "last", "unlike"),
    [
        (lambda step: 10, 10**9, ""),
        (lambda step: 10 + 11 * (step >= 100 and step % 5 == 4), 200, "steps 190 to 199 cost 1.22 times as much"),
        (
            lambda step: 10 - 5 * (step >= 30),
            100,
            "steps 40 to 49 cost 0.5 times as much and steps 90 to 99 cost 0.5 times as much",
        ),
        (lambda step: 10 * (step < 20), 24, "steps 20 to 23 cost 0 times as much"),
        (lambda step: int(step == 999), 1000, "steps 990 to 999 are not free"),
        (lambda step: 10 + step % 7, 10_000, ""),
        (lambda step: 10 + 7 * (step % 16 == 15), 1001, ""),
        (lambda step: 10 + 7 * ((step + (step > 300)) % 5 == 0), 1000, ""),  # the same rounds, one step later
        (lambda step: step, 41, ""),  # no period: it already says that later steps are a guess
    ],
)
def test_later_steps_that_cost_something_else_than_assumed_are_told(
    flops: Callable[[int], int], last: int, unlike: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, taken = counted_as(flops, last, monkeypatch)
    assert found.unlike == unlike
    assert str(found).endswith(f", but {unlike}") == bool(unlike)
    assert taken == sorted(set(taken))
    assert taken[-1] < last
    assert found.times(3).unlike == unlike
    plain = StepFlops.of(found.counted)
    assert (found.counted, found.period, found.total(last)) == (plain.counted, plain.period, plain.total(last))


@pytest.mark.parametrize("period", [1, 2, 5, 7, 16, 19])
def test_a_model_that_counts_its_own_steps_costs_what_is_assumed_where_steps_are_left_out(
    period: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = itertools.count()
    found, taken = counted_as(lambda step: 10 + 7 * (next(own) % period == 0), 1003, monkeypatch)
    assert (found.period, found.unlike) == (period, "")
    assert len(taken) <= MOST_STEPS + 2 * 19


def test_a_model_that_fails_where_steps_are_left_out_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def flops(step: int) -> int:
        if step > 50:
            raise KeyError(step)
        return 10

    found, _ = counted_as(flops, 1000, monkeypatch)
    assert str(found).endswith("as the last, but steps from 490 on could not be tried without those before them")


def test_a_budget_of_flops_tries_the_steps_that_it_pays_for(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr("genbench.training.counters.count_flops", lambda call: taken.append(call.args[0]) or 10)
    assert count_steps(lambda step: None, budget=2009).unlike == ""
    assert taken == [*range(20), *range(90, 100), *range(190, 200)]


class Asked:
    """Stands in for a plugin: multiplies matrices, and records what each of its hooks is asked for."""

    def __init__(self, losses: object = None) -> None:
        self.hook, self.losses = self, {} if losses is None else losses
        self.steps: list[tuple[float, int | None, int, bool]] = []
        self.samples: list[tuple[int, list[int] | None, int, bool, bool]] = []

    def __str__(self) -> str:
        return "model 'asked'"

    def train_step(self, model: Model, batch: Tensor, labels: Tensor | None, step: int) -> object:
        self.steps.append((float(batch), None if labels is None else int(labels[0]), step, model.networks.training))
        torch.ones(1, step + 1) @ torch.ones(step + 1, 1)
        return self.losses

    def sample(self, model: Model, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        given = None if labels is None else labels.tolist()
        grad = torch.is_grad_enabled()
        self.samples.append((count, given, generator.initial_seed(), model.networks.training, grad))
        return torch.ones(count, 3) @ torch.ones(3, 5)


@pytest.mark.parametrize("labelled", [True, False])
def test_steps_get_their_own_batches_and_a_sample_the_first_label(
    labelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, model = Asked(), Model(nn.ModuleDict(), {})
    generator, devices = seeding.generator, list[object]()

    def noted(*names: int | str, device: object = None) -> torch.Generator:
        devices.append(device)
        return generator(*names)  # type: ignore[arg-type]

    monkeypatch.setattr(seeding, "generator", noted)

    def batches(step: int) -> tuple[Tensor, Tensor | None]:
        return torch.tensor(float(step)), torch.tensor([step + 7, 0]) if labelled else None

    device = torch.device("meta")
    found = count_flops(asked, model, batches, device, 5, 12)  # type: ignore[arg-type]
    assert devices == [device]
    assert found.train.counted == (2, 4, 6, 8)  # the third step reaches 12, but does not exceed it
    assert asked.steps == [(step, step + 7 if labelled else None, step, True) for step in range(4)]
    assert asked.samples == [(4, [7] * 4 if labelled else None, seeding.derive(0, "count"), False, False)]
    assert (found.sample, type(found.sample)) == (2 * 3 * 5, int)


def test_a_loss_that_a_step_may_not_return_is_refused_as_the_plugins() -> None:
    asked, model = Asked([]), Model(nn.ModuleDict(), {})
    with pytest.raises(PluginError, match=r"^model 'asked': train_step returned list, expected a dict"):
        count_flops(asked, model, lambda step: (torch.zeros(()), None), torch.device("cpu"))  # type: ignore[arg-type]


def test_a_critic_with_a_gradient_penalty_and_a_generator_every_fifth_step() -> None:
    plugin = loading.load(finding.find(ModelSpec(str(WGAN))))
    seeding.seed_global(0, "build")
    given = {"width": WIDTH, "latent": LATENT}
    model = options.build(plugin, *GIVEN, given, torch.device("cpu"))
    found = count_flops(plugin, model, lambda step: (torch.rand(BATCH, 1, 8, 8), None), torch.device("cpu"))
    generator = [(LATENT, WIDTH), (WIDTH, WIDTH), (WIDTH, SIZE)]
    critic = [(SIZE, WIDTH), (WIDTH, WIDTH), (WIDTH, 1)]

    def products(layers: list[tuple[int, int]]) -> int:
        return sum(2 * BATCH * inputs * outputs for inputs, outputs in layers)

    # A generator step: forward, and two products per layer backward, except in its first layer, whose input is noise.
    step = 3 * products(generator) - products(generator[:1]) + 3 * products(critic)
    of_critic, of_both = found.train.counted[0], found.train.counted[4]
    assert of_both - of_critic == step
    assert found.train.counted == (of_critic, of_critic, of_critic, of_critic, of_both) * 8
    assert found.train.period == 5
    assert found.sample == products(generator) // BATCH
    assert str(found.train) == "steps 0 to 39 counted; later steps repeat the last 5"
    assert Budget(5 * of_critic + step, "flop").steps(BATCH, found.train.steps_within) == 5
    assert Budget(5 * of_critic + step - 1, "flop").steps(BATCH, found.train.steps_within) == 4


def test_what_precedes_the_first_step_is_counted_once_and_spends_the_budget_first() -> None:
    asked, model = Asked(), Model(nn.ModuleDict(), {})

    def batches(step: int) -> tuple[Tensor, None]:
        return torch.tensor(float(step)), None

    def prepare() -> None:
        assert not asked.steps
        torch.ones(1, 9) @ torch.ones(9, 1)

    device = torch.device("cpu")
    without = count_flops(asked, model, batches, device, 3)  # type: ignore[arg-type]
    asked = Asked()
    found = count_flops(asked, model, batches, device, 3, prepare=prepare)  # type: ignore[arg-type]
    assert (without.before, found.before) == (0, 18)
    assert (without.train, found.train) == (StepFlops((2, 4, 6), None),) * 2
    assert found.total(2) == 18 + 6
    assert [found.steps_within(flops) for flops in (17, 18, 20, 24)] == [0, 0, 1, 2]
    assert Flops(StepFlops((1,), 1), 1, before=5).steps_within(5) == 0


def test_the_flops_of_several_ranks_have_the_period_of_one() -> None:
    one = Flops(StepFlops((10, 40, 40), 1), sample=7, before=3)
    assert one.of_ranks(3) == Flops(StepFlops((30, 120, 120), 1), sample=7, before=9)
