"""`--compile` compiles every network, computes the same, and leaves the names in checkpoints unchanged."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genbench import Model
from genbench.errors import PluginError
from genbench.training.compilation import compile_networks, double_backward_told


class Backend:
    """A compiler that only counts the graphs it is given."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: Any, inputs: list[Tensor]) -> Any:
        self.graphs += 1
        return graph.forward


def stack() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stack = stack()

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.stack(inputs) * 2
        return result


@pytest.mark.parametrize("make", [stack, Own])
def test_every_network_is_one_graph_and_gives_the_same(make: Any) -> None:
    torch._dynamo.reset()
    model = Model(nn.ModuleDict({"first": make(), "second": make()}), {})
    inputs = torch.randn(5, 3)
    before = [network(inputs) for network in model.networks.values()]
    names = list(model.state_dict()["networks"])
    backend = Backend()
    compile_networks(model, backend)  # type: ignore[arg-type]  # torch takes a function as well as a name
    after = [network(inputs) for network in model.networks.values()]
    [network(inputs) for network in model.networks.values()]
    assert backend.graphs == 2  # one each, and none for the second call
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)
    assert list(model.state_dict()["networks"]) == names


def penalised_step(critic: nn.Module) -> None:
    inputs = torch.randn(5, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(critic(inputs).sum(), inputs, create_graph=True)
    slope.square().sum().backward()


@pytest.mark.parametrize("donated", [True, False])  # torch has a different message for each
def test_a_gradient_penalty_on_a_compiled_network_is_told_in_one_line(donated: bool) -> None:
    import torch._functorch.config

    torch._dynamo.reset()
    model = Model(nn.ModuleDict({"critic": nn.Sequential(nn.Linear(3, 1), nn.Tanh())}), {})
    compile_networks(model, "aot_eager")
    told = double_backward_told("model 'penalised'")
    with torch._functorch.config.patch(donated_buffer=donated), pytest.raises(PluginError) as error, told:
        penalised_step(model.networks["critic"])
    assert str(error.value) == (
        "model 'penalised': its step differentiates a gradient, as gradient penalties do, which torch.compile cannot "
        "do; leave out --compile"
    )


def test_another_error_of_a_compiled_network_is_left_alone() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), double_backward_told("model"):
        raise RuntimeError("shapes differ")
