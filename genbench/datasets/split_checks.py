"""Checks a plugin's dataset and converts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.splits import Splits
from genbench.kinds import NOUNS, kind_named, kind_of_shape
from genbench.kinds.kind import Kind
from genbench.plugin.returned import Unusable, plain
from genbench.plugin.visible import visible

__all__ = ["BadSplitsError", "taken_over"]

_CHUNK = 4096  # items checked at a time
_PAIRS = (("nearest_mode", "mode_count"), ("log_probability", "entropy"), ("train_labels", "held_out_labels"))


class BadSplitsError(ValueError):
    """A plugin did not return a valid dataset; the message names what was found and what was expected."""


def taken_over(given: object, name: str, plugin: Mapping[str, str]) -> Dataset:
    """Return a plugin's dataset after checking every requirement of `Splits`.

    Args:
        given: the return value of `load_dataset`.
        name: of the dataset, as the user wrote it.
        plugin: its distribution, version and source hash.

    Raises:
        BadSplitsError: a requirement is not met.
    """
    if not isinstance(given, Splits):
        raise BadSplitsError(f"returned {type(given).__name__}, expected genbench.Splits")
    for one, other in _PAIRS:
        there = [each for each in (one, other) if getattr(given, each) is not None]
        if len(there) == 1:
            raise BadSplitsError(f"gave {there[0]} without {other if there[0] == one else one}")
    kind = _kind(given)
    train, held_out = (_items(given, which, kind) for which in ("train", "held_out"))
    if train.shape[1:] != held_out.shape[1:]:
        shapes = " and ".join(str(tuple(each.shape[1:])) for each in (train, held_out))
        raise BadSplitsError(f"gave items of two shapes, {shapes}")
    names, train_labels, held_out_labels = _labels(given, len(train), len(held_out))
    splits = Split(train, train_labels, kind), Split(held_out, held_out_labels, kind)
    return Dataset(
        name=name,
        train=splits[0],
        held_out=splits[1],
        class_names=names,
        licence=_line(given.licence, "licence"),
        fingerprint=fingerprint(*splits),
        nearest_mode=given.nearest_mode,
        mode_count=given.mode_count,
        log_probability=given.log_probability,
        entropy=given.entropy,
        remark=None if given.remark is None else _line(given.remark, "remark"),
        plugin=plugin,
    )


def _kind(given: Splits) -> Kind:
    if given.kind not in NOUNS:
        raise BadSplitsError(f"gave items of kind {given.kind!r}, expected one of {', '.join(NOUNS)}")
    kind = kind_named(given.kind)
    own: set[str] = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    told: dict[str, Any] = {
        name: value for name in ("symbols", "sample_rate") if (value := getattr(given, name)) is not None
    }
    for name in ("symbols", "sample_rate"):
        if (name in told) != (name in own):
            raise BadSplitsError(
                f"gave {name} of {kind.noun}, which have none"
                if name in told
                else f"gave {kind.noun} without {name}; say what it is"
            )
    if "symbols" in told:
        told["symbols"] = _symbols(told["symbols"])
    if "sample_rate" in told and (type(told["sample_rate"]) is not int or told["sample_rate"] < 1):
        raise BadSplitsError(f"gave sample_rate {told['sample_rate']!r}, expected a whole number of Hz")
    return replace(kind, **told) if told else kind  # type: ignore[type-var]  # a dataclass where it has fields


def _symbols(given: object) -> tuple[str, ...]:
    symbols = tuple(given) if isinstance(given, tuple | list) else ()
    if len(symbols) < 2 or symbols[0] != "" or any(not isinstance(one, str) or len(one) != 1 for one in symbols[1:]):
        raise BadSplitsError("gave symbols that are not the end's '' and then one character each")
    if len(set(symbols)) < len(symbols):
        raise BadSplitsError("gave symbols of which two are the same")
    return symbols


def _items(given: Splits, which: str, kind: Kind) -> Tensor:
    try:
        items = plain(getattr(given, which), (kind.dtype,))
    except Unusable as error:
        raise BadSplitsError(f"gave {which} as {error}, expected a tensor of {kind.dtype}") from None
    if items.device.type != "cpu":
        raise BadSplitsError(f"gave {which} on {items.device}, expected them on the CPU")
    if items.dim() < 2 or items.dim() > 4 or kind_of_shape(items.shape[1:]).name != kind.name:
        raise BadSplitsError(f"gave {which} of shape {tuple(items.shape)}, which are no {kind.noun}")
    if not items.numel():
        raise BadSplitsError(f"gave {which} of shape {tuple(items.shape)}, which hold nothing")
    values = torch.iinfo(kind.dtype)
    if kind.levels <= values.max - values.min:
        for chunk in items.split(_CHUNK):
            if int(chunk.min()) < 0 or int(chunk.max()) >= kind.levels:
                low, high = int(chunk.min()), int(chunk.max())
                raise BadSplitsError(f"gave {which} with tokens from {low} to {high}, expected 0 to {kind.levels - 1}")
            if not torch.equal(kind.store(kind.deliver(chunk)), chunk):
                raise BadSplitsError(f"gave {which} with symbols after the end of a text, expected only 0")
    return items.contiguous()


def _labels(given: Splits, train: int, held_out: int) -> tuple[tuple[str, ...] | None, Tensor | None, Tensor | None]:
    """Return the names of the classes and the labels of both splits, or neither if there are no labels."""
    if given.train_labels is None:
        if given.class_names is not None:
            raise BadSplitsError("gave class_names without train_labels")
        return None, None, None
    labels = []
    for which, count in (("train_labels", train), ("held_out_labels", held_out)):
        try:
            found = plain(getattr(given, which), (torch.int64,))
        except Unusable as error:
            raise BadSplitsError(f"gave {which} as {error}, expected a tensor of torch.int64") from None
        if tuple(found.shape) != (count,):
            raise BadSplitsError(f"gave {which} of shape {tuple(found.shape)}, expected ({count},)")
        labels.append(found.cpu().contiguous())
    highest = max(int(each.max()) for each in labels)
    names = given.class_names
    if names is None:
        names = tuple(str(number) for number in range(highest + 1))
    if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names):
        raise BadSplitsError("gave class_names that are not a tuple of strings")
    lowest = min(int(each.min()) for each in labels)
    if lowest < 0 or highest >= len(names):
        raise BadSplitsError(f"gave labels from {lowest} to {highest}, expected 0 to {len(names) - 1}")
    if strange := sorted(set(labels[1].tolist()) - set(labels[0].tolist())):
        raise BadSplitsError(f"gave held-out items of class {names[strange[0]]} and none to train on")
    return names, labels[0], labels[1]


def _line(text: object, what: str) -> str:
    if not isinstance(text, str) or not text.strip() or len(text.splitlines()) > 1 or visible(text) != text:
        raise BadSplitsError(f"gave {what} {text!r:.80}, expected one line of text")
    return text.strip()
