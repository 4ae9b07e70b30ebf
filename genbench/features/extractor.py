"""`Extractor`: a network that turns stored items into features; `extract` runs one over a whole set of items."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from genbench.datasets.mapping import release
from genbench.errors import PluginError
from genbench.features.intake import Intake, RecipeValue
from genbench.machine.precision import full_float32

__all__ = [
    "Extractor",
    "FeatureError",
    "Features",
    "RecipeValue",
    "default_batch_size",
    "extract",
    "place",
    "PRECISIONS",
]

PRECISIONS: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}

# The memory that a batch may need in the network. On the CPU, more costs speed, because activations fall out of the
# caches: Inception is 7% faster on batches of 16 images than of 64.
_WORKING_BYTES = {"cpu": 320 << 20, "cuda": 10 << 30}
_MEMORY_SHARE = {"cpu": 1 / 16, "cuda": 1 / 4}  # on the CPU, several cells may extract at once
_LARGEST_BATCH = 4096
_TRANSFER_BYTES = 1 << 30


class FeatureError(PluginError):
    """A plugin's extractor returned invalid features for some items, so the metrics that need them are unavailable."""


@dataclass(frozen=True)
class Features:
    """The result of `extract`, on the CPU.

    Args:
        features: (N, d) float32.
        logits: (N, K) float32, or None if the extractor is not a classifier.
    """

    features: Tensor
    logits: Tensor | None

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, eq=False)
class Extractor:
    """A frozen network in evaluation mode on `device`, with everything that identifies the numbers it produces.

    A call takes a batch of stored items on any device and returns (B, d) float32 features and (B, K) float32 logits
    (or None) on `device`. It draws no random numbers, leaves torch's settings unchanged, and returns bit-identical
    results when called twice with the same batch. In another batch, an item's features differ only in the last bits
    (1e-5 relative in fp32), because a library may choose a different kernel for a different batch size.

    Args:
        name: as in the table of `genbench.features`.
        network: maps a prepared batch to (features, logits or None).
        intake: which items it takes, and how they are prepared.
        device: where the network is.
        precision: `fp32` (no TF32 on CUDA) or `bf16` (weights and activations in bfloat16).
        feature_count: d.
        classes: K, or None.
        weights_sha256: identity of the weights, see `genbench.features.weight_file.content_sha256`.
        earned: name of a metric → the name that published weights entitle it to, as in the table of
            `genbench.metrics`: a distance is called `fid` only with the 2015 TensorFlow Inception-v3. Empty for all
            other weights.
        item_bytes: approximate memory that one item needs as it passes through the network.
        fields: recipe fields beyond name, weights, intake and precision.
        most_compared: items a side that metrics over pairs of items compare at most, where extraction is so cheap that
            comparing all would take more than a tenth of its time; None for no limit.
    """

    name: str
    network: nn.Module
    intake: Intake
    device: torch.device
    precision: str
    feature_count: int
    classes: int | None
    weights_sha256: str
    earned: Mapping[str, str] = field(default_factory=dict)
    item_bytes: int = 1 << 20
    fields: Mapping[str, RecipeValue] = field(default_factory=dict)
    most_compared: int | None = None

    def recipe(self) -> dict[str, RecipeValue]:
        """Return every choice that affects the features: the extractor's part of a metric's recipe."""
        return {
            "extractor": self.name,
            "weights_sha256": self.weights_sha256,
            **self.intake.recipe,
            "dtype": "float32",
            "precision": self.precision,
            **self.fields,
        }

    @property
    def alpha(self) -> str:
        """How transparency is handled when files are read for this extractor: `ON_WHITE` or `DROPPED`."""
        return self.intake.alpha

    def check_shape(self, shape: torch.Size) -> None:
        """Raise `InputError` unless the extractor takes items of `shape`."""
        self.intake.check_shape(self.name, shape)

    def __call__(self, items: Tensor) -> tuple[Tensor, Tensor | None]:
        self.intake.check(self.name, items)
        with torch.inference_mode(), _exact_float32(self.device):
            features, logits = self.network(self.intake.prepared(items, self.device, PRECISIONS[self.precision]))
        # Cloned outside inference mode, so that the caller can use them in any later computation.
        return features.float().clone(), None if logits is None else logits.float().clone()


