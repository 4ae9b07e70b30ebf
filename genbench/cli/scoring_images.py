"""Opens two sets of images for `genbench evaluate`, and reads them as a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.cli.sides import Opened, Request, Show, refuse_unused_root, tell
from genbench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from genbench.datasets.dataset import Dataset
    from genbench.datasets.external import External
    from genbench.features.extractor import Extractor, Features

__all__ = ["alpha_fields", "find_images_of", "open_images_of", "read_images", "refuse_unused"]


def open_images_of(request: Request, show: Show) -> Opened:
    """Open both sides, and refuse options that would have no effect."""
    from genbench.machine import environment

    device = environment.share(request.settings.device)
    found = find_images_of(request, request.items)
    given = None if request.reference is None else find_images_of(request, request.reference, reference=True)
    refuse_unused(request, found, given)
    sides, data, extractor, remarks = _prepare(request, found, given, device, show.step)
    found = sides[0]

    def read() -> tuple[Tensor, Features]:
        return read_images(found, extractor, show)

    def told() -> list[str]:
        return remarks + [f"{side.path}: {text}" for side in sides for text in side.all_remarks(extractor.alpha)]

    # All images that the user names form the reference, as in other tools.
    limit = None if given is None else len(data.train)
    return Opened(found.count, data, limit, extractor, lambda: alpha_fields(sides, extractor), read, told)


def alpha_fields(sides: Sequence[External], extractor: Extractor) -> dict[str, str]:
    """Return what the recipes record about transparency: how it was handled, if any image has been found to have it."""
    return {"alpha": extractor.alpha} if any(side.transparent for side in sides) else {}


def find_images_of(request: Request, path: Path, *, reference: bool = False) -> External:
    """Find the images at `path`, and read their headers as the request specifies."""
    from genbench.datasets.external import open_images

    size, skip = request.settings.image_size, request.skip_corrupt
    return open_images(path, image_size=size, skip_corrupt=skip, reference=reference)


def read_images(found: External, extractor: Extractor, show: Show) -> tuple[Tensor, Features]:
    """Return (N, C, H, W) uint8 images and their features, extracted as they are read."""
    from genbench.datasets.mapping import PixelStore
    from genbench.features.extractor import extract

    store = PixelStore((found.count, *found.shape), str(found.path))
    filled = found.read(store, extractor.alpha)
    features = extract(extractor, store.images, filled=filled, progress=show.step("reading and features"))
    return store.images[: store.count], features


def _prepare(
    request: Request,
    found: External,
    given: External | None,
    device: Any,
    step: Callable[[str], Callable[[int, int], None]],
) -> tuple[list[External], Dataset, Extractor, list[str]]:
    """Convert both sides to the same channels; load the extractor and the reference."""
    import torch

    from genbench.cell import preflight
    from genbench.datasets.external import as_reference
    from genbench.datasets.mapping import PixelStore

    def emit(event: dict[str, Any]) -> None:
        tell(step, event)

    remarks: list[str] = []
    if given is None:
        data = preflight.load_dataset(str(request.dataset), request.settings)
        if data.kind.name != found.kind.name:
            raise InputError(
                f"{found.path} holds {found.kind.noun} and {data.name} {data.kind.noun}; compare items of one kind"
            )
        remarks += [] if data.remark is None else [data.remark]
        against, name = data.shape[0], str(request.dataset)
    else:
        against, name = given.shape[0], str(given.path)
    if (found.shape[0], against) == (1, 3):
        found = found.as_rgb()
        remarks.append(f"{found.path}: grey, but {name} is RGB: the channel of each image was repeated for all three")
    if (found.shape[0], against) == (3, 1):
        remarks.append(f"{name}: grey, but {found.path} is RGB: the channel of each image was repeated for all three")
        given = None if given is None else given.as_rgb()
    if given is None:
        # Before the classifier of a dataset is trained, which takes minutes.
        extractor = preflight.load_extractor(data, request.settings, device, emit, also=torch.Size(found.shape))
    else:
        store = PixelStore((given.count, *given.shape), str(given.path))
        extractor = preflight.load_extractor(as_reference(store.images, known=False), request.settings, device, emit)
        for _ in given.read(store, extractor.alpha, step("reading the reference")):
            pass
        data = as_reference(store.images[: store.count])
    extractor.check_shape(torch.Size(found.shape))
    return [found] if given is None else [found, given], data, extractor, remarks


def refuse_unused(request: Request, found: External, given: External | None) -> None:
    """Refuse options that would have no effect on what was given."""
    settings = request.settings
    sides = [side for side in (found, given) if side is not None]
    arrays = [side for side in sides if side.is_array]
    if request.skip_corrupt and len(arrays) == len(sides):
        raise InputError("--skip-corrupt has no effect on arrays, which are read whole or refused; leave it out")
    if settings.image_size is not None:
        if request.dataset is None and len(arrays) == len(sides):  # a file of statistics is no side
            raise InputError("--image-size has no effect on arrays, which are used unchanged; leave it out")
        for side in arrays:
            height, width = side.shape[1:]
            if (height, width) != (settings.image_size, settings.image_size):
                raise InputError(
                    f"--image-size {settings.image_size}: {side.path} is an array of {width}x{height} images, which is "
                    "used unchanged; resize it before saving, or give a folder or .zip of image files"
                )
    refuse_unused_root(request)
