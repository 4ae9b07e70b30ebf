"""The models' output inside the page, seeds side by side: pictures to enlarge, texts to read, clips to play."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from genbench.plugin.visible import visible
from genbench.report.escape import html, link_target
from genbench.report.model import Gallery
from genbench.report.montage import artifact
from genbench.report.rows import Row

__all__ = ["data_uri", "gallery"]

_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".wav": "audio/wav"}
_MOST_BYTES = 4 << 20  # of one file that is embedded in the page
_MOST_GROUPS = 400  # models whose samples are in the page
_MOST_SEEDS = 20
_LONG = 16  # models; longer galleries scroll separately
_MOST_LINES = 100  # of a listing of texts
_MOST_CLIPS = 4  # players below a grid of spectrograms
_ARROW = "\t→\t"  # between a text and its reconstruction


@dataclass(frozen=True)
class _Made:
    """One artifact: what it is in words, its seed, and its path; and the clips that its spectrograms show."""

    what: str
    seed: str
    path: Path
    relative: str
    clips: tuple[Path, ...] = ()


def data_uri(path: Path) -> str | None:
    """Return a picture or a clip as a data URI; None if it is neither, too large or unreadable."""
    kind = _TYPES.get(path.suffix.lower())
    try:
        if kind is None or path.stat().st_size > _MOST_BYTES:
            return None
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    except OSError:
        return None


def gallery(part: Gallery, directory: Path) -> str:
    """Return each row of the section with the output of its seeds; an empty string if no file exists."""
    section = part.section
    groups = [_group(name, made) for name, made in itertools.islice(_groups(part, directory), _MOST_GROUPS) if made]
    if not groups:
        return ""
    if len(section.rows) > _MOST_GROUPS:
        groups.append(f"<p>Output of the other {len(section.rows) - _MOST_GROUPS:,} is in <code>samples/</code>.</p>")
    label = html(f"{part.kind} on {section.name}")
    long = " long" if len(groups) > _LONG else ""
    return f'<div class="gallery{long}" role="group" aria-label="{label}">{"".join(groups)}</div>'


def _groups(part: Gallery, directory: Path) -> Iterator[tuple[str, list[_Made]]]:
    if part.kind == "samples":
        yield "data", _references(part, directory)
    for row in part.section.rows:
        made = [
            made
            for record in row.records[:_MOST_SEEDS]
            if (
                made := _made(
                    f"{part.kind} of {row.name}", f"seed {record['cell']['seed']}", directory, record, part.kind
                )
            )
        ]
        yield row.name, made


def _references(part: Gallery, directory: Path) -> list[_Made]:
    for record in _records(part.section.rows):
        if made := _made("the data", "items of the dataset", directory, record, "reference"):
            return [made]
    return []


def _made(what: str, seed: str, directory: Path, record: Mapping[str, Any], kind: str) -> _Made | None:
    path = artifact(directory, record, kind)
    if path is None:
        return None
    numbered = (artifact(directory, record, f"{kind}, {number}") for number in range(1, _MOST_CLIPS + 1))
    return _Made(what, seed, path, record["artifacts"][kind], tuple(clip for clip in numbered if clip))


def _records(rows: tuple[Row, ...]) -> Iterator[Mapping[str, Any]]:
    return (record for row in rows for record in row.records)


def _group(name: str, made: list[_Made]) -> str:
    shown = "".join(_figure(one) for one in made)
    return (
        f'<section class="made" data-m="{html(name)}"><h4>{html(name)}</h4><div class="seeds">{shown}</div></section>'
    )


def _figure(made: _Made) -> str:
    what, address = html(f"{made.what}, {made.seed}"), data_uri(made.path)
    if made.path.suffix == ".txt":
        shown = _texts(made.path, what)
    elif address is None:
        shown = f'<a href="{html(link_target(made.relative))}">{what}</a>'
    elif address.startswith("data:audio"):
        shown = _player(what, address)
    else:
        shown = f'<button type="button" class="larger"><img alt="{what}" src="{address}" decoding="async"></button>'
    heard = [(number, data_uri(clip)) for number, clip in enumerate(made.clips, 1)]
    players = "".join(_player(f"{what}, clip {number}", held) for number, held in heard if held)
    return f"<figure>{shown}{players}<figcaption>{html(made.seed)}</figcaption></figure>"


def _player(what: str, address: str) -> str:
    return f'<audio controls preload="none" aria-label="{what}" src="{address}"></audio>'


def _texts(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    lines = content.removesuffix("\n").split("\n")
    more = f"<p>and {len(lines) - _MOST_LINES:,} more</p>" if len(lines) > _MOST_LINES else ""
    shown = (escape(visible(line.replace(_ARROW, " → "), keep="\t")) for line in lines[:_MOST_LINES])
    items = "".join(f"<li>{line}</li>" for line in shown)  # as written: a model may have learned the spaces
    return f'<div class="texts" tabindex="0" role="region" aria-label="{what}"><ol>{items}</ol>{more}</div>'
