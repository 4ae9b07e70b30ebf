"""What differs on an NVIDIA GPU: whole runs, features, memory, and the contract of every shipped model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import genbench
from genbench import datasets, features
from genbench.contract import Contract
from genbench.contract.fault import Fault
from genbench.features.extractor import extract

pytestmark = pytest.mark.cuda

CUDA = torch.device("cuda")
IMAGES = ["gan", "dcgan:channels=8", "vae", "conv-vae", "ae", "conv-ae", "ppca"]
OTHERS = {"rnn": (12,), "transformer": (12,), "seq2seq-vae": (12,), "seqgan": (12,), "wavegan": (1, 1024)}
QUICK: dict[str, Any] = {"seeds": 1, "evaluations": 2, "samples": 200, "controls": [], "device": "cuda"}
MOST_FD = 12  # 4.5 to 8.5 on the CPU


@pytest.mark.parametrize(
    "settings",
    [{}, {"cuda_graph": True}, {"training_precision": "tf32"}, {"training_precision": "bf16"}],
    ids=["fp32", "cuda-graph", "tf32", "bf16"],
)
def test_a_run_trains_and_measures_on_the_gpu(tmp_path: Path, settings: dict[str, Any]) -> None:
    records = genbench.run(["gan", "vae", "ae"], budget="300steps", out=tmp_path, **QUICK, **settings)
    for record in records:
        assert record.finished, record.data["failure"]
        numbers, cost = record.data["numbers"], record.data["cost"]
        assert 0 < numbers["fd"]["value"] < MOST_FD
        assert cost["peak_allocated_bytes"] > 2**20
        assert bool(cost.get("replayed")) == bool(settings.get("cuda_graph"))


@pytest.mark.parametrize("name", ["random-conv", "classifier"])
def test_features_of_a_gpu_are_those_of_the_cpu(name: str) -> None:
    dataset = datasets.load("digits")
    here, there = (features.load(name, dataset=dataset, device=device) for device in (torch.device("cpu"), CUDA))
    images = dataset.held_out.items[:64]
    torch.testing.assert_close(extract(there, images).features, extract(here, images).features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [*IMAGES, *OTHERS])
def test_every_model_keeps_its_contract(model: str) -> None:
    contract = Contract(model, [OTHERS.get(model, (1, 8, 8))], "cuda")
    results = {(check.name, str(case)): contract.result(check, case) for check, case in contract.items()}
    assert {key: str(result) for key, result in results.items() if isinstance(result, Fault)} == {}
