"""What a plugin shares with the rest of the program: changes are named, a compiler's doings are not held against it."""

from __future__ import annotations

import concurrent.futures
import os
import random
import subprocess
import threading

import numpy as np
import pytest
import torch

from genbench import world


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


@pytest.mark.parametrize(
    "name", ["TORCHINDUCTOR_CACHE_DIR", "_TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR", "TRITON_CACHE_DIR"]
)
def test_variables_of_the_compiler_are_no_change(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = world.snapshot()
    monkeypatch.setenv(name, "another")
    assert world.changes(before, world.snapshot()) == []


def test_pools_of_the_compiler_are_not_held_against_a_plugin() -> None:
    before = {thread.ident for thread in threading.enumerate() if thread.ident is not None}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        assert world.leftovers(before, compiled=True) == []
        (found,) = world.leftovers(before)
        assert found.startswith("thread 'ThreadPoolExecutor-")


def test_threads_and_processes_that_are_left_are_named() -> None:
    before = {thread.ident for thread in threading.enumerate() if thread.ident is not None}
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="mine")
    thread.start()
    child = subprocess.Popen(["sleep", "60"])
    try:
        found = world.leftovers(before)
        assert f"process {child.pid} (sleep)" in found
        assert "thread 'mine'" in found
    finally:
        stop.set()
        thread.join()
        child.kill()
        child.wait()
    assert not [each for each in world.leftovers(before) if "mine" in each or str(child.pid) in each]
