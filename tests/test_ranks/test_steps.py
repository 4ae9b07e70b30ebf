"""Two ranks on steps that average, normalise or fail in unusual ways."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genbench import Model
from genbench.training.ranks.lockstep import Lockstep

ROWS = 4
Together = Callable[..., list[Any]]
Step = Callable[[Model, Tensor, int], None]


def data(rank: int | None) -> Tensor:
    """The batch, (8, 3) float64 with a mean far from zero, or one rank's rows of it."""
    whole = torch.randn(2 * ROWS, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(7)) + 50
    return whole if rank is None else whole[rank * ROWS : (rank + 1) * ROWS]


def model(*layers: nn.Module) -> Model:
    net = nn.Sequential(*layers).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    return Model(nn.ModuleDict({"net": net}), {"net": torch.optim.SGD(net.parameters(), 0.01)})


def ends(made: Callable[[], Model], step: Step, steps: int = 3) -> Callable[[Any], Any]:
    """Return a function that trains a model by `step` on each rank or, without a group, on the whole batch."""

    def run(group: Any) -> Any:
        built = made()

        def hook(model: Model, batch: Tensor, labels: Any, step: int) -> dict[str, Tensor]:
            taken(model, batch, step)
            return {}

        taken = step
        lockstep = Lockstep("plugin", hook, built, group) if group else None
        for number in range(steps):
            batch = data(group.rank if group else None)
            (lockstep.step if lockstep else hook)(model=built, batch=batch, labels=None, step=number)
        if lockstep:
            lockstep.settle(steps - 1)
        return {name: value.detach().clone() for name, value in built.networks.state_dict().items()}

    return run


def close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-11, atol=1e-11)


def accumulates(model: Model, batch: Tensor, step: int) -> None:
    """Two backward passes, one of them through half of the weights; gradients are clipped; a step every other time."""
    first, second = model.networks["net"][0], model.networks["net"][-1]
    second(first(batch).detach()).square().mean().backward()
    second(first(batch)).mean().backward()
    nn.utils.clip_grad_norm_(model.networks.parameters(), 0.5)
    if step % 2:
        model.optimizers["net"].step()
        model.optimizers["net"].zero_grad()


def penalised(model: Model, batch: Tensor, step: int) -> None:
    """A gradient penalty through BatchNorm: its second derivatives pass from rank to rank."""
    inputs = batch.clone().requires_grad_()
    judged = model.networks["net"](inputs)
    (slope,) = torch.autograd.grad(judged.square().sum(), inputs, create_graph=True)
    model.optimizers["net"].zero_grad()
    (judged.mean() + slope.square().sum(1).mean()).backward()
    model.optimizers["net"].step()


def evaluating(model: Model, batch: Tensor, step: int) -> None:
    """Normalises in evaluation mode, as a discriminator that is only asked."""
    model.networks["net"].eval()
    penalised(model, batch, step)
    model.networks["net"].train()


