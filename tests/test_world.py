"""What a plugin shares with the rest of the program: changes are named; those by a compiler are not blamed on it."""

from __future__ import annotations

import concurrent.futures
import functools
import math
import multiprocessing.resource_tracker
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from genbench.plugin import leftovers, world
from genbench.plugin.leftovers import Others


def test_each_change_is_named_and_put_back(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    before = world.snapshot()
    with world.kept():
        torch.set_default_dtype(torch.float64)
        os.chdir(tmp_path)
        os.environ["OF_A_PLUGIN"] = "1"
        random.random()
        np.random.rand()
        found = world.changes(before, world.snapshot())
        assert found == [
            "torch's default dtype (torch.float32 became torch.float64)",
            f"the working directory ({before['the working directory']} became {tmp_path})",
            "the state of Python's random",
            "the state of numpy's random",
            "the environment (OF_A_PLUGIN)",
        ]
    assert world.changes(before, world.snapshot()) == []


@pytest.mark.parametrize("warn_only", [True, False])
def test_deterministic_algorithms_of_the_program_are_put_back(warn_only: bool) -> None:
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    try:
        with world.kept():
            torch.use_deterministic_algorithms(False)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled() == warn_only
    finally:
        torch.use_deterministic_algorithms(False)


class Function(TorchFunctionMode):
    """Doubles every sum, and passes every other call through."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        return result * 2 if func in (torch.sum, torch.Tensor.sum) else result


class Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        return result * 2 if func is torch.ops.aten.mm.default else result


LEAKS = {
    "torch's autocast (cpu: off became torch.bfloat16)": lambda: torch.autocast("cpu").__enter__(),
    "torch's inference mode (False became True)": lambda: hold(torch.inference_mode()),
    "torch's modes ([] became ['Function'])": lambda: Function().__enter__(),
    "torch's modes ([] became ['Dispatch'])": lambda: Dispatch().__enter__(),
    "torch's modes ([] became ['Function', 'Dispatch'])": lambda: (Function().__enter__(), Dispatch().__enter__()),
    "torch's global module hooks (forward_hooks: 0 became 1)": lambda: register_module_forward_hook(
        lambda module, inputs, output: output * 2
    ),
    "torch's kernel settings (mkldnn: True became False)": lambda: torch.backends.mkldnn.set_flags(False),
    "torch's kernel settings (flush denormal numbers: False became True)": lambda: torch.set_flush_denormal(True),
    "torch's deterministic-algorithms setting (default became warn)": lambda: torch.use_deterministic_algorithms(
        True, warn_only=True
    ),
    "torch's default device (cpu became meta)": lambda: torch.set_default_device("meta"),
    "torch's default device (cpu became meta:0)": lambda: torch.device("meta:0").__enter__(),
    "torch's hooks for saved tensors (entered: off became ['packed'])": lambda: (
        torch.autograd.graph.saved_tensors_hooks(packed, packed).__enter__()
    ),
    "torch's hooks for saved tensors (refused: off became no)": lambda: (
        held.append(refusing := torch.autograd.graph.disable_saved_tensors_hooks("no")),
        refusing.__enter__(),
    ),
    "torch's kernel settings (flash attention: True became False)": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "torch's kernel settings (fast path of attention: True became False)": lambda: (
        torch.backends.mha.set_fastpath_enabled(False)
    ),
    "torch's kernel settings (half-precision sums of bfloat16: True became False)": lambda: setattr(
        torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False
    ),
    "numpy's floating-point errors (under: ignore became raise)": lambda: np.seterr(under="raise"),
    "the warnings that are errors ([] became [('error', None, <class 'UserWarning'>, None, 0)])": lambda: (
        warnings.simplefilter("error", UserWarning)
    ),
    "the handling of signals (SIGTERM: SIG_DFL became SIG_IGN)": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "the handling of signals (SIGTERM: SIG_DFL became packed)": lambda: signal.signal(signal.SIGTERM, packed),
    "the umask (0o22 became 0o7)": lambda: os.umask(0o7),
    "Python's recursion limit (1000 became 5000)": lambda: sys.setrecursionlimit(5000),
}
held: list[object] = []


def packed(tensor, *_):
    return tensor


def hold(mode: torch.inference_mode) -> None:
    mode.__enter__()
    held.append(mode)  # without a reference, it would end


@pytest.fixture
def usual() -> Iterator[None]:
    limit, mask = sys.getrecursionlimit(), os.umask(0o22)
    sys.setrecursionlimit(1000)
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a plugin of pytest may have its own
    with warnings.catch_warnings():
        warnings.resetwarnings()
        yield
    signal.signal(signal.SIGTERM, handler)
    sys.setrecursionlimit(limit)
    os.umask(mask)


@pytest.mark.usefixtures("usual")
def test_a_handler_without_a_name_is_shown_as_it_is() -> None:
    before = world.snapshot()
    with world.kept():
        signal.signal(signal.SIGTERM, functools.partial(packed, None))
        (found,) = world.changes(before, world.snapshot())
    assert found.startswith("the handling of signals (SIGTERM: SIG_DFL became functools.partial(<function packed at ")


def test_what_is_switched_off_and_all_that_differs_is_named() -> None:
    with torch.autocast("cpu"):
        before = world.snapshot()
    assert world.changes(before, world.snapshot()) == ["torch's autocast (cpu: torch.bfloat16 became off)"]
    before = world.snapshot()
    with world.kept():
        np.seterr(under="raise", invalid="ignore")
        (found,) = world.changes(before, world.snapshot())
    assert found == "numpy's floating-point errors (under: ignore became raise, invalid: warn became ignore)"


@pytest.mark.usefixtures("usual")
@pytest.mark.parametrize("change", LEAKS)
def test_what_a_step_leaves_on_is_named_and_put_back(change: str) -> None:
    if "entered:" in change and not hasattr(torch._C._autograd, "_top_saved_tensors_default_hooks"):
        pytest.skip("torch tells of hooks for saved tensors from 2.8 on")
    before = world.snapshot()
    with world.kept():
        LEAKS[change]()
        found = world.changes(before, world.snapshot())
        assert change in found
        assert set(found) <= {change, "torch's gradient mode (True became False)"}
    assert world.changes(before, world.snapshot()) == []


@pytest.mark.usefixtures("usual")
@pytest.mark.parametrize("change", [change for change in LEAKS if "hooks" not in change])
def test_what_is_measured_is_the_same_whatever_was_left_on(change: str) -> None:
    @world.settled()
    def measure() -> list[torch.Tensor]:
        first = torch.arange(1.0, 10.0).view(3, 3) / 7
        weights = torch.ones(3, requires_grad=True)
        (first @ weights).sum().backward()
        assert weights.grad is not None
        return [first @ first, first.sum(), weights.grad, torch.tensor(1e-310, dtype=torch.float64) * 1]

    expected = measure()
    with world.kept():
        LEAKS[change]()
        left = world.snapshot()
        found = measure()
        assert world.changes(left, world.snapshot()) == []
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("holder", "name"),
    [
        *((torch.Tensor, "mean"), (torch.Tensor, "__matmul__"), (torch, "cat"), (torch.linalg, "eigh")),
        *((torch.nn.functional, "conv2d"), (torch.nn.Conv2d, "forward"), (torch.nn.Linear, "__call__")),
        *((torch.nn.Module, "eval"), (np, "mean"), (np.linalg, "svd"), (math, "sqrt")),
    ],
)
def test_what_is_measured_calls_torch_s_own_functions_whatever_a_plugin_put_in_their_place(
    holder: Any, name: str
) -> None:
    own, was_there = getattr(holder, name), name in vars(holder)

    def mine(*_: object, **__: object) -> int:
        return 7

    measured = world.settled()
    setattr(holder, name, mine)
    try:
        with measured:
            assert getattr(holder, name) is own
            assert (name in vars(holder)) is was_there
        assert getattr(holder, name) is mine
    finally:
        if was_there:
            setattr(holder, name, own)
        else:
            delattr(holder, name)


def test_what_torch_itself_puts_in_the_place_of_a_function_stays() -> None:
    """Its compiler replaces functions of modules, and measurements may use it."""
    own, other = torch.nn.Module.__init__, torch.nn.Module.train
    assert other.__module__ == "torch.nn.modules.module"
    torch.nn.Module.__init__ = other  # type: ignore[method-assign, assignment]
    try:
        with world.settled():
            assert torch.nn.Module.__init__ is other
    finally:
        torch.nn.Module.__init__ = own  # type: ignore[method-assign]


def test_a_function_that_a_plugin_took_away_is_there_while_measuring() -> None:
    own = torch.cat
    del torch.cat
    try:
        with world.settled():
            assert torch.cat is own
        assert not hasattr(torch, "cat")
    finally:
        torch.cat = own


def test_a_mode_entered_while_the_state_is_settled_works_and_one_from_outside_sees_nothing() -> None:
    class Watched(TorchFunctionMode):
        calls = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.calls += 1
            return func(*args, **(kwargs or {}))

    before = world.snapshot()
    with Watched() as outer:
        with world.settled(), Watched() as inner:
            torch.arange(3).sum()
        assert (outer.calls, inner.calls) == (0, 2)
        torch.arange(3)
        assert outer.calls == 1
    assert world.changes(before, world.snapshot()) == []


def test_what_an_import_draws_is_put_back_and_what_a_hook_draws_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = "import random, numpy, torch\nrandom.random()\nnumpy.random.rand()\ntorch.rand(1)\nLOADED = True\n"
    for name in ("drawn_first", "drawn_late"):
        (tmp_path / f"{name}.py").write_text(drawing)
    monkeypatch.syspath_prepend(str(tmp_path))
    before, torchs = world.snapshot(), torch.get_rng_state()
    with world.importing():
        import drawn_first
    with world.imports_put_back():
        import drawn_late
    assert drawn_first.LOADED
    assert drawn_late.LOADED
    assert world.changes(before, world.snapshot()) == []
    assert torch.equal(torch.get_rng_state(), torchs)
    with world.kept(), world.imports_put_back():
        random.random()
        assert world.changes(before, world.snapshot()) == ["the state of Python's random"]


def test_an_import_of_what_is_loaded_reads_no_generator_and_one_of_a_new_submodule_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "drawing_package"
    package.mkdir()
    (package / "__init__.py").write_text("def again():\n    from .first import LOADED\n    return LOADED\n")
    for name in ("first", "second"):
        (package / f"{name}.py").write_text("import random\nrandom.random()\nLOADED = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import drawing_package.first

    before = world.snapshot()
    with world.imports_put_back():
        with monkeypatch.context() as patched:
            patched.setattr(world, "importing", lambda: pytest.fail("the generators were read"))
            assert drawing_package.again()
        from drawing_package import second
    assert second.LOADED
    assert world.changes(before, world.snapshot()) == []


def test_variables_that_an_import_sets_are_no_change_and_stay_until_the_state_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "before")
    for name in ("OF_A_LIBRARY", "OTHER"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "setting.py").write_text(
        "import os\nos.environ['OF_A_LIBRARY'] = 'set'\nos.environ['MINE'] = 'after'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "setting", raising=False)
    before = world.snapshot()
    with world.kept():
        with world.imports_put_back():
            import setting  # noqa: F401
        assert (os.environ["OF_A_LIBRARY"], os.environ["MINE"]) == ("set", "after")
        assert world.changes(before, world.snapshot()) == []
        os.environ["OTHER"] = "set"
        os.environ["OF_A_LIBRARY"] = "of a hook"
        assert world.changes(before, world.snapshot()) == ["the environment (OF_A_LIBRARY, OTHER)"]
    assert os.environ["MINE"] == "before"
    assert "OF_A_LIBRARY" not in os.environ
    assert world.changes(before, world.snapshot()) == []  # although another import would not set it again


@pytest.mark.parametrize("name", ["benchmark", "deterministic"])
def test_how_cudnn_chooses_kernels_is_for_the_author_to_decide_and_is_put_back(name: str) -> None:
    before = world.snapshot()
    with world.kept():
        setattr(torch.backends.cudnn, name, True)
        assert world.changes(before, world.snapshot()) == []
        with world.settled():
            assert not getattr(torch.backends.cudnn, name)
    assert not getattr(torch.backends.cudnn, name)


@pytest.mark.parametrize(
    ("first", "limit", "told"),
    [
        (1000, 2000, None),  # as torch's compiler leaves it
        (1000, 2001, "1000 became 2001"),
        (1000, 1999, "1000 became 1999"),
        (3000, 2000, "3000 became 2000"),
    ],
)
def test_the_recursion_limit_of_the_compiler_is_no_change(first: int, limit: int, told: str | None) -> None:
    with world.kept():
        sys.setrecursionlimit(first)
        before = world.snapshot()
        with world.kept():
            sys.setrecursionlimit(limit)
            found = world.changes(before, world.snapshot())
        assert sys.getrecursionlimit() == first
    assert found == ([f"Python's recursion limit ({told})"] if told else [])


@pytest.mark.parametrize(
    "name", ["TORCHINDUCTOR_CACHE_DIR", "_TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR", "TRITON_CACHE_DIR"]
)
def test_variables_of_the_compiler_are_no_change(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = world.snapshot()
    monkeypatch.setenv(name, "another")
    assert world.changes(before, world.snapshot()) == []


def test_pools_of_the_compiler_are_not_held_against_a_plugin() -> None:
    before = Others.now()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        assert before.left(compiled=True) == []
        (found,) = before.left()
        assert found.startswith("thread 'ThreadPoolExecutor-")


def test_what_python_starts_beside_a_spawned_process_is_not_held_against_a_plugin() -> None:
    before = Others.now()
    multiprocessing.resource_tracker.ensure_running()  # as decoding images in several processes does
    assert before.left() == []


def test_what_another_plugin_started_is_not_held_against_a_plugin() -> None:
    stop = threading.Event()
    before = Others.now()
    child = subprocess.Popen(["sleep", "60"])
    threads = [threading.Thread(target=stop.wait, name=name) for name in ("another's", "mine")]
    try:
        with leftovers.started_by_another():
            threads[0].start()
        known = Others.now()
        threads[1].start()
        assert before.left() == ["thread 'mine'", f"process {child.pid} (sleep)"]
        assert known.left() == ["thread 'mine'"]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        child.kill()
        child.wait()


def test_threads_and_processes_that_are_left_are_named() -> None:
    before = Others.now()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="mine")
    thread.start()
    child = subprocess.Popen(["sleep", "60"])
    try:
        found = before.left()
        assert f"process {child.pid} (sleep)" in found
        assert "thread 'mine'" in found
    finally:
        stop.set()
        thread.join()
        child.kill()
        child.wait()
    assert not [each for each in before.left() if "mine" in each or str(child.pid) in each]
