"""The documentation's code blocks: every block is run in the page's order, or states why it is not.

A comment right before a block, invisible to readers, says how it is tested:

- `<!-- not run: REASON -->`: it is not run, for this reason;
- `<!-- run by: tests/test_x.py -->`: that file runs it;
- `<!-- run -->`: `type_page` runs it unchanged.

After a page's title, a comment applies to all of its blocks. There, `<!-- run with: 5steps for 500steps; --seeds 2
for --seeds 5 -->` means `run`, with these replacements in every file and command, so that they are small enough for a
test.

A block with a name (```` ```python my_model.py ````) is a file. `sh` contains commands; `console` contains commands
after `$`, and their output: a line `...` matches any lines, `...` within a line any text. A command whose output shows
a failure must exit with 1, any other with 0. `python` is a program.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from genbench.cli import cli

ROOT = Path(__file__).parent.parent
CODE = ("bash", "console", "pycon", "python", "sh", "shell")
REMARK = r"<!-- (run|(?:run with|run by|not run): [^>]+?) -->\n"
BLOCK = re.compile(rf"(?:^{REMARK}\n*)?^```(\w*)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
WHOLE = re.compile(rf"\A# [^\n]+\n+{REMARK}(?!```)")
FAILURES = ("FAILED", "REGRESSION")
SHELL = re.compile(r"[|&;<>*$`()]|^\w+=")  # syntax that requires a shell

Command = Callable[..., subprocess.CompletedProcess[str]]


def read_by_click(words: list[str]) -> click.Context:
    """Parse a command line without running it; an unknown command or option raises."""
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words:
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.parse_args(context, words)
    return context


@dataclass(frozen=True)
class Block:
    """One fenced block; `remark` is the comment before it."""

    language: str
    name: str | None
    text: str
    remark: str | None

    @property
    def is_code(self) -> bool:
        """Whether a reader would type or run it."""
        return self.language in CODE or self.text.startswith("$ ")


@dataclass(frozen=True)
class Page:
    """A page of the documentation; `remark` is the comment after its title."""

    path: Path
    remark: str | None
    blocks: Sequence[Block]

    @property
    def is_typed(self) -> bool:
        """Whether tests/test_pages.py runs it, or a part of it."""
        return self._runs or any(block.remark == "run" for block in self.blocks)

    @property
    def typed(self) -> list[Block]:
        """The blocks that `type_page` runs."""
        every = bool(self.remark)
        return [
            block
            for block in self.blocks
            if (block.name or block.is_code) and (block.remark == "run" if block.remark else every)
        ]

    @property
    def _runs(self) -> bool:
        return bool(self.remark) and self.remark.split(":")[0] in ("run", "run with")  # type: ignore[union-attr]

    @property
    def replaced(self) -> dict[str, str]:
        """The replacements in the page's commands, by the text shown."""
        if not self.remark or not self.remark.startswith("run with: "):
            return {}
        pairs = (pair.strip().split(" for ") for pair in self.remark.removeprefix("run with: ").split(";"))
        return {shown: typed for typed, shown in pairs}

    @property
    def files(self) -> dict[str, str]:
        """The files that the page asks its reader to write, by name."""
        return {block.name: block.text for block in self.blocks if block.name}


def read_page(path: Path) -> Page:
    """Return a page's blocks, in order."""
    text = path.read_text()
    whole = WHOLE.match(text)
    blocks = BLOCK.findall(text[whole.end() :] if whole else text)
    made = [Block(language, name or None, body, remark or None) for remark, language, name, body in blocks]
    return Page(path, whole[1] if whole else None, made)


def documentation() -> list[Path]:
    """Return every page that a user or a maintainer reads, except for reports, which are generated."""
    folders = (ROOT / "docs").rglob("*.md"), (ROOT / "plugins").glob("*/README.md")
    return [*ROOT.glob("*.md"), *sorted(path for found in folders for path in found)]


