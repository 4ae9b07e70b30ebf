"""The settings that all cells of a benchmark share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from genbench.config.budget import Budget
from genbench.errors import InputError, quoted

__all__ = ["Settings"]

Precision = Literal["fp32", "tf32", "bf16"]
EvalPrecision = Literal["fp32", "bf16"]
DEFAULT_BUDGET = Budget(3000, "steps")
DEVICES = ("auto", "cpu", "cuda", "mps")
# Far beyond any use: memory or disk runs out sooner. Each evaluation is a point of a curve.
LARGEST = {"batch_size": 2**31 - 1, "evaluations": 10_000, "samples": 2**31 - 1, "image_size": 65_535, "ranks": 64}


@dataclass(frozen=True)
class Settings:
    """The settings that all cells of a benchmark share: the budget, and how quality is measured.

    Args:
        budget: how long each cell trains.
        batch_size: training images per step.
        evaluations: how many times quality is measured, evenly spread; the last is at the end of the budget.
        samples: images drawn to measure quality; None draws as many as the held-out split has, 10,000 at most.
        device: `auto` takes CUDA if available, else MPS, else the CPU.
        training_precision: `fp32` disables TF32, `tf32` lets CUDA round the inputs of products and convolutions to it,
            `bf16` trains under autocast. Not called `precision`, which is a metric.
        compile: whether networks are compiled.
        ranks: processes that train one cell together, each with one device and its own rows of the batch.
        cuda_graph: whether the steps of models that declare `capturable` are replayed from a CUDA graph.
        extractor: a key of `genbench.features.EXTRACTORS`, or the name of a plugin's.
        weights: a file with the weights of Inception, DINOv2 or CLIP.
        profile: the published tool whose resizing the extractor reproduces.
        eval_precision: the precision of the extractor.
        image_size: the size to which images are resized, or None to leave them unchanged.
        data_root: where datasets are kept.
        metrics: names that `genbench.evaluation.selection.select` reads; if empty, the default metrics.
        target: the goals of training, such as `fd<5`, each in the form that `Target` writes.
        stop_at_target: whether a cell's training ends at the first evaluation after all targets have been met.
    """

    budget: Budget = DEFAULT_BUDGET
    batch_size: int = 64
    evaluations: int = 5
    samples: int | None = None
    device: str = "auto"
    training_precision: Precision = "fp32"
    compile: bool = False
    cuda_graph: bool = False
    ranks: int = 1
    extractor: str = "auto"
    weights: str | None = None
    profile: str | None = None
    eval_precision: EvalPrecision = "fp32"
    image_size: int | None = None
    data_root: str | None = None
    metrics: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    stop_at_target: bool = False

    def __post_init__(self) -> None:
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} must be a whole number above zero, not {quoted(value)}")
            if value > largest:
                raise InputError(f"{name} must be at most {largest:,}, not {quoted(value)}")
        for name, kind in (("training_precision", Precision), ("eval_precision", EvalPrecision)):
            known = get_args(kind)
            if getattr(self, name) not in known:
                raise InputError(f"{name} {quoted(getattr(self, name))} is not one of {', '.join(known)}")
        if self.compile and self.cuda_graph:
            raise InputError("compile and cuda_graph cannot be combined; choose one")
        for name in ("compile", "cuda_graph"):
            if getattr(self, name) and self.ranks != 1:
                raise InputError(f"{name} and ranks cannot be combined; leave one out")
        if self.device.split(":")[0] not in DEVICES:
            raise InputError(f"device {quoted(self.device)} is not one of {', '.join(DEVICES)}")
