"""Helpers for tests of extractors: a small extractor, and a function that installs it on the path as pip would."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

PLUGIN = '''"""A small network."""

import torch
from torch import nn

from genbench import Unsuitable, hookimpl


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.register_buffer("offset", torch.zeros(3))

    def forward(self, batch):
        features = self.linear(batch.flatten(1)[:, :4].float()) + self.offset
        return features


@hookimpl
def build_extractor(data, device):
    network = Network()
    return network.to(device)
'''
RETURNS, BUILDS = "        return features\n", "    network = Network()\n"
READS = """
    network = Network()
    network.load_state_dict(torch.load(weights, weights_only=True))
"""

_numbers = count()
Place = Callable[..., str]


def placing(folder: Path, prepend: Callable[[Path], None]) -> Place:
    """Return a function that installs a plugin with one piece of its source replaced, and returns its module.

    Args:
        folder: the folder below which plugins are installed.
        prepend: puts a folder first on the path for as long as the test runs.
    """

    def place(old: str = "", new: str = "", *, name: str = "small", source: str = PLUGIN, beside: bool = False) -> str:
        assert old in source
        if not beside:
            sys.path[:] = [entry for entry in sys.path if not entry.startswith(str(folder))]
        number = next(_numbers)
        module, site = f"small_network_{number}", folder / f"site-{number}"
        metadata = site / f"{module}-0.1.0.dist-info"
        metadata.mkdir(parents=True)
        (site / f"{module}.py").write_text(source.replace(old, new, 1) if old else source)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1.0\n")
        (metadata / "entry_points.txt").write_text(f"[genbench.extractors]\n{name} = {module}\n")
        prepend(site)
        return module

    return place
