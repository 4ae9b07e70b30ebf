"""Global state and network: what a plugin shares with other programs, and must leave alone."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from genbench.contract.case import BATCH, Subject
from genbench.contract.fault import Fault
from genbench.contract.network import network_watched
from genbench.plugin import world

__all__ = ["global_state", "network"]


def global_state(subject: Subject) -> None:
    """Hooks leave settings, directory, environment and others' random state unchanged, and nothing running."""
    changed = observe(subject).changed
    if changed:
        raise Fault(
            "hooks that leave global state alone",
            f"that they changed {'; '.join(changed)}",
            "set what you need on your own tensors, and draw random numbers only from torch",
        )
    left = subject.others.left()
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        raise Fault(
            "hooks that leave nothing running",
            left[0] + more,
            "end what you start before the hook returns",
        )


def network(subject: Subject) -> None:
    """Hooks open no network connection.

    A cell's numbers therefore depend only on what its record states.
    """
    asked = observe(subject).asked
    if asked:
        raise Fault(
            "hooks that open no network connection",
            f"one to {asked[0]}",
            "ship weights with the distribution, or train from scratch",
        )


@dataclass(frozen=True)
class Observation:
    """The global state that the hooks changed, and the network addresses that they requested."""

    changed: list[str]
    asked: list[str]


_observed: WeakKeyDictionary[Subject, Observation] = WeakKeyDictionary()  # both checks use the same calls


def observe(subject: Subject) -> Observation:
    """Build a model, call every hook once, and return the effects on the rest of the program."""
    if subject not in _observed:
        before = world.snapshot()
        with network_watched() as asked, world.imports_put_back():
            try:
                _call_every_hook(subject)
            except Fault:
                if not asked:
                    raise
        _observed[subject] = Observation(world.changes(before, world.snapshot()), asked)
    return _observed[subject]


def _call_every_hook(subject: Subject) -> None:
    model = subject.build()
    subject.train(model, 0, 1)
    subject.prepare(model)
    subject.sample(model, BATCH)
    images, _ = subject.batch(0)
    for hook in ("reconstruct", "encode", "log_likelihood"):
        if subject.plugin.implements(hook):
            arguments = {"generator": subject.generator()} if hook == "log_likelihood" else {}
            subject.call(model, hook, batch=images, **arguments)