def place(network: nn.Module, device: torch.device, precision: str) -> None:
    """Move a network to `device` and `precision`, with its convolutions in channels_last layout."""
    network.to(device=device, dtype=PRECISIONS[precision])
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def default_batch_size(extractor: Extractor) -> int:
    """Return the largest useful power of two whose batch fits into a share of the device's total memory.

    Total rather than free memory: a machine always uses the same batch size, so its numbers are reproducible bit for
    bit.
    """
    kind = "cuda" if extractor.device.type == "cuda" else "cpu"
    if kind == "cuda":
        total = torch.cuda.get_device_properties(extractor.device).total_memory
    else:
        total = psutil.virtual_memory().total
    usable = min(_WORKING_BYTES[kind], total * _MEMORY_SHARE[kind])
    fitting = max(1, min(_LARGEST_BATCH, int(usable / extractor.item_bytes)))
    return 1 << (fitting.bit_length() - 1)


def extract(
    extractor: Extractor,
    items: Tensor,
    *,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    filled: Iterable[int] | None = None,
) -> Features:
    """Return the features of all `items`, batch by batch; the items move to the device once, in stored form.

    Args:
        extractor: from `genbench.features.load`.
        items: (N, ...) as their kind stores them, on the CPU (possibly memory-mapped) or on any device; N may be 0.
        batch_size: items per batch; None chooses by memory (`default_batch_size`). On CUDA, a batch that does not fit
            is halved until it does.
        progress: called with (items done, N) after each batch.
        filled: for items that are still being read: the growing number of items available so far; its last value is
            the final number. The batches are the same as for items that are all available.

    Raises:
        InputError: the items are of another kind, or of a shape that the extractor does not take.
        FeatureError: the extractor comes from a plugin, and returned invalid features.
    """
    run = _Extraction(extractor, items, batch_size or default_batch_size(extractor), progress)
    available = len(items) if filled is None else 0
    for available in filled or ():
        run.advance(available - available % run.size)
    run.advance(available)
    return Features(run.features[:available], None if run.logits is None else run.logits[:available])


class _Extraction:
    """Extracts the features of a growing prefix of a set of items."""

    def __init__(
        self, extractor: Extractor, items: Tensor, size: int, progress: Callable[[int, int], None] | None
    ) -> None:
        self.extractor, self.items, self.size, self.progress = extractor, items, size, progress
        self.features = torch.empty(len(items), extractor.feature_count)
        self.logits = None if extractor.classes is None else torch.empty(len(items), extractor.classes)
        self.done = 0

    def advance(self, stop: int) -> None:
        """Extract the features of all remaining items before `stop`."""
        while self.done < stop:
            end = min(stop, self.done + _transfer_count(self.items, self.size))
            self._transferred(self.items[self.done : end].to(self.extractor.device))

    def _transferred(self, chunk: Tensor) -> None:
        position = 0
        while position < len(chunk):
            try:
                features, logits = self.extractor(chunk[position : position + self.size])
            except torch.OutOfMemoryError:
                if self.size == 1:
                    raise
                self.size //= 2
                continue
            rows = slice(self.done, self.done + len(features))
            self.features[rows] = features
            if self.logits is not None and logits is not None:
                self.logits[rows] = logits
            position += len(features)
            self.done = rows.stop
            release(self.items)
            if self.progress is not None:
                self.progress(self.done, len(self.items))


def _transfer_count(items: Tensor, batch: int) -> int:
    """Number of items to move at once: a multiple of the batch size, about a GiB."""
    item_bytes = max(1, items[0].numel() * items.element_size())
    return max(1, _TRANSFER_BYTES // item_bytes // batch) * batch


@contextlib.contextmanager
def _exact_float32(device: torch.device) -> Iterator[None]:
    """Enforce full float32 products and deterministic kernels, whatever a training loop has set, then restore."""
    with full_float32():
        if device.type != "cuda":
            yield
            return
        # Not `cudnn.flags()`: it reads the precision through torch's older interface, which raises if the newer one
        # has been used differently.
        cudnn: Any = torch.backends.cudnn
        before = cudnn.enabled, cudnn.benchmark, cudnn.deterministic
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = True, False, True
        try:
            yield
        finally:
            cudnn.enabled, cudnn.benchmark, cudnn.deterministic = before
