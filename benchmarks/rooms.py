"""The rooms of genbench in the order of the import law, and their diagram in CONTRIBUTING.md.

    python benchmarks/rooms.py            print the order: each room, its content, and its imports
    python benchmarks/rooms.py --write    redraw the diagram

`ORDER` is the law that tests/test_layers.py enforces. The diagram is generated from the imports in the code: an arrow
leads from a room to every room that it imports, unless a longer path leads there too.
"""

from __future__ import annotations

import argparse
import ast
import functools
import graphlib
import textwrap
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- drawing: python benchmarks/rooms.py --write -->", "<!-- end of drawing -->"
ORDER = [
    "errors",
    "seeding",
    "config",
    "machine",
    "plugin",
    "kinds",
    "datasets",
    "records",
    "aggregate",
    "study",
    "features",
    "metrics",
    "sanity",
    "training",
    "evaluation",
    "cell",
    "execution",
    "progress",
    "observers",
    "report",
    "changes",
    "regression",
    "contract",
    "scaffold",
    "api",
    "cli",
    "__main__",
]
Trees = Mapping[str, ast.Module]  # of files, by dotted name


def parsed(folder: Path) -> dict[str, ast.Module]:
    """Return the modules of a package, by dotted name; a package counts as the module that its `__init__.py` is."""
    return {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path in sorted(folder.rglob("*.py"))
    }


@functools.cache  # a file has thousands of nodes, and its imports are queried several times
def imports(tree: ast.AST) -> tuple[tuple[int, str], ...]:
    """Return the line and full name of every import in a file, including `if TYPE_CHECKING` blocks and functions."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return tuple(found)


def room(module: str) -> str:
    """Return the room of a module of genbench, or the file at its top."""
    return module.split(".")[1]


def upwards(module: str, tree: ast.AST) -> list[str]:
    """Return the imports of a module that break the law, one line each."""
    own = room(module)
    return [
        f"{module}:{line}: {own} imports {other}, which comes after it"
        for line, name in imports(tree)
        if name.startswith("genbench.") and (other := room(name)) in ORDER and ORDER.index(other) > ORDER.index(own)
    ]


def circles(trees: Trees) -> list[list[str]]:
    """Return the cycles of modules that import one another, directly or through others."""
    graph = {
        module: {
            next(target for target in (name, name.rpartition(".")[0]) if target in trees)
            for _, name in imports(tree)
            if name in trees or name.rpartition(".")[0] in trees
        }
        - {module}
        for module, tree in trees.items()
    }
    found, left = [], graph
    while left:
        try:
            graphlib.TopologicalSorter(left).prepare()
            break
        except graphlib.CycleError as error:
            found.append(error.args[1])
            left = {module: of - {error.args[1][0]} for module, of in left.items() if module != error.args[1][0]}
    return found


def imported(trees: Trees) -> dict[str, list[str]]:
    """Return for each room, in order, the other rooms that its files import."""
    found: dict[str, set[str]] = {name: set() for name in ORDER}
    for module, tree in trees.items():
        if module != "genbench":
            names = {room(name) for _, name in imports(tree) if name.startswith("genbench.")}
            found[room(module)] |= names & set(ORDER) - {room(module)}
    return {name: sorted(others, key=ORDER.index) for name, others in found.items()}


def arrows(graph: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Return the edges of an acyclic graph, (from, to), without those implied by a longer path."""
    reached: dict[str, set[str]] = {}
    for name in graphlib.TopologicalSorter(graph).static_order():
        own = graph.get(name, [])
        reached[name] = set(own).union(*(reached[other] for other in own))
    return [
        (name, other)
        for name, others in graph.items()
        for other in others
        if not any(other in reached[between] for between in others)
    ]


def drawing(trees: Trees) -> str:
    """Return the rooms as a Mermaid diagram, with imported rooms below the rooms that import them."""
    lines = [f"    {name} --> {other}" for name, other in arrows(imported(trees))]
    return "\n".join(["```mermaid", "flowchart TD", *reversed(lines), "```"])


def with_drawing(page: str, drawn: str) -> str:
    """Return a page with the diagram between its two markers replaced."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{drawn}\n\n{END}{rest.split(END)[1]}"


def outline(trees: Trees) -> str:
    """Return a paragraph for each room, in order: its content, according to its docstring, and its imports."""
    others = imported(trees)
    lines = []
    for number, name in enumerate(ORDER, 1):
        holds = (ast.get_docstring(trees[f"genbench.{name}"]) or "").partition("\n")[0]
        for text in (holds, f"imports {', '.join(others[name])}" if others[name] else "imports no other room"):
            head = f"{number:>2}  {name:<12}" if text is holds else " " * 16
            lines += textwrap.wrap(text, 120, initial_indent=head, subsequent_indent=" " * 16)
    return "\n".join(lines)


def main() -> None:
    """Print the order, or write the diagram."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="redraw the diagram in CONTRIBUTING.md")
    trees = parsed(ROOT / "genbench")
    if parser.parse_args().write:
        PAGE.write_text(with_drawing(PAGE.read_text(encoding="utf-8"), drawing(trees)), encoding="utf-8")
    else:
        print(outline(trees))


if __name__ == "__main__":
    main()