class Picks(nn.Module):
    """Keeps the numbers of the columns that it takes as a parameter without a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.columns = nn.Parameter(torch.tensor([2, 0]), requires_grad=False)

    def forward(self, rows: Tensor) -> Tensor:
        return rows[:, self.columns]


def picking() -> Model:
    net = nn.Sequential(Picks(), nn.Linear(2, 1)).double()
    nn.init.ones_(net[1].weight)
    nn.init.ones_(net[1].bias)
    return Model(nn.ModuleDict({"net": net}), {"net": torch.optim.SGD(net[1].parameters(), 0.01)})


def alike() -> Model:
    """Two gradients of one size, the first of a network that is frozen until a step."""
    built = model(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    built.networks["net"][0].requires_grad_(False)
    return built


def thaws(model: Model, batch: Tensor, step: int) -> None:
    model.networks["net"][0].requires_grad_(step != 1)
    penalised(model, batch, step)


def normalised(layer: nn.Module) -> Model:
    return model(nn.Linear(3, 4), layer, nn.Tanh(), nn.Linear(4, 1))


def averages(model: Model, batch: Tensor, step: int) -> None:
    """A moving average of weights and running statistics, in a network that no optimizer has."""
    penalised(model, batch, step)
    with torch.no_grad():
        for name, value in model.networks["average"].state_dict().items():
            value.copy_((value + model.networks["net"].state_dict()[name]) / 2)


def with_average() -> Model:
    built = normalised(nn.BatchNorm1d(4))
    built.networks["average"] = copy.deepcopy(built.networks["net"]).requires_grad_(False)
    return built


@pytest.mark.parametrize(
    ("made", "step"),
    [
        (lambda: model(nn.Linear(3, 4), nn.Linear(4, 1)), accumulates),
        (lambda: model(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1)), penalised),
        (lambda: model(nn.BatchNorm1d(3, momentum=None, affine=False), nn.Linear(3, 1)), penalised),
        (lambda: normalised(nn.BatchNorm1d(4)), evaluating),
        (lambda: normalised(nn.BatchNorm1d(4, track_running_stats=False)), evaluating),
        (lambda: normalised(nn.SyncBatchNorm(4)), penalised),
        (picking, penalised),
        (with_average, averages),
        (alike, thaws),
    ],
    ids=[
        "accumulates",
        "penalised",
        "cumulative",
        "evaluating",
        "without_statistics",
        "synchronised",
        "whole",
        "average",
        "thawed",
    ],
)
def test_two_ranks_do_what_one_does(together: Together, made: Callable[[], Model], step: Step) -> None:
    alone = ends(made, step)(None)
    first, second = together(ends(made, step))
    assert isinstance(first, dict), first
    close(alone, first)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_layers_keep_their_names_and_class_and_normalise_alone_outside_of_steps(together: Together) -> None:
    def look(group: Any) -> Any:
        built = model(nn.BatchNorm1d(3))
        layer = built.networks["net"][0]
        Lockstep("plugin", None, built, group)
        kept = isinstance(layer, nn.BatchNorm1d) and next(iter(built.networks.state_dict())) == "net.0.weight"
        own = data(group.rank)
        expected = nn.functional.batch_norm(own, None, None, layer.weight, layer.bias, training=True)
        return {"kept": kept, "alone": torch.equal(layer(own), expected) if group.rank == 0 else True}

    assert together(look) == [{"kept": True, "alone": True}] * 2


def by_hand(model: Model, batch: Tensor, step: int) -> None:
    net = model.networks["net"]
    parameters = list(net.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(net(batch).mean(), parameters), strict=True):
        parameter.grad = gradient
    model.optimizers["net"].step()


def skips(model: Model, batch: Tensor, step: int) -> None:
    if float(batch[0, 0]) != float(data(1)[0, 0]) or step != 1:  # the second rank skips one
        model.networks["net"](batch).mean().backward()
    model.optimizers["net"].step()


def chooses(model: Model, batch: Tensor, step: int) -> None:
    part = model.networks["net"][int(float(batch[0, 0]) == float(data(1)[0, 0]))]
    part(batch[:, : part.in_features]).mean().backward()
    model.optimizers["net"].step()


def chooses_widely(model: Model, batch: Tensor, step: int) -> None:
    chooses(model, batch.repeat(1, 400), step)


def passes_over(model: Model, batch: Tensor, step: int) -> None:
    """The second rank leaves out BatchNorm in one step: its gradients must not meet the other's statistics."""
    first, norm, last = model.networks["net"]
    hidden = first(batch)
    if float(batch[0, 0]) != float(data(1)[0, 0]) or step != 1:
        hidden = norm(hidden)
    last(hidden).mean().backward()
    model.optimizers["net"].step()


def grows(model: Model, batch: Tensor, step: int) -> None:
    if float(batch[0, 0]) == float(data(1)[0, 0]):
        model.networks["net"].register_buffer("more", torch.zeros(2))


def keeps(model: Model, batch: Tensor, step: int) -> None:
    model.networks["net"][0].seen.copy_(batch.mean())


def with_buffer() -> Model:
    layer = nn.Linear(3, 1)
    layer.register_buffer("seen", torch.zeros(()))
    return model(layer)


def linear() -> Model:
    return model(nn.Linear(3, 1))


