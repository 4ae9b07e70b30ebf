"""Files of feature statistics, compatible with pytorch-fid, clean-fid and torch-fidelity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genbench.datasets.arrays import PREFERRED
from genbench.datasets.npy_file import arrays_in, open_npy, read_exactly, read_header
from genbench.errors import InputError
from genbench.features.weight_file import file_sha256, read_checkpoint
from genbench.machine import atomic

__all__ = ["TOLERANCE", "StatisticsFile", "holds_statistics", "read_statistics", "write_statistics"]

# Mirrored entries of a covariance may differ by this fraction of the largest entry, and an eigenvalue may be below zero
# by this fraction of the largest eigenvalue. This is ten roundings of float32, so a covariance that was computed or
# stored in float32 passes.
TOLERANCE = 1e-6
_LARGEST = 1e15  # feature; no network comes near it, and a sum of squares of larger ones may not be finite in float32
_CHECKPOINTS = (".pt", ".pth")
_NAMES = ("mu", "sigma", "feats")
_RECIPE = "recipe"


@dataclass(frozen=True, eq=False)
class StatisticsFile:
    """The content of a reference file: the mean and covariance of its features, or the features themselves.

    Args:
        path: as the user gave it.
        sha256: of the file's bytes.
        mean: (d,) float64, or None if the file holds features.
        covariance: (d, d) float64, symmetric, over N − 1; or None.
        features: (N, d) float, or None.
        count: the number of items behind the statistics, or None if the file does not state it.
        recipe: dataset, split and extractor if genbench wrote the file, else empty.
    """

    path: Path
    sha256: str
    mean: Tensor | None
    covariance: Tensor | None
    features: Tensor | None
    count: int | None
    recipe: Mapping[str, Any]

    @property
    def dimension(self) -> int:
        """The number of features per item."""
        found = self.mean if self.features is None else self.features
        assert found is not None
        return found.shape[-1]


def holds_statistics(path: Path) -> bool:
    """Return whether a file holds feature statistics and no images.

    Raises:
        InputError: the file is named .npz, but is not an .npz file.
    """
    if not path.is_file():
        return False
    if path.suffix.lower() in _CHECKPOINTS:
        return True
    if path.suffix.lower() != ".npz":
        return False
    names = arrays_in(path).keys()
    return bool(names & set(_NAMES)) and not names & set(PREFERRED)


def read_statistics(path: Path) -> StatisticsFile:
    """Read `mu` and `sigma`, or features, from an .npz or from a .pt of torch-fidelity's cache. No code in it is run.

    An .npz holds `mu` (d,) and `sigma` (d, d), or `feats` (N, d), as in the file that clean-fid keeps for its KID. A
    .pt holds a dictionary of `mu` and `sigma`, or only features.

    Raises:
        InputError: an array is missing, damaged, made of Python objects, of the wrong type or shape, not finite, or
            too large; the covariance is asymmetric or has negative eigenvalues, by more than `TOLERANCE`.
    """
    arrays, recipe = _of_checkpoint(path) if path.suffix.lower() in _CHECKPOINTS else _of_npz(path)
    checked = {name: _checked(path, name, values) for name, values in arrays.items() if name in _NAMES}
    features = checked.get("feats")
    if "mu" not in checked and "sigma" not in checked and features is not None:
        if features.ndim != 2 or len(features) < 2 or not features.shape[1]:
            raise InputError(f"{path}: feats has shape {tuple(features.shape)}, expected (N, d) with at least 2 items")
        return StatisticsFile(path, file_sha256(path), None, None, features.float(), len(features), recipe)
    for name in ("mu", "sigma"):
        if name not in checked:
            raise InputError(
                f"{path}: holds {' and '.join(arrays) or 'nothing'}, but no {name}; both mu and sigma are required"
            )
    mean, covariance = checked["mu"].double(), checked["sigma"].double()
    return StatisticsFile(
        path, file_sha256(path), mean, _covariance(path, mean, covariance), None, recipe.get("count"), recipe
    )


def write_statistics(path: Path, mean: Tensor, covariance: Tensor, recipe: Mapping[str, Any]) -> None:
    """Write an .npz that pytorch-fid and clean-fid can read: `mu` and `sigma` in float64, together with the recipe.

    Equal statistics give equal bytes, so a file's checksum identifies its content wherever it was written.

    Args:
        path: of the file, ending in .npz.
        mean: (d,).
        covariance: (d, d), over N − 1 as in both tools.
        recipe: plain values that describe the source of the features, including `count`.
    """
    mu, sigma = (tensor.double().cpu().numpy() for tensor in (mean, covariance))
    said = np.array(json.dumps(recipe, sort_keys=True))
    with atomic.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, mu=mu, sigma=sigma, recipe=said)  # to a file, because savez would append .npz to a path


def _of_npz(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    members = arrays_in(path)
    found = {name: _array(path, name, members[name]) for name in (*_NAMES, _RECIPE) if name in members}
    return found, _recipe(path, found.pop(_RECIPE, None))


def _array(path: Path, name: str, member: str) -> npt.NDArray[Any]:
    header = read_header(path, member)
    header.check(f"{path}: {name}", "floating-point numbers", "statistics")
    with open_npy(path, member) as (file, _):
        values = read_exactly(file, math.prod(header.shape) * header.dtype.itemsize).view(header.dtype)
    return values.reshape(header.shape, order="F" if header.fortran else "C")


def _recipe(path: Path, array: npt.NDArray[Any] | None) -> dict[str, Any]:
    """Return the recipe that genbench wrote; a file from another tool may use the name for anything else."""
    if array is None or array.dtype.kind != "U" or array.ndim:
        return {}
    try:
        recipe = json.loads(str(array))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: damaged: its recipe is not valid JSON; write it again with genbench statistics"
        ) from error
    if not isinstance(recipe, dict) or not isinstance(recipe.get("extractor"), dict):
        return {}
    count, split = recipe.get("count"), recipe.get("split")
    return recipe if type(count) is int and count > 1 and isinstance(split, str) else {}


def _of_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    numeric = [np.ndarray, np.dtype, *{type(np.dtype(kind)) for kind in (np.float16, np.float32, np.float64)}]
    rebuild = np.zeros(0).__reduce__()[0]
    # The module had another name in numpy 1, and files written with it still use that name.
    allowed = [*numeric, *((rebuild, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core"))]
    found = read_checkpoint(path, "reference", allowed)
    if isinstance(found, Tensor):
        return {"feats": found}, {}
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise InputError(f"{path}: does not hold statistics: expected a dictionary of mu and sigma, or features (N, d)")
    return dict(found), {}


def _checked(path: Path, name: str, values: Any) -> Tensor:
    """Return an array of finite floating-point numbers as a tensor."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        known = values.dtype.newbyteorder("=") if values.dtype.itemsize <= 8 else np.float64
        with np.errstate(over="ignore"):  # told below
            values = torch.from_numpy(values.astype(known, copy=False))
    if not isinstance(values, Tensor) or not values.is_floating_point():
        holds = getattr(values, "dtype", type(values).__name__)
        raise InputError(f"{path}: {name} holds {holds}, expected floating-point numbers")
    if not _is_plain(values):
        raise InputError(f"{path}: {name} is stored sparse, nested, repeated or without values; save a plain array")
    bad = int((~values.isfinite()).sum())
    if bad:
        raise InputError(f"{path}: {name} holds {bad:,} values that are NaN or infinite; make the file again")
    largest = float(values.double().abs().max()) if values.numel() else 0.0
    most = _LARGEST**2 if name == "sigma" else _LARGEST
    if largest > most:
        raise InputError(
            f"{path}: {name} holds {largest:.3g}, more than {most:g}, too large to compare; make the file again"
        )
    return values.detach()


