"""What all cells of a benchmark share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from genbench.config.budget import Budget
from genbench.errors import InputError

__all__ = ["Settings"]

Precision = Literal["fp32", "tf32", "bf16"]
EvalPrecision = Literal["fp32", "bf16"]
DEFAULT_BUDGET = Budget(3000, "steps")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Settings:
    """What all cells of a benchmark share: the budget, and how quality is measured.

    Args:
        budget: how long each cell trains.
        batch_size: training images a step.
        evaluations: how many times quality is measured, evenly spread; the last is at the end of the budget.
        samples: images drawn for quality; None takes as many as the held-out split has, 10,000 at most.
        device: `auto` takes CUDA where there is any, else MPS, else the CPU.
        precision: of training; `fp32` keeps TF32 out, `tf32` lets CUDA round what products and convolutions read to it.
            `eval_precision` is that of the extractor.
        compile: whether networks are compiled.
        cuda_graph: whether the steps of models that declare `capturable` are replayed from a CUDA graph.
        extractor: `auto`, `inception`, `digits-cnn`, `classifier` or `random-conv`.
        weights: a file with the weights of Inception.
        profile: which published tool's resizing the extractor follows.
        image_size: what images are resized to, or None to take them as they are.
        data_root: where datasets are kept.
        metrics: names that `genbench.selection.select` reads; none is the default.
    """

    budget: Budget = DEFAULT_BUDGET
    batch_size: int = 64
    evaluations: int = 5
    samples: int | None = None
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False
    cuda_graph: bool = False
    extractor: str = "auto"
    weights: str | None = None
    profile: str | None = None
    eval_precision: EvalPrecision = "fp32"
    image_size: int | None = None
    data_root: str | None = None
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("batch_size", "evaluations", "samples", "image_size"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InputError(f"{name} must be a whole number above zero, not {value!r}")
        for name, known in (("precision", get_args(Precision)), ("eval_precision", get_args(EvalPrecision))):
            if getattr(self, name) not in known:
                raise InputError(f"{name} {getattr(self, name)!r} is not one of {', '.join(known)}")
        if self.compile and self.cuda_graph:
            raise InputError("compile and cuda_graph cannot be combined; choose one")
        if self.device.split(":")[0] not in DEVICES:
            raise InputError(f"device {self.device!r} is not one of {', '.join(DEVICES)}")
