"""The files that a finished cell saves next to its record for people to look at."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from genbench.config import Cell
from genbench.datasets.dataset import Dataset
from genbench.machine.privacy import without_home
from genbench.records.identity import slug

__all__ = ["save_artifacts"]

PAIRS = 32  # number of originals and reconstructions shown


def save_artifacts(
    directory: Path, cell: Cell, cell_id: str, dataset: Dataset, items: Tensor, restored: Tensor | None
) -> dict[str, str]:
    """Write files that show a cell's samples, its reference and, if there are any, its reconstructions.

    Args:
        directory: the benchmark's; the files go to `samples/` in it.
        cell: the cell.
        cell_id: its identity, because cells of other budgets and sources may share the folder.
        dataset: of the cell.
        items: its samples, (N, ...) as they are stored.
        restored: its reconstructions of the held-out items, in their order.

    Returns:
        What each file shows -> its path relative to `directory`; `samples, 1` and so on are single items.
    """
    name = slug(f"{without_home(cell.model.label)}-{dataset.name}-seed{cell.seed}")
    stem, kind = f"samples/{name}-{cell_id[:6]}", dataset.kind
    data = f"samples/{slug(dataset.name)}-{dataset.fingerprint[:6]}-reference{kind.suffix}"
    paths = {"samples": f"{stem}{kind.suffix}", "reference": data}
    shown = min(len(items), kind.shown(dataset.shape))  # and as many of the data next to them
    kind.show(directory / paths["samples"], items[:shown])
    kind.show(directory / paths["reference"], dataset.train.items[:shown])
    kept = {"samples": kind.keep(directory / stem, items)}
    kept["reference"] = kind.keep((directory / data).with_suffix(""), dataset.train.items)
    if restored is not None:
        paths["reconstructions"] = f"{stem}-reconstructions{kind.suffix}"
        kind.show_pairs(directory / paths["reconstructions"], dataset.held_out.items[:PAIRS], restored[:PAIRS])
        kept["reconstructions"] = kind.keep(directory / f"{stem}-reconstructions", restored[:PAIRS])
    for what, files in kept.items():
        for number, path in enumerate(files, 1):
            paths[f"{what}, {number}"] = path.relative_to(directory).as_posix()
    return paths
