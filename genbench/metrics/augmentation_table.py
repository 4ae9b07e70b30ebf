"""The row of the metrics table for the gain from augmentation. Imports no torch."""

from __future__ import annotations

from genbench.metrics.constants import CAS_BATCH, CAS_SIDE, CAS_STEPS, REAL_TEST
from genbench.metrics.metric import Metric, Value

__all__ = ["AUGMENTATION"]

AUGMENTATION = Metric(
    name="augmentation",
    kinds=("image", "text"),
    values=(
        Value("accuracy_real", None),
        Value("accuracy_samples", "higher"),
        Value("accuracy_both", "higher"),
        Value("augmentation_gain", "higher"),
    ),
    needs=("sample_items", "reference_items", "reference_labels", "held_out_items", "held_out_labels"),
    least_count=2,
    function="augmentation:measure",
    summary="held-out accuracy of a small classifier trained on real items, on samples, and on both",
    paper="https://arxiv.org/abs/1905.10887",
    parameters={
        "steps": CAS_STEPS,
        "batch": CAS_BATCH,
        "side": CAS_SIDE,
        "mixture": "half of each batch real, half samples",
        "sample_labels": "asked of a conditional model, else given by the classifier trained on real items",
        "real": REAL_TEST,
    },
    default=False,
)
