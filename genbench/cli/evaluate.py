"""`genbench evaluate`: score images that another program made."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genbench.cli.numbers import Whole
from genbench.cli.terminal import say, watched
from genbench.cli.timing import print_timing
from genbench.errors import InputError
from genbench.stopwatch import Stopwatch
from genbench.visible import visible

if TYPE_CHECKING:
    from genbench.config import Settings
    from genbench.datasets.external import External
    from genbench.measurement import Number

MOST_NAMED = 5  # of the files that were passed over


@click.command(short_help="Score images that another program made, against a dataset or other images.")
@click.argument("images", type=click.Path(path_type=Path), metavar="IMAGES")
@click.option("-d", "--dataset", metavar="DATASET", help="What to compare with: a dataset's training split.")
@click.option("--reference", type=click.Path(path_type=Path), metavar="PATH", help="Or a folder, .npz or .npy file.")
@click.option("--extractor", default="auto", metavar="E", help="auto, inception, digits-cnn, classifier, random-conv.")
@click.option("--weights", metavar="FILE", help="Inception's weights.")
@click.option("--profile", metavar="P", help="torch-fidelity, pytorch-fid or clean-fid, for Inception.")
@click.option("--metrics", metavar="NAME,...", help="What to measure; +NAME,... adds to the default, as +cas.")
@click.option("--eval-precision", default="fp32", metavar="P", help="fp32 or bf16.  [default: fp32]")
@click.option("--device", default="auto", metavar="D", help="auto, cpu, cuda or mps.  [default: auto]")
@click.option("--image-size", type=Whole(), metavar="N", help="Resize and crop images to N × N.")
@click.option("--data-root", metavar="DIR", help="Where datasets are kept.  [default: $GENBENCH_DATA]")
@click.option("--skip-corrupt", is_flag=True, help="Pass over image files that cannot be decoded, and count them.")
@click.option("--timing", is_flag=True, help="Show the seconds that each metric took, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers with their whole recipes as JSON.")
def evaluate(images: Path, dataset: str | None, reference: Path | None, **flags: Any) -> None:
    """Score IMAGES: a folder of image files, or an .npy or .npz of (N, H, W, C) uint8.

    The numbers are those that `genbench run` measures, under the same recipes. Only the 2015 Inception-v3 gives `fid`.
    After ± stands the standard error of one evaluation: how far a number moves when the same model draws other samples.
    After `real` stands what as many held-out images of DATASET score: the floor. With --reference none are held out.

    \b
    Examples:
      genbench evaluate samples/ -d cifar10 --extractor inception
      genbench evaluate samples.npz --reference real_images/ --extractor inception --profile clean-fid
      genbench evaluate samples/ -d mnist --metrics fd,kid,precision --timing
      genbench evaluate digits.npy -d digits --metrics +cas --json
    """
    from genbench.config import Settings
    from genbench.selection import names_in

    if (dataset is None) == (reference is None):
        raise InputError("name what to compare with: either a dataset with -d, or images with --reference")
    as_json, skip_corrupt, timing = (flags.pop(name) for name in ("as_json", "skip_corrupt", "timing"))
    settings = Settings(**{**flags, "metrics": names_in(flags["metrics"] or "")})
    scored = _score(images, dataset, reference, settings, skip_corrupt)
    if as_json:
        _print_json(scored)
    else:
        _print_table(scored)
        if scored.floor:
            _print_floor(len(scored.found.images), scored.held_out)
    count, rate = len(scored.found.images), scored.images_per_s
    click.echo(f"{count} images, {rate:,.1f} images/s through {scored.extractor}", err=True)
    for path, part in ((images, scored.found), (reference, scored.given)):
        if part is not None and part.skipped:
            say(f"{path}: {len(part.skipped)} passed over: {'; '.join(part.skipped[:MOST_NAMED])}", err=True)
    if timing:
        print_timing([scored.seconds])


@dataclass(frozen=True)
class _Scored:
    """The images that were read, what they score, and how fast the extractor was; `floor` is what real ones score."""

    found: External
    given: External | None
    numbers: dict[str, Number]
    floor: dict[str, Number]
    recipes: dict[str, dict[str, Any]]
    missing: dict[str, str]
    held_out: int
    extractor: str
    images_per_s: float
    seconds: dict[str, float]  # of each metric


def _score(
    images: Path, dataset: str | None, reference: Path | None, settings: Settings, skip_corrupt: bool
) -> _Scored:
    """Score images against those of `reference`, or where there is none against a dataset."""
    from genbench import environment, measurement, preflight
    from genbench.datasets.external import as_reference, read_images
    from genbench.features.extractor import extract
    from genbench.selection import select

    metrics = select(settings.metrics)
    device = environment.share(settings.device)
    show = _Progress()
    read = partial(read_images, image_size=settings.image_size, skip_corrupt=skip_corrupt)
    found = read(images, progress=show.step("reading"))
    given = None if reference is None else read(reference, progress=show.step("reading reference"))
    data = preflight.load_dataset(str(dataset), settings) if given is None else as_reference(given.images)
    extractor = preflight.load_extractor(data, settings, device, show.event)
    extractor.check_shape(found.images.shape[1:])
    # Images that the user names are all the reference, as other tools have it.
    limit = None if given is None else len(data.train)
    evaluator = measurement.Evaluator(
        data, extractor, measurement.reference_for(data, extractor, show.event, limit), metrics
    )
    names = [metric.name for metric in metrics]
    show.begin(f"measuring {len(found.images):,} images by {extractor.name}: {', '.join(names)}")
    evaluator.watch = watch = Stopwatch(time.perf_counter, partial(show.metric, names))
    begin = time.perf_counter()
    features = extract(extractor, found.images, progress=show.step("features"))
    rate = len(found.images) / (time.perf_counter() - begin)
    numbers = evaluator.score(found.images, None, features=features)
    seconds = dict(watch.seconds)
    missing = dict(evaluator.missing)  # of the images; the floor may miss other numbers
    floor = evaluator.floor(len(found.images))
    show.end()
    return _Scored(
        found, given, numbers, floor, evaluator.recipes, missing, len(data.held_out), extractor.name, rate, seconds
    )


def _print_table(scored: _Scored) -> None:
    from genbench.report.quantities import arrow, quantity

    numbers, floor = scored.numbers, scored.floor
    names = {name: name + arrow(quantity(name).direction) for name in numbers}
    width = max(map(len, names.values()), default=0)
    for name, number in numbers.items():
        error = "" if number.standard_error is None else f"± {number.standard_error:.2g}"
        real = f"real {floor[name].value:.4g}" if name in floor else ""
        beside = f"  {real:<15}" if floor else ""
        click.echo(f"{names[name]:<{width}}  {number.value:<12.6g}  {error:<10}{beside}  recipe {number.recipe}")
    if any(number.standard_error is not None for number in numbers.values()):
        click.echo("±: one standard error over draws of as many samples; the reference stays as it is", err=True)
    for why in scored.missing.values():
        say(f"not measured: {why}", err=True)


def _print_floor(count: int, held_out: int) -> None:
    few = f", of which there are {held_out:,}, so some stand more than once" if held_out < count else ""
    click.echo(f"real: what {count:,} held-out images score in the place of yours, the floor{few}", err=True)


def _print_json(scored: _Scored) -> None:
    document = {
        "numbers": {name: number.to_json() for name, number in scored.numbers.items()},
        "real": {name: number.to_json() for name, number in scored.floor.items()},
        "recipes": scored.recipes,
        "not_measured": scored.missing,
    }
    click.echo(json.dumps(document, indent=1))


class _Progress:
    """One line on standard error that says how far the work is, on a terminal only."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._terminal = watched()

    def step(self, stage: str) -> Any:
        return lambda done, total: self.event({"event": "progress", "stage": stage, "done": done, "total": total})

    def begin(self, what: str) -> None:
        """Say what will be computed: at once, since it may take long."""
        self.end()
        say(what, err=True)

    def metric(self, names: list[str], name: str) -> None:
        self._shown = 0.0  # a metric may take long: it is shown whatever came just before
        self.event({"event": "progress", "stage": name, "done": names.index(name) + 1, "total": len(names)})

    def event(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if self._terminal and event["event"] == "progress" and now - self._shown > 0.1:
            self._shown = now
            click.echo(f"\r\x1b[K{visible(event['stage'])}: {event['done']} of {event['total']}", nl=False, err=True)

    def end(self) -> None:
        if self._terminal:
            click.echo("\r\x1b[K", nl=False, err=True)
