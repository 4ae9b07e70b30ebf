"""Two ranks as processes of a test, and draws of which each rank takes its rows."""

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
    """Makes each draw for the whole batch, in float64, and takes the rows of one rank: as if one had drawn for all.

    A step may draw for its batch several times over, as for real and made items side by side; each of these parts is
    shared out by itself. What models cast to float32 stays as it is, so that a training in float64 is one throughout.

    Args:
        rank: whose rows are taken.
        ranks: how many there are.
        rows: of one rank's batch.
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
        assert rest == 0, f"a draw for {shape[0]} rows, and a rank has {self.rows}"
        draw = torch.randn if normal else torch.rand
        whole = draw(parts, self.ranks, self.rows, *shape[1:], dtype=torch.float64)
        return whole[:, self.rank].reshape(tuple(shape)).to(dtype)


@pytest.fixture(scope="session")
def draws() -> type[Draws]:
    return Draws


@pytest.fixture
def together(tmp_path: Path) -> Callable[..., list[Any]]:
    """Call a function in each of two processes with the group that they form, and return what it gives or raises."""
    return lambda function: run_together(function, tmp_path)


def run_together(function: Callable[[ProcessGroup], Any], folder: Path, size: int = RANKS) -> list[Any]:
    """Fork `size` ranks; return what `function` gives in each: plain values and tensors, or the text of an error."""
    import torch._dynamo  # the first optimizer of a process does, for seconds

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
    torch.set_num_threads(1)  # as the threads of the process before are not there
    try:
        try:
            given = function(ProcessGroup(rank, size, torch.device("cpu"), listener))
        except Exception as error:
            traceback.print_exc()
            given = f"{type(error).__name__}: {error}"
        torch.save(given, path)
    finally:
        os._exit(0)
