"""`genbench study`: people as the judges of samples."""

from __future__ import annotations

from pathlib import Path

import click

from genbench.cli.numbers import Whole
from genbench.cli.terminal import say


@click.group(short_help="Ask people about samples, and read their answers.")
def study() -> None:
    """Ask people about samples: write the page of a study, and read the answers it collects.

    \b
    Examples:
      genbench study new reports/digits --protocol real-or-fake
      genbench study read reports/digits answers-*.json
    """


@study.command(short_help="Write a study of a finished benchmark's samples.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--protocol", type=click.Choice(["real-or-fake", "preference"]), required=True, help="What raters are asked."
)
@click.option("--questions", type=Whole(), default=60, show_default=True, metavar="N", help="Most questions per rater.")
@click.option("--models", metavar="A,B,...", help="Model labels, as in the report.  [default: all models of DIR]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the choice of samples.")
@click.option(
    "--time-limit",
    type=click.IntRange(1, 600_000),
    metavar="MS",
    help="How long each item is shown.  [default: until answered]",
)
@click.option(
    "--magnification", type=click.IntRange(1, 64), metavar="M", help="Whole factor.  [default: 192 pixels or more]"
)
@click.option(
    "--raters",
    type=click.IntRange(1, 10**6),
    default=20,
    show_default=True,
    metavar="N",
    help="Expected number of raters, to estimate what the study can resolve.",
)
@click.option("--dataset", metavar="NAME", help="Required if DIR has several.")
@click.option("--budget", metavar="B", help="Required if DIR has several.")
def new(directory: Path, models: str | None, time_limit: int | None, **wished: object) -> None:
    """Write study.html and study-key.json for the samples of DIR into DIR/studies.

    The page is one file that opens from disk and sends nothing: give it to raters, and keep the key. real-or-fake
    shows one item at a time (HYPE); preference shows two, from different models. Both need the controls real and noise.

    \b
    Examples:
      genbench study new reports/digits --protocol real-or-fake
      genbench study new reports/digits --protocol preference --models gan,dcgan,vae --questions 30 --time-limit 500
    """
    from genbench.study.making import Wish, make

    labels = tuple(label.strip() for label in (models or "").split(",") if label.strip())
    made = make(directory, Wish(models=labels, time_limit_ms=time_limit, **wished))  # type: ignore[arg-type]  # click's
    for line in (*made.said, f"give to raters: {made.page}", f"keep: {made.key}"):
        say(line)


@study.command(short_help="Read the answers to a study, and report the results.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("files", type=click.Path(path_type=Path), metavar="ANSWERS...", nargs=-1, required=True)
@click.option("--study", "name", metavar="NAME", help="The study's folder in DIR/studies.  [default: the only one]")
def read(directory: Path, files: tuple[Path, ...], name: str | None) -> None:
    """Check the answer files of the raters, write DIR/studies/NAME/results.json, and render the report of DIR.

    A file is left out, with one line that says why, if it was edited, if it belongs to another study, or if its rater
    has answered before or did not look. Give all files each time: the results cover exactly these files and replace
    the previous results.

    \b
    Examples:
      genbench study read reports/digits answers/*.json
      genbench study read reports/digits answers/*.json --study preference-1655c844
    """
    from genbench.machine.home import settings_of_matplotlib
    from genbench.study.reading import find_key, read_study

    found = read_study(find_key(directory, name), files)
    for line in found.left_out:
        say(line, err=True)
    say(f"{len(files) - len(found.left_out)} of {len(files)} files count: {found.path}")
    with settings_of_matplotlib():
        from genbench import report as rendering

        say(rendering.render_directory(directory, None, lambda line: say(line, err=True)))
