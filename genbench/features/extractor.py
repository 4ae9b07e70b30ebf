"""`Extractor`: a network that turns uint8 images into features; `extract` runs one over a whole set of images."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import psutil
import torch
from torch import Tensor, nn

from genbench.datasets.decoding import ON_WHITE
from genbench.datasets.mapping import release
from genbench.errors import InputError

__all__ = ["Extractor", "Features", "RecipeValue", "check_rgb", "default_batch_size", "extract", "place", "PRECISIONS"]

RecipeValue = str | int | float | bool | None

PRECISIONS: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}

# What a batch may need on its way through the network. On the CPU more costs speed, because activations leave the
# caches: Inception takes 16 images at a time 7% faster than 64.
_WORKING_BYTES = {"cpu": 320 << 20, "cuda": 10 << 30}
_MEMORY_SHARE = {"cpu": 1 / 16, "cuda": 1 / 4}  # on the CPU several cells may extract at once
_LARGEST_BATCH = 4096
_TRANSFER_BYTES = 1 << 30


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

    A call takes (B, C, H, W) uint8 images on any device and returns (B, d) float32 features and (B, K) float32 logits
    (or None) on `device`. It draws no random numbers, leaves torch's settings as it found them, and gives the same bits
    when called twice with one batch. In another batch an image's features differ in the last bits only (1e-5 relative
    in fp32), because a library may choose another kernel for another batch size.

    Args:
        name: as in the table of `genbench.features`.
        network: from prepared (B, C, H, W) images to (features, logits or None).
        prepare: from (B, C, H, W) uint8 on `device` to what `network` takes, in float32.
        device: where the network is.
        precision: `fp32` (no TF32 on CUDA) or `bf16` (weights and activations in bfloat16).
        feature_count: d.
        classes: K, or None.
        weights_sha256: identity of the weights, see `genbench.features.weight_file.content_sha256`.
        official: true only for the 2015 TensorFlow Inception-v3, so that a distance may be called `fid`.
        shape: the one (C, H, W) that it takes, or None for any.
        rgb: whether it takes three channels; one channel is then repeated, on `device`.
        alpha: what becomes of transparency where image files are read for it: `ON_WHITE` or `DROPPED`.
        image_bytes: about how much memory one image needs on its way through the network.
        fields: what the recipe says beyond name, weights and precision.
    """

    name: str
    network: nn.Module
    prepare: Callable[[Tensor], Tensor]
    device: torch.device
    precision: str
    feature_count: int
    classes: int | None
    weights_sha256: str
    official: bool = False
    shape: torch.Size | None = None
    rgb: bool = False
    alpha: str = ON_WHITE
    image_bytes: int = 1 << 20
    fields: Mapping[str, RecipeValue] = field(default_factory=dict)

    def recipe(self) -> dict[str, RecipeValue]:
        """Return each choice that changes the features: the extractor's part of a number's recipe."""
        return {
            "extractor": self.name,
            "weights_sha256": self.weights_sha256,
            "profile": None,
            "resizer": "none",
            "range": "x/127.5 - 1",
            "dtype": "float32",
            "precision": self.precision,
            **self.fields,
        }

    def check_shape(self, shape: torch.Size) -> None:
        """Raise `InputError` unless images of `shape` (C, H, W) can be taken."""
        got = "x".join(map(str, shape))
        if self.shape is not None and shape != self.shape:
            wanted = "x".join(map(str, self.shape))
            raise InputError(f"extractor '{self.name}': takes {wanted} images (channels x height x width), got {got}")
        if self.rgb:
            check_rgb(self.name, shape)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        if images.dtype != torch.uint8 or images.dim() != 4:
            raise InputError(
                f"extractor '{self.name}': takes (B, C, H, W) uint8 images, got {tuple(images.shape)} {images.dtype}"
            )
        self.check_shape(images.shape[1:])
        with torch.inference_mode(), _exact_float32(self.device):
            inputs = images.to(self.device)
            if self.rgb:
                inputs = inputs.expand(-1, 3, -1, -1)
            prepared = self.prepare(inputs).to(PRECISIONS[self.precision])
            features, logits = self.network(prepared.contiguous(memory_format=torch.channels_last))
        # Cloned outside inference mode, so that a caller may put them into any later computation.
        return features.float().clone(), None if logits is None else logits.float().clone()


def check_rgb(name: str, shape: torch.Size) -> None:
    """Raise `InputError` unless images of `shape` (C, H, W) are grey or of three channels."""
    if shape[0] not in (1, 3):
        raise InputError(
            f"extractor '{name}': takes images of 1 or 3 channels, got {shape[0]} ({'x'.join(map(str, shape))}); "
            "use classifier or random-conv"
        )


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
    fitting = max(1, min(_LARGEST_BATCH, int(usable / extractor.image_bytes)))
    return 1 << (fitting.bit_length() - 1)


def extract(
    extractor: Extractor,
    images: Tensor,
    *,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    filled: Iterable[int] | None = None,
) -> Features:
    """Return the features of all `images`, batch by batch; the uint8 images move to the device once.

    Args:
        extractor: from `genbench.features.load`.
        images: (N, C, H, W) uint8, on the CPU (possibly memory-mapped) or on any device; N may be 0.
        batch_size: images a batch; None chooses by memory (`default_batch_size`). On CUDA a batch that does not fit is
            halved until it does.
        progress: called with (images done, N) after each batch.
        filled: where the images are still being read: how many there are so far, growing; the last says how many there
            will be. The batches are those of images that are all there.

    Raises:
        InputError: the images are not uint8, or of a shape that the extractor does not take.
    """
    run = _Extraction(extractor, images, batch_size or default_batch_size(extractor), progress)
    available = len(images) if filled is None else 0
    for available in filled or ():
        run.advance(available - available % run.size)
    run.advance(available)
    return Features(run.features[:available], None if run.logits is None else run.logits[:available])


class _Extraction:
    """Features of the first images of a set, and of ever more of them."""

    def __init__(
        self, extractor: Extractor, images: Tensor, size: int, progress: Callable[[int, int], None] | None
    ) -> None:
        self.extractor, self.images, self.size, self.progress = extractor, images, size, progress
        self.features = torch.empty(len(images), extractor.feature_count)
        self.logits = None if extractor.classes is None else torch.empty(len(images), extractor.classes)
        self.done = 0

    def advance(self, stop: int) -> None:
        """Extract the features of all images before `stop` that have none yet."""
        while self.done < stop:
            end = min(stop, self.done + _transfer_count(self.images, self.size))
            self._transferred(self.images[self.done : end].to(self.extractor.device))

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
            release(self.images)
            if self.progress is not None:
                self.progress(self.done, len(self.images))


def _transfer_count(images: Tensor, batch: int) -> int:
    """Images to move at once: a multiple of the batch, about a GiB of them."""
    image_bytes = max(1, images[0].numel())
    return max(1, _TRANSFER_BYTES // image_bytes // batch) * batch


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
