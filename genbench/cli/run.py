"""`genbench run`: train, measure, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genbench.cli import measuring
from genbench.cli.naming import naming_flags
from genbench.cli.numbers import MOST_SEED, SECONDS, Whole
from genbench.cli.terminal import go_on_without_cache
from genbench.config import CONTROLS, Benchmark, make_benchmark, read_benchmark
from genbench.config.benchmark import MOST_CELLS
from genbench.errors import InputError

if TYPE_CHECKING:
    from genbench.execution.conditions import Conditions

DEFAULT_BUDGET = "3000steps"
SHORT_BUDGET = "1000steps"  # used if no model is named
OF_TRAINING = (
    *("batch_size", "evaluations", "training_precision", "compile", "cuda_graph", "ranks"),
    *("checkpoint_interval", "grace", "plugins_from", "target", "stop_at_target"),
)


@click.command(short_help="Train models on datasets under one budget, measure, and report.")
@click.argument("benchmark", required=False, type=click.Path(path_type=Path), metavar="[BENCHMARK.toml]")
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL[:OPT=VALUE,...]",
    help="A model; label=NAME renames it in the report; repeatable.",
)
@click.option(
    "-d",
    "--dataset",
    "datasets",
    multiple=True,
    metavar="DATASET",
    help="A dataset, folder:PATH, npz:PATH, or a fraction such as mnist:fraction=0.1; repeatable.",
)
@click.option(
    "--budget",
    metavar="B",
    help=f"3000steps, 200kimg, 60s or 1e15flop.  [default: {DEFAULT_BUDGET}; {SHORT_BUDGET} if no model is named]",
)
@click.option("--seeds", type=Whole(MOST_CELLS), metavar="N", help="Number of seeds.  [default: 3]")
@click.option(
    "--seed",
    "chosen",
    type=Whole(MOST_SEED, least=0),
    multiple=True,
    metavar="S",
    help="A specific seed, instead of --seeds; repeatable.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Output folder of records and report.  [default: reports/...]",
)
@click.option("--batch-size", type=Whole(), metavar="N", help="Items per training step.  [default: 64]")
@click.option("--evaluations", type=Whole(), metavar="K", help="Points on the quality curve.  [default: 5]")
@click.option(
    "--samples", type=Whole(), metavar="N", help="Samples drawn to measure quality.  [default: the held-out count]"
)
@click.option("--device", metavar="D", help="auto, cpu, cuda, cuda:1 or mps.  [default: auto]")
@click.option("--training-precision", metavar="P", help="fp32, tf32 (CUDA) or bf16.  [default: fp32]")
@click.option("--compile", is_flag=True, default=None, help="Compile the networks.")
@click.option(
    "--cuda-graph",
    is_flag=True,
    default=None,
    help="Replay training steps from a CUDA graph, for models that allow it.",
)
@click.option(
    "--ranks", type=Whole(), metavar="N", help="Processes that train one cell, one device each.  [default: 1]"
)
@measuring.extractor(None)
@measuring.weights
@measuring.profile
@measuring.eval_precision(None)
@measuring.metrics
@click.option(
    "--target", multiple=True, metavar="NAME<X,...", help="Report the time to reach a target, e.g. fd<5; repeatable."
)
@click.option("--stop-at-target", is_flag=True, default=None, help="Stop training a cell once it meets its targets.")
@click.option("--image-size", type=Whole(), metavar="N", help="Resize and crop images to N × N.")
@measuring.data_root
@click.option(
    "--control", "controls", multiple=True, metavar="NAME", help="A control to run, instead of all; repeatable."
)
@click.option("--no-controls", is_flag=True, help="Skip the controls.")
@click.option("--jobs", type=Whole(), default=1, metavar="N", help="Cells to run in parallel.  [default: 1]")
@click.option("--timeout", type=SECONDS, metavar="S", help="Time limit of one cell, in seconds.")
@click.option("--memory-limit", metavar="M", help="Memory limit of one cell, e.g. 4GB.")
@click.option(
    "--hang-timeout",
    type=SECONDS,
    metavar="S",
    help="Kill a cell after S seconds without a sign of life.  [default: 600]",
)
@click.option(
    "--checkpoint-interval",
    type=SECONDS,
    metavar="S",
    help="Seconds between checkpoints.  [default: under 1% of training]",
)
@click.option(
    "--grace", type=SECONDS, metavar="S", help="Seconds to wait for checkpoints on an interrupt.  [default: 10]"
)
@click.option("--fresh", is_flag=True, help="Run finished cells again; old results move to replaced/.")
@click.option("--plugins-from", metavar="LIST", help="Load plugins only from these distributions; `file` allows files.")
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Run cells on a Dask cluster: tcp://HOST:PORT, tls://HOST:PORT or scheduler.json.",
)
@click.option("--shared", metavar="DIR", help="With --cluster: checkpoint folder that every worker can access.")
@click.option(
    "--observe",
    multiple=True,
    metavar="OBSERVER[:OPT=VALUE,...]",
    help="A tracker that follows the run, e.g. tensorboard:dir=runs; repeatable.",
)
@click.option("--timing", is_flag=True, help="Also show how many seconds each metric took.")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
def run(benchmark: Path | None, quiet: bool, timing: bool, out: Path | None, **flags: Any) -> None:
    """Train each model on each dataset with each seed under one budget, measure, and write a report.

    Without a model or a file, every installed model is trained on digits for 1000 steps instead of the default 3000.
    Flags override the file. Finished cells are not run again, so the same command resumes an interrupted run, and
    several commands on one folder share the work. --jobs divides the cores between cells, and the report marks the
    throughput as shared. DIR receives report.md, results.csv, curves.csv, records/ (one JSON file per cell), samples/,
    figures/, logs/ (the output of each cell) and plans/ (the cells that each run was to complete).

    Exit code 1: a cell failed (the others are reported); 2: the request is invalid, and nothing was trained.

    \b
    Examples:
      genbench run
      genbench run benchmarks/digits.toml
      genbench run -m gan -m vae:beta=4 -d mnist --data-root ~/data --budget 200kimg --seeds 5
      genbench run -m vae -d digits --metrics +cas,+kid_subsets --timing
      genbench run -m ./my_model.py:width=64 -d folder:faces --image-size 64 --budget 60s
      genbench run -m vae -d mnist:fraction=0.01 -d npz:scans.npz,held_out=500
      genbench run -m conv-vae -d cifar10 --device cuda --training-precision tf32 --cuda-graph
      genbench run -m ./a/model.py:label=before -m ./b/model.py:width=64,label=after
      genbench run -m vae -m dcgan --target 'fd<20,fd_ratio<3' --evaluations 20
      genbench run --jobs 4 --timeout 3600 --memory-limit 8GB --plugins-from genbench-gan,genbench-vae
      genbench run -m vae -d digits --observe tensorboard:dir=runs
      genbench run -m dcgan -m vae --seeds 5 --cluster tcp://127.0.0.1:8786 --shared /shared/run
    """
    go_on_without_cache()  # first, because matplotlib looks for its own folder on import
    from genbench import api, report
    from genbench.cli.summary import print_failed, print_summary
    from genbench.cli.timing import print_timing
    from genbench.execution.benchmark import run_benchmark
    from genbench.observers import observing
    from genbench.progress import listener_for

    _refuse_pairs(flags)
    given = {name for name, value in flags.items() if value is not None and value != ()}
    conditions = _conditions(flags)
    wanted = _benchmark(benchmark, flags, conditions, given)
    _refuse_unused(wanted, given)
    directory = out or (Path("reports") / benchmark.stem if benchmark else api.default_directory(wanted))
    command = api.command_for(wanted)
    with (
        naming_flags(given),
        listener_for(not quiet) as shown,
        observing(wanted, directory, shown, command, conditions.plugins_from) as listener,
    ):
        records = run_benchmark(wanted, directory, listener, command, conditions)
    page = report.render_directory(directory, say=lambda line: click.echo(line, err=True))
    if quiet:
        print_failed(records, err=True)
    else:
        print_summary(records, page)
    if timing:
        print_timing(record.cost.get("metric_s") or {} for record in records)
    if any(record.failed for record in records):
        sys.exit(1)


def _refuse_pairs(flags: dict[str, Any]) -> None:
    """Refuse pairs of flags of which one would be ignored."""
    if flags["chosen"] and flags["seeds"] is not None:
        raise InputError("--seed and --seeds are mutually exclusive; give the seeds, or their number")
    if flags["controls"] and flags["no_controls"]:
        raise InputError("--control and --no-controls are mutually exclusive; leave one out")
    hang, most = flags["hang_timeout"], flags["timeout"]
    if hang is not None and most is not None and hang >= most:
        raise InputError(
            f"--hang-timeout {hang:g} has no effect, as --timeout {most:g} ends a cell first; leave it out"
        )


def _refuse_unused(benchmark: Benchmark, given: set[str]) -> None:
    """Refuse flags that have no effect on any cell."""
    from genbench.datasets import reads_data_root

    if "data_root" in given and not any(reads_data_root(dataset) for dataset in benchmark.datasets):
        names = ", ".join(benchmark.datasets)
        raise InputError(f"--data-root has no effect with {names}, which is not read from there; leave it out")
    if all(model.name in CONTROLS for model in benchmark.models):
        for name in OF_TRAINING:
            if name in given:
                raise InputError(f"--{name.replace('_', '-')} has no effect, as controls are not trained; leave it out")


def _conditions(flags: dict[str, Any]) -> Conditions:
    """Extract from the flags how cells run."""
    from genbench.execution.conditions import Conditions
    from genbench.execution.limits import parse_bytes

    if flags["cluster"] is not None and flags["jobs"] != 1:
        raise InputError(
            "--jobs has no effect with --cluster, where workers decide how many cells they take; leave it out"
        )
    if flags["shared"] is not None and flags["cluster"] is None:
        raise InputError("--shared has no effect without --cluster; leave it out")
    names = ("cluster", "shared", "jobs", "timeout", "hang_timeout", "checkpoint_interval", "grace", "fresh")
    given = {name: value for name in names if (value := flags.pop(name)) is not None}
    memory, listed = flags.pop("memory_limit"), flags.pop("plugins_from")
    if memory is not None:
        given["memory_limit"] = parse_bytes(memory)
    if listed is not None:
        given["plugins_from"] = tuple(filter(None, (name.strip() for name in listed.split(","))))
    return Conditions(**given)


def _benchmark(path: Path | None, flags: dict[str, Any], conditions: Conditions, given: set[str]) -> Benchmark:
    """Merge the file and the flags; flags take precedence."""
    values = read_benchmark(path) if path else {}
    chosen = flags.pop("chosen")
    if chosen:
        flags["seeds"] = list(chosen)
    if flags.pop("no_controls"):
        values["controls"] = []
    if flags["metrics"] is not None:
        from genbench.evaluation.selection import names_in

        flags["metrics"] = names_in(flags["metrics"])
    if flags["target"]:
        flags["target"] = ",".join(flags["target"])
    values |= {key: value for key, value in flags.items() if value is not None and value != ()}
    if "models" not in values:
        from genbench.plugin.finding import installed

        models = installed(conditions.plugins_from).items()
        values["models"] = [name if len(found) == 1 else f"{found[0].distribution}:{name}" for name, found in models]
        values.setdefault("budget", SHORT_BUDGET)
    with naming_flags(given):
        return make_benchmark(values)
