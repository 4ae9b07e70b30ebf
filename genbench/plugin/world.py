"""The global state that a plugin shares with other code: settings, the environment, threads, child processes."""

from __future__ import annotations

import builtins
import contextlib
import importlib.util
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from genbench import seeding
from genbench.machine.precision import float32_precision, set_float32_precision
from genbench.plugin import handlers, modes, originals

__all__ = [
    "changes",
    "importing",
    "imports_put_back",
    "kept",
    "noting",
    "settled",
    "snapshot",
]

# Compiling networks sets these variables, which is not a plugin's doing.
_COMPILERS_VARIABLES = ("TORCH", "TRITON", "PYTORCH")
_KERNELS = "torch's kernel settings"
_AUTHORS_KERNELS = ("cudnn benchmark", "cudnn deterministic")
_RECURSION = "Python's recursion limit"
_COMPILERS_RECURSION = 2000  # what torch's compiler raises it to whenever it compiles, and leaves it at
_set_by_imports: dict[str, str] = {}  # environment variables that first imports in this process have set


def snapshot() -> dict[str, Any]:
    """Return the global state that a plugin must not change, keyed by its name in messages."""
    entered = modes.entered()
    with modes.unwatched():
        return _snapshot(entered)


def _snapshot(entered: list[str]) -> dict[str, Any]:
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": modes.default_device(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's deterministic-algorithms setting": _determinism(),
        "torch's anomaly detection": torch.is_anomaly_enabled(),
        "torch's float32 precision": float32_precision(),
        "torch's inference mode": torch.is_inference_mode_enabled(),
        "torch's autocast": modes.autocast(),
        "torch's modes": entered,
        "torch's global module hooks": modes.module_hooks(),
        "torch's hooks for saved tensors": modes.hooks_for_saved(),
        _KERNELS: modes.kernels(),
        "numpy's floating-point errors": np.geterr(),
        "the warnings that are errors": handlers.errors(),
        "the handling of signals": handlers.signals(),
        "the working directory": os.getcwd(),
        "the umask": _umask(),
        _RECURSION: sys.getrecursionlimit(),
        "the state of Python's random": random.getstate(),
        "the state of numpy's random": _plain(np.random.get_state()),
        "the environment": _environment(),
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return descriptions of the differences between two snapshots, except those that are no plugin's doing.

    torch's compiler raises Python's recursion limit, and libraries set variables when they are first imported, which
    may be in a hook (`imports_put_back`). How cuDNN chooses its kernels is for the author to decide; measurements
    choose for themselves (`settled`).
    """
    after = {**after, "the environment": _without_imported(before["the environment"], after["the environment"])}
    chosen = {name: before[_KERNELS][name] for name in _AUTHORS_KERNELS}
    after[_KERNELS] = {**after[_KERNELS], **chosen}
    if before[_RECURSION] < after[_RECURSION] == _COMPILERS_RECURSION:
        after[_RECURSION] = before[_RECURSION]
    return [_describe(name, before[name], after[name]) for name in before if before[name] != after[name]]


def _without_imported(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return the variables `after` with those that an import has set as they were `before`."""
    found = dict(after)
    for name, value in _set_by_imports.items():
        if found.get(name) != value:
            continue
        if name in before:
            found[name] = before[name]
        else:
            del found[name]
    return found


