"""genbench's `gan` against the usual script: torchvision's dataset, ToTensor, Normalize, a DataLoader, plain Adam.

The networks are the same. The script judges real and generated images separately, steps both optimisers and reads both
losses for its log at each step, as the GAN examples of the frameworks do; it keeps no average of the weights, which
genbench's model does.

    python benchmarks/peers/usual_script.py --data-root DIR
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import nn
from turns import BATCH, EPOCHS, Loop, arguments, build, compare, harness, mnist

from genbench.machine.torchvision_import import import_torchvision


def usual(root: Path | None, workers: int) -> Loop:
    data = mnist(root)
    torchvision = import_torchvision()
    transforms = torchvision.transforms
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    images = torchvision.datasets.MNIST(str(root), train=True, transform=transform)
    # Forked, the default on Linux: this process was spawned, and would otherwise spawn them.
    fork = "fork" if workers else None
    loader = torch.utils.data.DataLoader(
        images, BATCH, shuffle=True, drop_last=True, num_workers=workers, multiprocessing_context=fork
    )
    networks = build("gan", data).networks
    generator, discriminator = networks["generator"], networks["discriminator"]
    criterion = nn.BCEWithLogitsLoss()
    optimizers = [
        torch.optim.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999)) for network in (generator, discriminator)
    ]

    def turn() -> int:
        ones, zeros, log = torch.ones(BATCH, 1), torch.zeros(BATCH, 1), []
        for real, _ in (batch for _ in range(EPOCHS) for batch in loader):
            optimizers[1].zero_grad()
            fake = generator(torch.randn(BATCH, 100))
            real_loss = criterion(discriminator(real), ones)
            fake_loss = criterion(discriminator(fake.detach()), zeros)
            (real_loss + fake_loss).backward()
            optimizers[1].step()
            optimizers[0].zero_grad()
            passed_off = criterion(discriminator(fake), ones)
            passed_off.backward()
            optimizers[0].step()
            log.append(((real_loss + fake_loss).item(), passed_off.item()))
        return len(log) * BATCH

    return turn


def main() -> None:
    given = arguments(__doc__)
    for workers in (0, 2):
        title = f"gan, batch {BATCH}, usual script with {workers} workers"
        compare(title, partial(harness, "gan", given.data_root), partial(usual, given.data_root, workers), given.turns)


if __name__ == "__main__":
    main()
