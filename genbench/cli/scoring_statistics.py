"""Opens images, and the statistics of a reference that other tools or `genbench statistics` wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from genbench.cli.scoring_images import alpha_fields, find_images_of, read_images, refuse_unused
from genbench.cli.sides import Opened, Request, Show, tell
from genbench.errors import InputError

if TYPE_CHECKING:
    from genbench.config import Settings
    from genbench.evaluation.references import Reference
    from genbench.features.extractor import Extractor
    from genbench.features.statistics_file import StatisticsFile

__all__ = ["open_against_statistics"]

NAME = "reference statistics"  # of the dataset, in recipes


def open_against_statistics(request: Request, show: Show) -> Opened:
    """Open the images and the file; find the extractor that the file was written with, or refuse another."""
    import torch

    from genbench.cell import preflight
    from genbench.datasets.external import as_reference
    from genbench.features.statistics_file import read_statistics
    from genbench.machine import environment

    assert request.reference is not None
    device = environment.share(request.settings.device)
    file = read_statistics(request.reference)
    found = find_images_of(request, request.items)
    refuse_unused(request, found, None)
    no_images = torch.empty(0, *found.shape, dtype=torch.uint8)
    data = replace(as_reference(no_images, known=False), name=NAME, fingerprint=file.sha256)
    settings = _settings_of(file, request.settings)
    extractor = preflight.load_extractor(data, settings, device, lambda event: tell(show.step, event))
    remarks = _agreeing(file, extractor)
    extractor.check_shape(torch.Size(found.shape))
    return Opened(
        *(found.count, data, None, extractor, lambda: alpha_fields([found], extractor)),
        read=lambda: read_images(found, extractor, show),
        remarks=lambda: remarks + [f"{found.path}: {text}" for text in found.all_remarks(extractor.alpha)],
        reference=_reference(file),
    )


def _settings_of(file: StatisticsFile, settings: Settings) -> Settings:
    """Use the extractor that the file names, unless the user chose one."""
    if settings.extractor != "auto" or not file.recipe:
        return settings
    recipe = file.recipe["extractor"]
    profile = settings.profile or recipe.get("profile")
    return replace(settings, extractor=str(recipe.get("extractor", "auto")), profile=profile)


def _agreeing(file: StatisticsFile, extractor: Extractor) -> list[str]:
    """Check the extractor against the one that the file names; return notes for the user."""
    own, other = extractor.recipe(), file.recipe.get("extractor")
    if other is not None and (differing := [key for key in own if other.get(key) != own[key]]):
        theirs, ours = (", ".join(f"{key} {of.get(key)}" for key in differing) for of in (other, own))
        raise InputError(
            f"{file.path}: its features come from {theirs}, but those of the images would come from {ours}"
        )
    if file.dimension != extractor.feature_count:
        raise InputError(
            f"{file.path}: has {file.dimension} features per item, but extractor '{extractor.name}' gives "
            f"{extractor.feature_count}; choose the file's own extractor with --extractor"
        )
    if other is not None:
        return []
    profile = own.get("profile")
    taken = extractor.name if profile is None else f"{extractor.name} with --profile {profile}"
    return [f"{file.path}: does not name its network and resizer; assuming {taken}"]


def _reference(file: StatisticsFile) -> Reference:
    import torch

    from genbench.evaluation.references import Reference
    from genbench.features.extractor import Features
    from genbench.metrics.gaussian import GaussianStatistics

    none = torch.empty(0, file.dimension)
    described = {"reference_split": file.recipe.get("split"), "reference_count": file.count}
    if file.features is not None:
        return Reference(Features(file.features, None), Features(none, None), described=described)
    assert file.mean is not None
    gaussian = GaussianStatistics(file.mean, file.covariance, file.count or 2)
    return Reference(Features(none, None), Features(none, None), gaussian, described)
