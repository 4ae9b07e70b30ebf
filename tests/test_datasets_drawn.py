"""`shapes` and `gaussians`: what is drawn, and the modes recovered from it."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from genbench.datasets import load
from genbench.datasets.gaussians import MIXTURES, log_probability, render
from genbench.datasets.gaussians import nearest_mode as nearest_component
from genbench.datasets.outlines import COLOURS, KINDS, OUTLINES, coverage
from genbench.datasets.shape_modes import nearest_mode
from genbench.datasets.shapes import generate
from genbench.errors import InputError
from genbench.seeding import generator


def noise(count: int, *shape: int) -> torch.Tensor:
    return torch.randint(256, (count, *shape), dtype=torch.uint8, generator=generator(0, "test"))


@pytest.mark.parametrize(
    "spec", ["shapes:size=16,count=20,held_out=20", "tones:count=8,held_out=8", "grammar:count=20,held_out=20"]
)
def test_a_seed_changes_both_splits_and_neither_is_the_other(spec: str) -> None:
    found = [load(f"{spec},seed={seed}") for seed in (0, 3, 0)]
    splits = [split.items for data in found[:2] for split in (data.train, data.held_out)]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(splits, 2))
    assert found[0].fingerprint == found[2].fingerprint


# Shapes


def test_shapes():
    shapes = load("shapes:size=32,count=2500,held_out=700,seed=0")
    assert shapes.shape == torch.Size([3, 32, 32])
    assert (len(shapes.train), len(shapes.held_out), shapes.classes, shapes.mode_count) == (2500, 700, 8, 64)
    assert shapes.class_names == KINDS
    assert shapes.train.items.dtype == torch.uint8
    assert shapes.fingerprint == load("shapes:held_out=700,count=2500").fingerprint
    modes = shapes.nearest_mode(shapes.train.items)
    assert modes.unique().tolist() == list(range(64))
    assert torch.equal(modes // len(COLOURS), shapes.train.labels)


def test_shapes_have_the_same_bytes_on_every_machine():
    known = "076fb995"
    assert load("shapes:size=16,count=64,held_out=8").fingerprint[:8] == known


def test_a_longer_set_begins_with_the_shorter_one():
    short, _ = generate(1000, 16, seed=4, split="train")
    long, _ = generate(2500, 16, seed=4, split="train")
    assert torch.equal(long[:1000], short)


def test_splits_and_seeds_differ():
    streams = [generate(8, 16, seed, split)[0] for seed in (0, 1) for split in ("train", "held-out")]
    assert all(not torch.equal(a, b) for i, a in enumerate(streams) for b in streams[:i])


@pytest.mark.parametrize("size", [16, 23, 32, 64])
def test_every_drawn_image_is_given_its_own_mode(size):
    images, factors = generate(1500, size, seed=7, split="train")
    assert torch.equal(nearest_mode(images), factors.mode)


def test_faint_noise_leaves_the_mode():
    images, factors = generate(1000, 32, seed=1, split="train")
    noisy = images + 8 * torch.randn(images.shape, generator=generator(0, "test"))
    found = nearest_mode(noisy.round().clamp(0, 255).to(torch.uint8))
    assert (found == factors.mode).float().mean() > 0.99


def negatives() -> torch.Tensor:
    """Valid outlines in colours of no mode: negatives, except of red and teal, which are each other's negative."""
    images, factors = generate(300, 32, 2, "train")
    names = list(COLOURS)
    return 255 - images[(factors.colour != names.index("red")) & (factors.colour != names.index("teal"))]


def with_halves_exchanged(images: torch.Tensor) -> torch.Tensor:
    return torch.cat([images[:, :, 16:], images[:, :, :16]], 2)


@pytest.mark.parametrize(
    ("garbage", "least_share"),
    [
        (lambda: noise(500, 3, 32, 32), 1.0),
        (lambda: torch.zeros(2, 3, 32, 32, dtype=torch.uint8), 1.0),
        (lambda: torch.full((2, 3, 32, 32), 255, dtype=torch.uint8), 1.0),
        (lambda: noise(300, 3, 1, 1).expand(-1, -1, 32, 32), 1.0),  # one flat colour each
        (lambda: noise(300, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3), 1.0),
        (negatives, 0.98),
        (lambda: generate(300, 32, 2, "train")[0].float().mean(1, keepdim=True).expand(-1, 3, -1, -1).byte(), 1.0),
        (lambda: with_halves_exchanged(generate(300, 32, 2, "train")[0]), 0.75),
    ],
    ids=["noise", "black", "white", "flat", "blocks", "negatives", "grey", "torn"],
)
def test_garbage_has_no_mode(garbage, least_share):
    assert (nearest_mode(garbage()) == -1).float().mean() >= least_share


def test_no_images_have_no_modes():
    assert nearest_mode(torch.empty(0, 3, 32, 32, dtype=torch.uint8)).shape == (0,)


@pytest.mark.parametrize(("kind", "area"), [("disc", math.pi * 0.88**2), ("ring", math.pi * (0.94**2 - 0.46**2))])
def test_coverage_sums_to_the_area(kind, area):
    covered = coverage(kind, torch.tensor([[32.3, 31.6]]), torch.tensor([20.0]), 64)
    assert float(covered.sum()) / 400 == pytest.approx(area, rel=2e-3)
    assert float(covered.min()) == 0
    assert float(covered.max()) == 1


