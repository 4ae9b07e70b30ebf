"""Extractors for texts: what they count, what they may depend on, and what metrics detect with them."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genbench import datasets, features
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.errors import InputError
from genbench.evaluation import controls, measurement
from genbench.evaluation.references import reference_for
from genbench.features import classifier, classifier_network, text_classifier
from genbench.features.extractor import Extractor, extract
from genbench.features.ngram import BUCKETS, ORDERS, Ngram, bucket_counts, hash_table, load_ngram
from genbench.kinds.text import BYTES, Text
from genbench.seeding import generator

CPU = torch.device("cpu")
ABC = Text(("", "a", "b", "c"))
GRAMMAR = "grammar:count=300,held_out=300"
OF_FEATURES = {"fd", "kid", "precision", "recall", "density", "coverage", "authenticity", "c_t", "fd_gap"}


def stored(kind: Text, texts: list[str], length: int) -> Tensor:
    """Texts as tokens, one by one."""
    return torch.tensor([(kind.tokens(text) + [0] * length)[:length] for text in texts], dtype=torch.int16)


def dataset_of(
    kind: Text, train: Tensor, held_out: Tensor, labels: tuple[Tensor, Tensor] | None = None, classes: int = 0
) -> Dataset:
    splits = [
        Split(items, None if labels is None else labels[index], kind) for index, items in enumerate((train, held_out))
    ]
    names = None if labels is None else tuple(map(str, range(classes)))
    return Dataset("made", splits[0], splits[1], names, "none", fingerprint(*splits))


@cache
def ngram(kind: Text, precision: str = "fp32") -> Extractor:
    return load_ngram(kind.symbols, CPU, precision)


def runs(text: str, length: int) -> Counter[str]:
    """The n-grams of a text by slicing: `^` marks the beginning, `$` the end."""
    symbols = text + "$" if len(text) < length else text
    padded = "^" * (ORDERS - 1) + symbols
    ends = range(ORDERS, len(padded) + 1)
    return Counter(padded[end - order : end] for end in ends for order in range(1, ORDERS + 1))


def bucket(kind: Text, run: str) -> int:
    table, token = hash_table(kind.symbols).tolist(), {"^": len(kind.symbols), "$": 0}
    found = 0
    for offset, symbol in enumerate(reversed(run)):
        found ^= table[token[symbol] if symbol in token else kind.symbols.index(symbol)][offset]
    return found


@pytest.mark.parametrize("length", [4, 6])
def test_counts_are_those_of_slices(length: int) -> None:
    """In four tokens, `aaba` has no end to count; in six it has one."""
    texts = ["aaba", "", "c", "abca"]
    assert runs("c", 4) == Counter(["c", "^c", "^^c", "^^^c", "$", "c$", "^c$", "^^c$"])
    tokens = stored(ABC, texts, length).long()
    buckets, counts, starts = bucket_counts(tokens, hash_table(ABC.symbols))
    ends = [*starts[1:].tolist(), len(buckets)]
    for text, start, end in zip(texts, starts.tolist(), ends, strict=True):
        expected: Counter[int] = Counter()
        for run, count in runs(text, length).items():
            expected[bucket(ABC, run)] += count
        assert dict(zip(buckets[start:end].tolist(), counts[start:end].tolist(), strict=True)) == expected
    assert counts.sum().item() == ORDERS * sum(min(len(text) + 1, length) for text in texts)


def test_features_are_logarithms_of_counts_times_signs() -> None:
    text, length = "abababc", 9
    network = Ngram(ABC.symbols)
    assert set(network.projection.unique().tolist()) == {-1 / 16, 1 / 16}
    counts = torch.zeros(BUCKETS, dtype=torch.float64)
    for run, count in runs(text, length).items():
        counts[bucket(ABC, run)] += count
    expected = counts.log1p() @ network.projection.double()
    found, logits = ngram(ABC)(stored(ABC, [text], length))
    torch.testing.assert_close(found[0].double(), expected, rtol=1e-5, atol=1e-6)
    assert logits is None


def test_the_projection_keeps_squared_norms_in_expectation() -> None:
    """Over 400 texts, no two of which share many n-grams, the mean ratio is 1 within four standard errors."""
    kind = Text(("", *map(chr, range(0x4E00, 0x4E00 + 3000))))
    tokens = torch.randint(1, 3001, (400, 12), generator=torch.Generator().manual_seed(0)).to(torch.int16)
    _, counts, starts = bucket_counts(tokens.long(), hash_table(kind.symbols))
    squares = counts.double().log1p().square()
    norms = torch.stack([part.sum() for part in squares.tensor_split(starts[1:])])
    ratios = ngram(kind)(tokens)[0].double().square().sum(1) / norms
    assert ratios.mean().item() == pytest.approx(1, abs=4 * ratios.std().item() / 20)
    assert ratios.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.25)


def test_equal_texts_have_equal_features_whatever_the_alphabet_and_the_room() -> None:
    texts = ["a cat", "cab", "", "bbbbbbbb"]
    wider = Text(("", "z", "t", "é", "c", " ", "b", "a"))
    own = ngram(Text(("", " ", "a", "b", "c", "t")))
    expected = own(stored(Text(("", " ", "a", "b", "c", "t")), texts, 9))[0]
    for kind in (wider, Text(BYTES)):
        for length in (9, 30):
            assert torch.equal(ngram(kind)(stored(kind, texts, length))[0], expected)
    assert ngram(wider).recipe() == own.recipe()
    assert len(expected.unique(dim=0)) == 4
    tokens = torch.tensor([[1, 2, 0]], dtype=torch.int16)  # a different text in each alphabet
    assert not torch.equal(own(tokens)[0], ngram(wider)(tokens)[0])


def test_a_text_has_the_same_bits_whatever_stands_beside_it() -> None:
    items = ABC.random(70, (11,), torch.Generator().manual_seed(0))
    extractor = ngram(ABC)
    together = extract(extractor, items).features
    for size in (1, 7):
        assert torch.equal(extract(extractor, items, batch_size=size).features, together)
    backwards = torch.arange(69, -1, -1)
    assert torch.equal(extract(extractor, items[backwards]).features, together[backwards])
    assert extract(extractor, items[:0]).features.shape == (0, 256)
    assert extractor(items[:0])[0].shape == (0, 256)
    rounded = extract(ngram(ABC, "bf16"), items).features
    assert 0 < ((rounded - together).norm() / together.norm()).item() < 0.02


def test_the_recipe_has_no_fields_of_images(tmp_path: Path) -> None:
    recipe = ngram(ABC).recipe()
    assert recipe.keys().isdisjoint({"profile", "resizer", "range"})
    assert {"extractor", "weights_sha256", "dtype", "precision", "procedure", "orders", "buckets"} <= recipe.keys()
    assert recipe["dimension"] == ngram(ABC).feature_count


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (torch.zeros(2, 5, dtype=torch.int64), r"takes \(B, L\) int16 tokens of texts, got \(2, 5\) torch.int64"),
        (torch.zeros(2, 1, 5, dtype=torch.int16), r"takes \(B, L\) int16 tokens"),
        (torch.full((1, 5), 4, dtype=torch.int16), "takes tokens from 0 to 3, got 4 to 4"),
        (torch.full((1, 5), -1, dtype=torch.int16), "takes tokens from 0 to 3, got -1 to -1"),
    ],
)
def test_what_is_no_text_is_refused(items: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=f"extractor 'ngram': {message}"):
        ngram(ABC)(items)


def test_each_kind_has_its_extractors(tmp_path: Path) -> None:
    texts, pixels = datasets.load(GRAMMAR), Split(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), None)
    images = Dataset("pictures", pixels, pixels, None, "none", fingerprint(pixels, pixels))

    def load(name: str, dataset: Dataset, **more: Any) -> Extractor:
        return features.load(name, dataset=dataset, device=CPU, cache=tmp_path, **more)

    assert load("auto", texts).name == load("auto", labelled()).name == "ngram"
    for name, dataset, message in (
        ("random-conv", texts, r"takes images, but grammar:\S+ holds texts"),
        ("ngram", images, "takes texts, but pictures holds images"),
        ("minilm", images, "takes texts, but pictures holds images"),
        ("classifier", texts, "has no labels of at least two classes; use ngram"),
    ):
        with pytest.raises(InputError, match=f"extractor '{name}'.*{message}"):
            load(name, dataset)
    with pytest.raises(InputError, match=r"extractor 'ngram': takes no --weights; leave it out$"):
        load("auto", texts, weights=tmp_path / "w.pth")


def labelled(length: int = 9) -> Dataset:
    """Texts that contain `cab` (label 1) or do not (label 0); held-out labels are swapped."""
    splits, labels = [], []
    for count, seed in ((300, 0), (200, 1)):
        randomness = torch.Generator().manual_seed(seed)
        items = torch.randint(1, 3, (count, length), generator=randomness).to(torch.int16)  # only a and b
        found = torch.arange(count) % 2
        place = torch.randint(length - 2, (count,), generator=randomness)
        for row in found.nonzero().flatten().tolist():
            items[row, place[row] : place[row] + 3] = torch.tensor([3, 1, 2], dtype=torch.int16)
        splits.append(items)
        labels.append(found)
    return dataset_of(ABC, splits[0], splits[1], (labels[0], 1 - labels[1]), 2)


def test_the_classifier_is_trained_on_training_texts_alone_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_network, "_FEWEST_STEPS", 40)
    monkeypatch.setattr(classifier_network, "_MOST_STEPS", 40)
    dataset, seen = labelled(), []

    def load() -> Extractor:
        return features.load(
            "classifier", dataset=dataset, device=CPU, cache=tmp_path, progress=lambda *step: seen.append(step)
        )

    fresh = load()
    assert seen[-1] == ("training the classifier of made", 40, 40)
    seen.clear()
    kept = load()
    assert seen == []
    assert kept.recipe() == fresh.recipe()
    assert kept.recipe()["procedure"] == text_classifier.PROCEDURE
    assert [path.name for path in (tmp_path / "classifiers").glob("*.safetensors")] == [
        f"{text_classifier.PROCEDURE}-{dataset.fingerprint}.safetensors"
    ]
    for split, agreement in ((dataset.train, 1.0), (dataset.held_out, 0.0)):
        found = extract(kept, split.items)
        assert torch.equal(found.features, extract(fresh, split.items).features)
        assert found.logits is not None
        assert (found.logits.argmax(1) == split.labels).double().mean().item() == pytest.approx(agreement, abs=0.02)
    assert found.features.shape == (200, 64)
    alone = extract(kept, dataset.train.items, batch_size=1).features
    torch.testing.assert_close(alone, extract(kept, dataset.train.items).features, rtol=1e-4, atol=1e-5)
    assert extract(kept, dataset.train.items).features.var(0).mean().item() == pytest.approx(1, abs=0.05)
    with pytest.raises(InputError, match="takes texts of up to 9 symbols, got 8"):
        kept(dataset.train.items[:, :8])


@pytest.mark.parametrize("length", [1, 2, 7, 8, 40])
def test_the_classifier_fits_itself_to_any_length(length: int) -> None:
    network = classifier_network.Classifier(text_classifier.design(length, 4), 3).eval()
    found, logits = network(ABC.random(5, (length,), torch.Generator().manual_seed(0)).long())
    assert (found.shape, logits.shape) == ((5, 64), (5, 3))
    assert torch.isfinite(found).all()


def test_every_metric_of_features_takes_ngram_and_tells_noise_and_copies_from_data() -> None:
    dataset = datasets.load(GRAMMAR)
    extractor = features.load("auto", dataset=dataset, device=CPU)
    evaluator = measurement.Evaluator(dataset, extractor, reference_for(dataset, extractor))
    found = {}
    for name in ("real", "copycat", "ngram", "noise"):
        items = controls.draw(name, dataset, 300, generator(0, "control", name))
        numbers = evaluator.score(items, None, samples_held_out=name == "real")
        found[name] = {key: number.value for key, number in numbers.items()}
        assert set(numbers) >= OF_FEATURES
    for worse, better, factor in (("ngram", "real", 2), ("noise", "ngram", 4)):
        assert found[worse]["fd"] > factor * found[better]["fd"]
    assert found["noise"]["kid"] > 0.1 > 0.01 > found["real"]["kid"]
    assert found["noise"]["precision"] < 0.05 < 0.8 < found["real"]["precision"]
    assert found["noise"]["coverage"] < 0.05 < 0.8 < found["real"]["coverage"]
    for test in ("c_t_p", "authenticity_p"):
        assert found["copycat"][test] < 1e-6 < 0.01 < found["real"][test]


def test_a_classifier_takes_the_symbols_of_its_dataset_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = dict[str, Any]()
    monkeypatch.setattr(text_classifier, "design", lambda length, levels: taken.update(length=length, levels=levels))
    data = datasets.load("grammar:count=20,held_out=10")
    classifier._DESIGNS["text"](data)
    assert taken == {"length": data.shape[0], "levels": len(data.kind.symbols)}  # the end is one of them
