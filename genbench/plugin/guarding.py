"""Runs a plugin's code in a process that continues afterwards, and reports what it raises or changes in one line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from genbench.errors import GenbenchError, PluginError
from genbench.plugin import world
from genbench.plugin.finding import Found
from genbench.plugin.leftovers import started_by_another
from genbench.plugin.loading import Plugin, load
from genbench.plugin.visible import wording

__all__ = ["guarded", "load_guarded", "refuse_changes"]


def load_guarded(found: Found) -> Plugin:
    """Import a plugin like `loading.load`, and restore the random state that its libraries change during import.

    Raises:
        PluginError: its import fails, or it does not implement its hook.
    """
    with world.importing(), started_by_another(), contextlib.redirect_stdout(sys.stderr):
        return load(found)


@contextlib.contextmanager
def guarded(plugin: Plugin, what: str, passing: tuple[type[BaseException], ...] = (GenbenchError,)) -> Iterator[None]:
    """Run a block in which the plugin does `what`; its output goes to standard error.

    Args:
        plugin: the plugin whose code runs.
        what: the hook or the function, for the error.
        passing: exceptions that are valid answers, and are passed on.

    Raises:
        PluginError: it raised anything else, or changed shared state of the process, which is restored.
    """
    with (
        world.noting() as changed,
        world.imports_put_back(),
        started_by_another(),
        contextlib.redirect_stdout(sys.stderr),
    ):
        try:
            yield
        except BaseException as error:  # third-party code can raise anything, even SystemExit
            if isinstance(error, (KeyboardInterrupt, *passing)):
                raise
            raise PluginError(f"{plugin}: {what} raised {wording(error)}") from error
    if changed:
        raise PluginError(f"{plugin}: {what} changed {'; '.join(changed)}; leave alone what others share")


def refuse_changes(plugin: Plugin, before: dict[str, Any], *others: str) -> None:
    """Raise `PluginError` if the global state of the process is no longer what it was.

    Args:
        plugin: whose hooks have run since.
        before: the snapshot of then.
        others: more that they have changed.
    """
    if changed := [*world.changes(before, world.snapshot()), *others]:
        raise PluginError(f"{plugin}: changed {'; '.join(changed)}; a hook must restore what it changes")