@contextlib.contextmanager
def noting() -> Iterator[list[str]]:
    """Restore the global state and torch's generator after a block, and list what it changed.

    Environment variables are restored but not listed: libraries set some during import.
    """
    noted: list[str] = []
    before, generator = snapshot(), seeding.random_state()["cpu"]
    with kept():
        yield noted
        after = {**snapshot(), "the environment": before["the environment"]}
        noted += changes(before, after)
        if not torch.equal(generator, seeding.random_state()["cpu"]):
            noted.append("the state of torch's global generator")


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Restore the global state and torch's generators after the block, so that no check disturbs the next one."""
    before, generators = snapshot(), seeding.random_state()
    try:
        yield
    finally:
        _restore(before)
        seeding.restore_random_state(generators)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Restore the state of all random generators after the block: libraries draw random numbers during import.

    Environment variables that the block sets stay, since a library may read its own later, and are no `changes`.
    """
    variables = dict(os.environ)
    python, numpy, torchs = random.getstate(), np.random.get_state(), seeding.random_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        seeding.restore_random_state(torchs)
        _set_by_imports.update(os.environ.items() - variables.items())


@contextlib.contextmanager
def imports_put_back() -> Iterator[None]:
    """Run every first `import` of a module inside the block under `importing`, so that a hook may import late."""
    plain = builtins.__import__

    def put_back(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        # An import inside a training step is repeated at every step, and reading a GPU's generator waits for the GPU.
        with contextlib.nullcontext() if _is_loaded(name, globals or {}, fromlist or (), level) else importing():
            return plain(name, globals, locals, fromlist or (), level)

    builtins.__import__ = put_back
    try:
        yield
    finally:
        builtins.__import__ = plain


def _is_loaded(name: str, importer: Mapping[str, Any], wanted: Sequence[str], level: int) -> bool:
    """Return whether `from name import wanted` would execute no module; `level` is the number of leading dots."""
    try:
        whole = importlib.util.resolve_name("." * level + name, importer.get("__package__"))
    except ImportError:
        return False
    module = sys.modules.get(whole)
    return module is not None and all(each in vars(module) or each == "*" for each in wanted)


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """Run a block as if no mode were active and no setting changed, whatever third-party code has left behind.

    Measurements in the block depend only on their recipe: float32 by default, no autocast, no inference mode, no
    function or dispatch mode, torch's default kernels, the functions of torch and numpy that no plugin has replaced.
    """
    with modes.suspended(), torch.inference_mode(False), torch.enable_grad(), originals.restored():
        dtype, switches = torch.get_default_dtype(), modes.kernels()
        torch.set_default_dtype(torch.float32)
        modes.set_kernels(modes.OWN_KERNELS)
        try:
            yield
        finally:
            modes.set_kernels(switches)
            torch.set_default_dtype(dtype)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith(_COMPILERS_VARIABLES)}


def _describe(name: str, before: Any, after: Any) -> str:
    if name == "the environment":
        names = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        return f"the environment ({', '.join(names)})"
    if "random" in name:
        return name
    if isinstance(before, dict):
        differing = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        shown = [f"{key}: {before.get(key, 'off')} became {after.get(key, 'off')}" for key in differing]
        return f"{name} ({', '.join(shown)})"
    return f"{name} ({before} became {after})"


def _restore(before: dict[str, Any]) -> None:
    modes.leave(before["torch's modes"])  # first, because they would intercept what follows
    modes.set_autocast(before["torch's autocast"])
    modes.set_kernels(before[_KERNELS])
    modes.drop_module_hooks(before["torch's global module hooks"])
    modes.drop_hooks_for_saved(before["torch's hooks for saved tensors"])
    np.seterr(**before["numpy's floating-point errors"])
    handlers.set_errors(before["the warnings that are errors"])
    handlers.set_signals(before["the handling of signals"])
    if torch.is_inference_mode_enabled() != before["torch's inference mode"]:
        modes.set_inference(before["torch's inference mode"])
    os.umask(int(before["the umask"], 8))
    sys.setrecursionlimit(before[_RECURSION])
    torch.set_default_dtype(before["torch's default dtype"])
    modes.set_default_device(before["torch's default device"])
    if torch.get_num_threads() != before["torch's number of threads"]:
        torch.set_num_threads(before["torch's number of threads"])
    torch.set_grad_enabled(before["torch's gradient mode"])
    if _determinism() != before["torch's deterministic-algorithms setting"]:
        wanted = before["torch's deterministic-algorithms setting"]
        torch.use_deterministic_algorithms(wanted != "default", warn_only=wanted == "warn")
    torch.autograd.set_detect_anomaly(before["torch's anomaly detection"])
    set_float32_precision(before["torch's float32 precision"])
    os.chdir(before["the working directory"])
    random.setstate(before["the state of Python's random"])
    name, keys, *rest = before["the state of numpy's random"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    now, then = _environment(), before["the environment"]
    for name in now.keys() - then.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in then.items() if now.get(name) != value})


def _determinism() -> str:
    """Return in torch's words what an operation without a deterministic implementation does: default, warn or error."""
    return ("default", "warn", "error")[torch.get_deterministic_debug_mode()]


def _umask() -> str:
    # It can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return oct(mask)


def _plain(state: Any) -> tuple[Any, ...]:
    # As a tuple, because comparing arrays does not give a single truth value.
    name, keys, *rest = state
    return (name, tuple(keys.tolist()), *rest)
