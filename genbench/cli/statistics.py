"""`genbench statistics`: mean and covariance of a dataset's features, for other tools and for later use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from genbench.cli import measuring
from genbench.cli.numbers import Whole
from genbench.cli.sides import Request, refuse_unused_root
from genbench.cli.terminal import go_on_without_cache, say
from genbench.errors import InputError
from genbench.kinds.nouns import counted


@click.command(short_help="Write mean and covariance of a dataset's features, as pytorch-fid and clean-fid do.")
@click.argument("dataset", metavar="DATASET")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The .npz to write.")
@click.option(
    "--split", type=click.Choice(["train", "held-out"]), default="train", help="Which split.  [default: train]"
)
@click.option(
    "--extractor", default="auto", metavar="E", help="inception, dinov2-vitl14, ..., random-conv.  [default: auto]"
)
@click.option("--weights", metavar="FILE", help="Weights file for Inception, DINOv2 or CLIP.")
@measuring.profile
@measuring.eval_precision("fp32")
@click.option("--device", default="auto", metavar="D", help="auto, cpu, cuda or mps.  [default: auto]")
@click.option("--image-size", type=Whole(), metavar="N", help="Resize and crop images to N × N.")
@measuring.data_root
def statistics(dataset: str, out: Path, split: str, **flags: Any) -> None:
    """Write mean and covariance of the features of DATASET, for `genbench evaluate --reference` and other tools.

    The file holds `mu` and `sigma` in float64, the covariance over N − 1, as pytorch-fid and clean-fid read them, and
    `recipe`, which records their origin: the dataset and its fingerprint, the split, the count, the extractor and its
    weights.

    \b
    Examples:
      genbench statistics cifar10 --extractor inception --profile clean-fid --out cifar10.npz
      genbench evaluate samples/ --reference cifar10.npz
    """
    from genbench.config import Settings

    if out.suffix.lower() != ".npz":
        raise InputError(f"--out {out}: a file of statistics needs a name that ends in .npz; add that")
    settings = Settings(**flags)
    refuse_unused_root(Request(out, dataset, None, settings, skip_corrupt=False))
    go_on_without_cache()
    found = _of_dataset(dataset, split, settings)
    if found.few:
        say(f"{found.count} items of {found.dimension} features: the covariance is singular", err=True)
    found.write(out)
    if found.remark is not None:
        say(found.remark, err=True)
    say(f"{out}: {found.dimension} features of {counted(found.count, f'{split} {found.noun}')}, {found.extractor}")


@dataclass(frozen=True)
class _Found:
    """Statistics, and where they come from."""

    gaussian: Any
    recipe: dict[str, Any]
    noun: str
    extractor: str
    remark: str | None  # of the dataset

    @property
    def count(self) -> int:
        return int(self.gaussian.count)

    @property
    def dimension(self) -> int:
        return int(self.gaussian.dimension)

    @property
    def few(self) -> bool:
        """Whether the covariance is singular for lack of items."""
        return self.count <= self.dimension

    def write(self, path: Path) -> None:
        from genbench.features.statistics_file import write_statistics

        write_statistics(path, self.gaussian.mean, self.gaussian.covariance, self.recipe)


def _of_dataset(name: str, split: str, settings: Any) -> _Found:
    from genbench.cell import preflight
    from genbench.evaluation.references import reference_for
    from genbench.features import OF_THE_DATASET, resolve
    from genbench.machine import environment
    from genbench.machine.privacy import without_home
    from genbench.metrics.gaussian import GaussianStatistics

    device = environment.share(settings.device)
    data = preflight.load_dataset(name, settings)
    chosen = resolve(settings.extractor, data, Path(settings.weights) if settings.weights else None)
    if chosen in OF_THE_DATASET:
        raise InputError(
            f"extractor '{chosen}': depends on the classes or symbols of {name}, which no file of statistics "
            "holds; write statistics of images, with an extractor such as inception or random-conv"
        )
    extractor = preflight.load_extractor(data, settings, device, lambda event: None)
    reference = reference_for(data, extractor)
    features = reference.train if split == "train" else reference.held_out
    if len(features) < 2:
        raise InputError(f"{name}: has {len(features)} {split} {data.kind.noun}, and a covariance needs at least 2")
    gaussian = GaussianStatistics.from_features(features.features)
    recipe = {
        "dataset": without_home(data.name),
        "dataset_fingerprint": data.fingerprint,
        "split": split,
        "count": gaussian.count,
        "rounding": data.kind.rounding,
        "ddof": 1,
        "extractor": extractor.recipe(),
    }
    return _Found(gaussian, recipe, data.kind.noun, extractor.name, data.remark)
