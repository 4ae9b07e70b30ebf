"""The vision transformers behind DINOv2 and CLIP, built so that published weights load by name.

A. Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", 2021,
https://arxiv.org/abs/2010.11929, in the two variants that image metrics use:

- DINOv2 (M. Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", 2024,
  https://arxiv.org/abs/2304.07193): each branch of a block is scaled per channel. Features are the class token after
  the last norm. With registers (T. Darcet et al., "Vision Transformers Need Registers", 2024,
  https://arxiv.org/abs/2309.16588), four more tokens without a position follow the class token.
- CLIP (A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021,
  https://arxiv.org/abs/2103.00020): one more norm before the blocks, and x · sigmoid(1.702 x) instead of GELU. Features
  are the class token after the last norm, projected into the space that images share with texts, and not normalised.

Parameters are named as in facebookresearch/dinov2, for CLIP too; `vit_weights` translates other names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ARCHITECTURES", "PATCH", "Architecture", "VisionTransformer", "built", "parameter_shapes"]

PATCH = 14  # pixels a side, in all published networks
_NORM_EPSILON = {"dinov2": 1e-6, "clip": 1e-5}


@dataclass(frozen=True)
class Architecture:
    """The parameters of an architecture, not all of which follow from its tensors' shapes.

    Args:
        family: `dinov2` or `clip`.
        side: side of the square input images, in pixels.
        width: of a token.
        depth: number of blocks.
        heads: number of attention heads.
        trained_grid: patches a side for which the weights have positions.
        registers: number of tokens without a position.
        projected: for CLIP, the number of features that the class token is projected to; None for no projection.
    """

    family: str
    side: int
    width: int
    depth: int
    heads: int
    trained_grid: int
    registers: int = 0
    projected: int | None = None

    @property
    def grid(self) -> int:
        """Patches a side of the input images."""
        return self.side // PATCH

    @property
    def features(self) -> int:
        """The number of features."""
        return self.projected or self.width

    @property
    def item_bytes(self) -> int:
        """Approximate memory that an image needs: a block's widest activations, before and after its GELU."""
        tokens = self.grid**2 + 1 + self.registers
        return 4 * (15 * self.width * tokens + 9 * self.side**2)


_SIZES = {"vits14": (384, 12, 6), "vitb14": (768, 12, 12), "vitl14": (1024, 24, 16)}

ARCHITECTURES: dict[str, Architecture] = {
    **{f"dinov2-{size}": Architecture("dinov2", 224, *shape, 37) for size, shape in _SIZES.items()},
    **{f"dinov2-{size}-reg": Architecture("dinov2", 224, *shape, 37, registers=4) for size, shape in _SIZES.items()},
    "clip-vitl14-336": Architecture("clip", 336, *_SIZES["vitl14"], 24, projected=768),
}


class _QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)  # (B, heads, tokens, width / heads)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Block(nn.Module):
    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        width, epsilon = shape.width, _NORM_EPSILON[shape.family]
        scaled = shape.family == "dinov2"
        self.norm1 = nn.LayerNorm(width, epsilon)
        self.attn = _Attention(width, shape.heads)
        self.ls1 = _Scale(width) if scaled else nn.Identity()
        self.norm2 = nn.LayerNorm(width, epsilon)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(width, 4 * width),
                activation=nn.GELU() if shape.family == "dinov2" else _QuickGELU(),
                fc2=nn.Linear(4 * width, width),
            )
        )
        self.ls2 = _Scale(width) if scaled else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))  # type: ignore[no-any-return]


class VisionTransformer(nn.Module):
    """Maps (B, 3, side, side) normalised images to (B, `shape.features`) features, and no logits.

    Args:
        shape: the architecture to build.
        grid: patches a side for which it has positions; None means the grid of the input images.
    """

    def __init__(self, shape: Architecture, grid: int | None = None) -> None:
        super().__init__()
        width, epsilon, of_clip = shape.width, _NORM_EPSILON[shape.family], shape.family == "clip"
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + (grid or shape.grid) ** 2, width))
        self.register_tokens = nn.Parameter(torch.empty(1, shape.registers, width)) if shape.registers else None
        self.patch_embed = nn.Sequential(OrderedDict(proj=nn.Conv2d(3, width, PATCH, PATCH, bias=not of_clip)))
        self.norm_pre = nn.LayerNorm(width, epsilon) if of_clip else nn.Identity()
        self.blocks = nn.Sequential(*(_Block(shape) for _ in range(shape.depth)))
        self.norm = nn.LayerNorm(width, epsilon)
        self.head = nn.Linear(width, shape.projected, bias=False) if shape.projected else nn.Identity()

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        patches = self.patch_embed(images).flatten(2).transpose(1, 2)
        first = self.cls_token.expand(len(images), -1, -1)
        x = torch.cat([first, patches], dim=1) + self.pos_embed
        if self.register_tokens is not None:
            registers = self.register_tokens.expand(len(images), -1, -1)
            x = torch.cat([x[:, :1], registers, x[:, 1:]], dim=1)
        x = self.blocks(self.norm_pre(x))
        return self.head(self.norm(x[:, 0])), None


def parameter_shapes(shape: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each tensor in a weights file.

    >>> parameter_shapes(ARCHITECTURES["dinov2-vits14"])["pos_embed"]
    (1, 1370, 384)
    """
    with torch.device("meta"):
        network = VisionTransformer(shape, shape.trained_grid)
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def built(shape: Architecture, tensors: Mapping[str, Tensor]) -> VisionTransformer:
    """Return the network with tensors that fit `parameter_shapes`, in evaluation mode; the tensors are not copied."""
    with torch.device("meta"):  # draw no weights that would be immediately replaced
        network = VisionTransformer(shape)
    network.load_state_dict({**tensors, "pos_embed": _positions(shape, tensors["pos_embed"])}, assign=True)
    return network.requires_grad_(False).eval()


def _positions(shape: Architecture, trained: Tensor) -> Tensor:
    """Return the positions (1, 1 + grid², width) for the input images.

    As in DINOv2, networks with registers antialias; those without do not, and give the ratio of the sides as
    (grid + 0.1) / trained_grid, so that patches lie slightly closer together than they should.
    """
    if shape.grid == shape.trained_grid:
        return trained
    grid = trained[:, 1:].transpose(1, 2).unflatten(2, (shape.trained_grid, shape.trained_grid))
    if shape.registers:
        resized = F.interpolate(grid, (shape.grid, shape.grid), mode="bicubic", antialias=True)
    else:
        ratio = (shape.grid + 0.1) / shape.trained_grid
        resized = F.interpolate(grid, scale_factor=(ratio, ratio), mode="bicubic")
    return torch.cat([trained[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)
