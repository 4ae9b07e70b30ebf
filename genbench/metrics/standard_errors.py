"""Which numbers have a standard error, which evidence it comes from, and the minimum number of images."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from genbench.metrics import c2st, clipped, kad, mind, mmd, pitch, si_sdr, sound_gaps, spectral_distances, vendi
from genbench.metrics.authenticity import authentic
from genbench.metrics.constants import BALL_K, KAD_FACTOR, MMD_FACTOR
from genbench.metrics.frechet_floor import held_out_standard_error
from genbench.metrics.resampling import (
    frechet_standard_error,
    kernel_standard_error,
    mean_standard_error,
    paired_standard_error,
    score_standard_error,
    share_standard_error,
)
from genbench.metrics.texts import symbol_counts

if TYPE_CHECKING:
    from torch import Tensor

    from genbench.metrics.evidence import Evidence

__all__ = ["LEAST", "LEAST_OF", "standard_error"]

# The number of images from which ± 1.96 errors contain the mean at least 93 times in 100; with fewer there is no error.
# Measured, see docs/metrics.md.
LEAST = 100
_LEARNT = ("accuracy_real", "accuracy_samples", "accuracy_both", "augmentation_gain")
_SHARES = ("precision", "authenticity", "high_quality_fraction", *_LEARNT)
LEAST_OF = {"classifier_score": 200, **dict.fromkeys(_SHARES, 200), "density": 1000}


def standard_error(name: str, evidence: Evidence) -> float | None:
    """Return the standard error of a number measured from this evidence; None if it has none, or too few images.

    Numbers that are not means over images and have no derivative with respect to an image's weight (recall, coverage,
    the class and mode counts) have none, nor do tests.

    Args:
        name: name of the value in the table of metrics.
        evidence: the evidence from which the number was measured.
    """
    find, image_field = _FOUND.get(name, (None, ""))
    if find is None or len(getattr(evidence, image_field)) < LEAST_OF.get(name, LEAST):
        return None
    return find(evidence)


def _of_frechet(evidence: Evidence) -> float:
    found = frechet_standard_error(evidence.samples, evidence.statistics.gaussian, total=evidence.sample_gaussian)
    return held_out_standard_error(evidence, found) if evidence.samples_held_out else found


def _of_kernel(evidence: Evidence) -> float:
    return kernel_standard_error(evidence.kid_sums.contrasts)


def _of_unit_kernel(evidence: Evidence) -> float:
    rows = evidence.once(mmd.unit_rows)
    return MMD_FACTOR * kernel_standard_error(rows.contrasts(biased=True))


def _of_median_kernel(evidence: Evidence) -> float:
    rows = evidence.once(kad.median_rows)
    return KAD_FACTOR * kernel_standard_error(rows.contrasts())


def _of_variety(evidence: Evidence) -> float:
    return mean_standard_error(evidence.once(vendi.of_samples).influences)


def _of_variety_ratio(evidence: Evidence) -> float | None:
    if len(evidence.samples) > len(evidence.reference):  # the ratio then covers only a part of the samples
        return None
    return _of_variety(evidence) / evidence.once(vendi.of_reference)


def _of_clipped_density(evidence: Evidence) -> float | None:
    of_data = clipped.fidelities(evidence.statistics.clipped_balls).mean()
    shares = clipped.fidelities(evidence.cross_pairs.clipped_balls)
    if shares.mean() >= of_data:  # the number is at its bound and hardly moves
        return None
    return mean_standard_error(shares) / float(of_data)


def _of_score(evidence: Evidence) -> float | None:
    assert evidence.sample_logits is not None
    count, classes = evidence.sample_logits.shape
    if count < 2 * classes:  # many classes then have no sample, and the error is too small
        return None
    return score_standard_error(evidence.sample_logits, seed=evidence.seed)


def _of_authenticity(evidence: Evidence) -> float:
    radii = evidence.statistics.neighbour_distances[:, 0]
    return share_standard_error(authentic(*evidence.nearest_training, radii))


def _of_quality(evidence: Evidence) -> float:
    assert evidence.sample_modes is not None
    return share_standard_error(evidence.sample_modes >= 0)


def _of_psnr(evidence: Evidence) -> float:
    errors = evidence.restored.errors  # d(−10 log₁₀ m)/dm = −10/(m ln 10)
    return 10 / math.log(10) * mean_standard_error(errors) / float(errors.mean())


def _of_similarity(evidence: Evidence) -> float | None:
    found = evidence.restored.similarity
    if found is None or len(found) < LEAST:  # of large images, only some are measured
        return None
    return mean_standard_error(found)


def _of_likelihood(evidence: Evidence) -> float:
    assert evidence.log_likelihoods is not None
    assert evidence.dimensions is not None
    return mean_standard_error(evidence.log_likelihoods) / evidence.dimensions / math.log(2)


def _of_text_likelihood(evidence: Evidence) -> float:
    """For a ratio of sums, by its derivatives: the deviation of each text's bits from the ratio times its symbols."""
    assert evidence.log_likelihoods is not None
    assert evidence.held_out_items is not None
    bits = -evidence.log_likelihoods.double() / math.log(2)
    symbols = symbol_counts(evidence.held_out_items).double()
    return mean_standard_error(bits - bits.sum() / symbols.sum() * symbols) / float(symbols.mean())


