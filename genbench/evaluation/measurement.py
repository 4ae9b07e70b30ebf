"""From items and a reference to named numbers, each with its recipe.

One pass: every item goes through the extractor once, and every metric reads those features.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genbench.datasets.dataset import Dataset, Split
from genbench.datasets.mapping import giving_back
from genbench.errors import InputError
from genbench.evaluation import controls
from genbench.evaluation.references import Reference, cache_path, reference_key
from genbench.evaluation.selection import select
from genbench.features.extractor import Extractor, FeatureError, Features, RecipeValue, extract
from genbench.features.tensor_cache import read_cached, write_cached
from genbench.metrics.evidence import Evidence
from genbench.metrics.metric import Metric
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.pairs import sums_float32
from genbench.metrics.reference import ReferenceStatistics
from genbench.metrics.standard_errors import standard_error
from genbench.plugin import world
from genbench.plugin.finding import identity_line
from genbench.records.identity import identity
from genbench.seeding import generator

__all__ = ["Evaluator", "Number"]

SEED = 0  # for subsets and splits within metrics: one for all, so that it never makes two recipes differ
READS_FEATURES = {"samples", "sample_logits"}


@dataclass(frozen=True)
class Number:
    """A value, the short id of its recipe, and, if known, how far it would move if other samples were drawn."""

    value: float
    recipe: str
    standard_error: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


class Evaluator:
    """Scores sets of items against one dataset, and keeps the recipe of every number it has returned."""

    def __init__(
        self,
        dataset: Dataset,
        extractor: Extractor,
        reference: Reference,
        metrics: Sequence[Metric] | None = None,
        fields: Mapping[str, RecipeValue] | None = None,
    ) -> None:
        """Store what all sets of items have in common.

        Args:
            dataset: the reference.
            extractor: of features.
            reference: features of the dataset.
            metrics: what to measure; None is the default.
            fields: what the recipe records about how the items were read, beyond what holds for every dataset.
        """
        self.metrics = select((), dataset.kind.name) if metrics is None else metrics
        self.dataset = dataset
        self.extractor = extractor
        self.reference = reference
        self._fields = dict(fields or {})
        self.recipes: dict[str, dict[str, Any]] = {}
        # Called as each metric begins, and with None at the end.
        self.watch: Callable[[str | None], None] = lambda part: None
        self.extract: Callable[[Extractor, Tensor], Features] = extract  # several ranks may share the work
        self.missing: dict[str, str] = {}  # metric -> why it could not be measured the last time
        self._limit = len(reference.train.features)
        self._statistics_path = cache_path(
            "statistics", reference_key(dataset, extractor, self._limit, version=ReferenceStatistics.VERSION)
        )
        self._statistics = ReferenceStatistics(
            reference.train.features,
            reference.held_out.features,
            reference.train.logits,
            self._reference_items,
            read_cached(self._statistics_path),
            reference.gaussian,
            extractor.most_compared,
        )

    @property
    def _reference_items(self) -> Tensor:
        return self.dataset.train.items[: self._limit]

    def score(
        self,
        items: Tensor,
        labels: Tensor | None,
        *,
        curve: bool = False,
        features: Features | None = None,
        **more: Any,
    ) -> dict[str, Number]:
        """Return every number available for these items, or with `curve` those of a curve, without errors.

        Args:
            items: (N, ...) as stored.
            labels: (N,) int64 that were requested from a conditional model, or None.
            features: of the items, if already extracted.
            more: further fields of `Evidence`: originals and reconstructions, log_likelihoods, samples_held_out.

        A number for which there are too few items is left out, and so are those that read features where a plugin's
        extractor gives none; `missing` says why.
        """
        self.missing.clear()
        with world.settled(), giving_back():
            fault = ""
            if features is None:
                self.watch("features")
                try:
                    features = self.extract(self.extractor, items)
                except FeatureError as error:  # of a plugin: what reads no features can still be measured
                    features, fault = self._no_features(items), str(error)
            return self._numbers(self._evidence(items, labels, features, **more), curve, fault)

    def _no_features(self, items: Tensor) -> Features:
        """Return a placeholder for features that are unavailable and that no metric may read."""
        return Features(torch.zeros(len(items), self.reference.train.features.shape[1]), None)

    def _numbers(self, evidence: Evidence, curve: bool, feature_fault: str) -> dict[str, Number]:
        known = set(self._statistics.tensors)
        numbers: dict[str, Number] = {}
        for metric in self.metrics:
            if curve and not metric.curve:
                continue
            if feature_fault and READS_FEATURES & set(metric.needs):
                self.missing[metric.name] = feature_fault
                continue
            self.watch(metric.name)
            try:
                values = metric.compute(evidence)
            except NotMeasurable as error:
                self.missing[metric.name] = str(error)
                continue
            recipe = self._recipe(metric, evidence)
            names = metric.reported_names(self.extractor.earned)
            errors = {} if curve else {name: standard_error(name, evidence) for name in values}
            numbers |= {names[name]: Number(value, recipe, errors.get(name)) for name, value in values.items()}
        self.watch(None)
        if set(self._statistics.tensors) != known:
            with contextlib.suppress(InputError):  # the next model recomputes them; the training is not lost
                write_cached(self._statistics_path, self._statistics.tensors)
        return numbers

    def floor(self, count: int) -> dict[str, Number]:
        """Return the numbers for as many held-out items, from their cached features; none without held-out items.

        They are drawn and tested like those of the control `real`, repeated where there are fewer than `count`.
        """
        features, split = self.reference.held_out, self.dataset.held_out
        known = len(features.features)
        if not known:
            return {}
        split = Split(split.items[:known], None if split.labels is None else split.labels[:known])
        rows = controls.rows(split, count, generator(SEED, "control", "real"))
        chosen = Features(features.features[rows], None if features.logits is None else features.logits[rows])
        return self.score(split.items.index_select(0, rows), None, features=chosen, samples_held_out=True)

    def _evidence(self, items: Tensor, labels: Tensor | None, samples: Features, **more: Any) -> Evidence:
        dataset, reference = self.dataset, self.reference
        of_its_shape = items.shape[1:] == dataset.shape
        fields: dict[str, Any] = {
            "samples": samples.features,
            "sample_logits": samples.logits,
            "sample_items": items,
            "sample_labels": labels,
            "sample_modes": dataset.nearest_mode(items) if dataset.nearest_mode and of_its_shape else None,
            "mode_count": dataset.mode_count,
            "reference": reference.train.features,
            "reference_logits": reference.train.logits,
            "reference_items": self._reference_items,
            "reference_labels": None if dataset.train.labels is None else dataset.train.labels[: self._limit],
            "held_out": reference.held_out.features,
            "held_out_logits": reference.held_out.logits,
            "held_out_items": dataset.held_out.items,
            "held_out_labels": dataset.held_out.labels,
            "dimensions": math.prod(dataset.shape),
            "levels": dataset.kind.levels,
            "sample_rate": dataset.data.sample_rate,
            "sample_log_probabilities": dataset.log_probability(items) if dataset.log_probability else None,
            "entropy": dataset.entropy,
            "seed": SEED,
            "statistics": self._statistics,
        }
        return Evidence(**{**fields, **more})

    def _recipe(self, metric: Metric, evidence: Evidence) -> str:
        """Store the recipe of a metric's numbers, and return its short id."""
        recipe: dict[str, Any] = {
            "metric": metric.name,
            "metric_version": metric.version,
            **metric.parameters,
            "dataset": self.dataset.name,
            "dataset_fingerprint": self.dataset.fingerprint,
            **({"dataset_plugin": identity_line(self.dataset.plugin)} if self.dataset.plugin else {}),
            "rounding": self.dataset.kind.rounding,
            **self._fields,
        }
        if any(need.startswith("sample") for need in metric.needs):
            recipe |= {
                "samples": len(evidence.samples),
                "reference_split": "train",
                "reference_count": len(evidence.reference),
                "seed": evidence.seed,
                **self.reference.described,
            }
        else:
            recipe |= {"split": "held-out", self.dataset.kind.noun: len(self.dataset.held_out)}
        recipe |= _compared(metric, evidence)
        counts = recipe.get("samples_compared", len(evidence.samples)), len(evidence.reference)
        if metric.kernel_sums and sums_float32(metric.kernel_sums, *counts, evidence.samples.shape[1]):
            recipe["products"] = "float32"
        if READS_FEATURES & set(metric.needs):
            recipe |= self.extractor.recipe()
        key = identity(recipe, 8)
        self.recipes[key] = recipe
        return key


def _compared(metric: Metric, evidence: Evidence) -> dict[str, int]:
    """Return how many items of each side a metric compares, where these are not all."""
    sides = {
        "samples": (evidence.samples, evidence.compared),
        "reference": (evidence.reference, evidence.statistics.compared),
    }
    counts = {side: (len(of), len(compared)) for side, (of, compared) in sides.items() if side in metric.compares}
    return {f"{side}_compared": compared for side, (every, compared) in counts.items() if compared < every}
