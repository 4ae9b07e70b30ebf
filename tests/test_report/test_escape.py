from __future__ import annotations

import html as html_module
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from genbench.records.identity import slug as slugged
from genbench.report.escape import code, fence, html, link_target, one_line, text

markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])

NASTY = (
    "a|b",
    "<script>alert(1)</script>",
    "[here](javascript:alert(1))",
    "![x](http://e.vil/x.png)",
    "*bold* _under_ ~~gone~~ `code` \\| \\",
    "two\nlines\n\n# heading",
    "<http://e.vil> https://e.vil www.e.vil me@e.vil",
    "&amp; &#60; $x$ $`y`$",
    "--- | ---",
    "```\nfence\n```",
)


def cell_of(source: str) -> list[Token]:
    """Parse `source` as the second cell of a table, and return its inline tokens."""
    tokens = markdown.parse(f"| a | b | c |\n| :--- | :--- | :--- |\n| 1 | {source} | 3 |\n")
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 6, "the table's shape changed"
    assert cells[5].content == "3"
    return cells[4].children or []


@given(st.text())
@example("a\\")
@example("\\|")
def test_text_is_shown_as_written_and_is_never_markup(value: str) -> None:
    tokens = cell_of(text(value))
    assert {token.type for token in tokens} <= {"text", "text_special"}
    assert "".join(token.content for token in tokens) == one_line(value)


@pytest.mark.parametrize("value", NASTY)
def test_nasty_text_is_harmless(value: str) -> None:
    tokens = cell_of(text(value))
    assert {token.type for token in tokens} <= {"text", "text_special"}
    assert "".join(token.content for token in tokens) == one_line(value)


@given(st.text(min_size=1).filter(lambda value: one_line(value) != ""))
@example("a`b")
@example("a|b\\")
def test_code_is_shown_as_written_and_holds_nothing_else(value: str) -> None:
    tokens = cell_of(code(value))
    assert {token.type for token in tokens} <= {"text", "text_special", "code_inline", "html_inline"}
    assert all(token.content in {"<code>", "</code>"} for token in tokens if token.type == "html_inline")
    shown = "".join(token.content for token in tokens if token.type != "html_inline")
    assert shown.strip(" ") == one_line(value)


@pytest.mark.parametrize("address", ["http://e.vil", "HTTPS://e.vil", "www.e.vil", "me@e.vil"])
def test_bare_addresses_do_not_become_links_where_a_renderer_would_make_them(address: str) -> None:
    # GitHub links whatever looks like an address in the source, so nothing there may look like one.
    assert not re.search(r"://|www\.|@", text(address), re.IGNORECASE)


def test_plain_names_stay_readable() -> None:
    assert text("conv-vae 0.1.0 (2 layers)") == "conv-vae 0.1.0 (2 layers)"
    assert code("vae:beta=4,likelihood=gaussian") == "`vae:beta=4,likelihood=gaussian`"


@given(st.text())
@example("```\n<b>")
@example("``````")
def test_nothing_ends_a_fence_from_inside(value: str) -> None:
    tokens = markdown.parse(f"before\n\n{fence(value)}\n\nafter\n")
    assert [token.type for token in tokens if token.type not in {"inline"}] == [
        *("paragraph_open", "paragraph_close", "fence", "paragraph_open", "paragraph_close"),
    ]


def test_a_fence_keeps_lines_and_shows_what_a_terminal_would_obey() -> None:
    assert fence("one\n\ttwo\x1b[31m\n") == "```\none\n\ttwo\\x1b[31m\n```"


@given(st.text())
def test_html_is_inert_and_shows_the_value(value: str) -> None:
    shown = html(value)
    assert not set(shown) & set('<>"')
    assert html_module.unescape(shown) == one_line(value)


def test_characters_that_reorder_or_cannot_be_written_are_shown() -> None:
    assert text("evil\u202egnp.exe \ud800 \x00") == r"evil&#92;u202egnp.exe &#92;ud800 &#92;x00"


@given(st.text())
def test_a_slug_is_a_safe_file_name(value: str) -> None:
    slug = slugged(value)
    assert re.fullmatch(r"[a-z0-9_][a-z0-9._-]*", slug)
    assert len(slug) <= 80


def test_slugs_tell_apart_what_they_had_to_change() -> None:
    values = ["gan", "GAN", "Gan", "vae:beta=4", "vae:beta:4", "vae beta 4", "../x", "x", "", ".", "a/b", "a-b"]
    assert len({slugged(value) for value in values}) == len(values)
    assert slugged("gan") == "gan"
    changed = slugged("vae:beta=4")
    assert slugged(changed) != changed, "a plugin could take another's slug as its name"


def test_a_link_target_cannot_leave_its_brackets_or_gain_a_scheme() -> None:
    assert link_target("samples/a b(1)<é>.png") == "samples/a%20b%281%29%3C%C3%A9%3E.png"
    assert link_target("javascript:x") == "javascript%3Ax"
