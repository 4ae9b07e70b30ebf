"""The same features through other tools: torch-fidelity, torchmetrics, pytorch-fid, clean-fid, prdc.

All are test dependencies; a test is skipped, with a reason, where one is missing or broken with the installed SciPy.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench.machine.torchvision_import import declare_missing_operators
from genbench.metrics.density_coverage import density_coverage
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.inception_score import classifier_score
from genbench.metrics.kid import kernel_distance
from genbench.metrics.precision_recall import precision_recall

declare_missing_operators()  # torch-fidelity and torchmetrics import torchvision


PEERS_ON_SCIPY = [("pytorch_fid.fid_score", "calculate_frechet_distance"), ("cleanfid.fid", "frechet_distance")]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def features(count: int, dimension: int, seed: int) -> Tensor:
    """Rectified, correlated and unevenly scaled, like those of a network."""
    mixing = normal(dimension, dimension, seed=99) / dimension**0.5
    return torch.relu(normal(count, dimension, seed=seed) @ mixing + 0.1 * seed) * torch.linspace(0.2, 1, dimension)


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    return features(900, 48, seed=1), features(1100, 48, seed=2)


def torch_fidelity(module: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports raise deprecation warnings of their own
        pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
        return pytest.importorskip(f"torch_fidelity.{module}")


def distance(samples: Tensor, reference: Tensor) -> float:
    return frechet_distance(GaussianStatistics.from_features(samples), GaussianStatistics.from_features(reference))


def test_frechet_distance_of_torch_fidelity(pair: tuple[Tensor, Tensor]) -> None:
    peer = torch_fidelity("metric_fid")
    samples, reference = (side.double() for side in pair)
    expected = peer.fid_statistics_to_metric(
        peer.fid_features_to_statistics(samples), peer.fid_features_to_statistics(reference), verbose=False
    )["frechet_inception_distance"]
    assert distance(*pair) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("name", "function"), PEERS_ON_SCIPY)
@pytest.mark.parametrize(("count", "relative"), [(900, 1e-9), (30, 1e-3)])
def test_frechet_distance_of_the_tools_on_scipy(
    name: str, function: str, count: int, relative: float, pair: tuple[Tensor, Tensor]
) -> None:
    """With fewer samples than dimensions, SciPy's root of a singular product keeps only a few digits; ours does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns about its argument `disp`, and the peers about what they import
        module = pytest.importorskip(name, reason=f"{name.partition('.')[0]} is not installed")
        sides = [np.asarray(side.double()) for side in (pair[0][:count], pair[1])]
        statistics = [part for side in sides for part in (side.mean(axis=0), np.cov(side, rowvar=False))]
        try:
            expected = getattr(module, function)(*statistics)
        except TypeError as error:
            pytest.skip(f"{name} is broken with SciPy {version('scipy')}: it calls sqrtm(disp=False) ({error})")
    assert distance(pair[0][:count], pair[1]) == pytest.approx(float(expected), rel=relative)


@pytest.mark.parametrize(("count", "relative"), [(900, 1e-9), (30, 1e-5)])
def test_frechet_distance_of_torchmetrics(count: int, relative: float, pair: tuple[Tensor, Tensor]) -> None:
    """With fewer samples than dimensions, its eigenvalues of the product lose half their digits; ours do not."""
    peer = pytest.importorskip("torchmetrics.image.fid", reason="torchmetrics is not installed")
    samples, reference = pair[0][:count].double(), pair[1].double()
    expected = peer._compute_fid(samples.mean(dim=0), samples.T.cov(), reference.mean(dim=0), reference.T.cov())
    assert distance(samples.float(), reference.float()) == pytest.approx(float(expected), rel=relative)


def test_kernel_distance_of_torch_fidelity(pair: tuple[Tensor, Tensor]) -> None:
    """One subset that is the whole set: the same U-statistic. It only takes equal counts."""
    peer = torch_fidelity("metric_kid")
    samples, reference = pair[0].double(), pair[1][:900].double()
    found = peer.kid_features_to_metric(
        samples, reference, kid_subsets=1, kid_subset_size=900, rng_seed=0, verbose=False
    )
    expected = found["kernel_inception_distance_mean"]
    assert kernel_distance(pair[0], pair[1][:900]) == pytest.approx(expected, abs=1e-4)
    assert kernel_distance(pair[0], pair[1][:900]) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("splits", [1, 10])
def test_classifier_score_of_torch_fidelity(splits: int) -> None:
    peer = torch_fidelity("metric_isc")
    logits = normal(333, 20) * 3
    found = peer.isc_features_to_metric(logits, splits=splits, shuffle=False)
    expected = (found["inception_score_mean"], found["inception_score_std"])
    assert classifier_score(logits, splits=splits, seed=None) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("k", [3, 5])
def test_precision_and_recall_of_torch_fidelity(k: int, pair: tuple[Tensor, Tensor]) -> None:
    """In float64: in float32 its `cdist` subtracts large products, so that points at the edge of a ball differ."""
    peer = torch_fidelity("metric_prc")
    found = peer.prc_features_to_metric(pair[0].double(), pair[1].double(), prc_neighborhood=k, verbose=False)
    assert precision_recall(*pair, k=k) == pytest.approx((found["precision"], found["recall"]), abs=1e-4)


@pytest.mark.parametrize("k", [3, 5])
def test_all_four_of_prdc(k: int, pair: tuple[Tensor, Tensor], capsys: pytest.CaptureFixture[str]) -> None:
    peer = pytest.importorskip("prdc", reason="prdc is not installed")
    samples, reference = (np.asarray(side.double()) for side in pair)
    expected = peer.compute_prdc(real_features=reference, fake_features=samples, nearest_k=k)
    assert "Num real" in capsys.readouterr().out  # it prints
    assert density_coverage(*pair, k=k) == pytest.approx((expected["density"], expected["coverage"]), abs=1e-4)
    # Its balls exclude their surface; the paper's and ours include it. Without ties in the data they are the same.
    assert precision_recall(*pair, k=k) == pytest.approx((expected["precision"], expected["recall"]), abs=1e-4)