def commands(block: Block) -> Iterator[tuple[str, str | None, int]]:
    """Yield each command of a block with its output as shown on the page, and the exit code that this implies."""
    if not (block.language == "console" or block.text.startswith("$ ")):
        text = block.text.replace("\\\n", " ")
        yield from ((line, None, 0) for line in text.splitlines() if line and not line.startswith("#"))
        return
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output, int(any(word in output for word in FAILURES))


def pattern(output: str) -> str:
    """Return a regular expression that matches the output shown."""
    lines = (
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
        for line in output.splitlines()
    )
    return "".join(lines) or r"(?:.*\n)*"


def type_page(
    page: Page,
    folder: Path,
    command: Command,
    shims: Mapping[str, str],
    replaced: Mapping[str, str] | None = None,
    before: Mapping[str, Callable[[], None]] | None = None,
) -> None:
    """Follow a page's instructions in `folder`; output that differs from what the page shows is an error.

    Args:
        page: a page of the documentation.
        folder: an empty folder.
        command: the fixture of that name, which runs `genbench` in this process, until the page installs something,
            which only new processes can see.
        shims: what `on_path` returned, for commands that need a shell.
        replaced: further replacements, in addition to the page's own.
        before: by the beginning of a command, what to do before the first such command; the page leaves it to its
            reader.
    """
    small, waiting, installed = {**page.replaced, **(replaced or {})}, dict(before or {}), False
    session: dict[str, object] = {"__name__": page.path.stem}
    folder.mkdir(parents=True, exist_ok=True)
    for block in page.typed:
        if block.name:
            (folder / block.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.name).write_text(_small(block.text, small))
        elif block.language == "python":
            _execute(_small(block.text, small), session, folder)
        else:
            for shown, output, code in commands(block):
                for beginning in [name for name in waiting if shown.startswith(name)]:
                    waiting.pop(beginning)()
                installed = installed or shown.startswith("pip install")
                here = None if installed else command
                answer = _typed(_small(shown, small), code, folder, here, shims)
                assert output is None or re.fullmatch(pattern(_small(output, small)), answer), f"$ {shown}\n{answer}"
    assert not waiting, f"{page.path.name} has no command {list(waiting)}"


def _small(text: str, small: Mapping[str, str]) -> str:
    for shown, typed in small.items():
        text = text.replace(shown, typed)
    return text


def _execute(source: str, session: dict[str, object], folder: Path) -> None:
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        exec(compile(source, str(session["__name__"]), "exec"), session)


def _typed(line: str, code: int, folder: Path, command: Command | None, shims: Mapping[str, str]) -> str:
    """Run one line, in this process if it is a genbench command; return its output."""
    words = shlex.split(line, comments=True)
    if command and words[0] == "genbench" and not SHELL.search(re.sub(r"'[^']*'|\"[^\"$`]*\"|#.*", "", line)):
        return command(*words[1:], cwd=folder, code=code, as_one=True).stdout
    shell = ["bash", "-c", line]
    ended = subprocess.run(
        shell, cwd=folder, env={**os.environ, **shims}, stdout=-1, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert ended.returncode == code, f"$ {line}\n{ended.stdout}"
    return ended.stdout


def on_path(folder: Path, program: Sequence[str]) -> dict[str, str]:
    """Return environment variables with which a shell finds `genbench`, `pip`, `pytest` and `python`.

    `pip install -e` becomes an installation into a folder, without dependencies and without a network; it produces
    the same modules and metadata. The other commands are those of this environment, whichever it is.
    """
    site, found = folder / "site", folder / "commands"
    found.mkdir(parents=True)
    install = f"{sys.executable} -m pip install --quiet --no-deps --no-build-isolation --no-index --target {site}"
    lines = {
        "genbench": f'{shlex.join(program)} "$@"',
        "pip": f'{install} "./${{@: -1}}"',
        "pytest": f'{sys.executable} -m pytest "$@"',
        "python": f'{sys.executable} "$@"',
    }
    for name, line in lines.items():
        (found / name).write_text(f"#!/bin/bash\nexec {line}\n")
        (found / name).chmod(0o755)
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PATH": f"{found}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(paths)}
