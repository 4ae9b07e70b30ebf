"""Pieces of the small model, tests/models/tiny.py, that tests replace, and the edit that adds a hook to it."""

from __future__ import annotations

BUILD = 'return Model(nn.ModuleDict({"generator": net}), {"generator": torch.optim.Adam(net.parameters(), rate)})'
STEP = "    loss.backward()\n"
LOSSES = 'return {"energy": loss.detach()}'
DRAW = "    noise = torch.randn(count, LATENT, generator=generator, device=generator.device)\n"
SAMPLE = 'return model.networks["generator"](noise)'


def hook(signature: str, *lines: str) -> tuple[str, str]:
    """The edit that adds a hook to the small model."""
    body = "\n    ".join(lines)
    return "@hookimpl\ndef sample", f"@hookimpl\ndef {signature}:\n    {body}\n\n\n@hookimpl\ndef sample"
