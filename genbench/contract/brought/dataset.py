"""The contract of datasets: the same items everywhere, splits that share none, values that make sense."""

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
FEW = 0.01  # of the held-out items that may be training items too, as true data have some twice
LOOKED_AT = 1000  # items on which what is known of the data is tried
_ELSEWHERE = "from genbench.datasets.brought import fingerprint_of; print(fingerprint_of(*{arguments!r}))"


class DatasetTrial(Trial):
    """A dataset under its checks: it is loaded once for all that look at its items."""

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
        """Load it anew, its images of that side; raise `Fault` where it raises, or gives what is no dataset."""
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
            f"a {HOOK} whose source shows none",
            "write `return draw(**options)`, where `def draw(size: int = 16)`",
        )
    check_annotations(accepted)


def gives(trial: DatasetTrial) -> None:
    """`load_dataset` gives two splits of items as their kind stores them, with sound labels and a licence."""
    assert trial.dataset


def repeats(trial: DatasetTrial) -> None:
    """Loaded twice in one process, whatever the state of the global generators, the items are the same."""
    known = trial.dataset.fingerprint
    stir()
    if trial.load().fingerprint != known:
        raise Fault("the same items twice", "others the second time", "draw from a generator that you seed yourself")


def repeats_elsewhere(trial: DatasetTrial) -> None:
    """In another process, with another seed of Python's hashes, the items are the same."""
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
        last = answer.stderr.strip().splitlines()[-1:] or ["nothing said"]
        raise Fault("it to load in another process too", last[0], "let nothing depend on this process")
    if answer.stdout.split()[-1:] != [trial.dataset.fingerprint]:
        raise Fault(
            "the same items in another process",
            "others",
            "sort what comes from a set or a folder's listing, and read no clock",
        )


def splits_are_disjoint(trial: DatasetTrial) -> None:
    """No held-out item is a training item too."""
    train, held_out = trial.dataset.train.items, trial.dataset.held_out.items
    known = set(_digests(train))
    shared = sum(digest in known for digest in _digests(held_out))
    if shared > FEW * len(held_out):
        raise Fault(
            "held-out items that are no training items",
            f"{shared:,} of {len(held_out):,} that are",
            "split first, or draw the two splits from streams of their own",
        )
    if shared:
        raise Caution(f"{shared:,} of {len(held_out):,} held-out items are training items too")


def has_range(trial: DatasetTrial) -> None:
    """Items differ from one another, and use more than the two lowest values of their type."""
    for which, split in (("train", trial.dataset.train), ("held_out", trial.dataset.held_out)):
        items = split.items[:LOOKED_AT]
        if len(split) > 1 and bool((items == items[:1]).all()):
            raise Fault(f"items of {which} that differ", "one item again and again", "look at how they are made")
    values = trial.dataset.train.items[:LOOKED_AT]
    if trial.dataset.kind.levels > 2 and int(values.min()) >= 0 and int(values.max()) <= 1:
        raise Fault(
            f"values of up to {trial.dataset.kind.levels - 1}",
            f"none above {int(values.max())}",
            "scale them before they are stored, as in (255 * x).round()",
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
    """What the data know of themselves, modes and probabilities, holds for their own items."""
    dataset, items = trial.dataset, trial.dataset.train.items[:LOOKED_AT]
    if dataset.nearest_mode is None and dataset.log_probability is None:
        raise Unmet("it knows neither modes nor probabilities")
    if dataset.nearest_mode is not None:
        with calling("nearest_mode", trial.home):
            modes = dataset.nearest_mode(items)
        _check_rows("nearest_mode", modes, len(items), torch.int64)
        if int(modes.min()) < -1 or int(modes.max()) >= (dataset.mode_count or 0):
            raise Fault(
                f"modes from -1 to mode_count - 1, {(dataset.mode_count or 0) - 1}",
                f"{int(modes.min())} to {int(modes.max())}",
                "number the modes from 0; -1 is none",
            )
    if dataset.log_probability is not None:
        with calling("log_probability", trial.home):
            nats = dataset.log_probability(items)
        _check_rows("log_probability", nats, len(items), torch.float64)
        if not bool(torch.isfinite(nats).all()) or float(nats.max()) > 0:
            raise Fault("finite log-probabilities, none above 0, of its own items", "others", "return nats of one item")


def _check_rows(what: str, value: Any, count: int, dtype: torch.dtype) -> None:
    if not isinstance(value, Tensor) or tuple(value.shape) != (count,) or value.dtype != dtype:
        found = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise Fault(f"{what} to return {dtype} ({count},)", found, "return one number an item")


def leaves_state_alone(trial: DatasetTrial) -> None:
    """Loading leaves settings, directory and every global random generator alone."""
    with world.noting() as changed:
        trial.load()
    if changed:
        raise Fault(
            "global state that is left alone",
            f"that it changed {'; '.join(changed)}",
            "draw from torch.Generator().manual_seed(seed), and pass it on",
        )


def image_size(trial: DatasetTrial) -> None:
    """Where it takes `image_size`, images have that size."""
    if not trial.plugin.implements(HOOK, "image_size"):
        raise Unmet("load_dataset does not take image_size")
    side = 16
    shape = tuple(trial.load(side).shape)
    if shape[1:] != (side, side):
        raise Fault(f"images of {side}x{side}", f"{shape}", "resize them, or leave image_size out of the hook")


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
