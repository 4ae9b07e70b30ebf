"""genbench running pythae's own VAE, through the adapter, against pythae's BaseTrainer: same class, same settings.

Then the part that no loop can avoid, against the same trainer: forward, backward and fused Adam, repeated on one
batch that is already available. This much of the trainer's time is the model's own, and sets the limit for genbench's
loop.

Needs `pip install -e plugins/pythae` in addition to pythae.

    python benchmarks/peers/pythae_trainer.py --data-root DIR
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from functools import partial
from pathlib import Path

from genbench.machine.torchvision_import import declare_missing_operators

declare_missing_operators()  # otherwise a torchvision built for CUDA cannot be imported with a CPU-only torch

from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from turns import BATCH, EPOCHS, Loop, arguments, build, compare, harness, mnist

LATENT = 16
MODEL = f"pythae:model=VAE,latent_dim={LATENT}"


def trainer(root: Path | None, folder: str) -> Loop:
    logging.disable(logging.WARNING)
    data = mnist(root)
    images = data.train.items[: len(data.train) // BATCH * BATCH].float() / 255
    config = VAEConfig(input_dim=tuple(data.shape), latent_dim=LATENT)
    model = VAE(config)
    settings = BaseTrainerConfig(
        output_dir=folder, num_epochs=EPOCHS, per_device_train_batch_size=BATCH, learning_rate=1e-3, steps_saving=None
    )

    def turn() -> int:
        # Its progress bars would mix with this script's output, and cost almost nothing without a terminal.
        with contextlib.redirect_stderr(io.StringIO()):
            BaseTrainer(model, BaseDataset(images, images[:, 0, 0, 0]), training_config=settings).train()
        return EPOCHS * len(images)

    return turn


def bare_minimum(root: Path | None) -> Loop:
    data = mnist(root)
    images, model = data.train.items[:BATCH].float() / 255, build(MODEL, data)
    network, optimizer = model.networks["autoencoder"].train(), model.optimizers["autoencoder"]
    steps = EPOCHS * (len(data.train) // BATCH)

    def turn() -> int:
        for _ in range(steps):
            optimizer.zero_grad()
            network({"data": images}).loss.backward()
            optimizer.step()
        return steps * BATCH

    return turn


def main() -> None:
    given = arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = partial(harness, MODEL, given.data_root), partial(trainer, given.data_root, folder)
        compare(f"pythae's VAE, batch {BATCH}", ours, theirs, given.turns)
        compare(
            "and no loop", partial(bare_minimum, given.data_root), theirs, given.turns, "forward, backward and Adam"
        )


if __name__ == "__main__":
    main()
