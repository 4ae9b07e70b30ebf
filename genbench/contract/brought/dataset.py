"""The contract for datasets: the same items everywhere, disjoint splits, and plausible values."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from genbench.contract.brought.suite import LOADS, Suite, Trial, stir
from genbench.contract.check import Check
from genbench.contract.checks.module import check_annotations
from genbench.contract.fault import Caution, Fault, Unmet, calling
from genbench.datasets.brought import given
from genbench.datasets.dataset import Dataset
from genbench.datasets.split_checks import BadSplitsError, taken_over
from genbench.plugin import options, world
from genbench.plugin.families import DATASET
from genbench.plugin.loading import Plugin

__all__ = ["SUITE"]

HOOK = DATASET.hook
FEW = 0.01  # fraction of held-out items that may also be training items, because real data contain duplicates
LOOKED_AT = 1000  # number of items that the checks of values, modes and probabilities examine
_ELSEWHERE = "from genbench.datasets.brought import fingerprint_of; print(fingerprint_of(*{arguments!r}))"


class DatasetTrial(Trial):
    """A dataset under test, loaded once for all checks that examine its items."""

    def __init__(self, plugin: Plugin, given: Mapping[str, Any]) -> None:
        super().__init__(plugin, given)
        self._dataset: Dataset | None = None

    @property
    def dataset(self) -> Dataset:
        """The dataset of the first load."""
        if self._dataset is None:
            self._dataset = self.load()
        return self._dataset

    def load(self, image_size: int | None = None) -> Dataset:
        """Load it again, with images of that side; raise `Fault` if that raises or does not return a dataset."""
        with calling(HOOK, self.home), world.imports_put_back():
            splits = given(self.plugin, self.given, image_size=image_size)
        try:
            return taken_over(splits, self.plugin.found.name, {})
        except BadSplitsError as error:
            raise Fault(
                f"{HOOK} to return a sound genbench.Splits", f"that it {error}", "see the docstring of Splits"
            ) from error


def takes_options(trial: DatasetTrial) -> None:
    """The builder's signature lists the options, each with a type."""
    accepted = options.accepted(trial.plugin)
    if accepted is None:
        raise Fault(
            f"{HOOK} to pass **options to a builder with named, annotated arguments",
            f"a {HOOK} whose source does not",
            "write `return draw(**options)`, where `def draw(size: int = 16)`",
        )
    check_annotations(accepted)


def gives(trial: DatasetTrial) -> None:
    """`load_dataset` returns two splits of items in their kind's stored form, with valid labels and a licence."""
    assert trial.dataset


def repeats(trial: DatasetTrial) -> None:
    """Loading twice in one process gives the same items, whatever the state of the global generators."""
    known = trial.dataset.fingerprint
    stir()
    if trial.load().fingerprint != known:
        raise Fault(
            "the same items from a second load", "different items", "draw from a generator that you seed yourself"
        )


def repeats_elsewhere(trial: DatasetTrial) -> None:
    """Loading in another process, with another hash seed of Python, gives the same items."""
    found = trial.plugin.found
    arguments = (found.name, found.target, str(found.file or ""), json.dumps(trial.given))
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    answer = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE.format(arguments=arguments)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if answer.returncode:
        last = answer.stderr.strip().splitlines()[-1:] or ["no error message"]
        raise Fault("it to load in another process too", last[0], "do not depend on the state of the process")
    if answer.stdout.split()[-1:] != [trial.dataset.fingerprint]:
        raise Fault(
            "the same items in another process",
            "different items",
            "sort anything that comes from a set or a directory listing, and do not read the clock",
        )


def splits_are_disjoint(trial: DatasetTrial) -> None:
    """No held-out item is also a training item."""
    train, held_out = trial.dataset.train.items, trial.dataset.held_out.items
    known = set(_digests(train))
    shared = sum(digest in known for digest in _digests(held_out))
    if shared > FEW * len(held_out):
        raise Fault(
            "held-out items that are not training items",
            f"{shared:,} of {len(held_out):,} that are",
            "split first, or draw the two splits from separate random streams",
        )
    if shared:
        raise Caution(f"{shared:,} of {len(held_out):,} held-out items are also training items")


