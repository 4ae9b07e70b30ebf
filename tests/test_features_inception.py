"""Inception-v3: the same features as torch-fidelity, pytorch-fid and clean-fid, from one file of random weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from genbench import features
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.errors import InputError
from genbench.features.extractor import Extractor, extract
from genbench.features.inception import parameter_shapes
from genbench.features.inception_file import PUBLISHED
from genbench.features.resize import PROFILES
from genbench.machine.torchvision_import import declare_missing_operators
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.gaussian import GaussianStatistics

declare_missing_operators()  # the peers import torchvision

SIZES = [28, 32, 64, 256, 299]
CPU = torch.device("cpu")


def random_weights() -> dict[str, Tensor]:
    """Weights that keep activations at one scale from the first layer to the last; no BatchNorm is the identity."""
    randomness = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in parameter_shapes().items():
        noise = torch.randn(shape, generator=randomness)
        if name.endswith("conv.weight"):
            tensors[name] = noise * (2 / noise[0].numel()) ** 0.5
        elif name.endswith(("running_var", "bn.weight")):
            tensors[name] = 1 + 0.2 * noise.clamp(-3, 3)
        else:
            tensors[name] = 0.1 * noise
    return tensors


def pictures(side: int, count: int = 2, channels: int = 3) -> Tensor:
    """Ramps with noise, each picture with its own brightness and contrast, so that their features differ clearly."""
    randomness = torch.Generator().manual_seed(side)
    ramp = torch.linspace(0, 1, side)
    shape = (count, channels, 1, 1)
    slopes, levels = torch.rand(2, *shape, generator=randomness) * 160
    noise = torch.rand(count, channels, side, side, generator=randomness) * 60
    return (slopes * ramp[:, None] * ramp + levels * 0.5 + noise).clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the published file's keys, including its counters, as torch-fidelity loads it."""
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    tensors = random_weights()
    counters = [name.removesuffix("weight") + "num_batches_tracked" for name in tensors if name.endswith("bn.weight")]
    tensors |= {name: torch.tensor(0) for name in counters}
    torch.save(tensors, path)
    return path


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    split = Split(pictures(32), torch.tensor([0, 1]))
    return Dataset("made", split, split, ("a", "b"), "none", fingerprint(split, split))


@pytest.fixture(scope="module")
def load(weights_file: Path, dataset: Dataset) -> Callable[..., Extractor]:
    loaded: dict[Any, Extractor] = {}

    def with_profile(profile: str | None = None, **more: Any) -> Extractor:
        key = (profile, *more.items())
        if key not in loaded:
            more = {"device": CPU} | more
            loaded[key] = features.load("inception", dataset=dataset, weights=weights_file, profile=profile, **more)
        return loaded[key]

    return with_profile


def peer_module(name: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own deprecation warnings
        module: ModuleType = pytest.importorskip(name, reason=f"{name.partition('.')[0]} is not installed")
    return module


@pytest.fixture(scope="module")
def torch_fidelity(weights_file: Path) -> Any:
    module = peer_module("torch_fidelity.feature_extractor_inceptionv3")
    return module.FeatureExtractorInceptionV3(
        "peer", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights_file)
    )


@pytest.fixture(scope="module")
def pytorch_fid(weights_file: Path) -> Any:
    module = peer_module("pytorch_fid.inception")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *args, **more: torch.load(weights_file))
        return module.InceptionV3().eval()


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    """The features agree to a relative 1e-4, and the difference between the two images to 1e-3."""
    assert ((ours - theirs).norm() / theirs.norm()).item() < 1e-4
    difference = theirs[0] - theirs[1]
    assert difference.norm() > 0.01 * theirs[0].norm()
    assert ((ours[0] - ours[1] - difference).norm() / difference.norm()).item() < 1e-3


@pytest.mark.parametrize("side", SIZES)
def test_features_and_logits_of_torch_fidelity(side: int, load: Callable[..., Extractor], torch_fidelity: Any) -> None:
    images = pictures(side)
    ours, logits = load()(images)
    with torch.inference_mode():
        theirs, their_logits = torch_fidelity(images)
    assert_same(ours, theirs)
    assert logits is not None
    assert_same(logits, their_logits)


