"""What a metric is: its numbers, its requirements, its source, and where it is computed. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from genbench.metrics.not_measurable import NONE_GIVEN, NotMeasurable

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["CLIP", "DINOV2", "INCEPTION", "VGGISH", "Direction", "Metric", "Value"]

Direction = Literal["lower", "higher"]

# Published weights that earn a number another name, as `genbench metrics` prints them.
INCEPTION = "the 2015 Inception-v3"
CLIP = "CLIP ViT-L/14-336 of OpenAI"
DINOV2 = "DINOv2's published ViT-L/14"
VGGISH = "the published VGGish, on clips of one window"


@dataclass(frozen=True)
class Value:
    """One number that a metric returns.

    Args:
        name: what it is called.
        direction: which way is better; None where neither is (a test's p, a spread, a figure to read against the
            data's own).
        earned: names under which it is written where the extractor earns them → the published weights that do.
    """

    name: str
    direction: Direction | None
    earned: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which a record can hold it: its own, then those that published weights earn."""
        return self.name, *self.earned


@dataclass(frozen=True)
class Metric:
    """One method: its numbers, its requirements, its source, and where it is computed.

    Args:
        name: of the method.
        values: the numbers that it returns.
        needs: fields of `Evidence` that must not be None.
        least_count: minimum number of rows of each tensor among the needs.
        per_feature: whether it also needs that many samples per feature, which `function` checks.
        function: from `Evidence` to a dict of numbers by value name: `module:function` under `genbench.metrics`, or,
            for a metric outside genbench, the function itself.
        summary: one line.
        paper: its URL.
        version: incremented whenever the same evidence would give another number.
        parameters: constants of the method, for the recipe.
        curve: cheap enough for every point of a training curve.
        default: measured without being requested by name.
        kinds: of items that it is valid for; None for all.
        kernel_sums: which of genbench's kernels it sums over all pairs. Where these are many, their products are
            float32, unless the kernel is cubic and third moments replace the pairs.
        compares: sides of which it compares pairs of items, `samples` or `reference`: at most `most_compared` items of
            each, where the extractor sets that limit.
        gaussian_suffices: whether the mean and covariance of the reference can replace its features.
    """

    name: str
    values: tuple[Value, ...]
    needs: tuple[str, ...]
    least_count: int
    function: str | Callable[[Evidence], dict[str, float]]
    summary: str
    paper: str
    version: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    per_feature: bool = False
    curve: bool = False
    default: bool = True
    kinds: tuple[str, ...] | None = None
    kernel_sums: Literal["cubic", "gaussian"] | None = None
    compares: tuple[str, ...] = ()
    gaussian_suffices: bool = False

    def reported_names(self, earned: Mapping[str, str]) -> dict[str, str]:
        """Return value name → the name to write: `fid` and `inception_score` only where the extractor earned them.

        Args:
            earned: value name → written name, `Extractor.earned`.

        >>> from genbench.metrics import METRICS
        >>> METRICS["frechet_distance"].reported_names({"fd": "fid", "mmd": "cmmd"})
        {'fd': 'fid'}
        """
        return {value.name: earned.get(value.name, value.name) for value in self.values}

    def compute(self, evidence: Evidence) -> dict[str, float]:
        """Return the numbers by value name; a number without a finite value (PSNR without error) is left out.

        Raises:
            NotMeasurable: the evidence lacks something, has too few rows, or has items of two shapes.
            ValueError: the evidence is faulty.
        """
        for need in self.needs:
            if need == "reference" and self.gaussian_suffices and evidence.statistics.gaussian_alone:
                continue
            found = getattr(evidence, need)
            if found is None:
                raise NotMeasurable(f"{self.name}: needs {need.replace('_', ' ')}, and {NONE_GIVEN}")
            if not isinstance(found, (int, float)) and len(found) < self.least_count:
                raise NotMeasurable(
                    f"{self.name}: needs at least {self.least_count} {need.replace('_', ' ')}, got {len(found)}"
                )
        self._check_shapes(evidence)
        if callable(self.function):
            return self.function(evidence)
        module, _, function = self.function.partition(":")
        numbers: dict[str, float] = getattr(importlib.import_module(f"genbench.metrics.{module}"), function)(evidence)
        return numbers

    def _check_shapes(self, evidence: Evidence) -> None:
        """Items that are compared entry by entry must have the same shape."""
        shapes = {
            need.replace("_", " "): "x".join(map(str, getattr(evidence, need).shape[1:]))
            for need in self.needs
            if need.endswith("_items")
        }
        if len(set(shapes.values())) > 1:
            found = " and ".join(f"{name} of {shape}" for name, shape in shapes.items())
            said = " (channels x height x width)" if all(shape.count("x") == 2 for shape in shapes.values()) else ""
            what = " or ".join(f"{kind}s" for kind in self.kinds or ("item",))
            raise NotMeasurable(f"{self.name}: needs {what} of one shape, got {found}{said}")
