"""The `genbench` command: one file per subcommand, and the only room that prints."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import sys
from typing import NoReturn

import click

from genbench.cli.aggregate import aggregate
from genbench.cli.baseline import baseline
from genbench.cli.compare import compare
from genbench.cli.datasets import datasets
from genbench.cli.doctor import doctor
from genbench.cli.evaluate import evaluate
from genbench.cli.metrics import metrics
from genbench.cli.models import models
from genbench.cli.plugin import plugin
from genbench.cli.regress import regress
from genbench.cli.report import report
from genbench.cli.run import run
from genbench.cli.statistics import statistics
from genbench.cli.study import study
from genbench.cli.terminal import say
from genbench.errors import GenbenchError, InputError, shortened

__all__ = ["main"]

KEEPS_NOTHING = ("evaluate", "plugin", "statistics")
_REMEDIES = dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "change its permissions, or use another folder,")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="genbench", prog_name="genbench")
@click.pass_context
def cli(context: click.Context) -> None:
    """Benchmark generative models on equal budgets, with traceable numbers.

    \b
    Examples:
      genbench run                                   every installed model on digits, with a short budget
      genbench run -m vae -m vae:beta=4 --seeds 5    two versions of a model, five seeds each
      genbench run -m ./my_model.py -d mnist         a model from a file
      genbench compare reports/before reports/after  what changed, with intervals
      genbench doctor                                what is installed, and what is missing
    """
    context.ensure_object(dict)["command"] = context.invoked_subcommand


for command in (
    run,
    report,
    aggregate,
    compare,
    baseline,
    regress,
    evaluate,
    statistics,
    study,
    models,
    datasets,
    metrics,
    doctor,
    plugin,
):
    cli.add_command(command)


def main() -> None:
    """Run the command; a user error is one line and exit code 2, any other genbench error exit code 1."""
    # Registered first, so it runs last: all objects end with the process, instead of being searched for cycles, which
    # takes 0.2 s after a report and longer after torch.
    atexit.register(gc.freeze)
    # A cancelled job receives this signal: treat it as an interrupt, so that nothing is left behind.
    signal.signal(signal.SIGTERM, _terminate)
    given: dict[str, str | None] = {}
    try:
        # Not standalone: there click exits with code 1 on an interrupt, which would mean that something got worse.
        sys.exit(cli.main(standalone_mode=False, obj=given))
    except click.Abort as abort:
        # The interrupted command notes whether it can resume: a benchmark can, a comparison starts over.
        say("; ".join(["genbench: interrupted", *getattr(abort.__cause__, "__notes__", ())]), err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.message = shortened(error.message)  # type: ignore[misc]  # it quotes the input, which may have any length
        error.show()
        sys.exit(error.exit_code)
    except GenbenchError as error:
        say(f"genbench: {error.line}", err=True)
        if error.below:
            say(error.below, err=True, keep="\n\t")
        sys.exit(2 if isinstance(error, InputError) else 1)
    except OSError as error:
        _end_for(error, safe="" if given.get("command") in KEEPS_NOTHING else "finished work is safe: ")


def _terminate(*_: object) -> NoReturn:
    """Act as on an interrupt, once: Slurm signals all processes of a job, and the job script forwards it again."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_for(error: OSError, safe: str) -> NoReturn:
    """Print in one line what the system refused, and exit; an error that names no file is our bug, and is raised."""
    if error.errno == errno.EPIPE:  # the reader of the output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else the interpreter would try to flush again at exit
        sys.exit(1)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    if not full and error.filename is None:
        raise error
    where = "" if error.filename is None else f"{error.filename2 or error.filename}: "
    remedy = "free some space" if full else _REMEDIES.get(error.errno or 0, "fix that")
    say(f"genbench: {where}{error.strerror}; {safe}{remedy} and run the same command again", err=True)
    sys.exit(1)
