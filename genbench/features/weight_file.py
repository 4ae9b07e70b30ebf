"""Weights on disk: reading them without running code, checking that they fit, and identifying their content."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genbench.errors import InputError
from genbench.machine import atomic

__all__ = [
    "check_shapes",
    "content_sha256",
    "file_sha256",
    "read_checkpoint",
    "read_metadata",
    "read_tensors",
    "write_tensors",
]

NAMED = 3  # how many of the tensors that do not fit are named
_RECORD = "genbench"
_OPTIONAL_SUFFIX = "num_batches_tracked"  # a training counter that evaluation does not use


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the identity of weights: the SHA-256 of every tensor's name, shape and float32 little-endian bytes.

    Tensors are sorted by name, so the container does not matter: a `.pth` and a `.safetensors` of the same weights
    have the same identity. `num_batches_tracked` is left out, because it does not affect any result.

    >>> import torch
    >>> weights = {"a": torch.zeros(2), "b": torch.ones(1)}
    >>> content_sha256(weights) == content_sha256(dict(reversed(weights.items())))
    True
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.endswith(_OPTIONAL_SUFFIX):
            continue
        values = tensors[name].detach().cpu().float().contiguous().numpy().astype("<f4", copy=False)
        digest.update(f"{name} {tuple(values.shape)}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def read_tensors(path: Path, what: str) -> dict[str, Tensor]:
    """Return the named tensors of a `.safetensors` file or of a PyTorch checkpoint of plain tensors, on the CPU.

    No code in the file is run: a checkpoint is read with `weights_only=True`.

    Raises:
        InputError: the file is missing, damaged, or holds anything but named tensors; the message starts with `what`.
    """
    if not path.is_file():
        raise InputError(f"{what}: no file {path}; give the path of a .pth or .safetensors file")
    if path.suffix != ".safetensors":
        return _named(read_checkpoint(path, what), path, what)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping, only keys())
    except SafetensorError as error:
        raise InputError(f"{what}: {path} is not a safetensors file or is damaged ({_first_line(error)})") from error
    except OSError as error:
        raise InputError(f"{what}: {path} cannot be read ({_first_line(error)})") from error


def read_checkpoint(path: Path, what: str, allowed: Sequence[Any] = ()) -> object:
    """Return the object that `torch.save` wrote, on the CPU, without running code from the file.

    Args:
        path: of the file.
        what: the start of an error message.
        allowed: classes and functions that it may use besides those of plain tensors, as passed to `safe_globals`.

    Raises:
        InputError: the file cannot be read, is damaged, or holds anything else.
    """
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{what}: {path} cannot be read ({_first_line(error)})") from error
    except Exception as error:  # damaged bytes make the unpickler raise almost anything
        plain = "plain arrays" if allowed else "plain tensors"
        # torch suggests loading the rejected file without the check: bad advice for an untrusted file.
        reason = _first_line(error).partition("In PyTorch")[0].strip()
        raise InputError(f"{what}: {path} is not a PyTorch checkpoint of {plain} or is damaged ({reason})") from error


def _named(loaded: object, path: Path, what: str) -> dict[str, Tensor]:
    if not isinstance(loaded, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in loaded.items()
    ):
        raise InputError(f"{what}: {path} does not map names to tensors; save only `network.state_dict()`")
    return dict(loaded)


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata that `write_tensors` recorded; empty if the file is missing, damaged or from another tool."""
    try:
        with safe_open(path, framework="pt") as file:
            recorded = json.loads((file.metadata() or {}).get(_RECORD, "{}"))
    except (SafetensorError, OSError, ValueError):
        return {}
    return recorded if isinstance(recorded, dict) else {}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str], private: bool = True) -> None:
    """Write a `.safetensors` file, completely or not at all; raise `InputError` if the folder cannot be written.

    Equal tensors and metadata give equal bytes: safetensors orders metadata entries at random, so all are stored in a
    single entry. A `private` file, as in the cache, is readable only by the user.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with atomic.replacing(path, private) as temporary:
            save_file(contiguous, temporary, metadata={_RECORD: json.dumps(metadata, sort_keys=True)})
    except (OSError, SafetensorError) as error:
        reason = _first_line(error)
        raise InputError(f"cache: {path} cannot be written ({reason}); set GENBENCH_CACHE to another folder") from error


def check_shapes(tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Raise `InputError`, naming some missing, unexpected or misshapen tensors, unless all tensors fit `expected`."""
    present = {name for name in tensors if not name.endswith(_OPTIONAL_SUFFIX)}
    missing = sorted(expected.keys() - present)
    unexpected = sorted(present - expected.keys())
    shapes = [
        f"{name} is {tuple(tensors[name].shape)}, expected {expected[name]}"
        for name in sorted(present & expected.keys())
        if tuple(tensors[name].shape) != expected[name]
    ]
    faults = [_some("missing", missing), _some("unexpected", unexpected), _some("", shapes)]
    if any(faults):
        raise InputError(f"{what}: weights of another architecture: {'; '.join(filter(None, faults))}")


def _some(label: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{label} {', '.join(itertools.islice(names, NAMED))}{more}".strip()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
