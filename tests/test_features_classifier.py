"""`classifier`: trained once, cached by fingerprint, with the same numbers whether fresh or cached."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genbench import features
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.errors import InputError
from genbench.features import classifier_network, image_classifier
from genbench.features.classifier_network import Classifier, train_classifier
from genbench.features.extractor import Extractor, extract
from genbench.features.image_classifier import design, scaled
from genbench.features.weight_file import content_sha256


def stripes(count: int, shape: tuple[int, int, int] = (3, 12, 12), seed: int = 0) -> Split:
    """Noisy horizontal and vertical stripes: two classes that are easy to tell apart, but not by their mean."""
    randomness = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=randomness)
    rows, columns = torch.arange(shape[1])[:, None], torch.arange(shape[2])[None, :]
    patterns = torch.stack([(rows + 0 * columns) // 2 % 2, (0 * rows + columns) // 2 % 2])
    noise = torch.randint(80, (count, *shape), generator=randomness)
    return Split((patterns[labels][:, None] * 120 + noise).to(torch.uint8), labels)


def striped_dataset(seed: int = 0) -> Dataset:
    train, held_out = stripes(200, seed=seed), stripes(100, seed=seed + 100)
    return Dataset("stripes", train, held_out, ("flat", "upright"), "none", fingerprint(train, held_out))


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier_network, "_FEWEST_STEPS", 40)


def load(dataset: Dataset, cache: Path, seen: list[tuple[str, int, int]] | None = None) -> Extractor:
    def progress(stage: str, done: int, total: int) -> None:
        if seen is not None:
            seen.append((stage, done, total))

    return features.load("classifier", dataset=dataset, device=torch.device("cpu"), cache=cache, progress=progress)


def only_file(cache: Path) -> Path:
    (found,) = (cache / "classifiers").glob("*.safetensors")
    return found


def test_it_learns_to_tell_the_classes_apart(tmp_path: Path) -> None:
    dataset = striped_dataset()
    logits = extract(load(dataset, tmp_path), dataset.held_out.items).logits
    assert logits is not None
    assert (logits.argmax(dim=1) == dataset.held_out.labels).double().mean() > 0.95


def test_it_is_trained_once_and_kept_by_fingerprint(tmp_path: Path) -> None:
    dataset, seen = striped_dataset(), []
    fresh = load(dataset, tmp_path, seen)
    assert seen[0] == ("training the classifier of stripes", 1, 40)
    assert seen[-1] == ("training the classifier of stripes", 40, 40)
    assert dataset.fingerprint in only_file(tmp_path).name
    seen.clear()
    kept = load(dataset, tmp_path, seen)
    assert seen == []
    assert kept.recipe() == fresh.recipe()
    images = dataset.held_out.items
    assert torch.equal(extract(kept, images).features, extract(fresh, images).features)
    other = load(striped_dataset(seed=1), tmp_path, seen)
    assert seen
    assert other.weights_sha256 != fresh.weights_sha256


def test_a_damaged_or_foreign_file_is_made_again(tmp_path: Path) -> None:
    dataset = striped_dataset()
    fresh = load(dataset, tmp_path)
    path = only_file(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[-10] ^= 1
    path.write_bytes(damaged)
    assert load(dataset, tmp_path).weights_sha256 == fresh.weights_sha256
    path.write_bytes(b"cut off")
    assert load(dataset, tmp_path).weights_sha256 == fresh.weights_sha256
    other = striped_dataset(seed=1)
    path.rename(path.with_name(path.name.replace(dataset.fingerprint, other.fingerprint)))
    assert load(other, tmp_path).weights_sha256 != fresh.weights_sha256


def test_of_several_that_need_it_at_once_one_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, train = [], train_classifier

    def counted(*arguments: object) -> Classifier:
        trained.append(arguments)
        return train(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("genbench.features.classifier.train_classifier", counted)
    dataset, found = striped_dataset(), []
    threads = [threading.Thread(target=lambda: found.append(load(dataset, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trained) == 1
    assert len({extractor.weights_sha256 for extractor in found}) == 1
    assert len(found) == 3


def test_training_leaves_torch_as_it_was_and_ignores_its_state() -> None:
    shape, split = torch.Size((3, 12, 12)), stripes(100)
    threads = torch.get_num_threads()
    identities = []
    for seed, count in ((1, 1), (2, 2)):
        torch.manual_seed(seed)
        torch.set_num_threads(count)
        state = torch.get_rng_state()
        with torch.inference_mode():
            identities.append(content_sha256(train_classifier(design(shape), 2, split).state_dict()))
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    assert identities[0] == identities[1]


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 3, 3), (1, 5, 7), (1, 8, 8), (1, 28, 28), (3, 40, 24), (3, 128, 128)])
def test_it_fits_itself_to_any_image_shape(shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier_network, "_FEWEST_STEPS", 1)
    split = stripes(4, shape)
    found, logits = train_classifier(design(torch.Size(shape)), 3, split)(scaled(split.items))
    assert found.shape == (4, 64)
    assert logits.shape == (4, 3)
    assert torch.isfinite(found).all()


def test_features_have_mean_variance_one_and_logits_do_not_notice() -> None:
    split = stripes(300)
    network = train_classifier(design(torch.Size((3, 12, 12))), 2, split)
    found, logits = network(scaled(split.items))
    assert found.var(dim=0).mean().item() == pytest.approx(1, abs=1e-4)
    network.set_feature_scale(3.0)
    larger, same = network(scaled(split.items))
    torch.testing.assert_close(larger, 3 * found)
    torch.testing.assert_close(same, logits, rtol=1e-4, atol=1e-4)


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"cannot be written .*; set GENBENCH_CACHE to another folder") as caught:
        load(striped_dataset(), tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_shifts_keep_the_size_and_move_the_picture() -> None:
    images: Tensor = scaled(stripes(2, (1, 28, 28)).items)
    randomness = torch.Generator().manual_seed(0)
    moved = [image_classifier._shifted(images, randomness) for _ in range(8)]
    assert {tuple(one.shape) for one in moved} == {(2, 1, 28, 28)}
    assert any(not torch.equal(one, images) for one in moved)


@pytest.mark.parametrize("count", [50, 64, 100])
def test_batches_have_each_item_once_before_any_comes_again(count: int) -> None:
    batches = classifier_network._batches(count, torch.Generator().manual_seed(0))
    taken = torch.cat([next(batches) for _ in range(8)])
    epochs = taken[: len(taken) // count * count].view(-1, count)
    assert len(epochs) > 4
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(count).expand_as(epochs))
    assert not torch.equal(epochs[0], epochs[1])