@pytest.mark.parametrize("side", SIZES)
def test_features_of_pytorch_fid(side: int, load: Callable[..., Extractor], pytorch_fid: Any) -> None:
    images = pictures(side)
    with torch.inference_mode():
        theirs = pytorch_fid(images.float() / 255)[0].flatten(1)
    assert_same(load("pytorch-fid")(images)[0], theirs)


PARTS = 2  # of the 2048 features: a distance on all of them needs more images than a test has time for
IMAGES = 4


@pytest.fixture(scope="module")
def two_sets() -> tuple[Tensor, Tensor]:
    """Of one size: the features themselves are compared at every size, above."""
    images = pictures(32, count=2 * IMAGES)
    return images[:IMAGES], images[IMAGES:]


def our_distance(extractor: Extractor, sets: tuple[Tensor, Tensor]) -> float:
    sides = [extract(extractor, images).features[:, :PARTS] for images in sets]
    return frechet_distance(*(GaussianStatistics.from_features(side) for side in sides))


def test_frechet_distance_of_torch_fidelity(
    two_sets: tuple[Tensor, Tensor], load: Callable[..., Extractor], torch_fidelity: Any
) -> None:
    """From images to the number, each side with its own resizing, network and formula."""
    metric = peer_module("torch_fidelity.metric_fid")
    with torch.inference_mode():
        sides = [torch_fidelity(images)[0][:, :PARTS].double() for images in two_sets]
    statistics = [metric.fid_features_to_statistics(side) for side in sides]
    expected = metric.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert our_distance(load(), two_sets) == pytest.approx(expected, rel=1e-3)


def test_frechet_distance_of_pytorch_fid(
    two_sets: tuple[Tensor, Tensor], load: Callable[..., Extractor], pytorch_fid: Any
) -> None:
    formula = peer_module("pytorch_fid.fid_score").calculate_frechet_distance
    with torch.inference_mode():
        sides = [pytorch_fid(images.float() / 255)[0].flatten(1)[:, :PARTS].double().numpy() for images in two_sets]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns about the argument `disp`
        try:
            expected = formula(*(part for side in sides for part in (side.mean(axis=0), np.cov(side, rowvar=False))))
        except TypeError as error:
            pytest.skip(f"pytorch-fid is broken with SciPy {version('scipy')}: it calls sqrtm(disp=False) ({error})")
    assert our_distance(load("pytorch-fid"), two_sets) == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("side", [*SIZES, 300, 512])
def test_resized_pixels_of_clean_fid(side: int) -> None:
    """Its network is a compiled file that must be downloaded, so only its resizer can be compared."""
    resizer = peer_module("cleanfid.resize").build_resizer("clean")
    images = pictures(side)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it passes Pillow a deprecated argument
        theirs = torch.stack([torch.from_numpy(resizer(one.permute(1, 2, 0).numpy())) for one in images])
    ours = PROFILES["clean-fid"].prepare(images) * 128 + 128
    torch.testing.assert_close(ours, theirs.permute(0, 3, 1, 2), rtol=0, atol=0.02)  # of 255


