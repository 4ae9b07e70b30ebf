"""Everything that can be wrong with a request, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from genbench import datasets
from genbench.config import Cell, Settings
from genbench.datasets.dataset import Dataset
from genbench.datasets.room import shortage
from genbench.errors import InputError, PluginError, Unsuitable
from genbench.evaluation import references, targets
from genbench.evaluation.brought import PLUGIN
from genbench.evaluation.selection import select
from genbench.features.extractor import Extractor, FeatureError
from genbench.machine import environment
from genbench.metrics.metric import Metric
from genbench.plugin import finding, loading, options
from genbench.plugin.data import Data, Training
from genbench.plugin.model import Model

__all__ = ["check_data", "check_model", "check_unchanged", "load_dataset", "load_extractor"]

Emit = Callable[[dict[str, Any]], None]
LARGEST_DEFAULT_SAMPLES = 10_000


def load_dataset(name: str, settings: Settings, plugins_from: Sequence[str] | None = None) -> Dataset:
    """Load a dataset according to the settings; a plugin's must come from one of these distributions (None: any)."""
    root = Path(settings.data_root) if settings.data_root else None
    return datasets.load(name, data_root=root, image_size=settings.image_size, plugins_from=plugins_from)


def load_extractor(
    dataset: Dataset,
    settings: Settings,
    device: torch.device,
    emit: Emit,
    plugins_from: Sequence[str] | None = None,
    also: torch.Size | None = None,
) -> Any:
    """Load the extractor that the settings name; training or fetching it reports its progress.

    One of a plugin comes from one of `plugins_from` (None: any). `also` is the shape of other items that it must take.
    """
    from genbench import features

    def progress(stage: str, done: int, total: int) -> None:
        emit({"event": "progress", "stage": stage, "done": done, "total": total})

    return features.load(
        settings.extractor,
        dataset=dataset,
        device=device,
        weights=Path(settings.weights) if settings.weights else None,
        profile=settings.profile,
        precision=settings.eval_precision,
        progress=progress,
        plugins_from=plugins_from,
        also=also,
    )


def check_data(cell: Cell, emit: Emit, plugins_from: Sequence[str] | None = None) -> dict[str, Any]:
    """Check the device, the dataset and the extractor; return their identities as plain values.

    Args:
        cell: of the dataset.
        emit: takes events.
        plugins_from: distributions that what is not genbench's own may come from; None for all.

    Raises:
        InputError: one of them is not available or not suitable, or a batch does not fit the dataset.
    """
    settings = cell.settings
    device = environment.choose_device(settings.device)
    _refuse_without_cuda(settings, device)
    _refuse_ranks(settings, device)
    emit({"event": "stage", "stage": f"loading {cell.dataset}"})
    dataset = load_dataset(cell.dataset, settings, plugins_from)
    if dataset.remark is not None:
        emit({"event": "notice", "text": dataset.remark})
    if settings.batch_size > len(dataset.train):
        raise InputError(
            f"batch size {settings.batch_size} is larger than the training split of {cell.dataset}, "
            f"which has {len(dataset.train)} {dataset.kind.noun}; use --batch-size {len(dataset.train)} or less"
        )
    samples = settings.samples or min(len(dataset.held_out), LARGEST_DEFAULT_SAMPLES)
    if (fault := shortage(samples * dataset.shape.numel() * dataset.train.items.element_size())) is not None:
        raise InputError(f"{samples:,} samples of {cell.dataset} {fault}")
    emit({"event": "stage", "stage": f"extractor for {cell.dataset}"})
    extractor = load_extractor(dataset, settings, device, emit, plugins_from)
    metrics = select(settings.metrics, dataset.kind.name, plugins_from)
    targets.check_measured(settings, dataset.kind.name, extractor.earned, cell.dataset)
    try:
        references.reference_for(dataset, extractor, emit)
    except FeatureError as error:  # nothing could be measured
        raise InputError(str(error)) from error
    return {
        "device": str(device),
        "samples": samples,
        "extractor": extractor.recipe(),
        "metrics": _versions(metrics),
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "kind": dataset.kind.name,
            "shape": list(dataset.shape),
            "classes": dataset.classes,
            "train_count": len(dataset.train),
            "held_out_count": len(dataset.held_out),
            "licence": dataset.licence,
            **({"plugin": dict(dataset.plugin)} if dataset.plugin else {}),
        },
        "told": dataset.data.to_json(),  # the description that a model receives
    }


