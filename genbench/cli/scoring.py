"""What `genbench evaluate` does before it prints: it opens both sets of images, reads them as a stream and scores."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from genbench.errors import InputError
from genbench.evaluation.stopwatch import Stopwatch

if TYPE_CHECKING:
    from genbench.config import Settings
    from genbench.datasets.dataset import Dataset
    from genbench.datasets.external import External
    from genbench.evaluation.measurement import Number
    from genbench.features.extractor import Extractor

__all__ = ["Request", "Scored", "Show", "score"]


@dataclass(frozen=True)
class Request:
    """What is scored, against what (a dataset or images of the user's), and how."""

    images: Path
    dataset: str | None
    reference: Path | None
    settings: Settings
    skip_corrupt: bool


@dataclass(frozen=True)
class Scored:
    """What the images score, and how fast they went through the extractor; `floor` is what real ones score."""

    title: str
    count: int
    numbers: dict[str, Number]
    floor: dict[str, Number]
    recipes: dict[str, dict[str, Any]]
    missing: dict[str, str]
    remarks: list[str]
    held_out: int
    extractor: str
    images_per_s: float
    seconds: dict[str, float]  # of each metric


class Show(Protocol):
    """Receives the progress of the work."""

    def step(self, stage: str) -> Callable[[int, int], None]:
        """Return a function that takes (done, total) of a stage."""

    def begin(self, what: str) -> None:
        """Take what will be computed, in words."""

    def metric(self, names: list[str], name: str) -> None:
        """Take the name of the metric that begins, of all `names`."""


def score(request: Request, show: Show) -> Scored:
    """Score images against those of `reference`, or where there is none against a dataset.

    Args:
        request: what to score.
        show: receives the progress.
    """
    from genbench.datasets.external import open_images
    from genbench.datasets.mapping import PixelStore
    from genbench.evaluation import measurement
    from genbench.evaluation.selection import select
    from genbench.features.extractor import extract
    from genbench.machine import environment

    metrics = select(request.settings.metrics)
    device = environment.share(request.settings.device)
    how: Any = {"image_size": request.settings.image_size, "skip_corrupt": request.skip_corrupt}
    found, *others = (open_images(path, **how) for path in (request.images, request.reference) if path is not None)
    given = others[0] if others else None
    _refuse_unused(request, found, given)
    step = show.step
    found, data, extractor, remarks = _prepare(request, found, given, device, step)
    fields = {"alpha": extractor.alpha} if any(side.transparent for side in (found, *others)) else {}
    # Images that the user names are all the reference, as other tools have it.
    limit = None if given is None else len(data.train)
    reference = measurement.reference_for(data, extractor, lambda event: _tell(step, event), limit)
    evaluator = measurement.Evaluator(data, extractor, reference, metrics, fields)
    store = PixelStore((found.count, *found.shape), str(request.images))
    names = [metric.name for metric in metrics]
    show.begin(f"measuring {found.count:,} images by {extractor.name}: {', '.join(names)}")
    evaluator.watch = watch = Stopwatch(time.perf_counter, partial(show.metric, names))
    begin = time.perf_counter()
    features = extract(
        extractor, store.images, filled=found.read(store, extractor.alpha), progress=step("reading and features")
    )
    rate = store.count / (time.perf_counter() - begin)
    numbers = evaluator.score(store.images[: store.count], None, features=features)
    seconds = dict(watch.seconds)
    missing = dict(evaluator.missing)  # of the images; the floor may miss other numbers
    floor = evaluator.floor(store.count)
    title = _title(request, store.count, data, extractor)
    remarks += [f"{side.path}: {text}" for side in (found, *others) for text in side.all_remarks(extractor.alpha)]
    return Scored(
        *(title, store.count, numbers, floor, evaluator.recipes, missing, remarks),
        *(len(data.held_out), extractor.name, rate, seconds),
    )


def _prepare(
    request: Request,
    found: External,
    given: External | None,
    device: Any,
    step: Callable[[str], Callable[[int, int], None]],
) -> tuple[External, Dataset, Extractor, list[str]]:
    """Bring both sides to the same channels; load the extractor, and what to compare with."""
    from genbench.cell import preflight
    from genbench.datasets.external import as_reference
    from genbench.datasets.mapping import PixelStore

    def emit(event: dict[str, Any]) -> None:
        _tell(step, event)

    remarks: list[str] = []
    if given is None:
        data = preflight.load_dataset(str(request.dataset), request.settings)
        remarks += [] if data.remark is None else [data.remark]
        against, name = data.shape[0], str(request.dataset)
    else:
        against, name = given.shape[0], str(given.path)
    if (found.shape[0], against) == (1, 3):
        found = found.as_rgb()
        remarks.append(f"{found.path}: grey, and {name} is RGB: the one channel of each was repeated for all three")
    if (found.shape[0], against) == (3, 1):
        remarks.append(f"{name}: grey, and {found.path} is RGB: the one channel of each was repeated for all three")
        given = None if given is None else given.as_rgb()
    if given is None:
        extractor = preflight.load_extractor(data, request.settings, device, emit)
    else:
        store = PixelStore((given.count, *given.shape), str(given.path))
        extractor = preflight.load_extractor(as_reference(store.images, known=False), request.settings, device, emit)
        for _ in given.read(store, extractor.alpha, step("reading the reference")):
            pass
        data = as_reference(store.images[: store.count])
    import torch

    extractor.check_shape(torch.Size(found.shape))
    return found, data, extractor, remarks


def _refuse_unused(request: Request, found: External, given: External | None) -> None:
    """Refuse options that would have no effect on what was given."""
    from genbench.datasets import reads_data_root

    settings = request.settings
    sides = [side for side in (found, given) if side is not None]
    arrays = [side for side in sides if side.is_array]
    if request.skip_corrupt and len(arrays) == len(sides):
        raise InputError("--skip-corrupt has no effect on arrays, which are whole or refused; leave it out")
    if settings.image_size is not None:
        if given is not None and len(arrays) == 2:
            raise InputError("--image-size has no effect on arrays, which are taken as they are; leave it out")
        for side in arrays:
            height, width = side.shape[1:]
            if (height, width) != (settings.image_size, settings.image_size):
                raise InputError(
                    f"--image-size {settings.image_size}: {side.path} is an array of {width}x{height} images, which is "
                    "taken as it is; resize it before it is saved, or give a folder or .zip of image files"
                )
    if settings.data_root is not None and (request.dataset is None or not reads_data_root(request.dataset)):
        of = "--reference" if request.dataset is None else f"-d {request.dataset}"
        raise InputError(f"--data-root has no effect with {of}, which is not read from there; leave it out")


def _title(request: Request, count: int, data: Dataset, extractor: Extractor) -> str:
    against = str(request.reference) if request.dataset is None else data.name
    if extractor.official:
        what = f"Inception-v3 of 2015, profile {extractor.recipe()['profile']}"
    elif extractor.name == "inception":
        what = "Inception with other weights than those of 2015, so fd is no FID"
    elif extractor.name == "random-conv":
        what = "random-conv, a network with random weights, so fd is no FID; for that add --extractor inception"
    else:
        what = f"{extractor.name}, a small classifier, so fd is no FID; for that add --extractor inception"
    return f"{request.images} ({count:,} images) against {against}; features: {what}"


def _tell(step: Callable[[str], Callable[[int, int], None]], event: dict[str, Any]) -> None:
    if event["event"] == "progress":
        step(event["stage"])(event["done"], event["total"])
