"""How far the brightness of samples lies from that of the data: the distance between their mean centroids."""

import torch

from genbench import Metric, NotMeasurable, Value, hookimpl


@hookimpl
def define_metric():
    return Metric(
        name="centroid-gap",
        values=(Value("centroid_gap", "lower"), Value("centroid_spread", None)),
        needs=("sample_items", "reference_items"),
        least_count=2,
        function=measure,
        summary="distance between the mean centroids of brightness of samples and of data, in widths of an image",
        paper="https://en.wikipedia.org/wiki/Image_moment",
        kinds=("image",),
    )


def measure(evidence):
    samples, data = centroids(evidence.sample_items), centroids(evidence.reference_items)
    return {
        "centroid_gap": (samples.mean(0) - data.mean(0)).norm(),
        "centroid_spread": samples.std(0).norm(),
    }


def centroids(images):
    """(N, 2) float64, each coordinate in [0, 1]; black images have none and are left out."""
    light = images.double().sum(1)
    light = light[light.sum((1, 2)) > 0]
    if not len(light):
        raise NotMeasurable("centroid-gap: all images are black")
    rows, columns = (torch.linspace(0, 1, side, dtype=torch.float64) for side in light.shape[1:])
    total = light.sum((1, 2))
    return torch.stack([light.sum(2) @ rows / total, light.sum(1) @ columns / total], 1)
