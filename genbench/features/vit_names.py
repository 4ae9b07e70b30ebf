"""Names of a vision transformer's tensors in published files, translated to those of `genbench.features.vit`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["canonical"]

_UNUSED = ("mask_token",)  # of DINOv2, used only in training

# Replaced in this order, anywhere in a name.
_OPENAI = (
    ("class_embedding", "cls_token"),
    ("positional_embedding", "pos_embed"),
    ("conv1.", "patch_embed.proj."),
    ("ln_pre.", "norm_pre."),
    ("ln_post.", "norm."),
    ("transformer.resblocks.", "blocks."),
    (".ln_1.", ".norm1."),
    (".ln_2.", ".norm2."),
    (".in_proj_", ".qkv."),
    (".out_proj.", ".proj."),
    (".c_fc.", ".fc1."),
    (".c_proj.", ".fc2."),
)
_TRANSFORMERS = (
    ("visual_projection.", "head."),
    ("vision_model.", ""),
    ("embeddings.class_embedding", "cls_token"),
    ("embeddings.position_embedding.weight", "pos_embed"),
    ("embeddings.patch_embedding.", "patch_embed.proj."),
    ("pre_layrnorm.", "norm_pre."),  # misspelt in transformers
    ("post_layernorm.", "norm."),
    ("encoder.layers.", "blocks."),
    (".layer_norm1.", ".norm1."),
    (".layer_norm2.", ".norm2."),
    (".self_attn.out_proj.", ".attn.proj."),
    (".self_attn.", ".attn."),
)


def canonical(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return only the tensors of the vision transformer, with the names and shapes of `VisionTransformer`.

    Accepts the names of facebookresearch/dinov2, of OpenAI's CLIP (`visual.…`), and of transformers' CLIP
    (`vision_model.…`). Other names are left unchanged, so that the check of shapes reports them.
    """
    if any(name.startswith("visual.") for name in tensors):
        return _of_openai({name: value for name, value in tensors.items() if name.startswith("visual.")})
    if any(name.startswith("vision_model.") for name in tensors):
        return _of_transformers(tensors)
    return {name: value for name, value in tensors.items() if name not in _UNUSED}


def _of_openai(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = _renamed({name.removeprefix("visual."): value for name, value in tensors.items()}, _OPENAI)
    if "proj" in found:
        projection = found.pop("proj")  # (width, features), multiplied from the right
        found["head.weight"] = projection.transpose(0, -1).contiguous()
    return _with_batch_axes(found)


def _of_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    vision = {
        name: value
        for name, value in tensors.items()
        if name.startswith(("vision_model.", "visual_projection.")) and not name.endswith("position_ids")
    }
    found = _renamed(vision, _TRANSFORMERS)
    for name in [name for name in found if ".attn.q_proj." in name]:
        parts = [name.replace(".q_proj.", f".{part}_proj.") for part in "qkv"]
        values = [found[part] for part in parts if part in found]
        if len(values) == 3 and len({value.shape for value in values}) == 1 and values[0].dim():
            found[name.replace(".q_proj.", ".qkv.")] = torch.cat(values)
            for part in parts:
                del found[part]
    return _with_batch_axes(found)


def _renamed(tensors: Mapping[str, Tensor], rules: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    found = {}
    for name, value in tensors.items():
        for old, new in rules:
            name = name.replace(old, new)
        found[name] = value
    return found


def _with_batch_axes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give CLIP's class token (width,) and positions (1 + grid², width) the leading axes of DINOv2's."""
    if "cls_token" in tensors:
        tensors["cls_token"] = tensors["cls_token"][None, None]
    if "pos_embed" in tensors:
        tensors["pos_embed"] = tensors["pos_embed"][None]
    return tensors
