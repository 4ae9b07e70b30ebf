"""The table of checks: name, function, prerequisites, and how often it runs."""

from __future__ import annotations

from genbench.contract.case import Subject
from genbench.contract.check import Check
from genbench.contract.checks import (
    building,
    capturing,
    counting,
    likelihood,
    memory,
    module,
    optional,
    persistence,
    ranks,
    sampling,
    sharing,
    training,
    waiting,
)

__all__ = ["CHECKS", "Check"]


def loads(subject: Subject) -> None:
    """The module imports, has the required hooks and changes no global state."""


_TRAINS = ("build", "before_training", "losses")
_PREPARES = (*_TRAINS, "before_sampling")
_SAMPLES = (*_PREPARES, "sample")
_ALL = (
    Check("loads", loads, needs=(), once=True, as_trained=True),
    Check("docstring", module.docstring, needs=("loads",), once=True),
    Check("build", building.build, needs=("loads",)),
    Check("options", module.takes_options, once=True),
    Check("before_training", optional.before_training),
    Check("losses", training.losses, needs=("build", "before_training")),
    Check("movement", training.movement, needs=_TRAINS),
    Check("waiting", waiting.waiting, needs=_TRAINS, as_trained=True),
    Check("capturable", capturing.capturable, needs=(*_TRAINS, "waiting")),
    Check("before_sampling", optional.before_sampling),
    Check("sample", sampling.sample, needs=_PREPARES),
    Check("flops", counting.flops, needs=_SAMPLES),
    Check("sample_repeats", sampling.repeats, needs=_SAMPLES),
    Check("sample_generator", sampling.generator, needs=(*_SAMPLES, "sample_repeats")),
    Check("sample_changes_nothing", sampling.nothing_changed, needs=_SAMPLES),
    Check("sample_batch_size", sampling.batch_size, needs=(*_SAMPLES, "sample_repeats")),
    Check("sample_labels", sampling.labels, needs=_SAMPLES),
    Check("reconstruct", optional.reconstruct, needs=_PREPARES),
    Check("encode", optional.encode, needs=_PREPARES),
    Check("log_likelihood", optional.log_likelihood, needs=_PREPARES),
    Check("checkpoint", persistence.round_trip, needs=(*_SAMPLES, "sample_repeats")),
    Check("resume", persistence.resume, needs=(*_TRAINS, "checkpoint")),
    Check("global_state", sharing.global_state, needs=_SAMPLES, as_trained=True),
    Check("network", sharing.network, needs=_SAMPLES, as_trained=True),
    Check("ranks", ranks.ranks, needs=_TRAINS, once=True),
    Check("memory", memory.memory, needs=_TRAINS, once=True, as_trained=True),
    Check("likelihood_bound", likelihood.bound, needs=("log_likelihood",), once=True),
)

CHECKS = {check.name: check for check in _ALL}
