"""The import law: a module imports only what is above it in the flow, and CONTRIBUTING.md draws the same order."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rooms

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "genbench").rglob("*.py"))
PLUGIN_SOURCES = sorted(path for path in (ROOT / "plugins").glob("*/genbench_*/**/*.py") if "egg-info" not in str(path))
TREES = rooms.parsed(ROOT / "genbench")


@pytest.mark.parametrize("module", [module for module in TREES if module != "genbench"])
def test_a_module_imports_only_what_stands_above_it(module: str) -> None:
    assert rooms.room(module) in rooms.ORDER, f"{module} has no place in the order"
    assert rooms.upwards(module, TREES[module]) == []
    for line, name in rooms.imports(TREES[module]):
        assert not name.startswith("genbench_"), f"{module}:{line}: the core imports the plugin {name}"


def test_no_module_imports_one_that_imports_it() -> None:
    assert rooms.circles(TREES) == []
    for folder in sorted((ROOT / "plugins").glob("*/genbench_*/")):
        assert rooms.circles(rooms.parsed(folder)) == []


@pytest.mark.parametrize("guard", ["", "if TYPE_CHECKING:\n    "])
def test_a_planted_circle_and_a_step_upwards_are_refused(guard: str) -> None:
    planted = {
        "genbench.machine.one": ast.parse("from genbench.machine.two import b"),
        "genbench.machine.two": ast.parse(f"{guard}from genbench.machine.three import c"),
        "genbench.machine.three": ast.parse(f"{guard}import genbench.machine.one"),
        "genbench.machine.apart": ast.parse("from genbench.machine import one"),
    }
    assert [sorted(set(circle)) for circle in rooms.circles(planted)] == [
        ["genbench.machine.one", "genbench.machine.three", "genbench.machine.two"]
    ]
    assert rooms.upwards("genbench.machine.one", ast.parse(f"{guard}from genbench.cell import run"))
    assert not rooms.upwards("genbench.cell.one", ast.parse(f"{guard}from genbench.machine import atomic"))


def test_the_drawing_in_contributing_is_that_of_the_code() -> None:
    page = rooms.PAGE.read_text(encoding="utf-8")
    assert rooms.with_drawing(page, rooms.drawing(TREES)) == page, "run: python benchmarks/rooms.py --write"
    old, new = (f"above {rooms.BEGIN}\n\n{drawn}\n\n{rooms.END} below" for drawn in ("old", "new"))
    assert rooms.with_drawing(old, "new") == new


def test_an_arrow_is_left_out_where_a_longer_way_leads_to_the_same_room() -> None:
    graph = {"a": [], "b": ["a"], "c": ["a", "b"], "d": ["a", "c"], "e": ["a"]}
    assert rooms.arrows(graph) == [("b", "a"), ("c", "b"), ("d", "c"), ("e", "a")]


def test_the_outline_lists_the_rooms_in_order_with_their_own_words_and_imports() -> None:
    text = rooms.outline(TREES)
    assert re.findall(r"^ *\d+  (\S+)", text, re.MULTILINE) == rooms.ORDER
    assert " 1  errors      The errors a user sees" in text
    assert re.search(r"^ *\d+  aggregate .*\n +imports records$", text, re.MULTILINE)


def test_the_top_holds_the_wings_and_little_else() -> None:
    flat = {path.stem for path in (ROOT / "genbench").glob("*.py")}
    assert flat == {"__init__", "__main__", "api", "errors", "seeding"}
    assert {rooms.room(module) for module in TREES if module != "genbench"} == set(rooms.ORDER)


def test_metrics_import_torch_and_torchmetrics_alone() -> None:
    for path in (ROOT / "genbench" / "metrics").glob("*.py"):
        for line, name in rooms.imports(ast.parse(path.read_text())):
            top = name.split(".")[0]
            allowed = top in ("torch", "torchmetrics", "__future__") or top in sys.stdlib_module_names
            # Importing torchmetrics imports torchvision, which fails with a CPU torch unless operators are declared.
            allowed |= path.stem == "torchmetrics_import" and name.startswith("genbench.machine.torchvision_import")
            assert allowed or name.startswith("genbench.metrics"), f"{path}:{line}: imports {name}"


@pytest.mark.parametrize("path", PLUGIN_SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_plugin_imports_only_the_public_names(path: Path) -> None:
    import genbench

    for line, name in rooms.imports(ast.parse(path.read_text())):
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


def test_no_package_imports_another_rooms_module_under_the_name_of_its_own() -> None:
    """Otherwise the first import of its own submodule would replace what it had imported."""
    packages = [path.parent for path in (ROOT / "genbench").rglob("__init__.py")]
    for folder in packages:
        own = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir() if path.is_dir()}
        package = ".".join(folder.relative_to(ROOT).parts)
        for node in ast.walk(ast.parse((folder / "__init__.py").read_text())):
            if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(package):
                bound = {alias.asname or alias.name for alias in node.names}
                assert not bound & own, f"{package}: {sorted(bound & own)} from {node.module}"