@pytest.mark.parametrize(
    ("made", "step", "said"),
    [
        (linear, by_hand, "PluginError: plugin: net.0.weight is not the same on all ranks after step 2"),
        (with_buffer, keeps, "PluginError: plugin: net.0.seen is not the same on all ranks after step 2"),
        (linear, skips, "PluginError: plugin: its ranks do not take the same steps: rank"),
        (lambda: model(nn.Linear(3, 1), nn.Linear(2, 1)), chooses, "PluginError: plugin: its ranks do not take the"),
        (lambda: model(nn.Linear(900, 1), nn.Linear(2, 1)), chooses_widely, "PluginError: plugin: its ranks do not"),
        (
            lambda: model(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)),
            passes_over,
            "PluginError: plugin: its ranks do not take the same steps: rank",
        ),
        (linear, grows, "PluginError: plugin: train_step leaves networks with other names or shapes on another rank"),
    ],
    ids=["by_hand", "keeps", "skips", "chooses", "chooses_widely", "passes_over", "grows"],
)
def test_a_step_that_ranks_cannot_share_is_reported_in_one_line(
    together: Together, made: Callable[[], Model], step: Step, said: str
) -> None:
    begin = time.monotonic()
    for text in together(ends(made, step)):
        assert isinstance(text, str), text
        assert text.startswith(said), text
        assert text.endswith("train it without --ranks")
        assert "\n" not in text
    assert time.monotonic() - begin < 60  # no rank waits for an exchange that never comes


def test_a_network_without_shapes_is_reported_in_one_line(together: Together) -> None:
    def join(group: Any) -> Any:
        net = nn.Sequential(nn.LazyLinear(4))
        Lockstep("plugin", None, Model(nn.ModuleDict({"net": net}), {}), group)

    for text in together(join):
        assert text.startswith("PluginError: plugin: net.0.weight has no shape before the first step")
        assert "\n" not in text


def test_ranks_that_build_different_networks_are_detected(together: Together) -> None:
    def join(group: Any) -> Any:
        Lockstep("plugin", None, model(nn.Linear(3, 1 + group.rank)), group)

    for text in together(join):
        assert text.startswith("PluginError: plugin: build_model returns networks with other names or shapes")


def test_every_rank_starts_from_the_weights_and_buffers_of_the_first(together: Together) -> None:
    def start(group: Any) -> Any:
        torch.manual_seed(group.rank)
        built = Model(nn.ModuleDict({"net": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))}), {})
        built.networks["net"][1].running_mean.normal_()
        own = {name: value.clone() for name, value in built.networks.state_dict().items()}
        lockstep = Lockstep("plugin", None, built, group)
        joined = {name: value.clone() for name, value in built.networks.state_dict().items()}
        with torch.no_grad():
            built.networks["net"][0].weight.add_(group.rank)
        lockstep.copy_from_first()  # as after each rank's own pass over the data
        return {"own": own, "joined": joined, "later": built.networks.state_dict()}

    first, second = together(start)
    assert not torch.equal(first["own"]["net.0.weight"], second["own"]["net.0.weight"])
    for found in (first["joined"], second["joined"], second["later"]):
        assert all(torch.equal(found[name], value) for name, value in first["own"].items())


def test_a_rank_that_ends_is_noticed_at_once(together: Together) -> None:
    def lose(group: Any) -> Any:
        if group.rank == 0:
            group.add([torch.zeros(3)])
        return "gone"

    begin = time.monotonic()
    first, _ = together(lose)
    assert first.startswith("LostRankError: the exchange between the ranks failed: ")
    assert time.monotonic() - begin < 30


def test_tensors_of_any_type_and_layout_are_copied_from_the_first(together: Together) -> None:
    made = {
        "channels_last": lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "flag": lambda: torch.randn(3) > 0,
        "short": lambda: (torch.randn(3) * 100).to(torch.int16),
        "complex": lambda: torch.randn(2, dtype=torch.complex64),
        "number": lambda: torch.randn(()),
        "none": lambda: torch.randn(0),
    }

    def copy(group: Any) -> Any:
        torch.manual_seed(group.rank)
        tensors = {name: make() for name, make in made.items()}
        group.copy_from_first(list(tensors.values()))
        return tensors

    torch.manual_seed(0)
    expected = {name: make() for name, make in made.items()}
    for found in together(copy):
        assert all(torch.equal(found[name], expected[name]) for name in made)
