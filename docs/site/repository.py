"""What turns the repository's Markdown files into pages: navigation, links to folders, anchors, named code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

import genbench

FENCE = re.compile(r"^```.*?^```[ \t]*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(\[[^\]]*\]\()([^)#\s]+)(\))")
ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
NAMED_FENCE = re.compile(r"^```(\w+) (\S+)$", re.MULTILINE)
TEMPLATE = re.compile(r"(?<!`)`([^`]*<[^`]*)`(?!`)")  # a role would take what is in angle brackets for its target
HOOKS = "genbench.plugin.hookspecs"


def navigation(sections: Mapping[str, Sequence[str]], pages: Iterable[str], rest: str) -> dict[str, list[str]]:
    """Assign each page to one section, in the order of the section's patterns.

    A page that no pattern matches goes to the end of the section `rest`, so a new page needs no change here.
    """
    left = sorted(pages)
    exact = {page for patterns in sections.values() for page in patterns if page in left}
    assigned: dict[str, list[str]] = {}
    for section, patterns in sections.items():
        assigned[section] = [
            page
            for pattern in patterns
            for page in left
            if page == pattern or (page not in exact and fnmatch(page, pattern))
        ]
    taken = {page for found in assigned.values() for page in found}
    assigned[rest] += [page for page in left if page not in taken]
    return assigned


def toctrees(assigned: Mapping[str, Sequence[str]], titles: Mapping[str, str]) -> str:
    """Return the hidden tables of contents that make the sidebar."""
    parts = []
    for section, pages in assigned.items():
        entries = [f"{titles[page]} </{page}>" if page in titles else f"/{page}" for page in pages]
        parts.append("\n".join(["```{toctree}", ":hidden:", f":caption: {section}", "", *entries, "```"]))
    return "\n\n".join(parts)


def adapted(text: str, folder: Path) -> str:
    """Return a page's Markdown as Sphinx needs it; what lies in code blocks is left alone.

    Args:
        text: of the page.
        folder: where the page lies, from which its links lead.
    """
    anchors = set(ANCHOR.findall(text))
    parts, end = [], 0
    for fence in FENCE.finditer(text):
        parts += [_prose(text[end : fence.start()], folder, anchors), NAMED_FENCE.sub(_captioned, fence[0], count=1)]
        end = fence.end()
    return "".join([*parts, _prose(text[end:], folder, anchors)])


def _captioned(opening: re.Match[str]) -> str:
    return f"```{{code-block}} {opening[1]}\n:caption: {opening[2]}\n"


def _prose(text: str, folder: Path, anchors: set[str]) -> str:
    for name in anchors:  # Markdown's own links know the anchors of headings alone
        text = re.sub(rf"\[([^\]]*)\]\(#{re.escape(name)}\)", rf'<a href="#{name}">\1</a>', text)
    return LINK.sub(lambda link: _to_readme(link, folder), text)


def _to_readme(link: re.Match[str], folder: Path) -> str:
    """Where a forge shows a folder's README, the site has its page."""
    readme = folder / link[2] / "README.md"
    return f"{link[1]}{link[2].rstrip('/')}/README.md{link[3]}" if readme.is_file() else link[0]


def _read(app: Any, docname: str, source: list[str]) -> None:
    source[0] = adapted(source[0], Path(app.env.doc2path(docname)).parent)
    if docname == app.config.root_doc:
        pages = [page for page in app.env.found_docs if page != docname]
        titles = {page: Path(page).parent.name for page in pages if fnmatch(page, "reports/*/report")}
        assigned = navigation(app.config.navigation, pages, app.config.navigation_rest)
        source[0] += "\n\n" + toctrees(assigned, titles | app.config.navigation_titles)


def _process(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Say in reStructuredText what docstrings of this project leave to the reader's eye."""
    for at, line in enumerate(lines):
        lines[at] = TEMPLATE.sub(r"``\1``", line)
    if what in ("attribute", "property"):  # else napoleon takes what comes before a colon for a type
        lines.insert(0, "")
    if getattr(found, "__module__", "") == HOOKS:  # the indented example at the end is code
        at = next((at for at, line in enumerate(lines) if line.startswith("    ") and not lines[at - 1]), None)
        if at is not None:
            lines[at:at] = [".. code-block:: python", ""]


def _public(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Resolve a name by where it is documented, not where it is defined: `genbench.plugin.model.Model`."""
    name = node.get("reftarget", "").rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in genbench.__all__ or node["reftarget"] == f"genbench.{name}":
        return None
    return env.get_domain("py").resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], f"genbench.{name}", node, content
    )


def setup(app: Any) -> dict[str, Any]:
    """Connect all this to Sphinx."""
    app.add_config_value("navigation", {}, "env")
    app.add_config_value("navigation_rest", "", "env")
    app.add_config_value("navigation_titles", {}, "env")
    app.add_lexer("mermaid", TextLexer)  # a forge draws these blocks; here they are shown as written
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _process, priority=400)  # before napoleon, at 500
    app.connect("missing-reference", _public)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
