"""Mean and covariance in files: read as other tools write them, written as they read them, and refused in one line."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluating import answer_of, refusal_of
from PIL import Image

from genbench import datasets
from genbench.cli.evaluate import evaluate
from genbench.cli.statistics import statistics
from genbench.errors import InputError
from genbench.features.extractor import extract
from genbench.features.random_conv import load_random_conv
from genbench.features.statistics_file import TOLERANCE, read_statistics, write_statistics
from genbench.machine.torchvision_import import declare_missing_operators
from genbench.metrics import METRICS, Evidence, ReferenceStatistics
from genbench.metrics.gaussian import GaussianStatistics

declare_missing_operators()  # torch-fidelity imports torchvision

D = 5
FEATURES = np.random.default_rng(0).normal(size=(40, D)).astype(np.float32) @ np.diag([1, 2, 3, 4, 5]).astype(
    np.float32
)
MU, SIGMA = FEATURES.astype(np.float64).mean(0), np.cov(FEATURES.astype(np.float64), rowvar=False)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 of the digits' held-out images."""
    path = tmp_path_factory.mktemp("samples") / "a.npy"
    np.save(path, datasets.load("digits").held_out.items[:300, 0].numpy())
    return path


def scored(*arguments: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(answer_of(evaluate, *arguments, "--json").stdout)
    return document


# What other tools write


def of_pytorch_fid(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    peer = pytest.importorskip("pytorch_fid.fid_score", reason="pytorch-fid is not installed")
    monkeypatch.setattr(peer.InceptionV3, "__new__", lambda cls, blocks: torch.nn.Identity())
    monkeypatch.setattr(peer, "get_activations", lambda *arguments: FEATURES.astype(np.float64))
    peer.save_fid_stats([str(folder), str(folder / "stats.npz")], 50, "cpu", 2048)
    return folder / "stats.npz"


def of_clean_fid(folder: Path, monkeypatch: pytest.MonkeyPatch, suffix: str = "") -> Path:
    cleanfid = pytest.importorskip("cleanfid", reason="clean-fid is not installed")
    peer = pytest.importorskip("cleanfid.fid", reason="clean-fid does not work here")
    monkeypatch.setattr(cleanfid, "__file__", str(folder / "__init__.py"))  # it writes beside its `__file__`
    monkeypatch.setattr(peer, "build_feature_extractor", lambda *arguments: None)
    monkeypatch.setattr(peer, "get_folder_features", lambda *arguments, **more: FEATURES)
    peer.make_custom_stats("mine", str(folder))
    return folder / "stats" / f"mine_clean_custom_na{suffix}.npz"


def of_torch_fidelity(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn of their own deprecations
        tool = pytest.importorskip("torch_fidelity.utils", reason="torch-fidelity is not installed")
        peer = pytest.importorskip("torch_fidelity.metric_fid")
    tool.cache_lookup_one_recompute_on_miss(
        "stat", lambda: peer.fid_features_to_statistics(torch.from_numpy(FEATURES)), cache=True, cache_root=str(folder)
    )
    return folder / "stat.pt"


@pytest.mark.parametrize("write", [of_pytorch_fid, of_clean_fid, of_torch_fidelity])
def test_mean_and_covariance_are_read_as_three_tools_write_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., Path]
) -> None:
    path = write(tmp_path, monkeypatch)
    found = read_statistics(path)
    assert found.mean is not None
    assert found.covariance is not None
    assert found.mean.dtype == found.covariance.dtype == torch.float64
    np.testing.assert_allclose(found.mean, MU, rtol=1e-5, atol=1e-6)  # two of them compute the mean in float32
    np.testing.assert_allclose(found.covariance, SIGMA, rtol=1e-6)
    assert (found.count, found.recipe) == (None, {})
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_features_that_clean_fid_keeps_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_statistics(of_clean_fid(tmp_path, monkeypatch, "_kid"))
    assert found.features is not None
    assert np.array_equal(found.features, FEATURES)
    assert (found.count, found.dimension) == (40, D)


def test_the_features_that_torch_fidelity_keeps_are_read_whole(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(FEATURES), tmp_path / "a-features-64.pt")  # such a file holds nothing else
    found = read_statistics(tmp_path / "a-features-64.pt")
    assert found.features is not None
    assert np.array_equal(found.features, FEATURES)


# What other tools read


def test_pytorch_fid_and_clean_fid_read_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stats").mkdir()
    path = tmp_path / "stats" / "mine_clean_custom_na.npz"
    write_statistics(path, torch.from_numpy(MU), torch.from_numpy(SIGMA), {"count": 40})
    peer = pytest.importorskip("pytorch_fid.fid_score", reason="pytorch-fid is not installed")
    cleanfid = pytest.importorskip("cleanfid", reason="clean-fid is not installed")
    monkeypatch.setattr(cleanfid, "__file__", str(tmp_path / "__init__.py"))
    theirs = pytest.importorskip("cleanfid.features").get_reference_statistics("mine", "na", split="custom")
    for mu, sigma in (peer.compute_statistics_of_path(str(path), None, 1, D, "cpu"), theirs):
        assert mu.dtype == sigma.dtype == np.float64
        assert np.array_equal(mu, MU)
        assert np.array_equal(sigma, SIGMA)


def test_what_is_written_is_the_same_to_the_byte_and_is_no_pickle(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_statistics(
            tmp_path / name, torch.from_numpy(MU), torch.from_numpy(SIGMA), {"split": "train", "count": 40}
        )
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert sorted(file) == ["mu", "recipe", "sigma"]


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_a_file_of_a_dataset_gives_the_numbers_of_the_dataset(tmp_path: Path, samples: Path, split: str) -> None:
    """The mean and covariance in the file are also NumPy's, for the requested split."""
    out = tmp_path / "stats.npz"
    answer = answer_of(statistics, "digits", "--out", out, "--split", split)
    data = datasets.load("digits")
    items = data.train.items if split == "train" else data.held_out.items
    assert answer.stdout == f"{out}: 64 features of {len(items):,} {split} images, digits-cnn\n"
    found = scored(samples, "--reference", out, "--metrics", "fd,fd_infinity")
    recipe = found["recipes"][found["numbers"]["fd"]["recipe"]]
    assert recipe["dataset_fingerprint"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert (recipe["reference_split"], recipe["reference_count"], recipe["samples"]) == (split, len(items), 300)
    with np.load(out) as file:
        recorded = json.loads(str(file["recipe"]))
        mu, sigma = file["mu"], file["sigma"]
    assert recorded["dataset_fingerprint"] == data.fingerprint
    from genbench import features

    extractor = features.load("digits-cnn", dataset=data, device=torch.device("cpu"))
    expected = extract(extractor, items).features.double().numpy()
    np.testing.assert_allclose(mu, expected.mean(0), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(sigma, np.cov(expected, rowvar=False), rtol=1e-5, atol=1e-7)
    if split == "train":
        direct = scored(samples, "-d", "digits", "--metrics", "fd,fd_infinity")["numbers"]
        for name in ("fd", "fd_infinity"):
            assert found["numbers"].get(name, {}).get("value") == pytest.approx(
                direct.get(name, {}).get("value"), rel=1e-9
            )
        assert found["numbers"]["fd"]["standard_error"] == pytest.approx(direct["fd"]["standard_error"], rel=1e-6)


def test_what_mean_and_covariance_cannot_give_is_said_in_one_line(tmp_path: Path, samples: Path) -> None:
    out = tmp_path / "stats.npz"
    answer_of(statistics, "digits", "--out", out)
    answer = answer_of(evaluate, samples, "--reference", out)
    said = [line for line in answer.stderr.splitlines() if "only mean and covariance of the reference" in line]
    assert len(said) == 1
    assert said[0].startswith("not measured: kernel_distance, precision_recall, density_coverage, authenticity, ")
    assert {line.split()[0] for line in answer.stdout.splitlines()[1:]} == {
        *("fd", "classifier_score", "classifier_score_std", "feature_rank", "feature_condition"),
        *("fewer_than_dimensions", "fd_infinity", "ms_ssim"),
    }
    assert refusal_of(evaluate, samples, "--reference", out, "--metrics", "kid,recall").startswith(
        f"kernel_distance, precision_recall: need more than {out} has, which holds only mean and covariance of the"
    )


def test_an_array_against_statistics_has_nothing_to_resize(tmp_path: Path, samples: Path) -> None:
    out = tmp_path / "stats.npz"
    answer_of(statistics, "digits", "--out", out)
    said = refusal_of(evaluate, samples, "--reference", out, "--image-size", 8)
    assert said == "--image-size has no effect on arrays, which are used unchanged; leave it out"
    assert refusal_of(evaluate, samples, "--reference", out, "--metrics", "kid").startswith(
        f"kernel_distance: needs more than {out} has"
    )


def test_features_give_whatever_compares_features(tmp_path: Path, samples: Path) -> None:
    """The numbers are those of the same images."""
    data = datasets.load("digits")
    extractor = load_random_conv(data.shape, torch.device("cpu"), "fp32")
    np.savez(tmp_path / "feats.npz", feats=extract(extractor, data.train.items).features.numpy())
    np.save(tmp_path / "images.npy", data.train.items[:, 0].numpy())
    asked = ("--extractor", "random-conv", "--metrics", "fd,kid,precision,density,authenticity,pixel_w1")
    found, direct = (scored(samples, "--reference", tmp_path / name, *asked) for name in ("feats.npz", "images.npy"))
    assert {"fd", "kid", "precision", "recall", "density", "coverage", "authenticity"} == found["numbers"].keys()
    for name, number in found["numbers"].items():
        assert number["value"] == pytest.approx(direct["numbers"][name]["value"], rel=1e-4, abs=1e-6)
    assert list(found["not_measured"]) == ["pixel_statistics"]


def test_each_metric_that_says_so_needs_no_features_of_the_reference() -> None:
    """It gives the same number as with features; the other metrics report that there are none."""
    sides = [torch.randn(count, 3, generator=torch.Generator().manual_seed(count)) for count in (400, 500)]
    both = Evidence(*sides)
    alone = Evidence(
        sides[0],
        torch.empty(0, 3),
        statistics=ReferenceStatistics(torch.empty(0, 3), gaussian=GaussianStatistics.from_features(sides[1])),
    )
    assert [name for name, metric in METRICS.items() if metric.gaussian_suffices] == [
        "frechet_distance",
        "frechet_infinity",
    ]
    for metric in METRICS.values():
        if metric.gaussian_suffices:
            assert metric.compute(alone) == pytest.approx(metric.compute(both), rel=1e-12)
        elif metric.needs == ("samples", "reference") and metric.least_count <= 400:
            with pytest.raises(ValueError, match=r"reference, got 0$"):
                metric.compute(alone)


def test_the_extractor_of_a_file_without_a_recipe_is_guessed_by_dimension_and_reported(
    tmp_path: Path, samples: Path
) -> None:
    np.savez(tmp_path / "a.npz", mu=np.zeros(64), sigma=np.eye(64))
    answer = answer_of(evaluate, samples, "--reference", tmp_path / "a.npz", "--metrics", "fd")
    assert f"{tmp_path / 'a.npz'}: does not name its network and resizer; assuming random-conv" in (answer.stderr)
    recipes = scored(samples, "--reference", tmp_path / "a.npz", "--metrics", "fd")["recipes"]
    assert [(recipe["reference_count"], recipe["reference_split"]) for recipe in recipes.values()] == [(None, None)]


def test_another_extractor_than_that_of_the_file_is_refused(tmp_path: Path, samples: Path) -> None:
    out = tmp_path / "stats.npz"
    answer_of(statistics, "digits", "--out", out)
    said = refusal_of(evaluate, samples, "--reference", out, "--extractor", "random-conv")
    assert said.startswith(f"{out}: its features come from extractor digits-cnn, weights_sha256 ")
    assert "but those of the images would come from extractor random-conv" in said
    said = refusal_of(evaluate, samples, "--reference", out, "--eval-precision", "bf16")
    assert (
        said == f"{out}: its features come from precision fp32, but those of the images would come from precision bf16"
    )
    for reference in ({"mu": MU, "sigma": SIGMA}, {"feats": FEATURES}):
        np.savez(tmp_path / "five.npz", **reference)
        assert refusal_of(evaluate, samples, "--reference", tmp_path / "five.npz") == (
            f"{tmp_path / 'five.npz'}: has 5 features per item, but extractor 'random-conv' gives 64; choose the "
            "file's own extractor with --extractor"
        )


def test_what_was_passed_over_in_a_folder_is_said(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    for index in range(20):
        pixels = np.random.default_rng(index).integers(256, size=(8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{index}.png")
    (root / ".hidden.png").write_bytes(b"no image")
    (root / "notes.txt").write_text("no image")
    answer = answer_of(statistics, f"folder:{root}", "--out", tmp_path / "stats.npz", "--extractor", "random-conv")
    assert f"{root}: passed over: 1 file of another kind, 1 hidden file\n" in answer.stderr
    assert answer.stdout.count("\n") == 1


def test_statistics_that_nobody_could_use_are_not_written(tmp_path: Path) -> None:
    out = tmp_path / "stats.npz"
    said = "depends on the classes or symbols of digits, which no file of statistics holds"
    assert said in refusal_of(statistics, "digits", "--out", out, "--extractor", "classifier")
    assert "ends in .npz" in refusal_of(statistics, "digits", "--out", tmp_path / "stats")
    assert "has no effect with -d digits" in refusal_of(statistics, "digits", "--out", out, "--data-root", tmp_path)
    assert not list(tmp_path.iterdir())


# Bad files


def broken(**arrays: Any) -> dict[str, Any]:
    return {"mu": MU, "sigma": SIGMA, **arrays}


def changed(row: int, column: int, value: float) -> np.ndarray:
    sigma = SIGMA.copy()
    sigma[row, column] = value
    return sigma


def lowered(share: float) -> np.ndarray:
    """Return a covariance whose smallest eigenvalue is -`share` times the largest."""
    values, vectors = np.linalg.eigh(SIGMA)
    values[0] = -share * values[-1]
    return (vectors * values) @ vectors.T


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": MU}, "holds mu, but no sigma; both mu and sigma are required"),
        ({"sigma": SIGMA}, "holds sigma, but no mu; both mu and sigma are required"),
        (broken(mu=[np.nan, *MU[1:]]), "mu holds 1 values that are NaN or infinite"),
        (broken(sigma=changed(1, 2, np.inf)), "sigma holds 1 values that are NaN or infinite"),
        (broken(sigma=changed(1, 2, SIGMA[1, 2] + 3)), "sigma is not symmetric: mirrored entries differ by up to 3,"),
        (broken(sigma=changed(1, 2, SIGMA[1, 2] + 40 * TOLERANCE)), "sigma is not symmetric"),
        (broken(sigma=lowered(2 * TOLERANCE)), "sigma is not a covariance: it has an eigenvalue of -"),
        (broken(sigma=-SIGMA), "sigma is not a covariance"),
        (
            broken(sigma=1e308 * np.eye(D)),
            "sigma holds 1e+308, more than 1e+30, too large to compare; make the file again",
        ),
        (broken(mu=MU + 1e200), "mu holds 1e+200, more than 1e+15, too large to compare; make the file again"),
        ({"feats": 1e300 * FEATURES.astype(np.float64)}, "more than 1e+15, too large to compare; make the file again"),
        (broken(mu=MU[:4]), "mu has shape (4,) and sigma (5, 5), expected (d,) and (d, d)"),
        (broken(sigma=SIGMA[:, :4]), "sigma (5, 4), expected"),
        (broken(mu=MU[None]), "mu has shape (1, 5)"),
        (broken(mu=MU[:0], sigma=SIGMA[:0, :0]), "mu has shape (0,)"),
        (broken(mu=MU.astype(object)), "mu: holds Python objects, which genbench never unpickles"),
        (broken(mu=MU.astype(int)), "mu holds int64, expected floating-point numbers"),
        (broken(sigma=SIGMA.astype(complex)), "sigma holds complex128, expected floating-point numbers"),
        (broken(recipe=np.array("{")), "damaged: its recipe is not valid JSON"),
        ({"feats": FEATURES[0]}, "feats has shape (5,), expected (N, d) with at least 2 items"),
        ({"feats": FEATURES[:1]}, "feats has shape (1, 5), expected (N, d)"),
    ],
)
def test_bad_statistics_are_one_line(tmp_path: Path, samples: Path, arrays: dict[str, Any], message: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    said = refusal_of(evaluate, samples, "--reference", path)
    assert said.startswith(f"{path}: ")
    assert message in said


def test_rounding_is_no_fault(tmp_path: Path) -> None:
    """Neither that of float32, nor the zero eigenvalues of a covariance over fewer items than features."""
    few = np.cov(FEATURES[:3].astype(np.float64), rowvar=False)
    for sigma in (SIGMA.astype(np.float32), few, lowered(TOLERANCE / 2), changed(1, 2, SIGMA[1, 2] + 1e-6), 0 * SIGMA):
        np.savez(tmp_path / "a.npz", mu=MU, sigma=sigma)
        found = read_statistics(tmp_path / "a.npz").covariance
        assert found is not None
        assert torch.equal(found, found.T)
        np.testing.assert_allclose(found, sigma, atol=1e-6)


@pytest.mark.parametrize("write", [of_pytorch_fid, of_clean_fid, of_torch_fidelity])
@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_a_file_that_is_cut_off_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., Path], share: float, samples: Path
) -> None:
    path = write(tmp_path, monkeypatch)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert str(path) in refusal_of(evaluate, samples, "--reference", path)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_in_a_file_is_run(tmp_path: Path, samples: Path) -> None:
    np.savez(tmp_path / "a.npz", mu=np.array([Evil(tmp_path / "ran")], dtype=object), sigma=SIGMA)
    torch.save({"mu": np.array([Evil(tmp_path / "ran")], dtype=object), "sigma": SIGMA}, tmp_path / "b.pt")
    torch.save({"mu": Evil(tmp_path / "ran")}, tmp_path / "c.pt")
    for name in ("a.npz", "b.pt", "c.pt"):
        refusal_of(evaluate, samples, "--reference", tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "recipe", ["no JSON", 5, {"extractor": "inception"}, {"extractor": {}, "count": "5", "split": "train"}]
)
def test_a_recipe_of_another_tool_is_passed_over(tmp_path: Path, recipe: Any) -> None:
    said = json.dumps(recipe)
    np.savez(tmp_path / "a.npz", mu=MU, sigma=SIGMA, recipe=np.array(said))
    found = read_statistics(tmp_path / "a.npz")
    assert (found.recipe, found.count) == ({}, None)
    np.savez(tmp_path / "b.npz", mu=MU, sigma=SIGMA, recipe=np.arange(3))
    assert read_statistics(tmp_path / "b.npz").recipe == {}


def test_a_recipe_nested_too_deeply_is_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", mu=MU, sigma=SIGMA, recipe=np.array("[" * 100_000))
    with pytest.raises(InputError, match="damaged: its recipe is not valid JSON; write it again"):
        read_statistics(tmp_path / "a.npz")


def test_a_checkpoint_of_something_else_is_one_line(tmp_path: Path) -> None:
    for content, message in (([1], "does not hold statistics"), ({"mu": 3, "sigma": SIGMA}, "mu holds int, expected")):
        torch.save(content, tmp_path / "a.pt")
        with pytest.raises(InputError, match=message):
            read_statistics(tmp_path / "a.pt")
    torch.save({"mu": np.array([None], dtype=object), "sigma": SIGMA}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="is not a PyTorch checkpoint of plain arrays or is damaged") as error:
        read_statistics(tmp_path / "a.pt")
    assert "weights_only" not in str(error.value)  # torch's own advice would run whatever the file holds


@pytest.mark.parametrize(
    "mean",
    [torch.zeros(D).to_sparse(), torch.zeros(D, device="meta"), torch.zeros(1).expand(D)],
    ids=["sparse", "without values", "claims more than it holds"],
)
def test_a_tensor_that_is_no_plain_array_is_one_line(tmp_path: Path, mean: torch.Tensor) -> None:
    torch.save({"mu": mean, "sigma": torch.eye(D)}, tmp_path / "a.pt")
    with pytest.raises(
        InputError, match=r"mu is stored sparse, nested, repeated or without values; save a plain array$"
    ):
        read_statistics(tmp_path / "a.pt")


def test_statistics_in_extended_precision_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", mu=MU.astype(np.longdouble), sigma=SIGMA.astype(np.longdouble))
    found = read_statistics(tmp_path / "a.npz")
    assert found.mean is not None
    assert np.array_equal(found.mean, MU)


def test_texts_are_not_compared_with_statistics(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    np.savez(tmp_path / "a.npz", mu=MU, sigma=SIGMA)
    said = refusal_of(evaluate, tmp_path / "a.txt", "--reference", tmp_path / "a.npz")
    assert said.endswith("compare items of one kind")
