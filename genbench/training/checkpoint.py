"""Saves and restores the complete state of a cell in training, atomically, and never unpickles code.

A checkpoint consists of a line with the format, a line with the SHA-256 of the rest, and the output of `torch.save`.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Sequence
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench import seeding
from genbench.errors import GenbenchError
from genbench.machine.atomic import replacing
from genbench.plugin.model import Model

__all__ = ["Autosave", "CheckpointError", "load", "restore", "save"]

FORMAT = b"genbench checkpoint 2\n"
SEAL_LENGTH = 65  # hexadecimal digits and the newline
PARTS = {"file", "gradients", "model", "random", "progress"}
INTERVAL_S = 30.0
SHARE = 0.01  # of the time between two checkpoints that writing one may take


class CheckpointError(GenbenchError):
    """A checkpoint that cannot be read; the line names the file."""


def save(path: Path, model: Model, progress: dict[str, Any], ranks: Sequence[dict[str, Any]] = ()) -> None:
    """Write the model, its gradients, the state of the global generators and `progress` (plain values) to `path`.

    Gradients are included because a plugin may accumulate them over several steps.

    Args:
        path: the file to write.
        model: what all ranks share.
        progress: how far training has come.
        ranks: the generators' state of each rank except the first, in order.

    Raises:
        OSError: the file cannot be written; the previous one at `path` is unchanged.
    """
    state = {
        "file": path.name,
        "model": model.state_dict(),
        "gradients": _gradients(model),
        "random": {**seeding.random_state(), **({"ranks": list(ranks)} if ranks else {})},
        "progress": progress,
    }
    with replacing(path) as temporary, temporary.open("w+b") as file:
        try:
            file.write(FORMAT + b" " * SEAL_LENGTH)
            torch.save(state, file)
            seal = _seal(file)
            file.seek(len(FORMAT))
            file.write(seal)
        except RuntimeError as error:
            # torch's writer hides the reason behind an error of its own.
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


class Autosave:
    """Saves a training run at intervals, taking less than a hundredth of its time.

    Args:
        interval: seconds between two checkpoints, kept whatever it costs; None uses `INTERVAL_S`, or longer where
            writing takes more than `SHARE` of it.
        clock: seconds, monotonic.
        warn: called, once, if a checkpoint cannot be written, for example on a full disk. Training continues, and the
            previous checkpoint is kept.
        ranks: returns the generators' state of each rank except the first.
    """

    def __init__(
        self,
        path: Path,
        model: Model,
        interval: float | None,
        clock: Callable[[], float],
        warn: Callable[[str], None],
        ranks: Callable[[], Sequence[dict[str, Any]]] = tuple,
    ) -> None:
        self._path = path
        self._model = model
        self._interval = interval
        self._clock = clock
        self._warn = warn
        self._ranks = ranks
        self._saved_at = clock()
        self._cost_s = 0.0
        self._warned = False

    def is_due(self) -> bool:
        """Whether the interval has elapsed."""
        since = self._clock() - self._saved_at
        return since > (max(INTERVAL_S, self._cost_s / SHARE) if self._interval is None else self._interval)

    def is_worth_it(self) -> bool:
        """Whether an extra checkpoint now would cost less than `SHARE` of the time since the last one."""
        return self._cost_s < SHARE * (self._clock() - self._saved_at)

    def save(self, progress: dict[str, Any]) -> None:
        """Write a checkpoint."""
        begin = self._clock()
        try:
            save(self._path, self._model, progress, self._ranks())
        except OSError as error:
            if not self._warned:
                self._warn(f"checkpoint not written: {error.strerror}; training continues without it")
            self._warned = True
        self._saved_at = self._clock()
        self._cost_s = self._saved_at - begin


def restore(path: Path, model: Model, rank: int = 0) -> dict[str, Any]:
    """Load what `save` wrote into `model` and the global generators, using those of `rank`; return the `progress`.

    Raises:
        CheckpointError: the file is damaged, is not a checkpoint of this version, or belongs to another cell or model.
            What was loaded until then stays in `model`, so build a new one.
    """
    state = load(path)
    try:
        model.load_state_dict(state["model"])
        for name, parameter in model.networks.named_parameters():
            gradient = state["gradients"].get(name)
            parameter.grad = None if gradient is None else gradient.to(parameter.device)
        random = state["random"]
        seeding.restore_random_state(random["ranks"][rank - 1] if rank else random)
        return dict(state["progress"])
    except (MemoryError, torch.OutOfMemoryError):
        raise  # not the file's fault
    except Exception as error:  # a plugin's own load_state_dict may raise anything
        raise _refusal(path, error) from error


def load(path: Path) -> dict[str, Any]:
    """Return the parts of a checkpoint, all tensors on the CPU, once its checksum has been verified.

    Raises:
        CheckpointError: as in `restore`.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("not a regular file")
        with path.open("rb") as file:
            if file.read(len(FORMAT)) != FORMAT:
                raise ValueError("not a checkpoint, or one from another version of genbench")
            if file.read(SEAL_LENGTH) != _seal(file):
                raise ValueError("damaged: its checksum does not match")
            file.seek(len(FORMAT) + SEAL_LENGTH)
            # Mapped to the CPU, where the state of the generators must be; load_state_dict copies to the device.
            state = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or state.keys() != PARTS:
            raise ValueError("its parts are not those of a checkpoint")
        if state["file"] != path.name:
            raise ValueError(f"it was written as {state['file']}")
    except MemoryError:
        raise
    except Exception as error:  # torch may raise anything on a damaged file
        raise _refusal(path, error) from error
    return state


def _refusal(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CheckpointError(f"checkpoint {path}: cannot be restored: {reason}")


def _gradients(model: Model) -> dict[str, Tensor]:
    named = model.networks.named_parameters()
    return {name: parameter.grad.detach() for name, parameter in named if parameter.grad is not None}


def _seal(file: BufferedReader | BufferedRandom) -> bytes:
    """Return the line with the checksum of the rest of the file."""
    file.seek(len(FORMAT) + SEAL_LENGTH)
    return hashlib.file_digest(file, "sha256").hexdigest().encode() + b"\n"
