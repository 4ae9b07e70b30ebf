"""The promise of a model that declares `capturable`: a CUDA graph of one of its steps can replay all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from genbench import seeding
from genbench.contract import state
from genbench.contract.case import Subject
from genbench.contract.fault import Fault, Unmet
from genbench.contract.watching import Operations
from genbench.plugin.model import Model
from genbench.training.capture import WARM_UP_STEPS, ReplayedStep

__all__ = ["capturable", "replays"]

WATCHED = range(WARM_UP_STEPS, WARM_UP_STEPS + 10)  # a generator may be stepped only every fifth time
ELSEWHERE = 1_000_003  # an odd offset of step numbers that is no multiple of any period a plugin would use
NEAR = 0.1  # relative to the distance trained: Adam amplifies a change of summation order; other noise gives about 1
_WHAT_NO_GRAPH_REPLAYS = "host-side work in a step, and tensors that are replaced instead of changed in place"
_WITHOUT = "or remove `capturable` from Model"


def capturable(subject: Subject) -> None:
    """A `train_step` declared `capturable` does the same work at every step, and a CUDA graph can replay it."""
    model = subject.build()
    if not model.capturable:
        raise Unmet("the model does not declare capturable")
    if model.schedulers:
        raise Fault("a capturable model to have no schedulers", f"{next(iter(model.schedulers))!r}", _change("it"))
    seeding.seed_global(0, "contract", "capture")
    subject.train(model, 0, WARM_UP_STEPS)
    before = _plain_values(model)
    _compare_operations(subject, model)
    after = _plain_values(model)
    if changed := state.difference(before, after):
        raise Fault(
            "the plain values in a capturable model's state to stay the same",
            f"another {changed}",
            _change("the code that changes it"),
        )
    _compare_numbers(subject)
    if subject.device.type == "cuda":
        replays(subject)


def _compare_operations(subject: Subject, model: Model) -> None:
    expected = None
    for step in WATCHED:
        images, labels = subject.batch(step)
        operations = Operations(subject.home, expected)
        with operations, _optimizers_told(model, operations):
            subject.step(model, images, labels, step)
        expected = expected or operations.calls
        if operations.calls != expected:
            raise Fault(
                "the same operators, shapes and numbers at every capturable step",
                f"others at step {step}, first at {operations.line or 'its end'}",
                _change("anything that depends on `step`, on a counter or on Python's random"),
            )


def _compare_numbers(subject: Subject) -> None:
    """Train twice from the same state with the same noise, the second time with other step numbers."""
    first, second = (_trained(subject, offset) for offset in (0, ELSEWHERE))
    if changed := state.difference(first, second):
        raise Fault(
            "a capturable step not to depend on its number", f"another {changed}", _change("anything that reads `step`")
        )


def replays(subject: Subject) -> None:
    """Compare training by replays with training by steps, from the same state with the same noise."""
    initial = _networks(subject.build())
    steps, replayed = (_end(subject, by_graph) for by_graph in (False, True))
    trained, apart = _distance(initial, steps), _distance(steps, replayed)
    if not apart <= NEAR * trained:
        raise Fault(
            "a CUDA graph to train like the steps that it replays",
            f"weights {float(apart):.2g} apart after moving by {float(trained):.2g}",
            _change(_WHAT_NO_GRAPH_REPLAYS),
        )
    if changed := state.difference(_counts(steps), _counts(replayed)):
        raise Fault(
            "a CUDA graph to count like the steps that it replays",
            f"another {changed}",
            _change(_WHAT_NO_GRAPH_REPLAYS),
        )


def _end(subject: Subject, by_graph: bool) -> dict[str, Tensor]:
    """Return the networks after training through the harness's own replays, or without a graph."""
    model, hook = subject.build(), subject.plugin.hook.train_step
    replayed = ReplayedStep(
        subject.plugin, hook, model, subject.device
    )  # for both, because it makes the optimizers use other kernels
    seeding.seed_global(0, "contract", "capture")
    subject.begin(model)
    for step in range(WATCHED.stop):
        subject.step(model, *subject.batch(step), step, replayed if by_graph else hook)
    return _networks(model)


def _trained(subject: Subject, offset: int) -> dict[str, Tensor]:
    model = subject.build()
    seeding.seed_global(0, "contract", "capture")
    subject.begin(model)
    for step in range(WARM_UP_STEPS):
        subject.step(model, *subject.batch(step), step + offset)
    return _networks(model)


def _networks(model: Model) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.networks.state_dict().items()}


def _distance(first: dict[str, Tensor], second: dict[str, Tensor]) -> Tensor:
    """Return how far apart the weights are; counts would outweigh them."""
    named = [name for name, value in first.items() if value.is_floating_point()]
    squares = [(first[name].double() - second[name].double()).square().sum() for name in named]
    return torch.stack(squares).sum().sqrt()


def _counts(networks: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in networks.items() if not value.is_floating_point()}


def _plain_values(model: Model) -> dict[str, object]:
    return {name: value for name, value in state.snapshot(model).items() if not isinstance(value, Tensor)}


def _change(what: str) -> str:
    return f"remove {what} from the step, {_WITHOUT}"


@contextmanager
def _optimizers_told(model: Model, operations: Operations) -> Iterator[None]:
    """Mark in the list of operations when an optimizer with a `capturable` flag is running."""

    def inside(optimizer: object, *_: object) -> None:
        operations.in_optimizer = True

    def outside(optimizer: object, *_: object) -> None:
        operations.in_optimizer = False

    with ExitStack() as handles:
        for optimizer in model.optimizers.values():
            if all("capturable" in group for group in optimizer.param_groups):
                handles.callback(optimizer.register_step_pre_hook(inside).remove)
                handles.callback(optimizer.register_step_post_hook(outside).remove)
        yield