def check_unchanged(
    description: Mapping[str, Any], dataset: Dataset, extractor: Extractor, metrics: Sequence[Metric]
) -> None:
    """Raise `PluginError` where a plugin's code, or what it gives, is not what the cell's identity is of any more.

    Its source may change between the planning and the cell. What is genbench's own is known by genbench's version.
    """
    planned, recipe = description["dataset"], extractor.recipe()
    pairs: dict[str, tuple[Any, Any]] = {
        "dataset": (planned.get("plugin"), dataset.plugin),
        "metrics": (description["metrics"], _versions(metrics)),
    }
    if dataset.plugin:
        pairs["items of the dataset"] = (planned["fingerprint"], dataset.fingerprint)
    if "extractor_plugin" in recipe:
        pairs["extractor"] = (description["extractor"], recipe)
    changed = [name for name, (then, now) in pairs.items() if then != now]
    if not changed:
        return
    again = "run the same command again"
    if changed == ["items of the dataset"]:  # and not its code
        name = str(planned["name"]).partition(":")[0]
        again += f", unless `genbench plugin check {name} --family dataset` says that they differ each time"
    raise PluginError(
        f"the {' and the '.join(changed)} changed after this run began, so what a plugin brings is not what the "
        f"cell's identity says; {again}"
    )


def _versions(metrics: Sequence[Metric]) -> dict[str, Any]:
    """Return what identifies each metric by name: its version, and of a plugin's whose code it is."""
    return {
        metric.name: f"{metric.version} of {plugin}" if (plugin := metric.parameters.get(PLUGIN)) else metric.version
        for metric in metrics
    }


def _refuse_without_cuda(settings: Settings, device: torch.device) -> None:
    tf32 = settings.training_precision == "tf32"
    asked = {"--cuda-graph": settings.cuda_graph, "--training-precision tf32": tf32}
    for flag, wanted in asked.items():
        if wanted and device.type != "cuda":
            raise InputError(f"{flag} needs a CUDA device, and this benchmark runs on {device}; leave it out")


def _refuse_ranks(settings: Settings, device: torch.device) -> None:
    ranks, size = settings.ranks, settings.batch_size
    if ranks == 1:
        return
    if size % ranks:
        below, above = size - size % ranks, size - size % ranks + ranks
        instead = f"{below} or {above}" if below else str(above)
        raise InputError(f"a batch of {size} does not divide among {ranks} ranks; use --batch-size {instead}")
    if device.type == "mps":
        raise InputError(f"--ranks {ranks} needs the CPU or several GPUs, and this benchmark runs on mps; leave it out")
    if device.type == "cuda":
        if ":" in settings.device:
            raise InputError(f"--device {settings.device} is one GPU, and --ranks {ranks} needs several; use cuda")
        count = torch.cuda.device_count()
        if count < ranks:
            raise InputError(f"--ranks {ranks} needs as many GPUs, and this machine has {count}; leave it out")


def check_model(cell: Cell, data: Mapping[str, Any], distribution: str) -> dict[str, Any]:
    """Load the plugin from its distribution and build once, so a mistyped option is found before anything is trained.

    Raises:
        InputError: an option is at fault. Any other failure is the plugin's own, and is left to its cell.
    """
    plugin = loading.load(finding.find(cell.model, [distribution]))
    settings, known = cell.settings, Data.from_json(data["told"])
    training = Training(settings.budget.steps(settings.batch_size), settings.batch_size)
    try:
        model = options.build(plugin, known, training, cell.model.options, torch.device("cpu"))
    except Unsuitable as reason:
        return {"unsuitable": options.reason_of(reason)}
    return {"built": isinstance(model, Model)}
