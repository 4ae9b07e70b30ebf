"""The options that say what is measured, and in which features, shared by the commands that measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["data_root", "eval_precision", "extractor", "metrics", "profile", "weights"]

Decorator = Callable[[Any], Any]

weights = click.option(
    "--weights", metavar="FILE", help="Weights file for Inception, DINOv2, CLIP, VGGish or a plugin's extractor."
)
profile = click.option(
    "--profile",
    metavar="P",
    help="Whose resizing to use: torch-fidelity, pytorch-fid, clean-fid, dgm-eval, edm2, cmmd.",
)
metrics = click.option(
    "--metrics", metavar="NAME,...", help="What to measure; +NAME,... adds to the default, e.g. +cas."
)
data_root = click.option("--data-root", metavar="DIR", help="Where datasets are kept.  [default: $GENBENCH_DATA]")


def extractor(default: str | None) -> Decorator:
    """Return `--extractor`; `default` is None where a benchmark file may name another."""
    return click.option(
        "--extractor",
        default=default,
        metavar="E",
        help="auto, inception, dinov2-vitl14, clip-vitl14-336, ..., digits-cnn, classifier, random-conv; for texts "
        "ngram, classifier, minilm; for clips log-mel, classifier, vggish; or a plugin's.  [default: auto]",
    )


def eval_precision(default: str | None) -> Decorator:
    """Return `--eval-precision`; `default` is None where a benchmark file may name another."""
    return click.option(
        "--eval-precision",
        default=default,
        metavar="P",
        help="Precision of the extractor: fp32 or bf16.  [default: fp32]",
    )