@pytest.mark.parametrize("kind", OUTLINES)
def test_no_shape_leaves_its_circle(kind):
    ticks = torch.linspace(-2, 2, 401)
    inside = OUTLINES[kind](ticks[None, None, :], ticks[None, :, None])[0] < 0
    assert float(ticks[inside.any(0)].abs().max()) <= 1
    assert float(ticks[inside.any(1)].abs().max()) <= 1


def test_image_size_is_the_size_of_shapes():
    assert load("shapes:count=4,held_out=4", image_size=24).shape == torch.Size([3, 24, 24])
    assert load("shapes:count=4,held_out=4,size=24", image_size=24).shape == torch.Size([3, 24, 24])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("sise=3", "no option is called 'sise'; did you mean size?"),
        ("size=big", "size must be a whole number, not 'big'"),
        ("size", "size must be a whole number, not ''"),
        ("size=8", "size must be at least 16, not 8"),
        ("count=0", "count must be at least 1, not 0"),
        ("seed=-1", "seed must be at least 0, not -1"),
        ("size=64", "size=64 and --image-size 32 contradict each other; give one"),
    ],
)
def test_a_wrong_option_of_shapes_is_one_line(argument, message):
    with pytest.raises(InputError) as caught:
        load(f"shapes:{argument}", image_size=32 if argument == "size=64" else None)
    assert str(caught.value) == f"dataset 'shapes:{argument}': {message}"


@pytest.mark.parametrize("spec", ["shapes:count=300,held_out=300,size=16", "gaussians:ring", "gaussians:grid"])
def test_held_out_images_are_drawn_apart_from_the_training_images(spec):
    """The labels of two independent streams agree only by chance, not from the first image on."""
    dataset = load(spec)
    agreeing = (dataset.train.labels[:300] == dataset.held_out.labels[:300]).double().mean()
    assert float(agreeing) < 0.25
    assert not torch.equal(dataset.train.items[:300], dataset.held_out.items[:300])


# Gaussians


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25)])
def test_gaussians(name, modes):
    dataset = load(f"gaussians:{name}")
    assert dataset.shape == torch.Size([2, 1, 1])
    assert (dataset.classes, dataset.mode_count) == (modes, modes)
    assert (len(dataset.train), len(dataset.held_out)) == (50_000, 10_000)
    assert dataset.fingerprint == load(f"gaussians:{name}").fingerprint
    found = dataset.nearest_mode(dataset.train.items)
    known = found >= 0
    assert torch.equal(found[known], dataset.train.labels[known])
    # A share exp(-9/2) of a two-dimensional Gaussian lies beyond three standard deviations.
    assert float((~known).float().mean()) == pytest.approx(math.exp(-4.5), abs=2e-3)
    assert found[known].unique().tolist() == list(range(modes))


def test_gaussians_have_the_moments_of_their_mixture():
    dataset = load("gaussians")
    assert dataset.name == "gaussians"
    points = dataset.train.items.flatten(1).double() / 127.5 - 1
    of_one = points[dataset.train.labels == 0]
    assert of_one.mean(0).tolist() == pytest.approx([0.75, 0.0], abs=2e-3)
    # Rounding to grey levels adds a uniform error of variance step² / 12.
    assert of_one.std(0).tolist() == pytest.approx([math.sqrt(0.03**2 + (1 / 127.5) ** 2 / 12)] * 2, rel=0.03)


@pytest.mark.parametrize("name", MIXTURES)
def test_probabilities_of_all_images_sum_to_one(name):
    levels = torch.arange(256, dtype=torch.uint8)
    every = torch.cartesian_prod(levels, levels)[:, :, None, None]
    log_probabilities = log_probability(every, MIXTURES[name])
    assert torch.isfinite(log_probabilities).all()
    assert float(log_probabilities.exp().sum()) == pytest.approx(1.0, abs=1e-12)


def test_log_probability_is_near_the_density_of_the_continuous_mixture():
    mixture = MIXTURES["ring"]
    image = render(torch.tensor([[0.75, 0.0]]))
    step = 1 / 127.5
    density_at_centre = 1 / (8 * 2 * math.pi * mixture.deviation**2)
    assert float(log_probability(image, mixture)) == pytest.approx(math.log(density_at_centre * step**2), abs=0.05)


def test_what_lies_between_components_has_no_mode():
    mixture = MIXTURES["grid"]
    assert nearest_component(render(torch.tensor([[0.2, 0.2], [0.95, 0.0]])), mixture).tolist() == [-1, -1]
    assert (nearest_component(noise(4000, 2, 1, 1), mixture) == -1).float().mean() > 0.7
    # 25 discs of radius 0.09 in a square of area 4
    inside = (nearest_component(noise(4000, 2, 1, 1), mixture) >= 0).float().mean()
    assert float(inside) == pytest.approx(25 * math.pi * 0.09**2 / 4, abs=0.03)


def test_points_become_grey_levels():
    images = render(torch.tensor([[-1.0, 1.0], [0.0, 5.0]]))
    assert images.shape == (2, 2, 1, 1)
    assert images.flatten().tolist() == [0, 255, 128, 255]


@pytest.mark.parametrize(
    ("spec", "size", "message"),
    [
        ("gaussians:rnig", None, "no mixture is called 'rnig'; did you mean ring?"),
        ("gaussians", 32, "its images are one pixel by definition; leave --image-size out"),
    ],
)
def test_a_wrong_mixture_is_one_line(spec, size, message):
    with pytest.raises(InputError) as caught:
        load(spec, image_size=size)
    assert str(caught.value) == f"dataset {spec!r}: {message}"
