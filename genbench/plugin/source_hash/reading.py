"""Extracts what a Python file reads: its imports, and the neighbouring files that it names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Reading", "read"]

_IMPORTERS = {"import_module", "__import__"}
_JOINERS = {"join", "joinpath", "with_name", "glob", "rglob", "iglob"}
_LONGEST = 255  # maximum length of a file name


@dataclass(frozen=True)
class Reading:
    """What a file reads, as far as its source shows.

    Args:
        modules: absolute names that are imported; `from a import b` gives `a` and `a.b`, of which one may not exist.
        files: texts that may name a file.
        paths: texts joined to a path, which may also name a folder or be a pattern such as `*.json`.
    """

    modules: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


def read(path: Path, package: str = "") -> Reading:
    """Analyse a Python file without running it; a file that cannot be parsed contributes nothing.

    Args:
        package: the dotted name that relative imports start from; empty if there is none.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the import reports what is wrong with it
        return Reading()
    files: list[str] = []
    paths: list[str] = []
    inner: set[ast.AST] = set()
    for node in ast.walk(tree):  # outermost first: part of a path that was already read is not a path itself
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            files.append(node.value)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and node not in inner:
            paths.append("/".join(_divided(node, inner)))
        elif isinstance(node, ast.Call) and _name(node.func) in _JOINERS:
            paths.append("/".join(["**"] * (_name(node.func) == "rglob") + _texts(node.args)))
    modules = tuple(dict.fromkeys(module for node in ast.walk(tree) for module in _imported(node, package)))
    return Reading(modules, tuple(_plausible(files)), tuple(_plausible(paths)))


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            if not package or not above:
                return
            base = ".".join([*above, base]).rstrip(".")
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and _name(node.func) in _IMPORTERS:
        yield from (name for name in _texts(node.args[:1]) if not name.startswith("."))


def _divided(node: ast.BinOp, inner: set[ast.AST]) -> list[str]:
    """Return the texts at the end of `folder / "a" / "b"`; none if the last part is computed."""
    texts: list[str] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Div) and (found := _texts([left.right])):
        inner.add(left)
        texts[:0] = found
        left = left.left
    return [*_texts(left.args), *texts] if texts and isinstance(left, ast.Call) else texts


def _texts(nodes: list[ast.expr]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _plausible(texts: list[str]) -> Iterator[str]:
    for text in dict.fromkeys(texts):
        if text.strip("./* ") and len(text) <= _LONGEST and text.isprintable():
            yield text
