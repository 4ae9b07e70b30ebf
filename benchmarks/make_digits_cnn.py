"""Train the weights of the extractor `digits-cnn`, which ship with genbench.

Trains the classifier on the training split of `digits` and writes `genbench/features/weights/digits-cnn.safetensors`.
The same processor and torch give the same bits; others may not, and new weights are a new extractor: numbers measured
with the old weights cannot be compared with numbers measured with the new ones. Run it only when the classifier has
changed.

    python benchmarks/make_digits_cnn.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from genbench import datasets
from genbench.features.classifier_network import train_classifier
from genbench.features.digits_cnn import CLASSES, IMAGE_SHAPE, WEIGHTS
from genbench.features.image_classifier import PROCEDURE, design, scaled
from genbench.features.weight_file import content_sha256, write_tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    out = parser.parse_args().out
    dataset = datasets.load("digits")
    network = train_classifier(design(IMAGE_SHAPE), CLASSES, dataset.train)
    tensors = network.state_dict()
    identity = content_sha256(tensors)
    recorded = {"procedure": PROCEDURE, "dataset": dataset.fingerprint, "weights_sha256": identity}
    write_tensors(out, tensors, recorded, private=False)
    with torch.inference_mode():
        predicted = network(scaled(dataset.held_out.items))[1].argmax(dim=1)
    accuracy = (predicted == dataset.held_out.labels).double().mean().item()
    print(f"{out}: {out.stat().st_size:,} bytes, weights {identity[:16]}, held-out accuracy {accuracy:.1%}")


if __name__ == "__main__":
    main()
