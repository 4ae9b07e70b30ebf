"""Records like those of a benchmark on `digits`, with plausible numbers, and toy grids of images."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

Record = dict[str, Any]

# label: final fd and its spread over seeds, training and sampling images/s, parameters, FLOPs per image
MODELS: dict[str, tuple[float, float, float, float, float, float]] = {
    "gan": (23.0, 1.1, 21000, 160000, 1463296, 8.6e6),
    "dcgan": (96.0, 6.0, 2300, 15000, 651777, 61e6),
    "vae": (202.0, 4.0, 26000, 210000, 310000, 1.9e6),
    "ae": (81.0, 2.0, 30000, 240000, 290000, 1.7e6),
}
CONTROLS = {"real": 11.0, "gaussian": 175.0, "noise": 781.0, "copycat": 6.0}
LOSSES = {
    "gan": ("generator", "discriminator"),
    "dcgan": ("generator", "discriminator"),
    "vae": ("reconstruction", "kl"),
}


def recipe(metric: str, **changes: Any) -> Record:
    fields = {
        "metric": metric,
        "metric_version": 1,
        "extractor": "digits-cnn",
        "weights_sha256": hashlib.sha256(b"digits-cnn").hexdigest(),
        "resizer": "none",
        "range": "[0, 255]",
        "rounding": "((x + 1) * 127.5).round().clamp(0, 255)",
        "dtype": "float32",
        "precision": "fp32",
        "samples": 500,
        "reference_split": "train",
        "reference_count": 1297,
        "dataset_fingerprint": hashlib.sha256(b"digits").hexdigest(),
        "seed": 0,
    }
    if metric in {"reconstruction_mse", "psnr", "ssim", "bits_per_dim"}:
        fields |= {"extractor": None, "weights_sha256": None, "reference_split": "held-out", "reference_count": 500}
    return fields | changes


def recipe_id(fields: Record) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]


def make_record(label: str = "gan", seed: int = 0, /, *, recipe_changes: Record | None = None, **cell: Any) -> Record:
    """Return a finished record; `cell` overrides fields of its cell, `recipe_changes` those of every recipe."""
    model = label.split(":")[0]
    control = model in CONTROLS
    draw = np.random.default_rng([seed, *label.encode()])
    fd, spread, train_rate, sample_rate, parameters, flops = MODELS.get(
        model, (CONTROLS.get(model, 150.0), 3.0, 9e3, 9e4, 123456, 3e6)
    )
    final = fd + (0.3 if control else spread) * float(draw.normal())
    values = {"fd": final, "classifier_score": 9.6 - final / 100}
    if model in {"vae", "ae"}:
        values |= {
            "reconstruction_mse": 0.0123 + 0.0004 * float(draw.normal()),
            "psnr": 19.2 + 0.1 * float(draw.normal()),
        }
        values |= {"ssim": 0.871 + 0.004 * float(draw.normal())}
    if model == "vae":
        values["bits_per_dim"] = 3.21 + 0.02 * float(draw.normal())
    recipes = {name: recipe(name, **(recipe_changes or {})) for name in values}
    record = {
        "schema": 2,  # in which identities are not verified: these are made up
        "status": "finished",
        "cell": {
            "model": model,
            "label": label,
            "options": dict([label.split(":")[1].split("=")]) if ":" in label else {},
            "role": "control" if control else "model",
            "summary": f"What {model} says of itself in one line.",
            "plugin": None
            if control
            else {
                "distribution": f"genbench-{model}",
                "version": "0.1.0",
                "origin": "entry point",
                "source_sha256": "ab" * 32,
            },
            "dataset": {
                "name": "digits",
                "fingerprint": hashlib.sha256(b"digits").hexdigest(),
                "kind": "image",
                "shape": [1, 8, 8],
                "classes": 10,
                "train_count": 1297,
                "held_out_count": 500,
                "licence": "CC BY 4.0, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository",
            },
            "seed": seed,
            "budget": "3000steps",
            "batch_size": 64,
            "training_precision": "fp32",
            "compile": False,
            "device": "cpu",
            "evaluations": 5,
            "samples": 500,
        }
        | cell,
        "numbers": {name: {"value": value, "recipe": recipe_id(recipes[name])} for name, value in values.items()},
        "recipes": {recipe_id(fields): fields for fields in recipes.values()},
        "cost": {"train_items_per_s": None, "peak_resident_bytes": 390 * 2**20},
        "curve": [],
        "environment": {
            "genbench": "0.1.0",
            "torch": "2.13.0",
            "python": "3.11.7",
            "platform": "Linux-6.1-x86_64",
            "processor": "AMD EPYC 7B13",
            "cores": 2,
            "threads": 2,
            "memory_bytes": 8 * 2**30,
            "device": "cpu",
            "device_name": "AMD EPYC 7B13",
            "commit": "0123abcd",
        },
        "artifacts": {"samples": f"samples/{model}-digits-seed{seed}.png", "reference": "samples/digits-reference.png"},
        "failure": None,
        "started_at": "2026-11-22T08:00:00+00:00",
        "finished_at": f"2026-11-22T08:01:{seed:02}+00:00",
        "sha256": "0" * 64,
    }
    if not control:
        _add_training(record, final, train_rate, sample_rate, parameters, flops, draw)
    if model in {"vae", "ae"}:
        record["artifacts"]["reconstructions"] = f"samples/{model}-digits-seed{seed}-reconstructions.png"
    record["id"] = hashlib.sha256(
        json.dumps(record["cell"], sort_keys=True).encode() + repr(recipes).encode()
    ).hexdigest()[:16]
    return record


def _add_training(
    record: Record, final: float, train_rate: float, sample_rate: float, parameters: float, flops: float, draw: Any
) -> None:
    def windows(rate: float) -> Record:
        median = rate * (1 + 0.02 * float(draw.normal()))
        return {"median": median, "p5": 0.9 * median, "p95": 1.05 * median, "windows": 12}

    record["cost"] = {
        "train_items_per_s": windows(train_rate),
        "sample_items_per_s": windows(sample_rate),
        "parameters": int(parameters),
        "train_flops_per_item": int(flops),
        "sample_flops_per_item": int(flops / 5),
        "train_s": 192000 / train_rate,
        "before_sampling_s": 0.02,
        "evaluation_s": 3.1,
        "steps": 3000,
        "items": 192000,
        "peak_allocated_bytes": None,
        "peak_reserved_bytes": None,
        "peak_resident_bytes": 412 * 2**20 + int(1e6 * draw.random()),
    }
    start = 760 + 30 * float(draw.normal())
    for step in range(0, 3001, 150):
        done = step / 3000
        losses = {
            name: (1.5 + place) * math.exp(-2 * done) + 0.5 + 0.05 * float(draw.normal())
            for place, name in enumerate(LOSSES.get(record["cell"]["model"], ("loss",)))
        }
        fd = final + (start - final) * float(np.exp(-7 * done) - np.exp(-7) * done)
        evaluated = step % 600 == 0
        record["curve"].append(
            {
                "step": step,
                "items": step * 64,
                "elapsed_s": step * 64 / train_rate,
                "flops": step * 64 * flops,
                "losses": losses if step else {},
                "numbers": {"fd": fd if step < 3000 else final, "classifier_score": 9.6 - fd / 100}
                if evaluated
                else {},
            }
        )


def fail(record: Record, stage: str = "training", reason: str = "loss is not finite", **failure: Any) -> Record:
    """Turn a finished record into a failed record of the same cell."""
    return record | {
        "status": "failed",
        "numbers": {},
        "cost": {},
        "curve": [],
        "recipes": {},
        "artifacts": {},
        "failure": {"stage": stage, "reason": reason, "traceback": "Traceback …\nValueError", "log_tail": "step 12"}
        | failure,
    }


def draw_grids(directory: Path, records: Iterable[Record]) -> None:
    """Write a toy grid for each artifact: 8 × 8 blobs of 8 × 8 pixels with a gap of 2."""
    for record in records:
        for kind, relative in record["artifacts"].items():
            path = directory / relative
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                rows = 2 if kind == "reconstructions" else 8
                Image.fromarray(_grid(rows, 16 if rows == 2 else 8, seed=len(relative))).save(path)


def _grid(rows: int, columns: int, seed: int) -> Any:
    draw = np.random.default_rng(seed)
    canvas = np.full((rows * 10 + 2, columns * 10 + 2), 40, dtype=np.uint8)
    y, x = np.mgrid[0:8, 0:8]
    for row in range(rows):
        for column in range(columns):
            radius, centre = 1.2 + 2 * draw.random(), 3.5 + draw.normal(size=2) * 0.5
            distance = np.hypot(y - centre[0], x - centre[1])
            blob = 255 * np.exp(-((distance - radius) ** 2))
            canvas[2 + row * 10 : 10 + row * 10, 2 + column * 10 : 10 + column * 10] = blob.astype(np.uint8)
    return canvas


@pytest.fixture
def make() -> Callable[..., Record]:
    return make_record


@pytest.fixture
def failed() -> Callable[..., Record]:
    return fail


@pytest.fixture
def grids() -> Callable[[Path, Iterable[Record]], None]:
    return draw_grids


@pytest.fixture(scope="session")
def benchmark_records() -> list[Record]:
    """Four models and four controls with three seeds each: 24 records."""
    return [make_record(label, seed) for label in (*MODELS, *CONTROLS) for seed in range(3)]


@pytest.fixture(scope="session")
def toys() -> Any:
    """This file's functions, for fixtures that outlive a test."""
    return SimpleNamespace(make_record=make_record, fail=fail, draw_grids=draw_grids)
