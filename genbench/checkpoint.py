"""Saves and restores the whole state of a cell in training, atomically, and never unpickles code."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from genbench.atomic import replacing
from genbench.errors import GenbenchError
from genbench.model import Model

__all__ = ["Autosave", "CheckpointError", "random_state", "restore", "restore_random_state", "save"]

FORMAT = 1
INTERVAL_S = 30.0
SHARE = 0.01  # of the time between two checkpoints that writing one may take


class CheckpointError(GenbenchError):
    """A checkpoint that cannot be read; the line names the file."""


def save(path: Path, model: Model, progress: dict[str, Any]) -> None:
    """Write the model, the state of the global generators and `progress` (plain values) to `path`.

    Raises:
        OSError: the file cannot be written; what was at `path` is as it was.
    """
    state = {"format": FORMAT, "model": model.state_dict(), "random": random_state(), "progress": progress}
    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # torch's writer raises one of its own over the reason.
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


class Autosave:
    """Saves a training every so often, at less than a hundredth of its time.

    Args:
        interval: seconds between two checkpoints, kept to whatever it costs; None takes `INTERVAL_S`, or longer where
            writing takes more than `SHARE` of it.
        clock: seconds, monotonic.
        warn: is told, once, where a checkpoint cannot be written, such as on a full disk. The training goes on, and the
            checkpoint before stays as it was.
    """

    def __init__(
        self, path: Path, model: Model, interval: float | None, clock: Callable[[], float], warn: Callable[[str], None]
    ) -> None:
        self._path = path
        self._model = model
        self._interval = interval
        self._clock = clock
        self._warn = warn
        self._saved_at = clock()
        self._cost_s = 0.0
        self._warned = False

    def is_due(self) -> bool:
        """Whether the interval has passed."""
        since = self._clock() - self._saved_at
        return since > (max(INTERVAL_S, self._cost_s / SHARE) if self._interval is None else self._interval)

    def is_worth_it(self) -> bool:
        """Whether a checkpoint now, out of turn, would cost less than `SHARE` of the time since the last one."""
        return self._cost_s < SHARE * (self._clock() - self._saved_at)

    def save(self, progress: dict[str, Any]) -> None:
        """Write a checkpoint."""
        begin = self._clock()
        try:
            save(self._path, self._model, progress)
        except OSError as error:
            if not self._warned:
                self._warn(f"checkpoint not written: {error.strerror}; training goes on without")
            self._warned = True
        self._saved_at = self._clock()
        self._cost_s = self._saved_at - begin


def restore(path: Path, model: Model, device: torch.device) -> dict[str, Any]:
    """Load what `save` wrote into `model` and the global generators; return the `progress`.

    Raises:
        CheckpointError: the file is truncated, is no checkpoint, or is of another model.
    """
    try:
        # Mapped to the CPU, since the state of the generators lives there; load_state_dict copies to the device.
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            raise CheckpointError(f"checkpoint {path}: format {state['format']}, this version reads {FORMAT}")
        model.load_state_dict(state["model"])
    except (OSError, RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"checkpoint {path}: cannot be restored: {reason}") from error
    restore_random_state(state["random"])
    progress: dict[str, Any] = state["progress"]
    return progress


def random_state() -> dict[str, Any]:
    """Return the state of torch's global generators: the CPU's, and every CUDA device's where CUDA is in use."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` returned."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
