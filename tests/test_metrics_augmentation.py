"""The gain of augmentation: what good samples, copies and noise add to a few real items, and how certain that is."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from genbench import datasets, features
from genbench.evaluation.measurement import Evaluator
from genbench.evaluation.references import reference_for
from genbench.metrics import METRICS, Evidence, NotMeasurable
from genbench.metrics import evidence as evidence_module
from genbench.metrics.augmented import Augmented, augmented
from genbench.metrics.resampling import paired_standard_error, share_standard_error
from genbench.metrics.small_classifier import IMAGES, texts, train
from genbench.metrics.standard_errors import standard_error

CLASSES = 10
METRIC = METRICS["augmentation"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    bundled = load_digits()
    order = torch.randperm(len(bundled.target), generator=seeded())
    images = torch.from_numpy(bundled.images / 16 * 255).round().to(torch.uint8)[:, None]
    return images[order], torch.from_numpy(bundled.target).long()[order]


def gain(found: Augmented) -> float:
    return float(found.both.double().mean() - found.real.double().mean())


def test_samples_that_are_new_help_copies_change_little_and_noise_does_not_help(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    few, test = (images[:40], labels[:40]), (images[1000:1500], labels[1000:1500])

    def found(samples: Tensor, asked: Tensor | None) -> Augmented:
        return augmented(IMAGES, few, (samples, asked), test, CLASSES, steps=60, batch=32)

    good = found(images[100:900], labels[100:900])
    assert gain(good) > 0.08 > 4 * paired_standard_error(good.both, good.real)
    copies = found(*few)
    assert abs(gain(copies)) < 0.04
    noise = found(torch.randint(256, (400, 1, 8, 8), generator=seeded(), dtype=torch.uint8), None)
    assert gain(noise) < 0.03
    assert float(noise.samples.double().mean()) < 0.5
    assert torch.equal(good.real, noise.real)  # the same training, whatever the samples are


def test_each_training_is_that_of_its_own_items_for_as_many_steps(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    real, samples, test = ((images[a:b], labels[a:b]) for a, b in ((0, 40), (50, 90), (1000, 1200)))
    found = augmented(IMAGES, real, samples, test, CLASSES, steps=20, batch=16, seed=3)
    for right, pools in ((found.real, [real]), (found.samples, [samples]), (found.both, [real, samples])):
        weights = train(IMAGES, pools, CLASSES, 20, 16, seeded(3))
        assert torch.equal(right, IMAGES.logits(IMAGES.prepare(test[0]), weights).argmax(1) == test[1])
    # Where no labels were requested, the classifier trained on the real items assigns them.
    of_real = train(IMAGES, [real], CLASSES, 20, 16, seeded(3))
    given = samples[0], IMAGES.logits(IMAGES.prepare(samples[0]), of_real).argmax(1)
    assert not torch.equal(given[1], samples[1])
    unasked = augmented(IMAGES, real, (samples[0], None), test, CLASSES, steps=20, batch=16, seed=3)
    asked = augmented(IMAGES, real, given, test, CLASSES, steps=20, batch=16, seed=3)
    assert torch.equal(unasked.both, asked.both)
    assert torch.equal(unasked.samples, asked.samples)


def test_the_seed_is_0_where_none_is_given(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    sets = (images[:40], labels[:40]), (images[50:90], labels[50:90]), (images[1000:1100], labels[1000:1100])
    default, zero, one = (
        augmented(IMAGES, *sets, CLASSES, steps=3, batch=8, **seed) for seed in ({}, {"seed": 0}, {"seed": 1})
    )
    assert torch.equal(default.both, zero.both)
    assert not torch.equal(default.both, one.both)


@pytest.mark.parametrize("length", [7, 8, 12])
def test_the_classifier_of_texts_is_the_network_of_its_docstring_and_takes_half_of_each_pool(
    length: int,
) -> None:
    """With torch's modules, and its own Adam and cosine schedule."""
    first, second = (torch.randint(5, (count, length), generator=seeded(count)).short() for count in (20, 9))
    labels = torch.arange(20) % 3, torch.arange(9) % 3
    draw = seeded(5)
    embedding = torch.nn.Embedding(5, 32)
    embedding.weight.data = torch.randn(5, 32, generator=draw)
    layers = []
    for inputs, out in ((32, 64), (64, 128)):
        layer = torch.nn.Conv1d(inputs, out, 3, padding=1)
        layer.weight.data = torch.randn(out, inputs, 3, generator=draw) * math.sqrt(2 / (3 * inputs))
        layer.bias.data.zero_()
        layers.append(layer)
    linear = torch.nn.Linear(128, 3)
    linear.weight.data = torch.randn(3, 128, generator=draw) / math.sqrt(128)
    linear.bias.data.zero_()
    halved = torch.nn.MaxPool1d(2) if length >= 8 else torch.nn.Identity()
    network = torch.nn.Sequential(layers[0], torch.nn.ReLU(), halved, layers[1], torch.nn.ReLU())
    whole = torch.nn.ModuleList([embedding, network, linear])

    def logits(tokens: Tensor) -> Tensor:
        result: Tensor = linear(network(embedding(tokens.long()).mT).max(dim=2).values)
        return result

    optimizer = torch.optim.Adam(whole.parameters(), lr=0.002)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    for _ in range(4):
        rows = torch.randint(20, (4,), generator=draw), torch.randint(9, (4,), generator=draw)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            logits(torch.cat([first[rows[0]], second[rows[1]]])), torch.cat([labels[0][rows[0]], labels[1][rows[1]]])
        )
        loss.backward()
        optimizer.step()
        schedule.step()
    found = train(texts(5), [(first, labels[0]), (second, labels[1])], 3, 4, 8, seeded(5))
    for mine, theirs in zip(found, whole.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(texts(5).logits(first.long(), found), logits(first), rtol=1e-4, atol=1e-5)


def test_a_paired_error_is_the_deviation_of_the_gain_over_held_out_items() -> None:
    """Over many draws, the interval contains the true gain 95 times in 100, and unpaired errors are far too wide."""
    draw, true_gain, held, widths = seeded(1), 0.05, 0, []
    for _ in range(2000):
        uniform = torch.rand(400, generator=draw)
        first = (uniform < 0.82) | (uniform > 0.96)
        second = (uniform < 0.80) | ((uniform > 0.82) & (uniform < 0.83))
        error = paired_standard_error(first, second)
        held += abs(float(first.double().mean() - second.double().mean()) - true_gain) <= 1.96 * error
        widths.append(error)
    assert 0.93 <= held / 2000 <= 0.975
    assert math.hypot(share_standard_error(first), share_standard_error(second)) > 1.5 * sum(widths) / 2000
    alike = torch.rand(400, generator=draw) < 0.8
    assert 0 < paired_standard_error(alike, alike) < 0.003


def evidence_of(count: int = 450, **change: object) -> Evidence:
    images = torch.randint(256, (2 * count, 1, 8, 8), generator=seeded(), dtype=torch.uint8)
    labels = torch.arange(2 * count) % 4
    fields = {
        "samples": torch.zeros(count, 2),
        "reference": torch.zeros(count, 2),
        "sample_items": images[:count],
        "reference_items": images[:count],
        "reference_labels": labels[:count],
        "held_out_items": images[count:],
        "held_out_labels": labels[count:],
    }
    return Evidence(**{**fields, **change})


def test_the_numbers_and_their_errors_are_of_one_training(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def quick(*arguments: object, **options: object) -> Augmented:
        calls.append((arguments, options))
        return augmented(*arguments, **options, steps=3, batch=8)

    monkeypatch.setattr(evidence_module, "augmented", quick)
    evidence = evidence_of(seed=4)
    numbers = METRIC.compute(evidence)
    found = evidence.augmented
    assert numbers["accuracy_samples"] == float(found.samples.double().mean())
    assert numbers["augmentation_gain"] == numbers["accuracy_both"] - numbers["accuracy_real"] == gain(found)
    assert standard_error("augmentation_gain", evidence) == paired_standard_error(found.both, found.real)
    for name in ("real", "samples", "both"):
        assert standard_error(f"accuracy_{name}", evidence) == share_standard_error(getattr(found, name))
    ((_, real, samples, test, classes), options) = calls[0]
    assert len(calls) == 1
    assert (samples[1], classes, options) == (None, 4, {"seed": 4})
    assert torch.equal(real[1], evidence.reference_labels)
    assert torch.equal(test[0], evidence.held_out_items)
    few = evidence_of(150)
    assert METRIC.compute(few).keys() == numbers.keys()
    assert standard_error("augmentation_gain", few) is None
    assert standard_error("augmentation_gain", evidence_of(200)) is not None


def test_labels_that_were_asked_for_are_used_and_no_held_out_item_is_on_both_sides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = []
    monkeypatch.setattr(evidence_module, "augmented", lambda *arguments, **options: given.append(arguments) or "found")
    asked = torch.arange(9) % 2
    assert evidence_of(9, sample_labels=asked).augmented == "found"
    assert torch.equal(given[0][2][1], asked)
    of_real = evidence_of(9, samples_held_out=True, seed=7)
    assert of_real.augmented == "found"
    rows = torch.randperm(9, generator=seeded(7))
    (samples, labels), (test, truth) = given[1][2:4]
    assert of_real.held_out_items is not None
    assert of_real.held_out_labels is not None
    assert torch.equal(samples, of_real.held_out_items[rows[:5]])
    assert torch.equal(labels, of_real.held_out_labels[rows[:5]])
    assert torch.equal(test, of_real.held_out_items[rows[5:]])
    assert torch.equal(truth, of_real.held_out_labels[rows[5:]])


def test_texts_are_classified_as_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_module, "augmented", functools.partial(augmented, steps=40, batch=16))
    tokens = torch.randint(2, 5, (300, 6), generator=seeded()).short()
    labels = torch.arange(300) % 2
    tokens[labels == 1, 2] = 1  # a symbol that the other class never has
    halves = {"reference_items": tokens[:20], "reference_labels": labels[:20], "sample_items": tokens[:20]}
    rest = {"held_out_items": tokens[20:], "held_out_labels": labels[20:]}
    numbers = METRIC.compute(evidence_of(9, **halves, **rest, levels=5))
    assert min(numbers[f"accuracy_{name}"] for name in ("real", "samples", "both")) > 0.9
    with pytest.raises(NotMeasurable, match=r"^augmentation: needs levels of texts, and there are none"):
        METRIC.compute(evidence_of(9, **halves, **rest))


def test_a_fraction_of_labelled_texts_has_its_own_accuracy_tested_on_the_same_held_out_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = functools.partial(augmented, steps=10, batch=64)
    monkeypatch.setattr(evidence_module, "augmented", quick)
    tested = []
    for fraction in (0.002, 0.02):
        names = datasets.load(f"names:fraction={fraction},held_out=300")
        extractor = features.load("ngram", dataset=names, device=torch.device("cpu"))
        evaluator = Evaluator(names, extractor, reference_for(names, extractor), [METRIC])
        numbers = evaluator.score(names.held_out.items[:100], None)
        real, held_out = ((split.items, split.labels) for split in (names.train, names.held_out))
        alone = quick(texts(names.kind.levels), real, real, held_out, 3)
        assert numbers["accuracy_real"].value == float(alone.real.double().mean())
        assert numbers.keys() == {value.name for value in METRIC.values}
        assert all(number.standard_error for number in numbers.values())
        tested.append(held_out[0])
    assert torch.equal(*tested)
