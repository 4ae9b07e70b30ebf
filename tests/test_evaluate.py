"""`genbench evaluate`: images from another program, scored as a run would score them; one line for each bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from evaluating import refused, score
from PIL import Image

from genbench import datasets, features, seeding
from genbench.cli.evaluate import evaluate
from genbench.evaluation import controls, references
from genbench.evaluation.measurement import Evaluator
from genbench.evaluation.references import reference_for
from genbench.evaluation.selection import select


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    return datasets.load("digits").held_out.items


def test_a_folder_an_npy_and_an_npz_of_the_same_images_score_the_same(tmp_path: Path, digits: torch.Tensor) -> None:
    array = digits.permute(0, 2, 3, 1).numpy()
    np.save(tmp_path / "a.npy", array[..., 0])
    np.savez(tmp_path / "a.npz", array, np.arange(len(array)))
    (tmp_path / "images").mkdir()
    for index, image in enumerate(array):
        Image.fromarray(image[..., 0]).save(tmp_path / "images" / f"{index:04}.png")
    scores = [score(tmp_path / name, "-d", "digits") for name in ("a.npy", "a.npz", "images")]
    assert scores[0] == scores[1] == scores[2]
    assert scores[0]["fd"] < 1


def test_numbers_come_with_the_error_of_their_evaluation_and_as_asked(tmp_path: Path, digits: torch.Tensor) -> None:
    np.save(tmp_path / "a.npy", digits[:, 0].numpy())
    arguments = [str(tmp_path / "a.npy"), "-d", "digits", "--metrics", "fid,recall"]
    answer = CliRunner().invoke(evaluate, arguments, catch_exceptions=False)
    title, *rows = answer.stdout.splitlines()
    assert (
        title
        == f"{arguments[0]} (500 images) against digits; features: digits-cnn, a small classifier, so fd is not "
        + ("FID; for FID add --extractor inception")
    )
    lines = {line.split()[0]: line.split()[1:] for line in rows}
    assert {name: line[0] for name, line in lines.items()} == {"fd": "↓", "precision": "↑", "recall": "↑"}
    assert lines["fd"][2] == "±"
    assert 0 < float(lines["fd"][3]) < 1
    assert len({len(lines["fd"][place].partition(".")[2]) for place in (1, 3)}) == 1, "as many decimals as its error"
    assert "±" not in lines["recall"]
    assert "±: one standard error" in answer.stderr
    assert "not measured" not in answer.stderr
    assert "\r" not in answer.stderr  # progress is shown only on a terminal


def test_the_floor_stands_beside_each_number_and_is_that_of_the_control(tmp_path: Path, digits: torch.Tensor) -> None:
    np.save(tmp_path / "a.npy", digits[:300, 0].numpy())
    arguments = [str(tmp_path / "a.npy"), "-d", "digits", "--metrics", "fd,authenticity"]
    answer = CliRunner().invoke(evaluate, arguments, catch_exceptions=False)
    assert all(" real 0." in line for line in answer.stdout.splitlines()[1:])
    assert "the score of 300 held-out images in place of yours" in answer.stderr
    found = json.loads(CliRunner().invoke(evaluate, [*arguments, "--json"], catch_exceptions=False).stdout)
    dataset = datasets.load("digits")
    extractor = features.load("digits-cnn", dataset=dataset, device=torch.device("cpu"))
    images = controls.draw("real", dataset, 300, seeding.generator(0, "control", "real"))
    evaluator = Evaluator(dataset, extractor, reference_for(dataset, extractor), select(("fd", "authenticity")))
    expected = evaluator.score(images, None, samples_held_out=True)
    assert found["real"].keys() == found["numbers"].keys() == expected.keys()
    for name, number in expected.items():
        assert found["real"][name]["value"] == pytest.approx(number.value, rel=1e-4)
        assert found["real"][name]["recipe"] == found["numbers"][name]["recipe"] == number.recipe


def test_a_reference_of_files_is_one_wherever_it_lies_and_claims_nothing_of_held_out_images(
    tmp_path: Path, digits: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is the reference, even beyond the limit to which a dataset's training split is cut."""
    monkeypatch.setattr(references, "REFERENCE_LIMIT", 100)
    np.save(tmp_path / "a.npy", digits[:200, 0].numpy())
    np.savez(tmp_path / "b.npz", digits[:200, 0].numpy())
    documents = []
    for reference in ("a.npy", "b.npz"):
        arguments = [str(tmp_path / "a.npy"), "--reference", str(tmp_path / reference), "--json"]
        documents.append(json.loads(CliRunner().invoke(evaluate, arguments, catch_exceptions=False).stdout))
    assert documents[0] == documents[1]
    assert {recipe["reference_count"] for recipe in documents[0]["recipes"].values()} == {200}
    assert "authenticity" in documents[0]["numbers"]
    assert "authenticity_p" not in documents[0]["numbers"]
    assert documents[0]["real"] == {}