def has_range(trial: DatasetTrial) -> None:
    """Items differ from one another, and use more than the two lowest values of their range."""
    for which, split in (("train", trial.dataset.train), ("held_out", trial.dataset.held_out)):
        items = split.items[:LOOKED_AT]
        if len(split) > 1 and bool((items == items[:1]).all()):
            raise Fault(f"items of {which} that differ", "the same item every time", "check how they are created")
    values = trial.dataset.train.items[:LOOKED_AT]
    if trial.dataset.kind.levels > 2 and int(values.min()) >= 0 and int(values.max()) <= 1:
        raise Fault(
            f"values of up to {trial.dataset.kind.levels - 1}",
            f"none above {int(values.max())}",
            "scale values before storing them, as in (255 * x).round()",
        )


def has_labels(trial: DatasetTrial) -> None:
    """Every class has items in both splits."""
    dataset = trial.dataset
    if dataset.class_names is None:
        raise Unmet("it has no labels")
    for which, split in (("to train on", dataset.train), ("held out", dataset.held_out)):
        assert split.labels is not None
        counts = torch.bincount(split.labels, minlength=len(dataset.class_names))
        if empty := [name for name, count in zip(dataset.class_names, counts.tolist(), strict=True) if not count]:
            raise Caution(f"class {empty[0]} has no items {which}")


def knows(trial: DatasetTrial) -> None:
    """Modes and log-probabilities, if provided, are valid for the dataset's own items."""
    dataset, items = trial.dataset, trial.dataset.train.items[:LOOKED_AT]
    if dataset.nearest_mode is None and dataset.log_probability is None:
        raise Unmet("it provides neither modes nor probabilities")
    if dataset.nearest_mode is not None:
        with calling("nearest_mode", trial.home):
            modes = dataset.nearest_mode(items)
        _check_rows("nearest_mode", modes, len(items), torch.int64)
        if int(modes.min()) < -1 or int(modes.max()) >= (dataset.mode_count or 0):
            raise Fault(
                f"modes from -1 to mode_count - 1, {(dataset.mode_count or 0) - 1}",
                f"{int(modes.min())} to {int(modes.max())}",
                "number the modes from 0; -1 means no mode",
            )
    if dataset.log_probability is not None:
        with calling("log_probability", trial.home):
            nats = dataset.log_probability(items)
        _check_rows("log_probability", nats, len(items), torch.float64)
        if not bool(torch.isfinite(nats).all()) or float(nats.max()) > 0:
            raise Fault("finite log-probabilities of at most 0 for its own items", "others", "return nats per item")


def _check_rows(what: str, value: Any, count: int, dtype: torch.dtype) -> None:
    if not isinstance(value, Tensor) or tuple(value.shape) != (count,) or value.dtype != dtype:
        found = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise Fault(f"{what} to return {dtype} ({count},)", found, "return one number per item")


def leaves_state_alone(trial: DatasetTrial) -> None:
    """Loading leaves settings, working directory and every global random generator unchanged."""
    with world.noting() as changed:
        trial.load()
    if changed:
        raise Fault(
            "unchanged global state",
            f"that it changed {'; '.join(changed)}",
            "draw from torch.Generator().manual_seed(seed), and pass it to every random call",
        )


def image_size(trial: DatasetTrial) -> None:
    """If it takes `image_size`, images have that size."""
    if not trial.plugin.implements(HOOK, "image_size"):
        raise Unmet("load_dataset does not take image_size")
    side = 16
    shape = tuple(trial.load(side).shape)
    if shape[1:] != (side, side):
        raise Fault(f"images of {side}x{side}", f"{shape}", "resize them, or remove image_size from the hook")


def _digests(items: Tensor) -> Iterator[bytes]:
    for item in items:
        yield hashlib.blake2b(item.contiguous().numpy().tobytes(), digest_size=16).digest()


_LOADED = ("loads",)
_GIVES = ("loads", "gives")
SUITE = Suite(
    DATASET,
    (
        *LOADS,
        Check("options", takes_options, needs=_LOADED, once=True),
        Check("gives", gives, needs=_LOADED, once=True),
        Check("repeats", repeats, needs=_GIVES, once=True),
        Check("repeats_elsewhere", repeats_elsewhere, needs=(*_GIVES, "repeats"), once=True),
        Check("disjoint", splits_are_disjoint, needs=_GIVES, once=True),
        Check("range", has_range, needs=_GIVES, once=True),
        Check("labels", has_labels, needs=_GIVES, once=True),
        Check("known", knows, needs=_GIVES, once=True),
        Check("image_size", image_size, needs=_GIVES, once=True),
        Check("global_state", leaves_state_alone, needs=_GIVES, once=True),
    ),
    DatasetTrial,
)
