"""What a run counts in addition to training a model."""

from __future__ import annotations

from genbench.contract.case import STEPS, Subject
from genbench.contract.fault import calling
from genbench.training.flops import count_flops

__all__ = ["flops"]


def flops(subject: Subject) -> None:
    """The FLOPs of training steps and of samples can be counted."""
    model = subject.build()
    with calling("train_step and sample, while their FLOPs are counted,", subject.home):
        count_flops(subject.plugin, model, subject.batch, subject.device, STEPS)