def test_images_of_the_reference_itself_are_at_distance_zero(tmp_path: Path, digits: torch.Tensor) -> None:
    np.save(tmp_path / "a.npy", digits[:, 0].numpy())
    found = score(tmp_path / "a.npy", "--reference", tmp_path / "a.npy", "--extractor", "random-conv")
    assert abs(found["fd"]) < 1e-6
    assert found["precision"] == found["recall"] == 1.0


def test_images_that_are_all_alike_are_at_distance_zero_of_themselves(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((100, 8, 8, 1), np.uint8))
    arguments = [str(path), "--reference", str(path), "--metrics", "fd", "--json"]
    answer = CliRunner().invoke(evaluate, arguments, catch_exceptions=False)
    assert json.loads(answer.stdout)["numbers"]["fd"]["value"] == 0.0


def test_what_cannot_be_measured_is_said_and_the_rest_still_comes(tmp_path: Path, digits: torch.Tensor) -> None:
    np.save(tmp_path / "a.npy", digits[:5, 0].numpy())
    answer = CliRunner().invoke(evaluate, [str(tmp_path / "a.npy"), "-d", "digits"], catch_exceptions=False)
    assert answer.stdout.splitlines()[1].startswith("fd ")
    assert "not measured: classifier_score: needs at least 10 sample logits, got 5" in answer.stderr
    assert "5 images" in answer.stderr
    document = CliRunner().invoke(evaluate, [str(tmp_path / "a.npy"), "-d", "digits", "--json"], catch_exceptions=False)
    reasons = json.loads(document.stdout)["not_measured"]
    assert reasons["classifier_score"] == "classifier_score: needs at least 10 sample logits, got 5"


def test_a_corrupt_image_is_named_or_passed_over_and_counted(tmp_path: Path, digits: torch.Tensor) -> None:
    for index in range(30):
        Image.fromarray(digits[index, 0].numpy()).save(tmp_path / f"{index:02}.png")
    (tmp_path / "07.png").write_bytes(b"no picture")
    whole = (tmp_path / "08.png").read_bytes()
    (tmp_path / "08.png").write_bytes(whole[: len(whole) - 40])
    assert refused(tmp_path, "-d", "digits").startswith(f"{tmp_path / '07.png'}: cannot be decoded: it is not an image")
    answer = CliRunner().invoke(evaluate, [str(tmp_path), "-d", "digits", "--skip-corrupt"], catch_exceptions=False)
    assert "28 images" in answer.stderr
    assert f"{tmp_path}: 2 passed over: {tmp_path / '07.png'}: it is not an image" in answer.stderr
    np.save(tmp_path / "a.npy", digits[:40, 0].numpy())
    arguments = [str(tmp_path / "a.npy"), "--reference", str(tmp_path), "--skip-corrupt", "--metrics", "fd"]
    answer = CliRunner().invoke(evaluate, arguments, catch_exceptions=False)
    assert f"{tmp_path}: 2 passed over" in answer.stderr
    assert "held-out" not in answer.stderr  # there is no floor for a reference that the user names


