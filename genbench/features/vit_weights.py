"""DINOv2 and CLIP from a weights file that the user names: read, identified, and recognised if published."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from genbench.errors import InputError
from genbench.features import vit_file
from genbench.features.extractor import Extractor, place
from genbench.features.intake import check_rgb
from genbench.features.resize import profile_named
from genbench.features.vit import ARCHITECTURES, Architecture, built, parameter_shapes
from genbench.features.vit_names import canonical
from genbench.features.vit_resize import VIT_PROFILES
from genbench.features.weight_file import check_shapes, content_sha256, file_sha256, read_tensors

__all__ = ["load_vit"]


def load_vit(
    name: str, given: Path | None, shape: torch.Size, device: torch.device, profile: str | None, precision: str
) -> Extractor:
    """Return the extractor `name` with the weights in a file; the other arguments are checked before it is read.

    Args:
        name: a key of `ARCHITECTURES`.
        given: the file.
        shape: (C, H, W) of most images that it will be used on.
        device: where it computes.
        profile: a key of `VIT_PROFILES` for its family; None means the first.
        precision: `fp32` or `bf16`.

    Raises:
        InputError: no file is given, or the file is missing, damaged, or of another network; the profile is unknown;
            the images have neither 1 nor 3 channels.
    """
    architecture = ARCHITECTURES[name]
    chosen = profile_named(name, VIT_PROFILES[architecture.family], profile)
    check_rgb(name, shape)
    what = f"extractor '{name}'"
    if given is None:
        raise InputError(f"{what}: needs a weights file; download {vit_file.weights_url(name)} and add --weights FILE")
    tensors, sha256 = _read(given, what)
    _check(name, architecture, tensors, f"{what}: {given}")
    owner, earned = vit_file.PUBLISHED.get(sha256, ("", {}))
    network = built(architecture, tensors)
    place(network, device, precision)
    return Extractor(
        name=name,
        network=network,
        intake=chosen.intake,
        device=device,
        precision=precision,
        feature_count=architecture.features,
        classes=None,
        weights_sha256=content_sha256(tensors),
        earned=earned if owner == name else {},
        item_bytes=architecture.item_bytes + _resizing_bytes(shape, architecture.side),
    )


def _read(path: Path, what: str) -> tuple[dict[str, Tensor], str]:
    """Return a file's tensors, in float32 and with the names of `VisionTransformer`, and its SHA-256.

    OpenAI publishes CLIP as a TorchScript archive, which contains code as well as tensors and so cannot be read as
    plain weights. It is opened only if its hash is the published one.
    """
    if not path.is_file():
        raise InputError(f"{what}: no file {path}; give the path of a .pth or .safetensors file")
    sha256 = file_sha256(path)
    found = _of_archive(path) if sha256 == vit_file.OPENAI_CLIP else read_tensors(path, what)
    return {name: value.float() for name, value in canonical(found).items()}, sha256


def _of_archive(path: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # of TorchScript as a whole
        return dict(torch.jit.load(path, map_location="cpu").state_dict())


def _check(name: str, architecture: Architecture, tensors: Mapping[str, Tensor], what: str) -> None:
    """Raise `InputError` unless the tensors fit; the message says which network they look like."""
    seen = {each: tuple(value.shape) for each, value in tensors.items()}
    expected = parameter_shapes(architecture)
    if seen == expected:
        return
    for other, known in ARCHITECTURES.items():
        if seen == parameter_shapes(known):
            raise InputError(f"{what} holds {other}; add --extractor {other}, or pass the weights of {name}")
    check_shapes(tensors, expected, f"{what}{_described(seen)}")


def _described(seen: Mapping[str, tuple[int, ...]]) -> str:
    """Describe a vision transformer of an unknown size, as the rest of a phrase; empty for any other network."""
    patches = seen.get("patch_embed.proj.weight", ())
    blocks = {name.split(".")[1] for name in seen if name.startswith("blocks.")}
    if len(patches) != 4 or not blocks:
        return ""
    registers = seen.get("register_tokens", (1, 0))[1:2]
    return (
        f" looks like a vision transformer of width {patches[0]} with {len(blocks)} blocks, patches of "
        f"{patches[2]}x{patches[3]} and {registers[0] if registers else 0} registers"
    )


def _resizing_bytes(shape: torch.Size, side: int) -> int:
    """Approximate memory for resizing one image: the image and two copies of its resized rows, at 4 bytes a value."""
    _, height, width = shape
    return 3 * 4 * (height * width + 2 * height * side)
