"""Images/s of Inception features against torch-fidelity's, in one run: `pytest benchmarks/bench_extraction.py -s`.

Both read one file of random weights. The peer runs before each timed round of ours, so that a drift in the machine's
speed affects both; the ratio is of the fastest rounds. It is printed, and stored in each benchmark's `extra_info`
(`--benchmark-json FILE`). `GENBENCH_BENCH_IMAGES` (64) sets how many images a round takes.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from random_weights import write_random_weights

from genbench import features
from genbench.datasets.dataset import Dataset, Split
from genbench.features.extractor import extract
from genbench.machine.torchvision_import import declare_missing_operators

declare_missing_operators()  # the peer imports torchvision

COUNT = int(os.environ.get("GENBENCH_BENCH_IMAGES", "64"))
ROUNDS = 3
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("inception") / "random.pth")


@pytest.fixture(scope="module")
def peer(weights_file: Path) -> Any:
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", reason="torch-fidelity is missing")
    # Its files contain the counters that BatchNorm keeps while training; ours lack only these.
    network = module.FeatureExtractorInceptionV3.load_state_dict
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module.FeatureExtractorInceptionV3,
            "load_state_dict",
            lambda self, tensors: network(self, tensors, strict=False),
        )
        extractor = module.FeatureExtractorInceptionV3(
            "peer", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights_file)
        )
    return extractor.to(DEVICE)


@pytest.mark.parametrize("side", [32, 256])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_extraction(benchmark: Any, precision: str, side: int, weights_file: Path, peer: Any) -> None:
    images = torch.randint(256, (COUNT, 3, side, side), dtype=torch.uint8)
    split = Split(images, None)
    dataset = Dataset("random", split, split, None, "none", "none")
    ours = features.load("inception", dataset=dataset, device=DEVICE, weights=weights_file, precision=precision)
    peer_s: list[float] = []

    def peer_turn() -> None:
        start = time.perf_counter()
        with torch.inference_mode():
            for batch in images.split(64):  # torch-fidelity's own batch size
                peer(batch.to(DEVICE))[0].cpu()
        peer_s.append(time.perf_counter() - start)

    benchmark.pedantic(lambda: extract(ours, images), setup=peer_turn, rounds=ROUNDS, warmup_rounds=1)
    own_s = benchmark.stats.stats.min
    ratio = min(peer_s) / own_s
    benchmark.extra_info.update({"peer": "torch-fidelity", "peer_s": min(peer_s), "ratio": ratio})
    print(
        f"\n{precision}, {side} x {side}, {torch.get_num_threads()} threads on {DEVICE}: "
        f"ours {COUNT / own_s:.1f} images/s, torch-fidelity {COUNT / min(peer_s):.1f}, ratio {ratio:.2f}"
    )
    benchmark.extra_info["images_per_s"] = COUNT / own_s
    if precision == "fp32":
        assert ratio >= 1.5
    elif DEVICE.type == "cuda" or torch.cpu._is_amx_tile_supported():
        assert ratio >= 3  # promised only if the processor multiplies bf16 matrices in hardware


@pytest.mark.parametrize(("name", "shape"), [("digits-cnn", (1, 8, 8)), ("random-conv", (1, 28, 28))])
def test_small_extractors(timed: Any, name: str, shape: tuple[int, int, int]) -> None:
    images = torch.randint(256, (20 * COUNT, *shape), dtype=torch.uint8)
    split = Split(images, None)
    dataset = Dataset("random", split, split, None, "none", "none")
    ours = features.load(name, dataset=dataset, device=DEVICE)
    timed(lambda: extract(ours, images), images=len(images))
