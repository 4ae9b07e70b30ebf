"""The import law: a module imports only what stands above it in the flow."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
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
SOURCES = sorted((ROOT / "genbench").rglob("*.py"))
PLUGIN_SOURCES = sorted(path for path in (ROOT / "plugins").glob("*/genbench_*/**/*.py") if "egg-info" not in str(path))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, anywhere in it, `if TYPE_CHECKING` blocks included, by full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def part(module: str) -> str:
    """The wing of a module of genbench, or the file at its top."""
    return module.split(".")[1]


def module_of(path: Path) -> str:
    """The dotted name of a file below the repository's root."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def below(module: str, tree: ast.AST) -> list[str]:
    """The lines of a module at which it imports what stands below it."""
    own = part(module)
    return [
        f"{module}:{line}: {own} imports {other}, which stands below it"
        for line, name in imports(tree)
        if name.startswith("genbench.") and (other := part(name)) in ORDER and ORDER.index(other) > ORDER.index(own)
    ]


def circles(trees: Mapping[str, ast.AST]) -> list[list[str]]:
    """The modules, by dotted name, that import one another, straight or through others.

    What a package re-exports is no reason for its parts to import it, so a package counts as a module of its own.
    """
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


TREES = {module_of(path): ast.parse(path.read_text()) for path in SOURCES}


@pytest.mark.parametrize("module", [module for module in TREES if module != "genbench"])
def test_a_module_imports_only_what_stands_above_it(module: str) -> None:
    assert part(module) in ORDER, f"{module} has no place in the order"
    assert below(module, TREES[module]) == []
    for line, name in imports(TREES[module]):
        assert not name.startswith("genbench_"), f"{module}:{line}: the core imports the plugin {name}"


def test_no_module_imports_one_that_imports_it() -> None:
    without_top = {module: tree for module, tree in TREES.items() if module != "genbench"}
    assert circles(without_top) == []


@pytest.mark.parametrize("guard", ["", "if TYPE_CHECKING:\n    "])
def test_a_planted_circle_and_a_step_upwards_are_refused(guard: str) -> None:
    planted = {
        "genbench.machine.one": ast.parse("from genbench.machine.two import b"),
        "genbench.machine.two": ast.parse(f"{guard}from genbench.machine.three import c"),
        "genbench.machine.three": ast.parse(f"{guard}import genbench.machine.one"),
        "genbench.machine.apart": ast.parse("from genbench.machine import one"),
    }
    assert [sorted(set(circle)) for circle in circles(planted)] == [
        ["genbench.machine.one", "genbench.machine.three", "genbench.machine.two"]
    ]
    assert below("genbench.machine.one", ast.parse(f"{guard}from genbench.cell import run"))
    assert not below("genbench.cell.one", ast.parse(f"{guard}from genbench.machine import atomic"))


def test_the_top_holds_the_wings_and_little_else() -> None:
    flat = {path.stem for path in (ROOT / "genbench").glob("*.py")}
    assert flat == {"__init__", "__main__", "api", "errors", "seeding"}
    assert {part(module) for module in TREES if module != "genbench"} == set(ORDER)


def test_metrics_import_torch_and_torchmetrics_alone() -> None:
    for path in (ROOT / "genbench" / "metrics").glob("*.py"):
        for line, name in imports(ast.parse(path.read_text())):
            top = name.split(".")[0]
            allowed = top in ("torch", "torchmetrics", "__future__") or top in sys.stdlib_module_names
            # Importing torchmetrics imports torchvision, which fails beside a CPU torch unless operators are declared.
            allowed |= path.stem == "torchmetrics_import" and name.startswith("genbench.machine.torchvision_import")
            assert allowed or name.startswith("genbench.metrics"), f"{path}:{line}: imports {name}"


@pytest.mark.parametrize("path", PLUGIN_SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_plugin_imports_only_the_public_names(path: Path) -> None:
    import genbench

    for line, name in imports(ast.parse(path.read_text())):
        if name.split(".")[0] == "genbench":
            assert name.removeprefix("genbench.") in genbench.__all__, f"{path}:{line}: {name} is not public"


def test_no_file_has_a_name_that_says_nothing() -> None:
    for path in [*SOURCES, *PLUGIN_SOURCES]:
        assert not re.fullmatch(r"_?(utils?|misc|common|base|manager|helpers?)", path.stem), path


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import genbench", ("torch", "pandas", "numpy", "genbench_")),
        ("import genbench; genbench.hookimpl", ("torch", "pandas")),
        (
            "import genbench.cli",
            ("torch", "pandas", "rich", "numpy", "genbench_", "genbench.progress", "genbench.cell"),
        ),
        ("import genbench.execution.benchmark", ("torch", "pandas", "genbench_")),
        ("import genbench.report.aggregating, genbench.records.statistics", ("torch", "genbench_")),
        ("import genbench.study.making, genbench.study.reading", ("torch", "genbench_")),
        ("import genbench.records.record, genbench.records.baseline, genbench.kinds.nouns", ("torch", "genbench_")),
        ("import genbench.changes, genbench.cli.compare", ("torch", "genbench_")),
        ("import genbench.aggregate.ranking, genbench.cli.aggregate", ("torch", "pandas", "scipy.stats", "genbench_")),
        ("import genbench.observers, genbench.api; genbench.Observer", ("torch", "pandas", "genbench_")),
        ("import genbench.datasets", ("torch", "numpy")),
        ("import genbench.metrics.table, genbench.evaluation.selection", ("torch", "numpy")),
        ("import genbench.sanity, genbench.sanity.candidates, genbench.sanity.tables", ("torch", "genbench_")),
        ("import genbench.cell.preflight, genbench.cell", ("torchmetrics", "torchvision", "matplotlib", "genbench_")),
    ],
)
def test_what_is_not_imported(code: str, forbidden: tuple[str, ...]) -> None:
    program = f"{code}\nimport sys\nprint(*[m for m in sys.modules if m.startswith({forbidden!r})])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
