"""The URLs of DINOv2's and CLIP's published weights, and the metric names that they earn; without torch."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["OPENAI_CLIP", "PUBLISHED", "weights_url"]

_DINOV2 = "https://dl.fbaipublicfiles.com/dinov2"
OPENAI_CLIP = "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"
"""The SHA-256 of OpenAI's file, which is a TorchScript archive."""
_CLIP = f"https://openaipublic.azureedge.net/clip/models/{OPENAI_CLIP}/ViT-L-14-336px.pt"

# SHA-256 of a published file -> the extractor, and the names that its metrics then have. The URL of OpenAI's file
# contains its hash. Meta publishes none: DINOv2's hash is the one that many projects that pin the file agree on, along
# with its size of 1,217,586,395 bytes.
PUBLISHED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428": ("dinov2-vitl14", {"fd": "fd_dinov2"}),
    OPENAI_CLIP: ("clip-vitl14-336", {"mmd": "cmmd"}),
    # pytorch_model.bin of openai/clip-vit-large-patch14-336: the same weights, as transformers names them
    "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801": ("clip-vitl14-336", {"mmd": "cmmd"}),
}


def weights_url(name: str) -> str:
    """Return the URL of an extractor's published weights.

    >>> weights_url("dinov2-vits14-reg")
    'https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_reg4_pretrain.pth'
    """
    if not name.startswith("dinov2-"):
        return _CLIP
    size, _, registers = name.removeprefix("dinov2-").partition("-")
    return f"{_DINOV2}/dinov2_{size}/dinov2_{size}{'_reg4' if registers else ''}_pretrain.pth"
