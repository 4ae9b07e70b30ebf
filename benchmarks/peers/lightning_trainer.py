"""genbench's `vae` against the same networks, objective and optimiser in a Lightning Trainer with its defaults.

python benchmarks/peers/lightning_trainer.py --data-root DIR
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from genbench.machine.torchvision_import import declare_missing_operators

declare_missing_operators()  # otherwise a torchvision built for CUDA cannot be imported with a CPU-only torch

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from turns import BATCH, EPOCHS, Loop, arguments, build, compare, harness, mnist

from genbench.datasets.dataset import Dataset


class Vae(lightning.LightningModule):
    """The networks of genbench's `vae`, trained as Lightning's own documentation shows."""

    def __init__(self, data: Dataset) -> None:
        super().__init__()
        self.networks = build("vae", data).networks

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        (images,) = batch
        mean, log_variance = self.networks["encoder"](images)
        codes = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        losses = self.networks["objective"](self.networks["decoder"](codes), images, mean, log_variance)
        self.log_dict(losses)
        loss: Tensor = losses["loss"]
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-3)


def trainer(root: Path | None, folder: str) -> Loop:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    data = mnist(root)
    images = data.train.items.float() / 127.5 - 1
    loader = DataLoader(TensorDataset(images), BATCH, shuffle=True, drop_last=True)
    module = Vae(data)

    def turn() -> int:
        lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu", default_root_dir=folder).fit(module, loader)
        return EPOCHS * len(loader) * BATCH

    return turn


def main() -> None:
    given = arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = partial(harness, "vae", given.data_root), partial(trainer, given.data_root, folder)
        compare(f"vae, batch {BATCH}, Lightning", ours, theirs, given.turns)


if __name__ == "__main__":
    main()
