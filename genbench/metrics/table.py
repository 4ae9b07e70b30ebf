"""The table of metrics: what each is called, which way is better, what it needs. Imports no torch."""

from __future__ import annotations

from genbench.metrics.metric import Direction, Metric, Value

__all__ = ["DIRECTIONS", "METRICS"]

# Constants of the metrics: a function's default and the recipe's parameter are the same name, so they cannot differ.
INFINITY_SIZES = 15
INFINITY_SMALLEST_SHARE = 0.5
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000
SCORE_SPLITS = 10
MANIFOLD_K = 3
BALL_K = 5
COPYING_CELLS = 3
COPYING_LEAST = 20
GAP_PARTS = 2
GAP_HALVINGS = 4
CLASS_LEAST = 20
COVERED_SHARE = 0.1
UNIFORM_SHARE = 0.001
CAS_STEPS = 300
CAS_BATCH = 128
CAS_SIDE = 32
# What is costly a pixel is found of fewer large images: as many as hold so many values, but some whatever their size.
DIVERSITY_PAIRS = 500
DIVERSITY_VALUES, DIVERSITY_LEAST = 2**21, 32
LEVEL_VALUES = 2**28
SPECTRUM_VALUES, SPECTRUM_LEAST = 2**21, 16
SIMILARITY_VALUES, SIMILARITY_LEAST = 2**20, 20
REAL_TEST = "one half of the held-out images against the other"


