"""Whether several processes can train a model that is unaware of them, as `--ranks` requires."""

from __future__ import annotations

import torch

from genbench import seeding
from genbench.contract import state
from genbench.contract.case import BATCH, Subject
from genbench.contract.fault import Caution, Unmet
from genbench.contract.turns import TurnGroup, in_turns
from genbench.errors import PluginError
from genbench.plugin.visible import wording
from genbench.training.ranks.averaging import Averaging
from genbench.training.ranks.batch_norm import synchronise

__all__ = ["ranks"]

RANKS = 2
RANK_STEPS = 6  # a generator may be stepped only every fifth time


def ranks(subject: Subject) -> None:
    """Two ranks that share each batch (`--ranks 2`) keep the same weights."""
    if subject.device.type != "cpu":
        raise Unmet("two ranks take turns only on the CPU")
    models = []
    for _ in range(RANKS):
        models.append(subject.build())
        seeding.seed_global(0, "contract", "ranks")
        subject.begin(models[-1])
    if not models[0].optimizers:
        raise Unmet("nothing is trained by gradient steps")

    def train(group: TurnGroup) -> None:
        model = models[group.rank]
        synchronise(model.networks, group)
        averaging = Averaging("train_step", dict(model.networks.named_parameters()), group)
        rows = slice(group.rank * BATCH // RANKS, (group.rank + 1) * BATCH // RANKS)
        model.networks.train()
        for step in range(RANK_STEPS):
            batch, labels = subject.batch(step)
            averaging.begin(step)
            group.stepping = True
            subject.plugin.hook.train_step(
                model=model, batch=batch[rows], labels=None if labels is None else labels[rows], step=step
            )
            group.stepping = False
        averaging.end(RANK_STEPS - 1)

    with torch.random.fork_rng(devices=[]):
        error = in_turns(RANKS, train)
    if error is not None:
        raise Caution(f"--ranks cannot train it: {error if isinstance(error, PluginError) else wording(error)}")
    differing = state.difference(*(state.snapshot(model) for model in models))
    if differing is not None:
        raise Caution(
            f"--ranks cannot train it: {differing} is not the same on two ranks after {RANK_STEPS} steps. "
            "Change weights only through gradients that backward() accumulates, and buffers only by values that "
            "depend neither on the batch nor on random numbers"
        )
