"""The ranks of one cell as seen from one of them, and the ways in which they exchange tensors."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Protocol
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import TCPStore

from genbench.errors import GenbenchError

__all__ = ["Alone", "DisagreementError", "Group", "LostRankError", "ProcessGroup", "number"]

TIMEOUT_S = 120.0  # for one exchange: longer than a process that is to continue may be suspended
LOOPBACK = "127.0.0.1"


class LostRankError(GenbenchError):
    """Another rank could not be reached; whoever watches its process knows why."""


class DisagreementError(GenbenchError):
    """The ranks are not at the same point of the same step."""


def number(text: str) -> int:
    """Return a 56-bit number for a text, as `Group.add` compares it."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


class Group(Protocol):
    """The ranks of one training run: what averaging and BatchNorm need."""

    rank: int
    size: int
    stepping: bool  # whether a training step is running; outside steps the first rank works on its own

    def add(self, tensors: Sequence[Tensor], said: int | None = None) -> None:
        """Sum each tensor over the ranks, in place.

        Args:
            tensors: contiguous; with the same shapes, types and order on all ranks.
            said: a number of up to 62 bits that must be the same on all ranks; None compares nothing.

        Raises:
            DisagreementError: another rank passed another number.
            LostRankError: another rank has ended, or does not answer.
        """


class Alone:
    """A rank that takes steps on its own rows before the others have joined, to see what a step costs."""

    rank, size, stepping = 0, 1, True

    def add(self, tensors: Sequence[Tensor], said: int | None = None) -> None:
        """Leave the tensors as they are."""


class ProcessGroup:
    """Ranks that are processes on this machine: gloo between CPUs, NCCL between GPUs, all of it on 127.0.0.1.

    The number `said` is exchanged separately from the tensors, and before them, so that ranks at different points find
    out instead of adding what does not belong together.
    """

    def __init__(self, rank: int, size: int, device: torch.device, listener: socket.socket) -> None:
        """Wait for the other ranks.

        Args:
            rank: of this process, from 0.
            size: how many ranks there are.
            device: of this rank.
            listener: bound to 127.0.0.1 and listening, created before the ranks were forked; rank 0 answers on it.

        Raises:
            LostRankError: they do not appear.
        """
        self.rank, self.size, self.stepping = rank, size, False
        self.device = device
        patience = datetime.timedelta(seconds=TIMEOUT_S)
        port = listener.getsockname()[1]
        with _told(), _on_loopback():
            if rank == 0:
                store = TCPStore(LOOPBACK, port, size, True, patience, master_listen_fd=listener.detach())
            else:
                listener.close()
                store = TCPStore(LOOPBACK, port, size, False, patience)
            cuda = device.type == "cuda"
            if cuda:
                torch.cuda.set_device(device)
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if cuda else "gloo",
                store=store,
                rank=rank,
                world_size=size,
                timeout=patience,
                device_id=device if cuda else None,
            )
            self._words = dist.new_group(backend="gloo", timeout=patience)
            self.add([torch.zeros(1, device=device)], 0)  # opens the connections while the addresses are set

    def add(self, tensors: Sequence[Tensor], said: int | None = None) -> None:
        """Sum each tensor over the ranks, in place; see `Group.add`."""
        with _told():
            if said is not None:
                # All must agree before any tensor is sent: gloo ends a process that receives more than it expects.
                word = torch.tensor([said, -said])
                dist.all_reduce(word, dist.ReduceOp.MAX, self._words)
                if int(word[0]) != -int(word[1]):
                    raise DisagreementError("the ranks are at different points of their steps")
            for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
                work.wait()

    def first_that_differs(self, numbers: Tensor) -> int | None:
        """Return the index of the first of `numbers` (K,) int64 that is not the same on all ranks; None if all are."""
        with _told():
            bounds = torch.cat([numbers, -numbers])
            dist.all_reduce(bounds, dist.ReduceOp.MAX, self._words)
        differing = (bounds[: len(numbers)] != -bounds[len(numbers) :]).nonzero()
        return int(differing[0]) if len(differing) else None

    def copy_from_first(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors with those of rank 0, in place."""
        with _told(), torch.no_grad():
            for tensor in tensors:
                whole = tensor.detach().contiguous()
                dist.broadcast(_bytes(whole), 0)
                if whole.data_ptr() != tensor.data_ptr():
                    tensor.copy_(whole)

    def send(self, tensor: Tensor, to: int) -> None:
        """Send a CPU tensor to another rank, which knows its shape and type."""
        with _told():
            dist.send(_bytes(tensor.contiguous()), to)

    def receive(self, into: Tensor, source: int) -> Tensor:
        """Fill a contiguous CPU tensor with what another rank sends, and return it."""
        with _told():
            dist.recv(_bytes(into), source)
        return into


def _bytes(tensor: Tensor) -> Tensor:
    """View a contiguous tensor as bytes: gloo does not support every type."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.view(-1).view(torch.uint8)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Report what torch.distributed raises in one line; it uses the same class for everything that can go wrong."""
    try:
        yield
    except RuntimeError as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise LostRankError(f"the exchange between the ranks failed: {reason}") from error


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Keep gloo and NCCL, which look for the machine's address by its name, on loopback."""
    name = "lo0" if sys.platform == "darwin" else "lo"
    with mock.patch.dict(os.environ, {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": name}):
        yield
