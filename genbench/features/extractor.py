"""`Extractor`: a network that turns stored items into features; `extract` runs one over a whole set of items."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import psutil
import torch
from torch import Tensor, nn

from genbench.datasets.mapping import release
from genbench.errors import PluginError
from genbench.features.intake import Intake, RecipeValue

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

# What a batch may need on its way through the network. On the CPU more costs speed, because activations leave the
# caches: Inception takes 16 images at a time 7% faster than 64.
_WORKING_BYTES = {"cpu": 320 << 20, "cuda": 10 << 30}
_MEMORY_SHARE = {"cpu": 1 / 16, "cuda": 1 / 4}  # on the CPU several cells may extract at once
_LARGEST_BATCH = 4096
_TRANSFER_BYTES = 1 << 30


class FeatureError(PluginError):
    """A plugin's extractor returned no valid features for some items, so numbers that need them are unavailable."""


@dataclass(frozen=True)
class Features:
    """What `extract` returns, on the CPU.

    Args:
        features: (N, d) float32.
        logits: (N, K) float32, or None where the extractor classifies nothing.
    """

    features: Tensor
    logits: Tensor | None

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, eq=False)
class Extractor:
    """A frozen network, in evaluation mode on `device`, and everything that identifies the numbers it gives.

    A call takes a batch of stored items on any device and returns (B, d) float32 features and (B, K) float32 logits
    (or None) on `device`. It draws no random numbers, leaves torch's settings as it found them, and gives the same bits
    when called twice with one batch. In another batch an item's features differ in the last bits only (1e-5 relative
    in fp32), because a library may choose another kernel for another batch size.

    Args:
        name: as in the table of `genbench.features`.
        network: from a prepared batch to (features, logits or None).
        intake: what items it takes, and how they are prepared.
        device: where the network is.
        precision: `fp32` (no TF32 on CUDA) or `bf16` (weights and activations in bfloat16).
        feature_count: d.
        classes: K, or None.
        weights_sha256: identity of the weights, see `genbench.features.weight_file.content_sha256`.
        earned: name of a number → the name that its published weights earn it, as in the table of `genbench.metrics`: a
            distance is called `fid` under the 2015 TensorFlow Inception-v3 alone. Empty for all other weights.
        item_bytes: about how much memory one item needs on its way through the network.
        fields: what the recipe says beyond name, weights, intake and precision.
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

    def recipe(self) -> dict[str, RecipeValue]:
        """Return each choice that changes the features: the extractor's part of a number's recipe."""
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
        """What becomes of transparency where files are read for it: `ON_WHITE` or `DROPPED`."""
        return self.intake.alpha

    def check_shape(self, shape: torch.Size) -> None:
        """Raise `InputError` unless items of `shape` can be taken."""
        self.intake.check_shape(self.name, shape)

    def __call__(self, items: Tensor) -> tuple[Tensor, Tensor | None]:
        self.intake.check(self.name, items)
        with torch.inference_mode(), _exact_float32(self.device):
            features, logits = self.network(self.intake.prepared(items, self.device, PRECISIONS[self.precision]))
        # Cloned outside inference mode, so that a caller may put them into any later computation.
        return features.float().clone(), None if logits is None else logits.float().clone()


def place(network: nn.Module, device: torch.device, precision: str) -> None:
    """Move a network to `device` and `precision`, its convolutions laid out as channels_last wants them."""
    network.to(device=device, dtype=PRECISIONS[precision])
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def default_batch_size(extractor: Extractor) -> int:
    """Return the largest useful power of two whose batch fits into a share of the device's whole memory.

    Not of the memory that is free just now: a machine uses one batch size always, so its numbers repeat to the bit.
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
    """Return the features of all `items`, batch by batch; as they are stored they move to the device once.

    Args:
        extractor: from `genbench.features.load`.
        items: (N, ...) as their kind stores them, on the CPU (possibly memory-mapped) or on any device; N may be 0.
        batch_size: items a batch; None chooses by memory (`default_batch_size`). On CUDA a batch that does not fit is
            halved until it does.
        progress: called with (items done, N) after each batch.
        filled: where the items are still being read: how many there are so far, growing; the last says how many there
            will be. The batches are those of items that are all there.

    Raises:
        InputError: the items are of another kind, or of a shape that the extractor does not take.
        FeatureError: the extractor is a plugin's, and what it returned is no features.
    """
    run = _Extraction(extractor, items, batch_size or default_batch_size(extractor), progress)
    available = len(items) if filled is None else 0
    for available in filled or ():
        run.advance(available - available % run.size)
    run.advance(available)
    return Features(run.features[:available], None if run.logits is None else run.logits[:available])


class _Extraction:
    """Features of the first items of a set, and of ever more of them."""

    def __init__(
        self, extractor: Extractor, items: Tensor, size: int, progress: Callable[[int, int], None] | None
    ) -> None:
        self.extractor, self.items, self.size, self.progress = extractor, items, size, progress
        self.features = torch.empty(len(items), extractor.feature_count)
        self.logits = None if extractor.classes is None else torch.empty(len(items), extractor.classes)
        self.done = 0

    def advance(self, stop: int) -> None:
        """Extract the features of all items before `stop` that have none yet."""
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
    """Items to move at once: a multiple of the batch, about a GiB of them."""
    item_bytes = max(1, items[0].numel() * items.element_size())
    return max(1, _TRANSFER_BYTES // item_bytes // batch) * batch


@contextlib.contextmanager
def _exact_float32(device: torch.device) -> Iterator[None]:
    """Full float32 products and repeatable kernels, whatever a training loop has set; restored at the end."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    convolutions = (
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        if device.type == "cuda"
        else contextlib.nullcontext()
    )
    try:
        with convolutions:
            yield
    finally:
        torch.set_float32_matmul_precision(before)
