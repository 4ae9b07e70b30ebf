"""Shared fixtures: a separate cache folder, a small model from a file, and servers that start immediately."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib.util
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch

from genbench.execution import local

HERE = Path(__file__).parent
TINY = HERE / "models" / "tiny.py"
WARM_SERVER = HERE / "warm_server.py"


def pytest_configure(config: pytest.Config) -> None:
    """Hide GPUs from all tests but those marked `cuda`: the others are about the CPU, and fork after computing."""
    if config.getoption("markexpr").strip() != "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests marked `cuda` out unless they are asked for, and skip them without a GPU."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if config.getoption("markexpr").strip() != "cuda":
        config.hook.pytest_deselected(items=marked)
        items[:] = [item for item in items if not item.get_closest_marker("cuda")]
    elif not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect tests without garbage collections: of a million objects that stay, these take a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Exclude what all test files imported, a million objects, from the garbage collections of every test."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' cache separate from the user's, and the user's data settings out of the tests."""
    before = dict(os.environ)
    os.environ["GENBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.pop("GENBENCH_DATA", None)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def _can_be_interrupted() -> None:
    """A shell starts background jobs with SIGINT ignored, which the programs that tests interrupt would inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny() -> Path:
    """The path of the small model."""
    return TINY


@pytest.fixture
def write_plugin(tmp_path: Path):
    """Write the small model to a file, with one piece of its source replaced, and return its path."""

    def write(old: str = "", new: str = "", name: str = "faulty") -> Path:
        source = TINY.read_text()
        assert old in source, f"{old!r} is not in {TINY.name}"
        path = tmp_path / f"{name}.py"
        path.write_text(source.replace(old, new, 1) if old else source)
        return path

    return write


@pytest.fixture
def write_edited(write_plugin: Callable[..., Path]) -> Callable[..., Path]:
    """Write the small model, narrow so that it is fast, with several pieces of its source replaced; return its path."""

    def write(*edits: tuple[str, str]) -> Path:
        path = write_plugin("width: int = 256", "width: int = 16")
        source = path.read_text()
        for old, new in edits:
            assert old in source, f"{old!r} is not in the source"
            source = source.replace(old, new, 1)
        path.write_text(source)
        return path

    return write


@pytest.fixture(scope="session")
def warm(_own_cache: None) -> Iterator[Path | None]:
    """The socket on which `tests/warm_server.py` provides servers; None if the system cannot watch them.

    The workers of one run of pytest-xdist share one, which the first to need it starts and which ends with the run.
    """
    if not hasattr(os, "pidfd_open"):
        yield None
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    asker = os.getppid() if run else os.getpid()
    folder = Path(tempfile.gettempdir(), f"genbench-warm-{run or uuid.uuid4().hex}")
    path = folder / "asked"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        serving = [sys.executable, str(WARM_SERVER), "serve", str(path), str(asker)]
        subprocess.run(serving, stdin=subprocess.DEVNULL, start_new_session=True, check=True)
    end = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < end, "the warm server did not start"
        time.sleep(0.05)
    yield path
    if not run:
        os.kill(int(Path(f"{path}.pid").read_text()), signal.SIGTERM)


@pytest.fixture(scope="module")
def warm_servers(warm: Path | None) -> Iterator[None]:
    """For test files that do not test how a server starts: their runs use servers that have already imported torch."""
    spec = importlib.util.spec_from_file_location("warm_server", WARM_SERVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    spawn = local._spawn if warm is None else functools.partial(module.ask, str(warm))
    with mock.patch.object(local, "_spawn", spawn):
        yield


@pytest.fixture
def short_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time sampling briefly in cells that run in this process, as in those of `tests/warm_server.py`."""
    from genbench.evaluation import trained

    monkeypatch.setattr(trained, "SAMPLING_S", 0.02)


@pytest.fixture(scope="session")
def program(warm: Path | None) -> list[str]:
    """The program that runs the command in a separate process, with a warm server; its arguments follow."""
    if warm is None:
        return [sys.executable, "-m", "genbench"]
    return [sys.executable, str(WARM_SERVER), str(warm)]


@pytest.fixture(scope="module")
def command(warm_servers: None) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command, run in this process, for tests that do not need a separate one."""
    from genbench.cli import main

    def run(
        *arguments: str, cwd: Path, code: int = 0, as_one: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        out, ended = io.StringIO(), 0
        err = out if as_one else io.StringIO()  # interleaved, as in a terminal
        terminated = signal.getsignal(signal.SIGTERM)
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(contextlib.chdir(cwd))
                stack.enter_context(mock.patch.dict(os.environ, environment))
                stack.enter_context(mock.patch.object(sys, "argv", ["genbench", *arguments]))
                stack.enter_context(contextlib.redirect_stdout(out))
                stack.enter_context(contextlib.redirect_stderr(err))
                main()
        except SystemExit as end:
            ended = int(end.code or 0)
        finally:
            signal.signal(signal.SIGTERM, terminated)
        assert ended == code, out.getvalue() + err.getvalue()
        return subprocess.CompletedProcess(arguments, ended, out.getvalue(), err.getvalue())

    return run
