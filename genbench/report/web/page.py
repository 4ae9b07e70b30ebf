"""The page: its head, its content security policy, its parts in sections, and the data that its scripts read."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from genbench.report.drawing import Style
from genbench.report.escape import html, text
from genbench.report.machines import Machine
from genbench.report.sections import Section
from genbench.report.web.facts import facts, script_safe
from genbench.report.web.parts import Context, written
from genbench.report.web.prose import inline, plain_text

__all__ = ["Watched", "page"]

_SCRIPTS = (  # in this order: they are joined into one script
    *("uPlot.iife.min.js", "elements.js", "tables.js", "copying.js", "charts.js", "legends.js", "curves.js"),
    *("marks.js", "numbers.js", "galleries.js", "filters.js", "page.js"),
)
_STYLES = ("uPlot.min.css", "report.css")


@dataclass(frozen=True)
class Watched:
    """What the pages say about a benchmark that is still running.

    Args:
        made_at: when the page was rendered, as it is to be shown.
        running: the cells that were running then, as they are to be shown.
        missing: how many planned cells had not ended.
        again_s: seconds after which the page reloads itself from disk.
    """

    made_at: str
    running: tuple[str, ...]
    missing: int
    again_s: int = 30

    @property
    def state(self) -> str:
        """When the page was rendered and what was running then, as plain text."""
        runs = f"Running then: {', '.join(self.running)}." if self.running else "Nothing was running then."
        return f"Rendered at {self.made_at}. {runs}"


def page(
    parts: Sequence[str],
    directory: Path,
    made: Sequence[Section],
    colours: Mapping[str, Style],
    known: Sequence[Machine],
    watched: Watched | None = None,
) -> str:
    """Return the page.

    Args:
        parts: as returned by `pages.page_parts`; the first is the title.
        directory: holds the pictures and artifacts.
        made: the sections that the parts belong to.
        colours: model -> its style in the figures.
        known: the machines of the records.
        watched: for a benchmark that is still running.
    """
    context = Context(directory, made, colours)
    title, *rest = [part for part in parts if part or part.__class__ is not str]
    opening, sections = _split(rest)
    begin = "".join(written(part, context) for part in opening)
    body = "".join(_section(place, heading, inside, context) for place, (heading, inside) in enumerate(sections))
    links = "".join(
        f'<li><a href="#s{place}">{inline(heading.removeprefix("## "))}</a></li>'
        for place, (heading, _) in enumerate(sections)
    )
    known_facts = facts(made, colours, known) | {"stored": context.stored, "charts": context.charts}
    name = plain_text(title.removeprefix("# "))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{_policy()}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{html(name)}</title>\n<style>{_style()}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the report</a>\n'
        f"<header><h1>{inline(title.removeprefix('# '))}</h1>{_watched(watched)}{begin}"
        f'<nav aria-label="Sections"><ol>{links}</ol></nav></header>\n'
        f'<main id="main">\n{body}</main>\n'
        "<noscript><p>Sorting, filters and curves need JavaScript, which is disabled.</p></noscript>\n"
        f'<script type="application/json" id="facts">{script_safe(known_facts)}</script>\n'
        f"<script>{_script()}</script>\n</body>\n</html>\n"
    )


def _split(parts: Sequence[str]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return what comes before the first second-level heading, and each such heading with what follows it."""
    opening: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    for part in parts:
        if part.startswith("## "):
            sections.append((part, []))
        else:
            (sections[-1][1] if sections else opening).append(part)
    return opening, sections


def _section(place: int, heading: str, inside: Sequence[str], context: Context) -> str:
    of = next((section for section in context.sections if heading == f"## {text(section.name)}"), None)
    data = f' data-d="{html(of.title[0])}"' if of else ""
    body = "".join(written(part, context) for part in (heading, *inside))
    return f'<section id="s{place}"{data}>{body}</section>\n'


def _watched(watched: Watched | None) -> str:
    if watched is None:
        return ""
    return (
        f'<p class="watched" data-again="{watched.again_s}" role="status">{html(watched.state)} '
        "The page reloads itself from disk while nobody is using it.</p>"
    )


def _policy() -> str:
    """Return the content security policy: run its own scripts, show its own pictures and clips, and load nothing."""
    rules: dict[str, Any] = {
        "default-src": "'none'",
        "script-src": _hashed(_script()),
        "style-src": _hashed(_style()),
        "img-src": "data:",
        "media-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    content = "; ".join(f"{name} {value}" for name, value in rules.items())
    return f'<meta http-equiv="Content-Security-Policy" content="{content}">'


def _hashed(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@functools.cache
def _script() -> str:
    return "\n".join(_asset(name) for name in _SCRIPTS)


@functools.cache
def _style() -> str:
    return "\n".join(_asset(name) for name in _STYLES)


def _asset(name: str) -> str:
    return files("genbench.report.web").joinpath("assets", name).read_text(encoding="utf-8")
