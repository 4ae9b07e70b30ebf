"""The evaluator from images to numbers, on digits with the shipped extractor: what a benchmark's table is based on."""

from __future__ import annotations

import pytest
import torch

from genbench import datasets, features, seeding
from genbench.datasets.dataset import Dataset
from genbench.evaluation import controls
from genbench.evaluation.measurement import Evaluator, Number
from genbench.evaluation.references import reference_for
from genbench.evaluation.selection import select

COUNT = 500


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets.load("digits")


@pytest.fixture(scope="module")
def evaluator(digits: Dataset) -> Evaluator:
    extractor = features.load("digits-cnn", dataset=digits, device=torch.device("cpu"))
    return Evaluator(digits, extractor, reference_for(digits, extractor))


def score(evaluator: Evaluator, name: str, count: int = COUNT, seed: int = 0) -> dict[str, Number]:
    images = controls.draw(name, evaluator.dataset, count, seeding.generator(seed, "control", name))
    return evaluator.score(images, None, samples_held_out=name == "real")


@pytest.fixture(scope="module")
def real(evaluator: Evaluator) -> dict[str, Number]:
    return score(evaluator, "real")


def test_a_copycat_is_flagged_although_its_distance_is_the_best(evaluator: Evaluator, real: dict[str, Number]) -> None:
    for seed in range(3):
        found = score(evaluator, "copycat", seed=seed)
        assert found["fd"].value < real["fd"].value
        assert found["authenticity_p"].value < 0.01
        assert found["c_t_p"].value < 0.01
        assert found["c_t"].value < -5


@pytest.mark.parametrize("count", [COUNT, 200])
def test_real_images_are_not_flagged(evaluator: Evaluator, count: int) -> None:
    """Whether the control draws all held-out images or only some, none is on both sides of a test."""
    found = score(evaluator, "real", count)
    assert found["authenticity_p"].value > 0.05
    assert found["c_t_p"].value > 0.05
    assert found["c_t"].value != 0.0
    assert abs(found["fd_gap"].value) < 0.5  # its standard deviation over halves is 0.56, and it is a mean over four
    assert score(evaluator, "noise")["fd"].value > 10 * found["fd"].value


def test_a_generator_that_drops_three_of_ten_classes_is_caught(
    evaluator: Evaluator, digits: Dataset, real: dict[str, Number]
) -> None:
    labels = digits.held_out.labels
    assert labels is not None
    dropped = evaluator.score(digits.held_out.items[labels < 7], None)
    assert dropped["class_coverage"].value == pytest.approx(0.7)
    assert dropped["class_kl"].value > 0.25
    assert real["class_coverage"].value == 1.0
    assert real["class_kl"].value < 0.05


def test_numbers_carry_the_error_of_the_evaluation_and_curves_do_not(
    evaluator: Evaluator, digits: Dataset, real: dict[str, Number]
) -> None:
    for name in ("fd", "kid", "classifier_score", "precision", "authenticity"):
        error = real[name].standard_error
        assert error is not None
        assert 0 < error < max(abs(real[name].value), 0.1), name
        assert real[name].to_json()["standard_error"] == error
    assert real["recall"].to_json().keys() == {"value", "recipe"}
    on_curve = evaluator.score(digits.held_out.items, None, curve=True)
    assert on_curve["fd"].value == pytest.approx(real["fd"].value, rel=1e-9)
    assert all(number.standard_error is None for number in on_curve.values())


def test_only_what_is_asked_for_is_measured(evaluator: Evaluator, digits: Dataset) -> None:
    found = score(Evaluator(digits, evaluator.extractor, evaluator.reference, select(["cas", "kid"])), "real")
    assert set(found) == {"kid", "cas"}
    assert found["cas"].value > 0.85  # accuracy on one half of the held-out images, after training on the other


def test_what_is_missing_is_that_of_the_last_images(evaluator: Evaluator) -> None:
    """A curve's evaluations leave no trace in a record: a cell that resumes from a checkpoint has not made them."""
    score(evaluator, "noise", 3)
    few = dict(evaluator.missing)
    score(evaluator, "noise")
    assert few.items() - evaluator.missing.items()
    score(evaluator, "noise", 3)
    assert evaluator.missing == few
