"""Each command and program in the documentation runs, or says why it does not."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest
from pages import ROOT, Block, Command, Page, commands, on_path, read_page, type_page

PAGES = [read_page(path) for path in pages.documentation()]
TYPED = [page for page in PAGES if page.is_typed]


def name_of(page: Page) -> str:
    return str(page.path.relative_to(ROOT))


def unexplained(page: Page) -> Iterator[str]:
    """The first line of each block that no test runs and that does not say why not."""
    for block in page.blocks:
        if block.is_code and not block.name and not (block.remark or page.remark):
            yield block.text.partition("\n")[0]


@pytest.mark.parametrize("page", TYPED, ids=name_of)
def test_what_a_page_says_happens(page: Page, tmp_path: Path, command: Command, program: list[str]) -> None:
    type_page(page, tmp_path / "work", command, on_path(tmp_path / "shims", program))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_block_is_run_or_says_why_not(page: Page) -> None:
    assert not list(unexplained(page)), "add <!-- run -->, <!-- run by: tests/test_x.py --> or <!-- not run: reason -->"


def test_a_test_that_is_said_to_run_a_page_names_it() -> None:
    remarks = [(page, remark) for page in PAGES for remark in (page.remark, *(block.remark for block in page.blocks))]
    found = [(page, remark.removeprefix("run by: ")) for page, remark in remarks if remark and "run by: " in remark]
    assert found
    for page, test in found:
        assert page.path.name in (ROOT / test).read_text(), (
            f"{name_of(page)} claims to be run by {test}, which does not name it"
        )


def test_the_tests_that_are_named_exist() -> None:
    for page in PAGES:
        for remark in filter(None, (page.remark, *(block.remark for block in page.blocks))):
            for path in re.findall(r"\b(?:tests|plugins|docs)/[\w/.-]+\w", remark):
                assert (ROOT / path).exists(), f"{name_of(page)}: {path}"


def genbench_lines(page: Page) -> Iterator[list[str]]:
    for block in page.blocks:
        if block.is_code and block.language != "python":
            for line, _, _ in commands(block):
                for words in (shlex.split(part, comments=True) for part in re.split(r"&&|\|\|", line)):
                    if words and words[0] == "genbench":
                        yield words[1:]


@pytest.mark.parametrize("page", [page for page in PAGES if list(genbench_lines(page))], ids=name_of)
def test_each_command_is_one_that_click_reads(page: Page) -> None:
    for words in genbench_lines(page):
        pages.read_by_click(words)


def test_what_a_program_imports_of_genbench_exists() -> None:
    seen = 0
    for page in PAGES:
        for block in (block for block in page.blocks if block.language == "python"):
            for node in ast.walk(ast.parse(block.text)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "genbench":
                    module = importlib.import_module(node.module or "")
                    assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
                    seen += 1
    assert seen > 3


def test_the_plugin_of_the_class_conditional_tutorial_is_short() -> None:
    page = read_page(ROOT / "docs" / "tutorials" / "class-conditional-plugin.md")
    assert len(page.files["conditional.py"].splitlines()) < 80


# The rules themselves


def page_of(text: str, tmp_path: Path) -> Page:
    (tmp_path / "page.md").write_text(text)
    return read_page(tmp_path / "page.md")


@pytest.mark.parametrize(
    ("remark", "left"),
    [
        ("", ["true"]),
        ("<!-- run -->\n", []),
        ("<!-- not run: takes hours -->\n", []),
        ("<!-- not run -->\n", ["true"]),
        ("<!-- not run: -->\n", ["true"]),
        ("<!-- not run: takes hours -->\n\nAnother paragraph.\n\n", ["true"]),
    ],
)
def test_a_block_without_a_reason_is_found(remark: str, left: list[str], tmp_path: Path) -> None:
    text = f"# Title\n\nText.\n\n{remark}```sh\ntrue\n```\n"
    assert list(unexplained(page_of(text, tmp_path))) == left
    assert list(unexplained(page_of("# Title\n\n<!-- run -->\n" + text, tmp_path))) == []


def test_a_remark_holds_for_its_own_block_alone(tmp_path: Path) -> None:
    page = page_of("# T\n\n<!-- not run: x -->\n```sh\none\n```\n\n```\n$ two\n```\n\n```toml\na = 1\n```\n", tmp_path)
    assert list(unexplained(page)) == ["$ two"]


def test_a_page_that_shows_what_does_not_happen_fails(tmp_path: Path, command: Command, program: list[str]) -> None:
    shims = on_path(tmp_path / "shims", program)
    for number, (block, right) in enumerate(
        [
            ("```console\n$ echo one && echo two\none\n...\n```\n", True),
            ("```console\n$ echo one && echo two\ntwo\n```\n", False),
            ("```console\n$ echo FAILED; exit 1\nFAILED\n```\n", True),
            ("```console\n$ exit 1\n```\n", False),
            ("```sh\nexit 1\n```\n", False),
            ("```python\nassert False\n```\n", False),
            ("```sh\ngenbench models vae\n```\n", True),
            ("```sh\ngenbench models nothing-of-that-name\n```\n", False),
            ("```text a.txt\nlong\n```\n\n```sh\ngrep -x short a.txt\n```\n", True),
        ]
    ):
        page = page_of(f"# T\n\n<!-- run with: short for long -->\n\n{block}", tmp_path)
        if right:
            type_page(page, tmp_path / str(number), command, shims)
        else:
            with pytest.raises(AssertionError):
                type_page(page, tmp_path / str(number), command, shims)


def test_dots_stand_for_text_and_for_lines() -> None:
    assert re.fullmatch(pages.pattern("a ... c\n...\nend\n"), "a b c\nmore\nand more\nend\n")
    assert not re.fullmatch(pages.pattern("a ... c\nend\n"), "a b c\nmore\nend\n")


def test_the_commands_of_a_block() -> None:
    assert list(commands(Block("sh", None, "# why\na \\\n  b\nc\n", None))) == [("a    b", None, 0), ("c", None, 0)]
    console = Block("console", None, "$ a\nx\n$ b\nREGRESSION: y\n", None)
    assert list(commands(console)) == [("a", "x\n", 0), ("b", "REGRESSION: y\n", 1)]
