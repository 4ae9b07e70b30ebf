"""Two ranks that run as processes of a test, and random draws from which each rank takes its rows."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from genbench.training.ranks.group import ProcessGroup

RANKS = 2


class Draws(TorchFunctionMode):
    """Draws for the whole batch, in float64, and takes the rows of one rank, as if a single rank had drawn for all.

    One draw may cover several times the batch, such as real and generated items side by side; each of these parts is
    divided separately. Casts to float32 in models are ignored, so that training in float64 uses float64 throughout.

    Args:
        rank: the rank whose rows are taken.
        ranks: number of ranks.
        rows: rows in one rank's batch.
    """

    def __init__(self, rank: int, ranks: int, rows: int) -> None:
        super().__init__()
        self.rank, self.ranks, self.rows = rank, ranks, rows

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.float:
            return args[0]
        if func in (torch.randn_like, torch.rand_like):
            return self.drawn(func is torch.randn_like, args[0].shape, args[0].dtype)
        if func in (torch.randn, torch.rand) and "generator" not in kwargs:
            shape = args[0] if isinstance(args[0], torch.Size | tuple | list) else args
            return self.drawn(func is torch.randn, shape, torch.get_default_dtype())
        if func is torch.nn.functional.dropout:
            kept = self.drawn(False, args[0].shape, args[0].dtype) >= kwargs["p"]
            return args[0] * kept / (1 - kwargs["p"]) if kwargs["training"] else args[0]
        return func(*args, **kwargs)

    def drawn(self, normal: bool, shape: Any, dtype: torch.dtype) -> torch.Tensor:
        parts, rest = divmod(shape[0], self.rows)
        assert rest == 0, f"a draw of {shape[0]} rows is not a multiple of a rank's {self.rows}"
        draw = torch.randn if normal else torch.rand
        whole = draw(parts, self.ranks, self.rows, *shape[1:], dtype=torch.float64)
        return whole[:, self.rank].reshape(tuple(shape)).to(dtype)


@pytest.fixture(scope="session")
def draws() -> type[Draws]:
    return Draws


@pytest.fixture
def together(tmp_path: Path) -> Callable[..., list[Any]]:
    """Call a function in each of two processes with the group that they form; return its results or exceptions."""
    return lambda function: run_together(function, tmp_path)


def run_together(function: Callable[[ProcessGroup], Any], folder: Path, size: int = RANKS) -> list[Any]:
    """Fork `size` ranks; return the result of `function` in each: plain values and tensors, or an error's text."""
    import torch._dynamo  # otherwise each process's first optimizer imports it, which takes seconds

    with socket.create_server(("127.0.0.1", 0)) as listener:
        children = []
        for rank in range(size):
            pid = os.fork()
            if pid == 0:
                _be(rank, size, listener, function, folder / f"{rank}.pt")
            children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(size)]


def _be(rank: int, size: int, listener: socket.socket, function: Any, path: Path) -> None:
    torch.set_num_threads(1)  # because the parent's threads do not survive the fork
    try:
        try:
            given = function(ProcessGroup(rank, size, torch.device("cpu"), listener))
        except Exception as error:
            traceback.print_exc()
            given = f"{type(error).__name__}: {error}"
        torch.save(given, path)
    finally:
        os._exit(0)
