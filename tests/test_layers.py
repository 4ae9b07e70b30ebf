"""The import law: a module imports only what stands above it in the flow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = [
    "errors",
    "privacy",
    "visible",
    "terminal",
    "identity",
    "atomic",
    "returned",
    "model",
    "compilation",
    "capture",
    "config",
    "seeding",
    "hookspecs",
    "datasets",
    "source_hash",
    "plugins",
    "options",
    "checkpoint",
    "modes",
    "world",
    "losses",
    "stopwatch",
    "training",
    "sampling",
    "pictures",
    "features",
    "metrics",
    "selection",
    "counters",
    "flops",
    "cost",
    "workload",
    "controls",
    "measurement",
    "evaluation",
    "processors",
    "environment",
    "record_fields",
    "record",
    "plans",
    "baseline",
    "preflight",
    "cell",
    "execution",
    "intervals",
    "ratio",
    "progress",
    "comparison",
    "regression",
    "report",
    "changes",
    "api",
    "contract",
    "scaffold",
    "cli",
    "__main__",
]
SOURCES = sorted((ROOT / "genbench").rglob("*.py"))
PLUGIN_SOURCES = sorted(path for path in (ROOT / "plugins").glob("*/genbench_*/**/*.py") if "egg-info" not in str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, anywhere in it, by full name; `if TYPE_CHECKING` blocks aside."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped |= {inner for child in node.body for inner in ast.walk(child)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def part(path: Path) -> str:
    relative = path.relative_to(ROOT / "genbench")
    return relative.parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", [path for path in SOURCES if part(path) != "__init__"], ids=lambda path: path.name)
def test_a_module_imports_only_what_stands_above_it(path: Path) -> None:
    own = part(path)
    assert own in ORDER, f"genbench/{own} has no place in the order"
    for line, name in imports(path):
        if name.startswith("genbench.") and name.split(".")[1] in ORDER:
            other = name.split(".")[1]
            assert ORDER.index(other) <= ORDER.index(own), (
                f"{path}:{line}: {own} imports {other}, which stands below it"
            )
        assert not name.startswith("genbench_"), f"{path}:{line}: the core imports the plugin {name}"


def test_metrics_import_torch_and_torchmetrics_alone() -> None:
    for path in (ROOT / "genbench" / "metrics").glob("*.py"):
        for line, name in imports(path):
            top = name.split(".")[0]
            allowed = top in ("torch", "torchmetrics", "__future__") or top in sys.stdlib_module_names
            # Importing torchmetrics imports torchvision, which fails beside a CPU torch unless operators are declared.
            allowed |= path.stem == "torchmetrics_import" and name.startswith("genbench.datasets.torchvision_import")
            assert allowed or name.startswith("genbench.metrics"), f"{path}:{line}: imports {name}"


@pytest.mark.parametrize("path", PLUGIN_SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_plugin_imports_only_the_public_names(path: Path) -> None:
    import genbench

    for line, name in imports(path):
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
        ("import genbench.cli", ("torch", "pandas", "rich", "numpy", "genbench_")),
        ("import genbench.execution.benchmark", ("torch", "pandas", "genbench_")),
        ("import genbench.report, genbench.comparison", ("torch", "genbench_")),
        ("import genbench.changes, genbench.cli.compare", ("torch", "genbench_")),
        ("import genbench.datasets", ("torch", "numpy")),
        ("import genbench.metrics.table, genbench.selection", ("torch", "numpy")),
        ("import genbench.preflight, genbench.cell", ("torchmetrics", "torchvision", "matplotlib", "genbench_")),
    ],
)
def test_what_is_not_imported(code: str, forbidden: tuple[str, ...]) -> None:
    program = f"{code}\nimport sys\nprint(*[m for m in sys.modules if m.startswith({forbidden!r})])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
