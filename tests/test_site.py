"""The site: links that work, a navigation with every page, and Markdown in the form that Sphinx needs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import links
import pytest
import repository
from pages import ROOT, documentation

GALLERY = (ROOT / "docs" / "gallery.md").read_text()
REPORTS = [ROOT / name for name in dict.fromkeys(re.findall(r"\]\(\.\./(reports/[^)#]+\.md)", GALLERY))]
SECTIONS = {"Start": ["README", "docs/b"], "Guides": ["docs/a"], "Extend": ["docs/write-*"]}


def test_every_link_of_every_page_leads_somewhere() -> None:
    assert not list(links.faults_of_markdown([*documentation(), *REPORTS], ROOT))


def test_the_gallery_shows_every_committed_report() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "reports"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    if not listed:
        pytest.skip("this is not a checkout")
    committed = {ROOT / name for name in listed.split() if name.endswith(".md")}
    assert set(REPORTS) == committed


def test_a_broken_link_of_a_markdown_page_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "README.md").write_text("# Title\n\n## Two words, `code`\n\n## Again\n\n## Again\n")
    (tmp_path / "page.md").write_text(
        "# Page\n\n[ok](folder) [ok](folder/README.md#two-words-code) [ok](folder#again-1) [ok](#page) [far](https://x.y/z)\n"
        "[gone](gone.md) [no heading](folder/README.md#three) [none here](#folder) ![gone](gone.png)\n"
        "`[code](gone)`\n\n```\n[code](gone)\n# No heading\n```\n[no](#no-heading)\n"
    )
    assert list(links.faults_of_markdown([tmp_path / "page.md"], tmp_path)) == [
        "page.md: gone.md: no such file",
        "page.md: folder/README.md#three: no such heading",
        "page.md: #folder: no such heading",
        "page.md: gone.png: no such file",
        "page.md: #no-heading: no such heading",
    ]


def test_a_broken_link_of_the_site_and_what_it_loads_from_elsewhere_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<link rel="stylesheet" href="a.css"><link rel="canonical" href="https://x.y/a.html"><h1 id="top">A</h1>'
        '<a href="b.html#here">ok</a> <a href="#top">ok</a> <a href="https://x.y">far</a> <a href="b.html#gone">x</a>'
        '<a href="gone.html">x</a> <img src="gone.png"><script src="https://cdn.example/a.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="here"></p>')
    (tmp_path / "a.css").write_text("@import 'https://fonts.example/a.css'; p { background: url(//x.y/b.png) }")
    assert list(links.faults_of_site(tmp_path)) == [
        "a.html: loads https://cdn.example/a.js from the network",
        "a.html: b.html#gone: no such anchor",
        "a.html: gone.html: no such file",
        "a.html: gone.png: no such file",
        "a.css: loads https://fonts.example/a.css from the network",
        "a.css: loads //x.y/b.png from the network",
    ]


def test_the_navigation_holds_each_page_once_and_a_new_one_too() -> None:
    pages = ["README", "docs/a", "docs/b", "docs/new", "docs/write-x", "docs/write-y"]
    assert repository.navigation(SECTIONS, pages, "Guides") == {
        "Start": ["README", "docs/b"],
        "Guides": ["docs/a", "docs/new"],
        "Extend": ["docs/write-x", "docs/write-y"],
    }


def test_a_page_that_is_named_is_not_taken_by_a_pattern() -> None:
    sections = {"All": ["docs/*"], "Own": ["docs/a"]}
    assert repository.navigation(sections, ["docs/a", "docs/b"], "All") == {"All": ["docs/b"], "Own": ["docs/a"]}


def test_a_table_of_contents_has_titles_where_they_are_given() -> None:
    text = repository.toctrees({"Start": ["README", "docs/a"]}, {"README": "Overview"})
    assert text.splitlines() == [
        "```{toctree}",
        ":hidden:",
        ":caption: Start",
        "",
        "Overview </README>",
        "/docs/a",
        "```",
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("[a](folder) [b](folder/) [c](file.md)", "[a](folder/README.md) [b](folder/README.md) [c](file.md)"),
        ("`code`\n\n```\n[a](folder)\n```\n", "`code`\n\n```\n[a](folder)\n```\n"),
        ('[x](#mark)\n\n<a id="mark"></a>', '<a href="#mark">x</a>\n\n<a id="mark"></a>'),
        ("[x](#heading)", "[x](#heading)"),
        ("```python a.py\n1\n```\n", "```{code-block} python\n:caption: a.py\n\n1\n```\n"),
        ("```python\n1\n```\n", "```python\n1\n```\n"),
    ],
)
def test_a_page_as_sphinx_needs_it(written: str, read: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "README.md").touch()
    assert repository.adapted(written, tmp_path) == read
