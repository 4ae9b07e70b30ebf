"""What a training step consists of, for every installed model: shares of its time by kind of work, as Markdown.

    python benchmarks/step_profile.py                    # images of 28×28
    python benchmarks/step_profile.py --shape 3 32 32

Operator times come from torch's profiler; "Python and the rest" is the remainder of the same steps timed without it, so
it includes the interpreter, autograd's own bookkeeping and the cost of an operator before its work begins.
"""

from __future__ import annotations

import argparse
import re
import time

import torch
from torch.profiler import ProfilerActivity, profile

from genbench.plugin import finding
from genbench.regression import workload
from genbench.regression.workload import Workload

STEPS = 60
# The first match gives the kind; names are those of ATen's operators.
KINDS = {
    "products and convolutions": r"mm$|addmm|bmm|conv|linear|mkldnn",
    "optimizer and average": r"_fused_|_foreach_|addcmul|addcdiv|lerp|zero_$|sqrt",
    "random numbers": r"bernoulli|normal_|random_|uniform_|rand|dropout",
    "batch": r"index_select|_to_copy|div_|sub_",
    "activations, norms and losses": r"",
}


def shares(work: Workload) -> dict[str, float]:
    """Return the share of a step's time by kind of work; the shares add up to 1."""
    seconds = min(_seconds(work) for _ in range(4))  # the first warms up; other processes can lengthen any of them
    with profile(activities=[ProfilerActivity.CPU]) as found:
        _seconds(work)
    spent = dict.fromkeys(KINDS, 0.0)
    for event in found.key_averages():
        if event.key.startswith("aten::"):
            kind = next(kind for kind, pattern in KINDS.items() if re.search(pattern, event.key))
            spent[kind] += event.self_cpu_time_total / 1e6
    # Profiling an operator takes time too: if this exceeds everything else, nothing is left for the rest.
    total = max(seconds, sum(spent.values()))
    return {kind: value / total for kind, value in spent.items()} | {
        "Python and the rest": 1 - sum(spent.values()) / total,
        "ms a step": seconds / STEPS * 1e3,
    }


def _seconds(work: Workload) -> float:
    begin = time.perf_counter()
    for number in range(STEPS):
        work.step(number)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(1, 28, 28), metavar=("C", "H", "W"))
    given = parser.parse_args()
    columns = [*KINDS, "Python and the rest", "ms a step"]
    print(f"{'×'.join(map(str, given.shape))}, batch {workload.BATCH}, {torch.get_num_threads()} threads\n")
    print(f"| model | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    for model in finding.installed():
        found = shares(workload.workload_for(model, given.shape))
        cells = [f"{found[name]:.1f}" if name == "ms a step" else f"{found[name]:.0%}" for name in columns]
        print(f"| `{model}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