def _is_plain(values: Tensor) -> bool:
    """Return whether a tensor of a checkpoint is an array in memory, as large as it claims to be."""
    if values.layout != torch.strided or values.is_nested or values.device.type != "cpu":
        return False
    return values.numel() * values.element_size() <= values.untyped_storage().nbytes()


def _covariance(path: Path, mean: Tensor, covariance: Tensor) -> Tensor:
    """Return the covariance, made exactly symmetric, after checking it and that its size matches the mean's."""
    count = mean.numel()
    if mean.ndim != 1 or not count or covariance.shape != (count, count):
        raise InputError(
            f"{path}: mu has shape {tuple(mean.shape)} and sigma {tuple(covariance.shape)}, expected (d,) and (d, d)"
        )
    largest, apart = float(covariance.abs().max()), float((covariance - covariance.T).abs().max())
    if apart > TOLERANCE * largest:
        raise InputError(
            f"{path}: sigma is not symmetric: mirrored entries differ by up to {apart:.3g}, more than {TOLERANCE:g} of "
            "the largest; make the file again"
        )
    symmetric = (covariance + covariance.T) / 2
    eigenvalues = torch.linalg.eigvalsh(symmetric)
    least, most = float(eigenvalues[0]), float(eigenvalues[-1])
    if least < -TOLERANCE * max(most, 0.0):
        raise InputError(
            f"{path}: sigma is not a covariance: it has an eigenvalue of {least:.3g}, below zero by more than "
            f"{TOLERANCE:g} of the largest, {most:.3g}; make the file again"
        )
    return symmetric
