"""Derives a generator for each named use from one seed, so that no use shifts the random numbers of another."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

__all__ = ["derive", "generator", "random_state", "restore_random_state", "seed_global"]


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the use given by `names`, the same on every machine.

    >>> derive(0, "batches", 3) == derive(0, "batches", 3)
    True
    >>> derive(0, "batches", 3) == derive(0, "batches", 4)
    False
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator on `device` for one named use of `seed`."""
    return torch.Generator(device=device).manual_seed(derive(seed, *names))


def seed_global(seed: int, *names: str | int) -> None:
    """Seed torch's global generators, CPU and CUDA: what initial weights and `train_step` noise are drawn from."""
    torch.manual_seed(derive(seed, *names))


def random_state() -> dict[str, Any]:
    """Return the state of torch's global generators: the CPU's, and every CUDA device's where CUDA is in use."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` returned."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
