"""`genbench plugin`: create a plugin, and check one."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genbench.cli.numbers import shape_in
from genbench.cli.terminal import say
from genbench.errors import InputError
from genbench.kinds.nouns import NOUNS
from genbench.plugin.families import FAMILIES as PLUGIN_FAMILIES
from genbench.scaffold import FAMILIES

if TYPE_CHECKING:
    from genbench.contract import Outcome
    from genbench.contract.suite import AnyContract

REFUSALS = ("unsuitable for ", "build_model refuses ")  # how the reason begins of a case that the model does not take
DEFAULT_SHAPES = ("1x8x8", "1x28x28", "3x32x32", "12", "24", "2x300")


@click.group(short_help="Create a plugin, or check one.")
def plugin() -> None:
    """Create a new plugin, or check one against the contract that every plugin has to keep.

    \b
    Examples:
      genbench plugin new my-vae --family vae && pip install -e my-vae
      genbench plugin check my-vae
      genbench plugin check my-data --family dataset
      genbench plugin check my-tracker --family observer
      genbench plugin check ./my_model.py
    """


@plugin.command(short_help="Create a working, installable plugin of any family.")
@click.argument("name")
@click.option(
    "--family", type=click.Choice(FAMILIES), default="vae", show_default=True, help="What kind of plugin to create."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The folder to write.  [default: NAME]")
def new(name: str, family: str, out: Path | None) -> None:
    """Create a distribution called NAME: a package with one small plugin, its entry point, a README and a test.

    `ae`, `gan` and `vae` create a model; the other families create what their names say. The result is installable
    and passes `genbench plugin check` unchanged; edit it from there.

    \b
    Examples:
      genbench plugin new my-model
      genbench plugin new my-data --family dataset
      genbench plugin new my-model --family gan --out ~/code/my-model
    """
    from genbench.plugin.families import MODEL
    from genbench.scaffold.distribution import family_of, write_distribution

    folder = out or Path(name)
    for path in write_distribution(name, family, folder):
        click.echo(f"wrote {path}")
    brings = family_of(family)
    flag = "" if brings is MODEL else f" --family {brings.name}"
    click.echo(f"next: pip install -e {folder} && genbench plugin check {name}{flag}")


@plugin.command(short_help="Check a plugin against its contract, and list the results.")
@click.argument("name", metavar="NAME[:OPT=VALUE,...]")
@click.option(
    "--family",
    type=click.Choice(list(PLUGIN_FAMILIES)),
    default="model",
    show_default=True,
    help="What the plugin provides.",
)
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="SHAPE",
    help=f"CxHxW for images, L for texts, CxT for clips; repeatable.  [default: {', '.join(DEFAULT_SHAPES)}]",
)
@click.option("--device", metavar="D", help="For a model: auto, cpu, cuda, cuda:1 or mps.  [default: cpu]")
def check(name: str, family: str, shapes: tuple[str, ...], device: str | None) -> None:
    """Run every check of the contract on NAME, a plugin's name or file.

    A model is checked on small items of each kind, with and without labels.

    Exit code 0: every applicable check passes; 1: a check fails, and the output names what was expected, what was
    found and what to change; 2: the plugin, option or device does not exist. genbench.contract.contract_tests runs the
    same checks in your own test suite.

    \b
    Examples:
      genbench plugin check my-model
      genbench plugin check ./my_model.py --shape 1x28x28
      genbench plugin check rnn --shape 16
      genbench plugin check vae:beta=4 --device cuda
      genbench plugin check my-data --family dataset
      genbench plugin check my-extractor:weights=trained.pth --family extractor
    """
    try:
        from genbench.contract import run_contract
        from genbench.plugin.leftovers import Others
    except ModuleNotFoundError as error:
        raise InputError(str(error)) from error
    contract, others = _contract(name, family, shapes, device), Others.now()
    begin = time.perf_counter()
    outcomes = run_contract(contract, _show_progress if sys.stderr.isatty() else None)
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    counts = _print(outcomes, list(contract.checks))
    if kind := _failing_kind(outcomes):
        say(
            f"every failure is on {NOUNS[kind]}: if the model does not support them, let build_model say so: "
            f"if data.kind == {kind!r}: raise genbench.Unsuitable(...)"
        )
    click.echo(f"{name}: {', '.join(counts)} in {time.perf_counter() - begin:.1f} s")
    failed = any(outcome.status == "failed" for outcome in outcomes)
    if others.keeps_from_ending():
        sys.stdout.flush()
        os._exit(failed)
    if failed:
        sys.exit(1)


def _contract(name: str, family: str, shapes: tuple[str, ...], device: str | None) -> AnyContract:
    from genbench.contract import BroughtContract, Contract
    from genbench.plugin.families import MODEL

    if family == MODEL.name:
        return Contract(name, [shape_in(text) for text in shapes or DEFAULT_SHAPES], device or "cpu")
    for flag, given in (("--shape", shapes), ("--device", device)):
        if given:
            raise InputError(f"{flag} has no effect on a {family}; leave it out")
    return BroughtContract(name, family)


def _show_progress(outcome: Outcome) -> None:
    where = f" on {outcome.case}" if outcome.case else ""
    click.echo(f"\r\033[K{outcome.check.name}{where}", nl=False, err=True)


def _print(outcomes: list[Outcome], checks: list[str]) -> list[str]:
    """Print one entry per check, in the order of `checks`, for any number of cases; return the count of each status."""
    counts = {"ok": 0, "warning": 0, "failed": 0, "skipped": 0}
    by_name: dict[str, list[Outcome]] = {name: [] for name in checks}
    for outcome in outcomes:
        by_name[outcome.check.name].append(outcome)
    for name, own in by_name.items():
        status = next(
            status for status in ("failed", "warning", "ok", "skipped") if any(o.status == status for o in own)
        )
        counts[status] += 1
        texts = list(dict.fromkeys(outcome.text for outcome in own if outcome.status == status))
        if status == "skipped":  # one line: prefer the plugin's own reason, then the check that blocked this one
            texts = sorted(texts, key=lambda text: (text.startswith(REFUSALS), text.startswith("needs ")))[:1]
        for text in texts:
            cases = [str(outcome.case) for outcome in own if outcome.text == text and outcome.case]
            where = f"{', '.join(cases)}: " if status in ("failed", "warning") and cases else ""
            _print_entry(status, name, where + text if text else own[0].check.promise)
        refused = dict.fromkeys(o.text for o in own if o.status == "skipped" and name == "build" != status)
        for text in refused if status == "ok" else ():
            _print_entry("skipped", name, text)
    ends = [f"{count} {status}" for status, count in counts.items() if count]
    waiting = sum(_waits(own) for own in by_name.values())
    return [*ends[:-1], f"{ends[-1]} ({waiting} until the failures are fixed)"] if waiting else ends


def _waits(own: list[Outcome]) -> bool:
    """Return whether a check was skipped, on every case that the model takes, because another one failed."""
    taken = [outcome for outcome in own if not (outcome.status == "skipped" and outcome.text.startswith(REFUSALS))]
    return bool(taken) and all(o.status == "skipped" and o.text.endswith(", which failed") for o in taken)


def _failing_kind(outcomes: list[Outcome]) -> str | None:
    """Return the one kind of items on which all failures occurred, if checks on another kind passed."""
    failed = {outcome.case.kind for outcome in outcomes if outcome.status == "failed" and outcome.case}
    passed = {outcome.case.kind for outcome in outcomes if outcome.status == "ok" and outcome.case}
    alone = all(outcome.case for outcome in outcomes if outcome.status == "failed")
    return failed.pop() if alone and len(failed) == 1 and passed - failed else None


def _print_entry(status: str, name: str, text: str) -> None:
    shown = "FAILED" if status == "failed" else status
    for line in text.splitlines():
        say(f"{shown:<8} {name:<23} {line}".rstrip())
        shown = name = ""