def _of_clips(find: Callable[[Evidence], Tensor], evidence: Evidence) -> float | None:
    found = evidence.once(find)
    if len(found) < LEAST:  # of long clips, only some are measured; silent ones may have no number
        return None
    return mean_standard_error(found)


def _of_voiced(evidence: Evidence) -> float | None:
    found = evidence.once(pitch.of_samples).voiced
    return mean_standard_error(found) if len(found) >= LEAST else None


def _of_learnt(name: str, evidence: Evidence) -> float | None:
    found = evidence.augmented
    if len(found.real) < LEAST_OF[name]:  # for the control `real`, only half of the held-out items is tested
        return None
    if name == "augmentation_gain":
        return paired_standard_error(found.both, found.real)
    return share_standard_error(getattr(found, name.removeprefix("accuracy_")))


def _of_validity(evidence: Evidence) -> float:
    assert evidence.sample_log_probabilities is not None
    return share_standard_error(evidence.sample_log_probabilities > -math.inf)


# Value -> the function that computes its error, and the field of `Evidence` whose images it covers.
_FOUND: dict[str, tuple[Callable[[Evidence], float | None], str]] = {
    "fd": (_of_frechet, "samples"),
    "kid": (_of_kernel, "compared"),
    "classifier_score": (_of_score, "samples"),
    "precision": (lambda evidence: share_standard_error(evidence.cross_pairs.sample_inside), "compared"),
    "mind": (lambda evidence: mean_standard_error(evidence.once(mind.of_samples).influences), "samples"),
    "mmd": (_of_unit_kernel, "samples"),
    "kad": (_of_median_kernel, "samples"),
    "vendi": (_of_variety, "samples"),
    "vendi_ratio": (_of_variety_ratio, "samples"),
    # Where the classifier is never wrong, the error is 0, as if the area were known.
    "c2st_auc": (lambda evidence: c2st.error_of_samples(evidence) or None, "samples"),
    "clipped_density": (_of_clipped_density, "compared"),
    "density": (lambda evidence: mean_standard_error(evidence.cross_pairs.balls / BALL_K), "compared"),
    "authenticity": (_of_authenticity, "compared"),
    "high_quality_fraction": (_of_quality, "samples"),
    "reconstruction_mse": (lambda evidence: mean_standard_error(evidence.restored.errors), "originals"),
    "psnr": (_of_psnr, "originals"),
    "ssim": (_of_similarity, "originals"),
    "bits_per_dim": (_of_likelihood, "log_likelihoods"),
    "bits_per_char": (_of_text_likelihood, "log_likelihoods"),
    "oracle_nll": (lambda evidence: mean_standard_error(evidence.oracle_nats), "sample_items"),
    "oracle_kl": (lambda evidence: mean_standard_error(evidence.oracle_nats), "sample_items"),
    **{name: (partial(_of_learnt, name), "held_out_items") for name in _LEARNT},
    "valid_fraction": (_of_validity, "sample_items"),
    "novelty": (lambda evidence: share_standard_error(evidence.novel), "sample_items"),
    "log_spectral_distance": (partial(_of_clips, spectral_distances.of_log_spectra), "originals"),
    "spectral_convergence": (partial(_of_clips, spectral_distances.of_convergence), "originals"),
    "si_sdr": (partial(_of_clips, si_sdr.of_clips), "originals"),
    "clipping_share": (partial(_of_clips, sound_gaps.of_clipping), "sample_items"),
    "silence_share": (partial(_of_clips, sound_gaps.of_silence), "sample_items"),
    "voiced_share": (_of_voiced, "sample_items"),
    "copied_run": (lambda evidence: mean_standard_error(evidence.copied_runs), "sample_items"),
}
