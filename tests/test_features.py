"""The table of extractors, what every extractor promises, and `extract`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from genbench import datasets, features
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.errors import InputError
from genbench.features import digits_cnn
from genbench.features.extractor import Extractor, default_batch_size, extract
from genbench.features.image_classifier import PROCEDURE
from genbench.features.intake import Images
from genbench.features.weight_file import read_metadata

CPU = torch.device("cpu")


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def dataset_of(shape: tuple[int, ...], classes: int | None = None, name: str = "made") -> Dataset:
    labels = None if classes is None else torch.arange(64) % classes
    split = Split(pictures(64, *shape), labels)
    names = None if classes is None else tuple(map(str, range(classes)))
    return Dataset(name, split, split, names, "none", fingerprint(split, split))


def load(name: str, dataset: Dataset, cache: Path, **more: object) -> Extractor:
    return features.load(name, dataset=dataset, device=CPU, cache=cache, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets.load("digits")


@pytest.fixture(params=["digits-cnn", "random-conv", "classifier"])
def extractor(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Extractor:
    """Each extractor that needs no download, for 8x8 images."""
    monkeypatch.setattr("genbench.features.classifier_network._FEWEST_STEPS", 3)
    return load(request.param, dataset_of((1, 8, 8), 10), tmp_path)


def test_listing_the_extractors_imports_no_torch() -> None:
    code = "import sys, genbench.features as f; print(sorted(f.EXTRACTORS), 'torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    vision = sorted(f"dinov2-vit{size}14{registers}" for size in "sbl" for registers in ("", "-reg"))
    known = [
        "auto",
        "classifier",
        "clip-vitl14-336",
        "digits-cnn",
        *vision,
        "inception",
        "log-mel",
        "minilm",
        "ngram",
        "random-conv",
        "vggish",
    ]
    assert shown == f"{known} False\n"


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("inceptoin", {}, "extractor 'inceptoin': unknown; did you mean inception?"),
        ("auto", {"precision": "fp16"}, "unknown precision 'fp16'"),
        ("random-conv", {"weights": Path("w.pth")}, "extractor 'random-conv': takes no --weights"),
        ("auto", {"profile": "clean-fid"}, "extractor 'random-conv': takes no --profile; add --extractor inception"),
        (
            "inception",
            {"profile": "cleanfid"},
            "extractor 'inception': has no profile 'cleanfid'; did you mean clean-fid?",
        ),
        ("digits-cnn", {}, "extractor 'digits-cnn': takes 1x8x8 images (channels x height x width), got 2x8x8"),
        ("inception", {}, "extractor 'inception': takes images of 1 or 3 channels, got 2 (2x8x8)"),
        ("classifier", {}, "extractor 'classifier': dataset 'made' has no labels"),
    ],
)
def test_what_cannot_be_done_is_one_line(name: str, more: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(name, dataset_of((2, 8, 8)), tmp_path, **more)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "classes", "name", "chosen"),
    [
        ((1, 8, 8), 10, "digits", "digits-cnn"),
        ((1, 8, 8), 10, "other", "classifier"),
        ((3, 16, 16), None, "digits", "random-conv"),
        ((2, 1, 1), 1, "one-class", "random-conv"),
    ],
)
def test_auto_without_inception(
    shape: tuple[int, ...], classes: int | None, name: str, chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genbench.features.classifier_network._FEWEST_STEPS", 1)
    assert load("auto", dataset_of(shape, classes, name), tmp_path).name == chosen


def test_auto_takes_inception_where_its_weights_are_cached(tmp_path: Path) -> None:
    placed = tmp_path / "weights" / "weights-inception-2015-12-05-6726825d.pth"
    assert features.cached_inception_weights(tmp_path) is None
    placed.parent.mkdir()
    placed.write_bytes(b"not the weights")
    assert features.cached_inception_weights(tmp_path) == placed
    with pytest.raises(InputError, match=r"inception weights: .*6726825d\.pth"):  # chosen, and then checked
        load("auto", dataset_of((3, 16, 16), 10), tmp_path)
    assert load("auto", dataset_of((2, 1, 1)), tmp_path).name == "random-conv"  # inception does not take two channels
    assert load("auto", dataset_of((1, 8, 8), 10, "digits"), tmp_path).name == "digits-cnn"


def test_recipe_has_every_choice(extractor: Extractor, tmp_path: Path) -> None:
    recipe = extractor.recipe()
    assert recipe["extractor"] == extractor.name
    assert recipe["weights_sha256"] == extractor.weights_sha256
    assert {"profile", "resizer", "range", "dtype", "precision", "procedure"} <= recipe.keys()
    half = load(extractor.name, dataset_of((1, 8, 8), 10), tmp_path, precision="bf16").recipe()
    assert {key for key in recipe if recipe[key] != half[key]} == {"precision"}


def test_bf16_is_near_fp32(extractor: Extractor, tmp_path: Path) -> None:
    half = load(extractor.name, dataset_of((1, 8, 8), 10), tmp_path, precision="bf16")
    images = pictures(50, 1, 8, 8)
    exact, rounded = extractor(images)[0], half(images)[0]
    assert rounded.dtype == torch.float32
    assert 1e-5 < ((exact - rounded).norm() / exact.norm()).item() < 0.05


def test_extract_gives_what_calls_give_in_order(extractor: Extractor) -> None:
    images = pictures(23, 1, 8, 8)
    seen: list[tuple[int, int]] = []
    found = extract(extractor, images, batch_size=5, progress=lambda done, count: seen.append((done, count)))
    assert seen == [(5, 23), (10, 23), (15, 23), (20, 23), (23, 23)]
    assert found.features.shape == (23, extractor.feature_count)
    for index in (0, 7, 22):
        features_of_one, logits_of_one = extractor(images[index : index + 1])
        torch.testing.assert_close(found.features[index : index + 1], features_of_one, rtol=1e-5, atol=1e-5)
        if logits_of_one is not None:
            assert found.logits is not None
            torch.testing.assert_close(found.logits[index : index + 1], logits_of_one, rtol=1e-5, atol=1e-5)
    assert (found.logits is None) == (extractor.classes is None)


def test_the_same_call_twice_gives_the_same_bits(extractor: Extractor) -> None:
    images = pictures(70, 1, 8, 8)
    assert torch.equal(extract(extractor, images).features, extract(extractor, images).features)


def test_no_images_no_features(extractor: Extractor) -> None:
    found = extract(extractor, pictures(0, 1, 8, 8))
    assert found.features.shape == (0, extractor.feature_count)
    assert len(found) == 0


def test_torch_is_left_as_it_was(extractor: Extractor) -> None:
    images = pictures(9, 1, 8, 8)
    before = images.clone()
    torch.set_float32_matmul_precision("high")
    try:
        state, threads = torch.get_rng_state(), torch.get_num_threads()
        extracted, _ = extractor(images)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert torch.equal(images, before)
    weight = torch.ones(extractor.feature_count, requires_grad=True)
    (extracted @ weight).sum().backward()  # features are ordinary tensors, not inference-mode ones
    assert torch.isfinite(weight.grad).all()  # type: ignore[arg-type]


def test_loading_draws_no_random_numbers(extractor: Extractor, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    load(extractor.name, dataset_of((1, 8, 8), 10), tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 8, 8), "takes (B, C, H, W) uint8 images, got (2, 1, 8, 8) torch.float32"),
        (pictures(1, 8, 8), "takes (B, C, H, W) uint8 images, got (1, 8, 8) torch.uint8"),
        (
            pictures(2, 1, 28, 28),
            "takes 1x8x8 images (channels x height x width), got 1x28x28; give images of that size, or image files "
            "with --image-size N",
        ),
        (
            pictures(2, 3, 8, 8),
            "takes 1x8x8 images (channels x height x width), got 3x8x8; give images of as many channels, or another "
            "--extractor",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(images: Tensor, message: str, extractor: Extractor) -> None:
    with pytest.raises(InputError) as caught:
        extract(extractor, images)
    assert message in str(caught.value)


class _Greedy(nn.Module):
    """A network with memory for at most four images."""

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        if len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x.flatten(1), None


def greedy(**more: int) -> Extractor:
    return Extractor("greedy", _Greedy(), Images(Tensor.float), CPU, "fp32", 4, None, "none", **more)  # type: ignore[arg-type]


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    images = pictures(21, 1, 2, 2)
    found = extract(greedy(), images, batch_size=16)
    assert torch.equal(found.features, images.flatten(1).float())


def test_batches_are_chosen_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(total=16 << 30)
    monkeypatch.setattr("genbench.features.extractor.psutil.virtual_memory", lambda: memory)
    sizes = [default_batch_size(greedy(item_bytes=need)) for need in (1, 30 << 20, 1 << 50)]
    assert sizes == [4096, 8, 1]
    memory.total = 1 << 30
    assert default_batch_size(greedy(item_bytes=30 << 20)) == 2


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 8, 8), (1, 28, 28), (4, 24, 40), (3, 128, 128), (1, 1, 9)])
def test_random_conv_takes_any_shape(shape: tuple[int, ...], tmp_path: Path) -> None:
    dataset = dataset_of(shape)
    extractor = load("random-conv", dataset, tmp_path)
    found = extract(extractor, dataset.train.items).features
    assert torch.isfinite(found).all()
    assert found.var(dim=0).mean() > 1e-4
    again = load("random-conv", dataset, tmp_path)
    assert again.weights_sha256 == extractor.weights_sha256
    assert torch.equal(extract(again, dataset.train.items).features, found)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    a, b = a.double(), b.double()
    values, vectors = torch.linalg.eigh(a.T.cov())
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ b.T.cov() @ root).clamp_min(0).sqrt().sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + a.T.cov().trace() + b.T.cov().trace() - 2 * cross).item()


@pytest.mark.parametrize("name", ["digits-cnn", "random-conv"])
def test_distances_order_real_gaussian_and_noise(name: str, digits: Dataset, tmp_path: Path) -> None:
    extractor = load(name, digits, tmp_path)
    flat = digits.train.items.flatten(1).double()
    values, vectors = torch.linalg.eigh(flat.T.cov())
    normal = torch.randn(500, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gaussian = flat.mean(0) + normal * values.clamp_min(0).sqrt() @ vectors.T
    candidates = {
        "real": digits.held_out.items,
        "gaussian": gaussian.round().clamp(0, 255).to(torch.uint8).view(500, 1, 8, 8),
        "noise": pictures(500, 1, 8, 8),
    }
    reference = extract(extractor, digits.train.items).features
    distance = {key: frechet_distance(reference, extract(extractor, x).features) for key, x in candidates.items()}
    assert 5 * distance["real"] < distance["gaussian"]
    assert 2 * distance["gaussian"] < distance["noise"]


def test_digits_cnn_classifies_digits_that_it_has_not_seen(digits: Dataset, tmp_path: Path) -> None:
    extractor = load("digits-cnn", digits, tmp_path)
    logits = extract(extractor, digits.held_out.items).logits
    assert logits is not None
    assert (logits.argmax(dim=1) == digits.held_out.labels).double().mean() >= 0.97
    assert (extractor.feature_count, extractor.classes, extractor.earned) == (64, 10, {})


def test_the_shipped_weights_are_of_these_digits_and_this_procedure(digits: Dataset) -> None:
    recorded = read_metadata(digits_cnn.WEIGHTS)
    assert recorded["dataset"] == digits.fingerprint
    assert recorded["procedure"] == PROCEDURE
    assert digits_cnn.WEIGHTS.stat().st_size < 300_000


def test_damaged_shipped_weights_are_noticed(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = bytearray(digits_cnn.WEIGHTS.read_bytes())
    damaged[-100] ^= 1
    copy = tmp_path / "digits-cnn.safetensors"
    copy.write_bytes(damaged)
    monkeypatch.setattr(digits_cnn, "WEIGHTS", copy)
    with pytest.raises(InputError, match="is damaged; reinstall genbench"):
        load("digits-cnn", digits, tmp_path)