def test_features_of_clean_fid_are_the_network_on_its_pixels(load: Callable[..., Extractor]) -> None:
    resizer = peer_module("cleanfid.resize").build_resizer("clean")
    images = pictures(64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixels = torch.stack([torch.from_numpy(resizer(one.permute(1, 2, 0).numpy())) for one in images])
    network = load().network
    with torch.inference_mode():
        theirs, _ = network((pixels.permute(0, 3, 1, 2) - 128) / 128)
    assert_same(load("clean-fid")(images)[0], theirs)


def test_profiles_differ_where_images_are_resized(load: Callable[..., Extractor]) -> None:
    found = {profile: load(profile)(pictures(32))[0] for profile in PROFILES}
    default = found["torch-fidelity"]
    assert torch.equal(load()(pictures(32))[0], default)
    for profile in ("pytorch-fid", "clean-fid"):
        assert ((found[profile] - default).norm() / default.norm()).item() > 1e-3
    recipes = [load(profile).recipe() for profile in PROFILES]
    assert len({(recipe["profile"], recipe["resizer"]) for recipe in recipes}) == 3
    assert len({recipe["weights_sha256"] for recipe in recipes}) == 1


def test_random_weights_are_never_official(load: Callable[..., Extractor]) -> None:
    assert (load().earned, load().feature_count, load().classes) == ({}, 2048, 1008)


def test_loading_draws_no_random_numbers(weights_file: Path, dataset: Dataset) -> None:
    state = torch.get_rng_state()
    features.load("inception", dataset=dataset, device=CPU, weights=weights_file)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_safetensors_file_of_the_same_weights_is_the_same_extractor(
    weights_file: Path, dataset: Dataset, load: Callable[..., Extractor], tmp_path: Path
) -> None:
    save_file(torch.load(weights_file), tmp_path / "w.safetensors")
    other = features.load("auto", dataset=dataset, device=CPU, weights=tmp_path / "w.safetensors")
    assert other.recipe() == load().recipe()
    assert torch.equal(other(pictures(32))[0], load()(pictures(32))[0])


def test_torchvision_s_own_inception_is_refused_by_name(dataset: Dataset, tmp_path: Path) -> None:
    tensors = random_weights() | {"fc.weight": torch.zeros(1000, 2048), "AuxLogits.fc.bias": torch.zeros(1000)}
    del tensors["Mixed_7c.branch_pool.bn.weight"]
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(InputError) as caught:
        features.load("inception", dataset=dataset, device=CPU, weights=tmp_path / "w.pth")
    line = str(caught.value)
    assert "missing Mixed_7c.branch_pool.bn.weight" in line
    assert "unexpected AuxLogits.fc.bias" in line
    assert "fc.weight is (1000, 2048), expected (1008, 2048)" in line


def test_grey_images_are_repeated(load: Callable[..., Extractor]) -> None:
    grey = pictures(28, channels=1)
    assert torch.equal(load()(grey)[0], load()(grey.expand(-1, 3, -1, -1).contiguous())[0])


def test_an_image_has_the_same_features_in_any_batch(load: Callable[..., Extractor]) -> None:
    images = pictures(32, count=5)
    whole = extract(load(), images).features
    torch.testing.assert_close(extract(load(), images, batch_size=2).features, whole, rtol=1e-5, atol=1e-5)


def test_bf16_is_near_and_a_recipe_of_its_own(load: Callable[..., Extractor]) -> None:
    exact, rounded = load(), load(precision="bf16")
    images = pictures(32)
    difference = (exact(images)[0] - rounded(images)[0]).norm() / exact(images)[0].norm()
    assert 1e-4 < difference.item() < 0.03
    assert rounded.recipe() == exact.recipe() | {"precision": "bf16"}


@pytest.mark.cuda
def test_cuda_gives_the_features_of_the_cpu(load: Callable[..., Extractor]) -> None:
    images = pictures(32, count=4)
    on_device = extract(load(device=torch.device("cuda")), images).features
    assert_same(on_device, extract(load(), images).features)


def test_a_run_with_weights_of_another_training_gives_fd_under_their_own_hash(
    warm_servers: None, weights_file: Path, tmp_path: Path, tiny: Path
) -> None:
    """End to end, as with the published file; but only that file's numbers are called fid and inception_score."""
    import genbench

    folder = tmp_path / "images"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for index in range(24):
        pixels = torch.randint(256, (8, 8, 3), generator=generator, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (record,) = genbench.run(
        [str(tiny)],
        f"folder:{folder}",
        budget="2steps",
        seeds=1,
        evaluations=1,
        samples=12,
        batch_size=8,
        metrics=["fd", "classifier_score"],
        controls=[],
        extractor="inception",
        weights=str(weights_file),
        out=tmp_path / "out",
    )
    assert record.finished, record.failure
    assert record.numbers["fd"] > 0
    assert record.numbers["classifier_score"] >= 1
    assert not {"fid", "inception_score"} & set(record.numbers)
    recipe = record.data["recipes"][record.data["numbers"]["fd"]["recipe"]]
    assert (recipe["extractor"], recipe["profile"]) == ("inception", "torch-fidelity")
    assert recipe["weights_sha256"] != PUBLISHED.sha256
