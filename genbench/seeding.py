"""One seed, and from it a generator for each named use, so that no use shifts the numbers of another."""

from __future__ import annotations

import hashlib

import torch

__all__ = ["derive", "generator", "seed_global"]


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the use that `names` says, the same on every machine.

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
