"""`genbench models`: list what is installed, without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from genbench.cli.terminal import say
from genbench.config import CONTROLS, ModelSpec
from genbench.errors import InputError
from genbench.plugin.families import FAMILIES, MODEL

if TYPE_CHECKING:
    from genbench.plugin.loading import Plugin


@click.command(short_help="List the installed models, or one model's options.")
@click.argument("model", required=False)
def models(model: str | None) -> None:
    """List every installed model with the distribution that ships it; with MODEL, its options and hooks.

    Plugins of other families follow, family by family. The list is read from the distributions' metadata and imports no
    plugin, so that broken ones are listed too.

    \b
    Examples:
      genbench models
      genbench models vae
      genbench models ./my_model.py
    """
    if model is not None:
        _show(model)
        return
    from genbench.cli.brought import offers
    from genbench.plugin.finding import installed

    rows = [
        (
            name if len(offered) == 1 else f"{found.distribution}:{name}",
            f"{found.distribution} {found.version}",
            found.summary(),
        )
        for name, offered in installed().items()
        for found in offered
    ]
    rows += [(name, "control", summary) for name, summary in CONTROLS.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, origin, summary in rows:
        say(f"{name:<{widths[0]}}  {origin:<{widths[1]}}  {summary}".rstrip())
    for family in (each for each in FAMILIES.values() if each is not MODEL):
        for offer in offers(family):
            say(f"{family.name} {offer.found.name}  {offer.origin}  {offer.found.summary()}".rstrip())


def _show(name: str) -> None:
    from genbench.plugin import finding, loading

    spec = ModelSpec.parse(name)
    if spec.options:
        raise InputError(f"model {name!r}: its options have no effect here; write {spec.name}")
    found = finding.find(spec)
    plugin = loading.load(found)
    say(f"{found.name}: {found.summary()}")
    say(f"  from {found.distribution} {found.version}, {found.path}".replace(" ,", ","))
    click.echo(f"  hooks: {', '.join(hook for hook in loading.hook_names() if plugin.implements(hook))}")
    show_options(plugin)


def show_options(plugin: Plugin) -> None:
    """Print the options that a plugin's builder takes, one per line."""
    from genbench.plugin import options

    accepted = options.accepted(plugin)
    if accepted is None:
        click.echo("  options: its source does not show them")
        return
    click.echo("  options:" if accepted else "  options: none")
    for parameter in accepted.values():
        say(f"    {options.describe(parameter)}")
    if options.is_open(plugin):
        click.echo(f"    further ones, which the {plugin.found.family.name} checks itself")
