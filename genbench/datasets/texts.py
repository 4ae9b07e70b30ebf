"""Converts texts to tokens: alphabet, length and truncation; shared by all text datasets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.options import whole_number
from genbench.datasets.room import shortage
from genbench.datasets.source import Request
from genbench.errors import InputError, nearest, quoted
from genbench.kinds.text import BYTES, END, MOST_SYMBOLS, Text

__all__ = [
    "Tokens",
    "Encoded",
    "alphabet",
    "alphabet_of",
    "dataset_of",
    "encode",
    "options_of",
    "refuse_image_size",
    "tokens_of",
    "windows_of",
]

Tokens = npt.NDArray[np.int16]
LONGEST = 256  # the default maximum number of symbols in a text, because a model's cost grows with it
_SYMBOLS = ("char", "byte")


@dataclass(frozen=True)
class Options:
    """The options of any text dataset.

    Args:
        length: the maximum number of symbols in a text; None for the longest, up to `LONGEST`.
        by_bytes: whether symbols are UTF-8 bytes instead of characters.
    """

    length: int | None = None
    by_bytes: bool = False


@dataclass(frozen=True)
class Encoded:
    """Texts as tokens.

    Args:
        items: (N, L) int16.
        cut: the number of texts that were longer than L and were truncated.
        unknown: the number of symbols outside the alphabet, which were left out.
        unknown_texts: the number of texts with such symbols.
        first_unknown: the first such symbol, or None.
    """

    items: Tensor
    cut: int
    unknown: int = 0
    unknown_texts: int = 0
    first_unknown: str | None = None


def options_of(request: Request) -> Options:
    """Parse `length=` and `symbols=`.

    Raises:
        InputError: a value is invalid.
    """
    symbols = request.options.get("symbols", "char")
    if symbols not in _SYMBOLS:
        raise request.fault(f"symbols must be char or byte, not {quoted(symbols)}{nearest(symbols, _SYMBOLS)}")
    length = request.options.get("length")
    return Options(None if length is None else whole_number(request, "length", length, 1), symbols == "byte")


def refuse_image_size(request: Request) -> None:
    """Raise `InputError` if an image size is requested for texts."""
    if request.image_size is not None:
        raise request.fault(f"--image-size {request.image_size} has no effect on texts; leave it out")


def dataset_of(
    request: Request,
    train: Sequence[str],
    held_out: Sequence[str],
    labels: tuple[Sequence[int], Sequence[int]] | None = None,
    class_names: tuple[str, ...] | None = None,
    remarks: Iterable[str] = (),
) -> Dataset:
    """Return texts as a dataset over the alphabet of all of them.

    Args:
        request: its options specify how texts are read.
        train: the training texts.
        held_out: the held-out texts.
        labels: of both splits, or None.
        class_names: one per label.
        remarks: notes for the user, in addition to the one on truncation.

    Raises:
        InputError: more characters than tokens can represent, or texts that do not fit into memory.
    """
    options = options_of(request)
    texts = [*train, *held_out]
    kind = alphabet_of(request, texts)
    longest = max(map(len, map(kind.spelt, texts)))
    length = options.length or min(longest, LONGEST)
    _require_memory(request, len(texts), length)
    splits, cut = [], 0
    for index, chosen in enumerate((train, held_out)):
        encoded = encode(kind, chosen, length)
        cut += encoded.cut
        splits.append(Split(encoded.items, None if labels is None else torch.tensor(labels[index]), kind))
    told = [*remarks, *([f"{cut:,} of {len(texts):,} texts were cut to {length} symbols"] if cut else [])]
    return _dataset(request, splits, class_names, "; ".join(told) or None)


def windows_of(request: Request, kind: Text, train: Tokens, held_out: Tokens, window: int) -> Dataset:
    """Return running texts as a dataset of windows of `window` symbols, one after the other; none of them ends.

    Args:
        request: whose they are.
        kind: whose alphabet the tokens are of.
        train: tokens (T,) to train on.
        held_out: the others.
        window: how many tokens one has.

    Raises:
        InputError: a split is shorter than a window, or does not fit into the memory.
    """
    splits, left = [], 0
    for name, tokens in (("to train on", train), ("that is held out", held_out)):
        count = len(tokens) // window
        if not count:
            raise request.fault(f"the text {name} has {len(tokens):,} symbols, fewer than a window of {window:,}")
        left += len(tokens) - count * window
        splits.append(Split(torch.from_numpy(tokens[: count * window].reshape(count, window)), None, kind))
    remark = f"{left:,} symbols do not fill a window of {window} and were left out" if left else None
    return _dataset(request, splits, None, remark)


def alphabet_of(request: Request, texts: Iterable[str]) -> Text:
    """Return the kind whose symbols are the characters of all texts, or all bytes.

    Raises:
        InputError: there are more characters than tokens can represent.
    """
    if options_of(request).by_bytes:
        return Text(BYTES)
    try:
        return alphabet(texts)
    except InputError as error:
        raise request.fault(f"{error}; read it with symbols=byte") from error


def alphabet(texts: Iterable[str]) -> Text:
    """Return the kind whose symbols are the characters of all texts, in the order of their code points.

    Raises:
        InputError: there are more than tokens can represent.
    """
    characters = sorted(set().union(*texts))
    if len(characters) >= MOST_SYMBOLS:
        raise InputError(
            f"holds {len(characters):,} different characters, and at most {MOST_SYMBOLS - 1:,} are supported"
        )
    return Text(("", *characters))


def encode(kind: Text, texts: Sequence[str], length: int) -> Encoded:
    """Return texts as tokens of one alphabet, each cut to `length` symbols; symbols outside the alphabet are left out.

    >>> encode(Text(("", "a", "b")), ["ab", "bcab"], 3).items.tolist()
    [[1, 2, 0], [2, 1, 2]]
    """
    items = np.full((len(texts), length), END, np.int16)
    cut = unknown = unknown_texts = 0
    first = None
    for row, text in enumerate(texts):
        tokens = kind.tokens(text)
        if -1 in tokens:
            first = first or kind.spelt(text)[tokens.index(-1)]
            unknown += tokens.count(-1)
            unknown_texts += 1
            tokens = [token for token in tokens if token >= 0]
        cut += len(tokens) > length
        items[row, : min(len(tokens), length)] = tokens[:length]
    return Encoded(torch.from_numpy(items), cut, unknown, unknown_texts, first)


def tokens_of(request: Request, kind: Text, text: str) -> Tokens:
    """Return the tokens (T,) of one long text over its own alphabet.

    Raises:
        InputError: they do not fit into memory.
    """
    _require_memory(request, 4 * len(text), 1)
    spelt = np.frombuffer(kind.spelt(text).encode("utf-32-le", "surrogatepass"), np.uint32)
    symbols = np.array([ord(symbol) for symbol in kind.symbols[1:]], np.uint32)  # ascending
    return (np.searchsorted(symbols, spelt) + 1).astype(np.int16)


def _dataset(
    request: Request, splits: Sequence[Split], class_names: tuple[str, ...] | None, remark: str | None
) -> Dataset:
    return Dataset(
        name=request.spec,
        train=splits[0],
        held_out=splits[1],
        class_names=class_names,
        licence=request.source.licence,
        fingerprint=fingerprint(*splits),
        remark=remark,
    )


def _require_memory(request: Request, count: int, length: int) -> None:
    if (fault := shortage(8 * count * length)) is not None:  # tokens, and the text they are converted from
        raise request.fault(f"its texts {fault}")
