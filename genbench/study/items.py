"""The items that a study shows: the samples that finished cells saved with their records, split up again."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from genbench.errors import InputError, nearest
from genbench.kinds import grid, listing
from genbench.machine.regular_file import is_inside
from genbench.plugin.visible import message_of
from genbench.records.files import each_record
from genbench.records.record import Record

__all__ = ["FLOOR", "REAL", "Chosen", "Item", "chosen_records", "pool"]

REAL, FLOOR = "real", "noise"
"""The controls that provide real items, held out from training, and items that nobody takes for real."""


@dataclass(frozen=True)
class Item:
    """One item that people judge.

    Args:
        media: its media type, such as `image/png`.
        content: the text itself, or the file in base64.
        sha256: of the content: an image's pixels and shape (not its file), a text, or a clip's file.
        cell: the id of the record that it belongs to.
        place: its position among the items that the cell saved.
    """

    media: str
    content: str
    sha256: str
    cell: str
    place: int


@dataclass(frozen=True)
class Chosen:
    """The finished records of one dataset and budget.

    Args:
        dataset: as the records describe it.
        budget: of the models; for controls it does not matter.
        records: label -> its records, one per seed.
    """

    dataset: Mapping[str, Any]
    budget: str
    records: Mapping[str, Sequence[Record]]


def chosen_records(directory: Path, dataset: str | None, budget: str | None) -> Chosen:
    """Return the finished records of a folder from which a study can be built.

    Args:
        directory: the benchmark's folder.
        dataset: the name of the one to use; may be None if there is only one.
        budget: of the models; may be None if there is only one.

    Raises:
        InputError: there are no finished records, or the choice is ambiguous.
    """
    finished = [record for record in each_record(directory) if record.finished]
    if not finished:
        raise InputError(f"{directory}: no finished records; give the folder of a finished `genbench run`")
    name = _only("dataset", dataset, [record.dataset for record in finished], directory)
    there = [record for record in finished if record.dataset == name]
    if len({record.data["cell"]["dataset"].get("fingerprint") for record in there}) > 1:
        raise InputError(
            f"{directory} holds records of two datasets called {name}; move those of one to another folder"
        )
    trained = [record for record in there if record.data["cell"]["role"] == "model"]
    wanted = _only("budget", budget, [str(record.data["cell"].get("budget")) for record in trained or there], directory)
    records: dict[str, list[Record]] = {}
    for record in sorted(there, key=lambda one: (one.label, one.seed, one.id)):
        if record.data["cell"]["role"] != "model" or str(record.data["cell"].get("budget")) == wanted:
            records.setdefault(record.label, []).append(record)
    for label, own in records.items():
        twice = next((one.seed for one, other in itertools.pairwise(own) if one.seed == other.seed), None)
        if twice is not None:
            raise InputError(
                f"{directory}: two records of {label} with seed {twice}, with different settings or source; move one "
                "to another folder, so that it is clear which samples are judged"
            )
    return Chosen(there[0].data["cell"]["dataset"], wanted, records)


def pool(directory: Path, label: str, records: Sequence[Record]) -> list[Item]:
    """Return the items that a model's cells saved, for all its seeds.

    Items that several cells of `real` drew count once.

    Raises:
        InputError: a file is missing, or is not as genbench wrote it.
    """
    items = [item for record in records for item in _items(directory, record)]
    return list({item.sha256: item for item in items}.values()) if label == REAL else items


def _only(what: str, given: str | None, found: Sequence[str], directory: Path) -> str:
    known = sorted(set(found))
    if given is not None and given not in known:
        raise InputError(f"{directory}: no finished records of the {what} {given!r}{nearest(given, known)}")
    if given is None and len(known) > 1:
        raise InputError(f"{directory} holds several {what}s ({', '.join(known)}); choose one with --{what}")
    return given or known[0]


def _items(directory: Path, record: Record) -> list[Item]:
    who = f"the samples of {record.label}, seed {record.seed}"
    artifacts = record.data.get("artifacts") or {}
    shape, count = record.data["cell"]["dataset"].get("shape"), record.data["cell"].get("samples")
    # Each clip has its own file, in addition to a picture of several.
    single: list[str] = []
    while following := artifacts.get(f"samples, {len(single) + 1}"):
        single.append(following)
    names = single or [artifacts.get("samples") or ""]
    if not names[0] or not shape or not count:
        raise InputError(f"{who}: its record lists none; run the cell again")
    if foreign := [name for name in names if not is_inside(directory / name, directory)]:
        raise InputError(f"{who}: {foreign[0]} is a link out of {directory}; a study shows only what lies inside it")
    found = [each for name in names for each in _read(directory / name, shape, count, who)]
    return [Item(*each, record.id, place) for place, each in enumerate(found)]


def _read(path: Path, shape: Sequence[int], count: int, who: str) -> list[tuple[str, str, str]]:
    if not path.is_file():
        raise InputError(f"{who} are missing: {path}; run the cell again with --fresh")
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise InputError(f"{who}: {path}: a study can show {', '.join(_READERS)} files")
    try:
        return reader(path, shape, count)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{who}: {path}: {message_of(error)}; run the cell again with --fresh") from error


def _images(path: Path, shape: Sequence[int], count: int) -> list[tuple[str, str, str]]:
    found = []
    for pixels in grid.cut(path, shape, count):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG")  # without metadata about its origin
        digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        found.append(("image/png", base64.b64encode(file.getvalue()).decode(), digest))
    return found


def _texts(path: Path, shape: Sequence[int], count: int) -> list[tuple[str, str, str]]:
    return [("text/plain", text, hashlib.sha256(text.encode()).hexdigest()) for text in listing.read(path)[:count]]


def _clip(path: Path, shape: Sequence[int], count: int) -> list[tuple[str, str, str]]:
    content = path.read_bytes()
    return [("audio/wav", base64.b64encode(content).decode(), hashlib.sha256(content).hexdigest())]


_READERS: Mapping[str, Callable[[Path, Sequence[int], int], list[tuple[str, str, str]]]] = {
    ".png": _images,
    ".txt": _texts,
    ".wav": _clip,
}
