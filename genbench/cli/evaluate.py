"""`genbench evaluate`: score images, texts or clips that another program generated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genbench.cli import measuring
from genbench.cli.numbers import Whole
from genbench.cli.terminal import go_on_without_cache, say, watched
from genbench.cli.timing import print_timing
from genbench.errors import InputError
from genbench.kinds.nouns import counted
from genbench.plugin.visible import visible

if TYPE_CHECKING:
    from genbench.cli.scoring import Scored


@click.command(short_help="Score images, texts or clips that another program generated.")
@click.argument("items", type=click.Path(path_type=Path), metavar="ITEMS")
@click.option("-d", "--dataset", metavar="DATASET", help="Compare with the training split of this dataset.")
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Or compare with a folder, .zip, .npz, .npy or .txt, or statistics of features.",
)
@measuring.extractor("auto")
@measuring.weights
@measuring.profile
@measuring.metrics
@measuring.eval_precision("fp32")
@click.option("--device", default="auto", metavar="D", help="auto, cpu, cuda or mps.  [default: auto]")
@click.option("--image-size", type=Whole(), metavar="N", help="Resize and crop image files and DATASET to N × N.")
@measuring.data_root
@click.option("--skip-corrupt", is_flag=True, help="Skip image files that cannot be decoded, and report their number.")
@click.option("--timing", is_flag=True, help="Also show how many seconds each metric took.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers with their full recipes as JSON.")
def evaluate(items: Path, dataset: str | None, reference: Path | None, **flags: Any) -> None:
    """Score ITEMS: a folder or .zip of image files, a uint8 array (N, H, W, C) or (N, C, H, W) in an .npy or .npz, a
    .txt with one text per line, or a folder of WAV, FLAC or OGG files.

    The numbers and their recipes are those of `genbench run`. Only the 2015 Inception-v3 gives `fid`, and only
    DINOv2's published ViT-L/14 gives `fd_dinov2`. ± is the standard error of one evaluation: how far a number moves
    when the same model draws other samples. `real` is the floor: the score of as many held-out items of DATASET; with
    --reference, no items are held out. A reference may be a file that holds only mean and covariance, written by
    `genbench statistics`, pytorch-fid, clean-fid or torch-fidelity: then only fd (fid) and other numbers that need no
    more are measured.

    \b
    Examples:
      genbench evaluate samples/ -d cifar10 --extractor inception
      genbench evaluate samples.npz --reference real_images/ --extractor inception --profile clean-fid
      genbench evaluate samples/ --reference cifar10-stats.npz --extractor inception --profile pytorch-fid
      genbench evaluate samples/ -d cifar10 --extractor dinov2-vitl14 --weights dinov2_vitl14_pretrain.pth
      genbench evaluate samples/ -d mnist --metrics fd,kid,precision --timing
      genbench evaluate digits.npy -d digits --metrics +cas --json
      genbench evaluate names.txt -d names
      genbench evaluate clips/ -d tones
    """
    from genbench.cli.scoring import score
    from genbench.cli.sides import Request
    from genbench.config import Settings
    from genbench.evaluation.selection import names_in

    if (dataset is None) == (reference is None):
        raise InputError("give one thing to compare with: either a dataset with -d, or items with --reference")
    go_on_without_cache()
    as_json, skip_corrupt, timing = (flags.pop(name) for name in ("as_json", "skip_corrupt", "timing"))
    metrics = () if flags["metrics"] is None else names_in(flags["metrics"])
    settings = Settings(**{**flags, "metrics": metrics})
    show = _Progress()
    scored = score(Request(items, dataset, reference, settings, skip_corrupt), show)
    show.end()
    if as_json:
        _print_json(scored)
    else:
        _print_table(scored)
        if scored.floor:
            _print_floor(scored.count, scored.held_out, scored.noun)
    rate = f"{scored.items_per_s:,.1f} {scored.noun}/s read and processed by {scored.extractor}"
    for line in (f"{counted(scored.count, scored.noun)}, {rate}", *scored.remarks):
        say(line, err=True)
    if timing:
        print_timing([scored.seconds])


def _print_table(scored: Scored) -> None:
    from genbench.metrics.remarks import fewer, remark
    from genbench.report.formatting import flag, interval
    from genbench.report.quantities import FLAGS, arrow, declare, quantity

    declare(scored.recipes.values())
    numbers, floor = scored.numbers, scored.floor
    say(scored.title)
    names = {name: name + arrow(quantity(name).direction) for name in numbers}
    width = max(map(len, names.values()), default=0)
    for name, number in numbers.items():
        exact = (
            f"{number.value:.6g}" if number.standard_error is None else interval(number.value, number.standard_error)
        )
        shown = flag(number.value) if name in FLAGS else exact
        real = f"real {floor[name].value:.4g}" if name in floor and name not in FLAGS else ""
        beside = f"  {real:<15}" if floor else ""
        click.echo(f"{names[name]:<{width}}  {shown:<24}{beside}  recipe {number.recipe}")
    if any(number.standard_error is not None for number in numbers.values()):
        click.echo("±: one standard error over draws of as many samples; the reference is fixed", err=True)
    for line in fewer({name: scored.recipes[number.recipe] for name, number in numbers.items()}):
        click.echo(line, err=True)
    for name, number in numbers.items():
        if said := remark(name, number.value):
            click.echo(f"{name} is {said}", err=True)
    for why in dict.fromkeys(why for name, why in scored.missing.items() if name not in scored.unasked):
        say(f"not measured: {why}", err=True)
    if scored.unasked:
        say(f"not measured, as this comparison lacks what they need: {', '.join(scored.unasked)}", err=True)


def _print_floor(count: int, held_out: int, noun: str) -> None:
    few = f"; only {held_out:,} exist, so some are used more than once" if held_out < count else ""
    click.echo(f"real: the floor, the score of {counted(count, f'held-out {noun}')} in place of yours{few}", err=True)


def _print_json(scored: Scored) -> None:
    document = {
        "numbers": {name: number.to_json() for name, number in scored.numbers.items()},
        "real": {name: number.to_json() for name, number in scored.floor.items()},
        "recipes": scored.recipes,
        "not_measured": scored.missing,
        "extractor": scored.extractor,
        "remarks": scored.remarks,
    }
    click.echo(json.dumps(document, indent=1))


class _Progress:
    """One line of progress on standard error, on a terminal only."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._terminal = watched()

    def step(self, stage: str) -> Callable[[int, int], None]:
        """Return a function that shows the progress of a stage."""

        def show(done: int, total: int) -> None:
            now = time.monotonic()
            if self._terminal and now - self._shown > 0.1:
                self._shown = now
                click.echo(f"\r\x1b[K{visible(stage)}: {done} of {total}", nl=False, err=True)

        return show

    def begin(self, what: str) -> None:
        """Announce immediately what will be computed, because it may take long."""
        self.end()
        say(what, err=True)

    def metric(self, names: list[str], name: str) -> None:
        """Show which metric is running."""
        self._shown = 0.0  # it may take long, so it is shown even right after another line
        self.step(name)(names.index(name) + 1, len(names))

    def end(self) -> None:
        if self._terminal:
            click.echo("\r\x1b[K", nl=False, err=True)
