"""Is a copycat flagged, and are real images not? The controls of one dataset, through the evaluator.

Prints the Fréchet distance and the tests of memorisation for each control and seed, and fails unless both tests flag
every copycat (p < 0.01) whose distance is no worse than twice that of real images, and neither flags real images. A
generator that produces only the first seven tenths of the classes is also scored, and must be found to lack the others.

    python benchmarks/copycat.py                                  # digits
    python benchmarks/copycat.py -d mnist --data-root ~/data      # trains the classifier of the dataset once
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from genbench import datasets, features, seeding
from genbench.datasets.dataset import Dataset
from genbench.evaluation import controls
from genbench.evaluation.measurement import Evaluator, Number
from genbench.evaluation.references import reference_for

SHOWN = ("fd", "authenticity", "authenticity_p", "c_t", "c_t_p", "fd_gap", "class_coverage", "class_kl")
FLAG = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--dataset", default="digits")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--extractor", default="auto")
    parser.add_argument("--samples", type=int, help="drawn from each control; the held-out count if not given")
    parser.add_argument("--seeds", type=int, default=3)
    wanted = parser.parse_args()
    dataset = datasets.load(wanted.dataset, data_root=wanted.data_root)
    extractor = features.load(wanted.extractor, dataset=dataset, device=torch.device("cpu"))
    evaluator = Evaluator(dataset, extractor, reference_for(dataset, extractor))
    count = wanted.samples or len(dataset.held_out)
    print(f"{dataset.name} ({dataset.fingerprint[:8]}), {extractor.name}, {count} images")
    print(f"{'':12}" + "".join(f"{name:>16}" for name in SHOWN))
    faults = []
    for seed in range(wanted.seeds):
        real, copies = (draw(name, evaluator, count, seed) for name in ("real", "copycat"))
        if not flagged(copies):
            faults.append(f"copycat {seed} is not flagged")
        if copies["fd"].value > 2 * real["fd"].value:
            faults.append(f"copycat {seed} is not a good copy")
        if any(real[name].value < FLAG for name in ("authenticity_p", "c_t_p")):
            faults.append(f"real {seed} is flagged")
    if dropping(evaluator, dataset)["class_coverage"].value > 0.7:
        faults.append("missing classes are not detected")
    raise SystemExit("; ".join(faults) or 0)


def draw(name: str, evaluator: Evaluator, count: int, seed: int) -> dict[str, Number]:
    images = controls.draw(name, evaluator.dataset, count, seeding.generator(seed, "control", name))
    return shown(f"{name} {seed}", evaluator.score(images, None, samples_held_out=name == "real"))


def dropping(evaluator: Evaluator, dataset: Dataset) -> dict[str, Number]:
    assert dataset.held_out.labels is not None
    assert dataset.classes is not None
    kept = dataset.held_out.labels < 0.7 * dataset.classes
    numbers = evaluator.score(dataset.held_out.items[kept], None)
    # Comparing these held-out images with the held-out images would be meaningless.
    return shown("seven tenths", {name: numbers[name] for name in ("fd", "class_coverage", "class_kl")})


def flagged(numbers: dict[str, Number]) -> bool:
    return all(numbers[name].value < FLAG for name in ("authenticity_p", "c_t_p"))


def shown(name: str, numbers: dict[str, Number]) -> dict[str, Number]:
    values = (f"{numbers[key].value:.3g}" if key in numbers else "-" for key in SHOWN)
    print(f"{name:12}" + "".join(f"{value:>16}" for value in values), flush=True)
    return numbers


if __name__ == "__main__":
    main()
