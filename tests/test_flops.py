"""FLOPs of training steps: closed forms, parity with torch's counter, and steps that are not all alike."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from genbench import Data, Training, seeding
from genbench.config import Budget, ModelSpec
from genbench.plugin import finding, loading, options
from genbench.training.counters import count_flops as count_call
from genbench.training.flops import FIRST_STEPS, MOST_STEPS, StepFlops, count_flops, count_steps

GIVEN = (Data("image", torch.Size((1, 8, 8)), 64, None), Training(None, 16))  # what a model is built for

WGAN = Path(__file__).parent / "models" / "wgan_gp.py"
BATCH, SIZE, WIDTH, LATENT = 8, 64, 16, 4


def test_flops_of_a_linear_layer_are_its_multiply_adds() -> None:
    layer = nn.Linear(20, 30)
    inputs = torch.randn(7, 20)
    assert count_call(lambda: layer(inputs)) == 2 * 7 * 20 * 30
    # Backward: the weights' gradient alone, since the inputs need none.
    assert count_call(lambda: layer(inputs).sum().backward()) == 2 * 2 * 7 * 20 * 30


def test_a_gradient_of_a_gradient_is_counted() -> None:
    critic = nn.Linear(20, 1, bias=False)
    inputs = torch.randn(7, 20, requires_grad=True)

    def penalty() -> None:
        (slope,) = torch.autograd.grad(critic(inputs).sum(), inputs, create_graph=True)
        slope.square().sum().backward()

    # Three products of that size: the layer, its gradient by the inputs, and the gradient of that by the weights.
    assert count_call(penalty) == 3 * 2 * 7 * 20


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
        (lambda step: 7 if step else 9, 1),  # the first step does something once
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
    assert StepFlops((5, 0, 0, 0), 1).steps_within(6) is None  # no step after the first costs anything


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

    # Its step: forward, and two products a layer backward, but for the generator's first layer, whose input is noise.
    step = 3 * products(generator) - products(generator[:1]) + 3 * products(critic)
    of_critic, of_both = found.train.counted[0], found.train.counted[4]
    assert of_both - of_critic == step
    assert found.train.counted == (of_critic, of_critic, of_critic, of_critic, of_both) * 8
    assert found.train.period == 5
    assert found.sample == products(generator) // BATCH
    assert str(found.train) == "steps 0 to 39 counted; later steps repeat the last 5"
    assert Budget(5 * of_critic + step, "flop").steps(BATCH, found.train.steps_within) == 5
    assert Budget(5 * of_critic + step - 1, "flop").steps(BATCH, found.train.steps_within) == 4