def test_a_floor_of_more_images_than_are_held_out_says_so(tmp_path: Path, digits: torch.Tensor) -> None:
    np.save(tmp_path / "a.npy", torch.cat([digits, digits[:100]])[:, 0].numpy())
    arguments = [str(tmp_path / "a.npy"), "-d", "digits", "--metrics", "fd"]
    answer = CliRunner().invoke(evaluate, arguments, catch_exceptions=False)
    assert "the score of 600 held-out images in place of yours; only 500 exist" in answer.stderr


def test_of_many_files_that_are_passed_over_a_few_are_named(tmp_path: Path, digits: torch.Tensor) -> None:
    for index in range(20):
        Image.fromarray(digits[index, 0].numpy()).save(tmp_path / f"{index:02}.png")
    for index in range(7):
        (tmp_path / f"bad{index}.png").write_bytes(b"no picture")
    arguments = [str(tmp_path), "-d", "digits", "--skip-corrupt", "--metrics", "fd"]
    answer = CliRunner().invoke(evaluate, arguments, catch_exceptions=False)
    assert "7 passed over" in answer.stderr
    assert [f"bad{index}.png" in answer.stderr for index in range(7)] == [True] * 5 + [False] * 2


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([object()], dtype=object), "holds Python objects, which genbench never unpickles"),
        (np.zeros((4, 8, 8, 1), np.float32), "holds float32, expected uint8 in 0..255"),
        (np.full((4, 8, 8, 1), np.nan), "holds float64, expected uint8"),
        (np.zeros((4, 8), np.uint8), "of shape (4, 8), expected (N, H, W, C)"),
        (np.zeros((4, 2, 8, 8), np.uint8), "of shape (4, 2, 8, 8), expected (N, H, W, C) or (N, C, H, W) with"),
        (np.zeros((4, 3, 8, 3), np.uint8), "so its channels may be the second or the last axis"),
        (np.zeros((0, 8, 8, 1), np.uint8), "holds no images: it is of shape (0, 8, 8, 1)"),
        (np.zeros((4, 9, 9, 1), np.uint8), "extractor 'digits-cnn': takes 1x8x8 images"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_that_are_no_images(tmp_path: Path, array: np.ndarray, message: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    np.save(path, array) if suffix == ".npy" else np.savez(path, array)
    assert message in refused(path, "-d", "digits")


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    np.save(tmp_path / "a.npy", np.array([Evil()], dtype=object))
    refused(tmp_path / "a.npy", "-d", "digits")
    assert not (tmp_path / "ran").exists()


def test_an_archive_without_an_array_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz")
    assert refused(tmp_path / "a.npz", "-d", "digits").startswith(f"{tmp_path / 'a.npz'}: holds no array")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_damaged_file_is_named(tmp_path: Path, suffix: str, digits: torch.Tensor) -> None:
    path = tmp_path / f"a{suffix}"
    np.save(path, digits.numpy()) if suffix == ".npy" else np.savez(path, digits.numpy())
    path.write_bytes(path.read_bytes()[:100])
    assert refused(path, "-d", "digits").startswith(f"{path}: ")


def test_paths_and_flags_that_make_no_sense(tmp_path: Path) -> None:
    assert refused(tmp_path / "none", "-d", "digits") == f"{tmp_path / 'none'}: no such folder or file"
    assert "no images in it" in refused(tmp_path, "-d", "digits")
    (tmp_path / "a.dat").write_text("")
    assert "neither a folder or .zip of images nor an .npy" in refused(tmp_path / "a.dat", "-d", "digits")
    assert "either a dataset with -d, or items with --reference" in refused(tmp_path)
    assert "either a dataset with -d, or items with --reference" in refused(
        tmp_path, "-d", "digits", "--reference", "x"
    )
