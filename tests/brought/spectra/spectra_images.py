"""Long-slit spectra as small grey images: absorption lines across a continuum, labelled by how many there are."""

import torch

from genbench import Splits, hookimpl

MOST_LINES = 3


@hookimpl
def load_dataset(options):
    return draw(**options)


def draw(size: int = 16, count: int = 1000, held_out: int = 250, seed: int = 0):
    """`size` pixels a side; the held-out spectra are drawn from a separate seed."""
    if size < 4:
        raise ValueError(f"size must be at least 4, not {size}")
    train, train_labels = spectra(count, size, 2 * seed)
    other, other_labels = spectra(held_out, size, 2 * seed + 1)
    return Splits(
        train=train,
        held_out=other,
        train_labels=train_labels,
        held_out_labels=other_labels,
        class_names=("one line", "two lines", "three lines"),
        licence="CC0: drawn",
    )


def spectra(count, size, seed):
    random = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(count, *shape, 1, generator=random, dtype=torch.float64)

    labels = torch.randint(MOST_LINES, (count,), generator=random)
    across = torch.linspace(-1, 1, size, dtype=torch.float64)
    centres, widths, depths = 1.6 * uniform(MOST_LINES) - 0.8, 0.05 + 0.1 * uniform(MOST_LINES), uniform(MOST_LINES)
    depths = (0.3 + 0.6 * depths) * (torch.arange(MOST_LINES) <= labels[:, None])[..., None]
    lines = (depths * torch.exp(-(((across - centres) / widths) ** 2) / 2)).sum(1).clamp(max=1)  # (N, W)
    continuum = 0.9 + 0.1 * (2 * uniform() - 1) * across
    slit = torch.exp(-(((across - 0.4 * uniform() + 0.2) / 0.5) ** 2) / 2)  # (N, H)
    images = slit[:, :, None] * (continuum * (1 - lines))[:, None, :]
    return (255 * images).round().clamp(0, 255).to(torch.uint8)[:, None], labels