_ALL = (
    Metric(
        name="frechet_distance",
        values=(Value("fd", "lower", "fid"),),
        needs=("samples", "reference"),
        least_count=2,
        function="frechet:measure",
        summary="distance between Gaussians fitted to the features of samples and of data",
        paper="https://arxiv.org/abs/1706.08500",
        parameters={"ddof": 1},
        curve=True,
    ),
    Metric(
        name="classifier_score",
        values=(
            Value("classifier_score", "higher", "inception_score"),
            Value("classifier_score_std", None, "inception_score_std"),
        ),
        needs=("sample_logits",),
        least_count=SCORE_SPLITS,
        function="inception_score:measure",
        summary="how sure a classifier is of each sample, and how evenly samples spread over its classes",
        paper="https://arxiv.org/abs/1606.03498",
        parameters={"splits": SCORE_SPLITS, "order": "shuffled"},
        curve=True,
    ),
    Metric(
        name="frechet_infinity",
        values=(Value("fd_infinity", "lower", "fid_infinity"),),
        needs=("samples", "reference"),
        least_count=4,
        per_feature=True,
        function="fid_infinity:measure",
        summary="the Fréchet distance extrapolated to infinitely many samples",
        paper="https://arxiv.org/abs/1911.07023",
        parameters={"sizes": INFINITY_SIZES, "smallest_share": INFINITY_SMALLEST_SHARE},
    ),
    Metric(
        name="frechet_diagnostics",
        values=(Value("feature_rank", None), Value("feature_condition", None), Value("fewer_than_dimensions", None)),
        needs=("samples",),
        least_count=2,
        function="frechet:measure_rank",
        summary="rank and condition of the samples' covariance, and whether samples are fewer than dimensions",
        paper="https://arxiv.org/abs/1706.08500",
    ),
    Metric(
        name="kernel_distance",
        values=(Value("kid", "lower"),),
        needs=("samples", "reference"),
        least_count=2,
        function="kid:measure",
        summary="squared maximum mean discrepancy of features under a cubic kernel, unbiased, over all pairs",
        paper="https://arxiv.org/abs/1801.01401",
        parameters={"degree": 3, "offset": 1, "estimator": "u-statistic"},
    ),
    Metric(
        name="kernel_distance_subsets",
        values=(Value("kid_subsets", "lower"), Value("kid_subsets_std", None)),
        needs=("samples", "reference"),
        least_count=KID_SUBSET_SIZE,
        function="kid:measure_subsets",
        summary="the same as the mean over random subsets, as other tools report it",
        paper="https://arxiv.org/abs/1801.01401",
        parameters={"degree": 3, "offset": 1, "subsets": KID_SUBSETS, "subset_size": KID_SUBSET_SIZE},
        default=False,
    ),
    Metric(
        name="precision_recall",
        values=(Value("precision", "higher"), Value("recall", "higher")),
        needs=("samples", "reference"),
        least_count=MANIFOLD_K + 1,
        function="precision_recall:measure",
        summary="share of samples inside the data's manifold, and of data inside the samples'",
        paper="https://arxiv.org/abs/1904.06991",
        parameters={"k": MANIFOLD_K},
    ),
    Metric(
        name="density_coverage",
        values=(Value("density", "higher"), Value("coverage", "higher")),
        needs=("samples", "reference"),
        least_count=BALL_K + 1,
        function="density_coverage:measure",
        summary="how many data neighbourhoods hold a sample, and how many hold any",
        paper="https://arxiv.org/abs/2002.09797",
        parameters={"k": BALL_K},
    ),
    Metric(
        name="authenticity",
        values=(Value("authenticity", "higher"), Value("authenticity_p", None)),
        needs=("samples", "reference"),
        least_count=2,
        function="authenticity:measure",
        summary="share of samples that are no near copies of training images; p < 0.01 flags copying",
        paper="https://arxiv.org/abs/2102.08921",
        version=2,
        parameters={"test": "fisher", "real": REAL_TEST},
    ),
    Metric(
        name="data_copying",
        values=(Value("c_t", None), Value("c_t_p", None)),
        needs=("samples", "reference", "held_out"),
        least_count=COPYING_LEAST,
        function="data_copying:measure",
        summary="whether samples lie nearer to training images than held-out images do; far below 0 they copy",
        paper="https://arxiv.org/abs/2004.05675",
        version=2,
        parameters={"cells": COPYING_CELLS, "least": COPYING_LEAST, "real": REAL_TEST},
    ),
    Metric(
        name="frechet_gap",
        values=(Value("fd_gap", "lower", "fid_gap"),),
        needs=("samples", "reference", "held_out"),
        least_count=2,
        function="frechet_gap:measure",
        summary="Fréchet distance to held-out images minus that to as many training images",
        paper="https://arxiv.org/abs/1706.08500",
        version=2,
        parameters={"parts": GAP_PARTS, "halvings": GAP_HALVINGS, "real": REAL_TEST},
    ),
    Metric(
        name="class_coverage",
        values=(Value("class_coverage", "higher"), Value("class_kl", "lower")),
        needs=("sample_logits", "reference_logits"),
        least_count=1,
        function="class_coverage:measure",
        summary="share of the data's classes among the samples, and the divergence of the class histograms",
        paper="https://arxiv.org/abs/1606.03498",
        parameters={"covered_share": COVERED_SHARE, "uniform_share": UNIFORM_SHARE},
    ),
    Metric(
        name="class_frechet",
        values=(Value("class_fd", "lower", "class_fid"), Value("class_fd_worst", "lower", "class_fid_worst")),
        needs=("samples", "reference", "reference_labels"),
        least_count=CLASS_LEAST,
        function="class_frechet:measure",
        summary="Fréchet distance class by class: the mean over classes (intra-FID), and the worst class",
        paper="https://arxiv.org/abs/1802.05637",
        parameters={"ddof": 1, "class_least": CLASS_LEAST},
        default=False,
    ),
    Metric(
        name="classification_accuracy",
        values=(Value("cas", "higher"),),
        needs=("sample_images", "held_out_images", "held_out_labels"),
        least_count=2,
        function="cas:measure",
        summary="accuracy on held-out images of a small classifier trained on samples alone",
        paper="https://arxiv.org/abs/1905.10887",
        version=2,
        parameters={"steps": CAS_STEPS, "batch": CAS_BATCH, "side": CAS_SIDE, "real": REAL_TEST},
        default=False,
    ),
    Metric(
        name="pixel_statistics",
        values=(
            Value("pixel_mean_gap", "lower"),
            Value("pixel_variance_gap", "lower"),
            Value("pixel_quantile_gap", "lower"),
            Value("pixel_w1", "lower"),
            Value("spectrum_w1", "lower"),
        ),
        needs=("sample_images", "reference_images"),
        least_count=1,
        function="pixels:measure",
        summary="differences of brightness and of the radial power spectrum between samples and data",
        paper="https://arxiv.org/abs/2003.01826",
        version=2,
        parameters={
            "level_values": LEVEL_VALUES,
            "spectrum_values": SPECTRUM_VALUES,
            "least_spectra": SPECTRUM_LEAST,
        },
    ),
    Metric(
        name="within_class_similarity",
        values=(Value("ms_ssim", None),),
        needs=("sample_images",),
        least_count=2,
        function="diversity:measure",
        summary="MS-SSIM between samples of one class: near 1 they are all alike; read against the data's own",
        paper="https://arxiv.org/abs/1610.09585",
        version=2,
        parameters={
            "pairs": DIVERSITY_PAIRS,
            "pair_values": DIVERSITY_VALUES,
            "least_pairs": DIVERSITY_LEAST,
            "window": "11 or the largest that fits",
            "positions": "inside the image",
            "scales": "as many as fit",
        },
    ),
    Metric(
        name="mode_counts",
        values=(Value("modes_covered", "higher"), Value("high_quality_fraction", "higher")),
        needs=("sample_modes", "mode_count"),
        least_count=1,
        function="modes:measure",
        summary="known modes that hold a sample, and the share of samples in any",
        paper="https://arxiv.org/abs/1705.07761",
        curve=True,
    ),
    Metric(
        name="reconstruction",
        values=(Value("reconstruction_mse", "lower"), Value("psnr", "higher"), Value("ssim", "higher")),
        needs=("originals", "reconstructions"),
        least_count=1,
        function="reconstruction:measure",
        summary="error of held-out images as the model restores them, on the [0, 1] scale after rounding to 8 bits",
        paper="https://doi.org/10.1109/TIP.2003.819861",
        version=2,
        parameters={
            "scale": "[0, 1]",
            "window": "11 or the largest that fits",
            "positions": "inside the image",
            "ssim_values": SIMILARITY_VALUES,
            "least_ssim": SIMILARITY_LEAST,
        },
        curve=True,
    ),
    Metric(
        name="likelihood",
        values=(Value("bits_per_dim", "lower"),),
        needs=("log_likelihoods", "dimensions"),
        least_count=1,
        function="likelihood:measure",
        summary="bits that the model needs for a value of a held-out 8-bit image",
        paper="https://arxiv.org/abs/1511.01844",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}

# Every name that a record can hold, under either extractor → which way is better.
DIRECTIONS: dict[str, Direction | None] = {
    name: value.direction
    for metric in _ALL
    for value in metric.values
    for name in (value.name, value.official)
    if name is not None
}
