"""Extracts what a Python file reads: its imports, and the neighbouring files that it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Reading", "read"]

_IMPORTERS = {"import_module", "__import__"}
_JOINERS = {"join", "joinpath", "with_name", "glob", "rglob", "iglob"}
_LONGEST = 255  # maximum length of a file name
_PERCENT = re.compile(r"%(\(\w*\))?[-#0 +]*[\d*]*(\.[\d*]+)?[a-zA-Z]")
_BRACES = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Reading:
    """What a file reads, as far as its source shows.

    Args:
        modules: absolute names that are imported; `from a import b` gives `a` and `a.b`, of which one may not exist.
        files: texts that may name a file.
        paths: texts joined to a path, which may also name a folder or be a pattern such as `*.json`; a part that is
            computed is `*`, as in `weights-*.pt` for `f"weights-{size}.pt"`.
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
        elif node not in inner:
            paths += _joined(node, inner)
    modules = tuple(dict.fromkeys(module for node in ast.walk(tree) for module in _imported(node, package)))
    return Reading(modules, tuple(_plausible(files)), tuple(_plausible(paths)))


def _joined(node: ast.AST, inner: set[ast.AST]) -> Iterator[str]:
    """Yield the paths, beside the file, that an expression joins or computes."""
    match node:
        case ast.BinOp(op=ast.Div()):
            yield "/".join(_divided(node, inner))
        case ast.Call(func=function, args=arguments) if _name(function) in _JOINERS:
            yield "/".join(["**"] * (_name(function) == "rglob") + _texts(arguments, inner))
        case ast.Call(func=function, args=arguments) if _name(function) in _IMPORTERS:
            yield from (name.replace(".", "/") + ".py" for name in _texts(arguments[:1], inner) if "*" in name)
        case ast.Call(func=ast.Attribute(attr="with_suffix"), args=arguments):
            yield from (f"*{suffix}" for suffix in _texts(arguments, inner))
        case ast.JoinedStr() | ast.BinOp() | ast.Call():
            text = _text(node, inner).removeprefix("*/")  # what it begins with is most likely the file's own folder
            if "." in text or "*" not in text:  # others are words of a message, more often than names of files
                yield text


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
        for name in _texts(node.args[:1], set()):
            known = name.partition("*")[0].rpartition(".")[0] if "*" in name else name  # the package, if it is computed
            if known and not name.startswith("."):
                yield known


def _divided(node: ast.BinOp, inner: set[ast.AST]) -> list[str]:
    """Return the texts at the end of `folder / "a" / "b"`; none if the last part is computed."""
    texts: list[str] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Div) and (found := _texts([left.right], inner)):
        inner.add(left)
        texts[:0] = found
        left = left.left
    return [*_texts(left.args, inner), *texts] if texts and isinstance(left, ast.Call) else texts


def _texts(nodes: list[ast.expr], inner: set[ast.AST]) -> list[str]:
    return [text for node in nodes if (text := _text(node, inner)).strip("*")]


def _text(node: ast.AST, inner: set[ast.AST]) -> str:
    """Return a text with `*` for each part that is computed; `inner` receives the expressions that it is made of."""
    parts: list[ast.expr] = []
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            pass
        case ast.BinOp(op=ast.Add()):
            parts = _summands(node, inner)
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
            return _starred(_PERCENT.sub("*", text))
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return _starred(_BRACES.sub("*", text))
        case _:
            return "*"
    inner.add(node)
    return _starred("".join(_text(part, inner) for part in parts))


def _summands(node: ast.BinOp, inner: set[ast.AST]) -> list[ast.expr]:
    """Return `a`, `b`, `c` of `a + b + c`, in a loop, since generated code may add thousands."""
    parts: list[ast.expr] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
        inner.add(left)
        parts.append(left.right)
        left = left.left
    return [left, *reversed(parts)]


def _starred(text: str) -> str:
    return re.sub(r"\*+", "*", text)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _plausible(texts: list[str]) -> Iterator[str]:
    for text in dict.fromkeys(texts):
        if text.strip("./* ") and len(text) <= _LONGEST and text.isprintable():
            yield text
