"""What extractors compute, checked against plain implementations, and what they must not have seen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genbench import features, seeding
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.features import classifier_network, image_classifier
from genbench.features.classifier_network import Classifier, train_classifier
from genbench.features.extractor import Extractor, extract
from genbench.features.image_classifier import PROCEDURE, design, scaled
from genbench.features.intake import Images
from genbench.features.random_conv import RandomConv
from genbench.features.weight_file import content_sha256

SHAPE = torch.Size((1, 8, 8))
CPU = torch.device("cpu")


def bright_or_dark(count: int, labels: Tensor | None = None) -> Split:
    """Noise, alternately dark (label 0) and bright (label 1)."""
    randomness = torch.Generator().manual_seed(count)
    kinds = torch.arange(count) % 2
    noise = torch.randint(100, (count, *SHAPE), generator=randomness)
    return Split((noise + 155 * kinds[:, None, None, None]).to(torch.uint8), kinds if labels is None else labels)


def contradicting() -> Dataset:
    """Held-out labels are swapped with respect to training labels, which shows what the classifier was trained on."""
    train = bright_or_dark(200)
    held_out = bright_or_dark(100)
    assert held_out.labels is not None
    held_out = Split(held_out.items, 1 - held_out.labels)
    return Dataset("contradicting", train, held_out, ("dark", "bright"), "none", fingerprint(train, held_out))


@pytest.fixture
def classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Extractor:
    monkeypatch.setattr(classifier_network, "_FEWEST_STEPS", 25)
    monkeypatch.setattr(classifier_network, "_MOST_STEPS", 25)
    return features.load("classifier", dataset=contradicting(), device=CPU, cache=tmp_path)


def test_the_classifier_is_trained_on_training_images_alone(classifier: Extractor) -> None:
    dataset = contradicting()
    for split, agreement in ((dataset.train, 1.0), (dataset.held_out, 0.0)):
        logits = extract(classifier, split.items).logits
        assert logits is not None
        assert (logits.argmax(1) == split.labels).double().mean().item() == pytest.approx(agreement, abs=0.02)


def test_an_image_has_the_same_features_whatever_is_extracted_with_it(classifier: Extractor) -> None:
    images = contradicting().train.items
    together = extract(classifier, images[:64]).features
    torch.testing.assert_close(extract(classifier, images[:1]).features, together[:1], rtol=1e-4, atol=1e-5)
    dark = extract(classifier, images[:64:2]).features  # a batch with a different mean
    torch.testing.assert_close(dark, together[::2], rtol=1e-4, atol=1e-5)


def test_training_is_the_procedure_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """AdamW (3e-3, decay 1e-2), a one-cycle learning rate, cross-entropy, each image once per pass, shifted batches."""
    steps, split = 8, bright_or_dark(100)
    monkeypatch.setattr(classifier_network, "_FEWEST_STEPS", steps)
    monkeypatch.setattr(classifier_network, "_MOST_STEPS", steps)
    shape = torch.Size((1, 28, 28))
    large = Split(F.interpolate(split.items, (28, 28)), split.labels)
    found = train_classifier(design(shape), 2, large)

    randomness = seeding.generator(0, PROCEDURE, "batches")
    order = torch.cat([torch.randperm(100, generator=randomness)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeding.derive(0, PROCEDURE, "weights"))
        plain = Classifier(design(shape), 2)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        if len(order) < 64:
            order = torch.cat([order, torch.randperm(100, generator=randomness)])
        chosen, order = order[:64], order[64:]
        down, right = (int(torch.randint(5, (), generator=randomness)) - 2 for _ in range(2))
        rows, columns = (torch.arange(28) + down).clamp(0, 27), (torch.arange(28) + right).clamp(0, 27)
        images = (large.items[chosen].float() / 127.5 - 1)[:, :, rows][..., columns]
        optimizer.zero_grad()
        F.cross_entropy(plain(images)[1], large.labels[chosen]).backward()
        optimizer.step()
        schedule.step()
    plain.eval()
    with torch.no_grad():
        values = plain(large.items.float() / 127.5 - 1)[0]
        plain.set_feature_scale(float(values.double().var(0).mean()) ** -0.5)
        for one, other in zip(found(scaled(large.items)), plain(scaled(large.items)), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2)


def test_batches_show_each_image_once_a_pass() -> None:
    batches = classifier_network._batches(96, torch.Generator().manual_seed(0))
    passes = torch.cat([next(batches) for _ in range(3)])  # 192 = two passes
    assert Counter(passes[:96].tolist()) == Counter(passes[96:].tolist()) == Counter(range(96))
    assert not torch.equal(passes[:96], passes[96:])


def test_shifts_repeat_the_edge_and_reach_every_offset() -> None:
    images = torch.arange(14 * 28, dtype=torch.float32).reshape(1, 1, 14, 28)
    randomness = torch.Generator().manual_seed(0)
    seen: Counter[tuple[int, int]] = Counter()
    for _ in range(300):
        shifted = image_classifier._shifted(images, randomness)
        middle = int(shifted[0, 0, 7, 14])
        down, right = middle // 28 - 7, middle % 28 - 14
        rows, columns = (torch.arange(14) + down).clamp(0, 13), (torch.arange(28) + right).clamp(0, 27)
        assert torch.equal(shifted, images[:, :, rows][..., columns])
        seen[down, right] += 1
    assert set(seen) == {(down, right) for down in range(-1, 2) for right in range(-2, 3)}  # a fourteenth of each side
    assert min(seen.values()) > 5  # 20 on average


def test_pixels_are_scaled_to_minus_one_and_one() -> None:
    assert scaled(torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1)).flatten().tolist() == (
        pytest.approx([-1.0, -0.6, 1.0])
    )


def test_random_conv_is_the_network_of_its_description() -> None:
    """Convolutions as products with unfolded patches, in float64; means over 2 × 2, then over a grid of 4 × 4."""
    network = RandomConv(torch.Size((3, 16, 16)))
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    values, side = images.double(), 16
    for weight, bias in zip(network.weights, network.biases, strict=True):
        patches = F.unfold(values, 3, padding=1)  # (N, C × 9, side²)
        values = (weight.double().flatten(1) @ patches + bias.double()[:, None]).unflatten(2, (side, side))
        values = torch.where(values > 0, values, 0.2 * values)
        if side >= 8:
            values, side = values.unflatten(3, (-1, 2)).mean(4).unflatten(2, (-1, 2)).mean(3), side // 2
    assert side == 4
    projected = values.flatten(1) @ network.project.double().T
    expected = torch.where(projected > 0, projected, 0.2 * projected)
    torch.testing.assert_close(network(images)[0].double(), expected, rtol=1e-4, atol=1e-5)
    for weight in network.weights:
        inputs = weight[0].numel()
        assert weight.var().item() == pytest.approx(2 / inputs, rel=0.1)
    assert network.project.var().item() == pytest.approx(2 / network.project.shape[1], rel=0.1)


def test_wide_images_are_brought_down_by_the_first_layer_alone() -> None:
    network = RandomConv(torch.Size((1, 64, 64)))
    images = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    values = images
    for index, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        stride, reach = (2, 2) if index == 0 else (1, 1)
        values = F.leaky_relu(F.conv2d(values, weight, bias, stride=stride, padding=reach), 0.2)
        values = F.avg_pool2d(values, 2)
    assert values.shape == (1, 128, 4, 4)
    expected = F.leaky_relu(values.flatten(1) @ network.project.T, 0.2)
    torch.testing.assert_close(network(images)[0], expected, rtol=1e-4, atol=1e-5)


def test_weights_of_other_names_or_shapes_are_others() -> None:
    values = torch.arange(6.0)
    identities = {
        content_sha256({"a": values}),
        content_sha256({"b": values}),
        content_sha256({"a": values.reshape(2, 3)}),
        content_sha256({"a": values.reshape(3, 2)}),
        content_sha256({"a": values[:3], "b": values[3:]}),
    }
    assert len(identities) == 5


def test_extraction_keeps_the_order_of_images_and_logits() -> None:
    class Sum(torch.nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            total = x.flatten(1).sum(1, keepdim=True)
            return total, torch.cat([total, -total], 1)

    extractor = Extractor("sum", Sum(), Images(Tensor.float), CPU, "fp32", 1, 2, "0" * 64)
    images = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1)
    found = extract(extractor, images, batch_size=3)
    assert found.features.flatten().tolist() == list(range(10))
    assert found.logits is not None
    assert found.logits.tolist() == [[float(i), -float(i)] for i in range(10)]
