"""Converts a report's Markdown to HTML: only the subset that `report.escape` writes, and never foreign tags."""

from __future__ import annotations

import functools
import re
from collections.abc import MutableMapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from genbench.report.escape import html

__all__ = ["blocks", "inline", "plain_text", "slugs"]

_SIMPLE = re.compile(r"[A-Za-z0-9 .,±+–−↓↑÷%/:∞…()²-]*")
_CODE = re.compile(r"`([^`|\\]+)`")
_OPEN, _CLOSE = "<code>", "</code>"


def inline(source: str) -> str:
    """Return a line of Markdown, such as a table cell, as HTML."""
    if _SIMPLE.fullmatch(source) and not source.startswith(("+ ", "- ")):
        return source
    if found := _CODE.fullmatch(source):  # most cells are a number or a name, and parsing is slow
        return f"<code>{html(found[1])}</code>"
    return str(_parser().renderInline(source)).strip()


def plain_text(source: str) -> str:
    """Return the text that a line of Markdown shows, without formatting.

    >>> plain_text("**`a_b`**"), plain_text("<code>a&#124;b</code>")
    ('a_b', 'a|b')
    """
    if found := _CODE.fullmatch(source):
        return found[1]
    tokens = _parser().parseInline(source)
    return "".join(child.content for token in tokens for child in token.children or ())


def blocks(source: str, taken: dict[str, int]) -> str:
    """Return paragraphs, lists, headings and fenced blocks as HTML.

    Args:
        source: Markdown.
        taken: heading names and how often each was used on the page; updated.
    """
    return str(_parser().render(source, {"taken": taken}))


def slugs(heading: str, taken: dict[str, int]) -> str:
    """Return the anchor that GitHub gives to a heading, so that the Markdown's links also work here."""
    name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") or "part"
    count = taken.get(name, 0)
    taken[name] = count + 1
    return f"{name}-{count}" if count else name


@functools.cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("strikethrough")
    parser.inline.ruler.before("autolink", "name", _name)
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("link_open", _link)
    return parser


def _name(state: StateInline, silent: bool) -> bool:
    """Parse `<code>` as written by `escape.code`, which escapes names, so the tags cannot come from elsewhere."""
    if not state.src.startswith(_OPEN, state.pos):
        return False
    start, end = state.pos + len(_OPEN), state.src.find(_CLOSE, state.pos)
    if end < 0:
        return False
    if not silent:
        most = state.posMax
        state.push("name_open", "code", 1)
        state.pos, state.posMax = start, end
        state.md.inline.tokenize(state)
        state.push("name_close", "code", -1)
        state.posMax = most
    state.pos = end + len(_CLOSE)
    return True


def _heading(
    renderer: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    token = tokens[place]
    shown = "".join(child.content for child in tokens[place + 1].children or ())
    token.attrSet("id", slugs(shown, env.get("taken", {})))
    return str(renderer.renderToken(tokens, place, options, env))


def _fence(
    renderer: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    return f'<pre tabindex="0"><code>{_escaped(tokens[place].content)}</code></pre>\n'


def _link(
    renderer: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    target = str(tokens[place].attrGet("href"))
    if target.endswith("/report.md"):  # another report, which also has an HTML page
        tokens[place].attrSet("href", target.removesuffix("md") + "html")
    if not target.startswith("#"):
        tokens[place].attrSet("rel", "noreferrer")
    return str(renderer.renderToken(tokens, place, options, env))


def _escaped(content: str) -> str:
    return content.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
