"""What a metric draws, it draws from the evidence's seed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genbench.metrics import METRICS, Evidence
from genbench.metrics.c2st import two_sample_area
from genbench.metrics.fld import feature_likelihood_divergence
from genbench.metrics.kad import kernel_audio_distance
from genbench.metrics.mind import monge_distance
from genbench.metrics.vendi import vendi_score


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


HELD_OUT = normal(40, 3, seed=2)


@pytest.mark.parametrize(
    ("row", "name", "number", "count"),
    [
        ("monge_distance", "mind", lambda *sides, seed: monge_distance(*sides, seed=seed), 60),
        ("two_sample_test", "c2st_auc", lambda *sides, seed: two_sample_area(*sides, seed=seed).area, 60),
        # More than the 2,000 of which the median distance is taken.
        ("kernel_audio_distance", "kad", lambda *sides, seed: kernel_audio_distance(*sides, seed=seed), 2010),
        (
            "feature_likelihood",
            "fld",
            lambda *sides, seed: feature_likelihood_divergence(*sides, HELD_OUT, seed=seed),
            60,
        ),
    ],
)
def test_the_table_draws_what_the_function_does(row: str, name: str, number: Callable[..., float], count: int) -> None:
    samples, reference = normal(50, 3) + 0.4, normal(count, 3, seed=1)
    found = {}
    for seed in (0, 3):
        found[seed] = METRICS[row].compute(Evidence(samples, reference, HELD_OUT, seed=seed))[name]
        assert found[seed] == number(samples, reference, seed=seed)
    assert found[0] != found[3]


@pytest.mark.parametrize("more_samples", [True, False])
def test_the_vendi_ratio_is_to_rows_of_the_seed(more_samples: bool) -> None:
    few, many = normal(30, 3), normal(80, 3, seed=1)
    samples, reference = (many, few) if more_samples else (few, many)
    rows = torch.randperm(80, generator=torch.Generator().manual_seed(3))[:30].sort().values
    part, whole = vendi_score(many[rows]), vendi_score(few)
    found = METRICS["vendi_score"].compute(Evidence(samples, reference, seed=3))["vendi_ratio"]
    assert found == pytest.approx(part / whole if more_samples else whole / part, rel=1e-12)
