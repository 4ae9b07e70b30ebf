"""Opens images, and the statistics of a reference that other tools or `genbench statistics` wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from genbench.cli.scoring_images import find_images_of, read_images, refuse_unused
from genbench.cli.sides import Opened, Request, Show, tell
from genbench.errors import InputError

if TYPE_CHECKING:
    from genbench.config import Settings
    from genbench.evaluation.measurement import Reference
    from genbench.features.extractor import Extractor
    from genbench.features.statistics_file import StatisticsFile

__all__ = ["open_against_statistics"]

NAME = "reference statistics"  # of the dataset, in recipes


def open_against_statistics(request: Request, show: Show) -> Opened:
    """Open the images and the file; find the extractor that the file is of, or refuse another."""
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
        *(found.count, data, None, extractor, {"alpha": extractor.alpha} if found.transparent else {}),
        read=lambda: read_images(found, extractor, show),
        remarks=lambda: remarks + [f"{found.path}: {text}" for text in found.all_remarks(extractor.alpha)],
        reference=_reference(file),
    )


def _settings_of(file: StatisticsFile, settings: Settings) -> Settings:
    """Where the file says which extractor it is of and the user does not, that one is meant."""
    if settings.extractor != "auto" or not file.recipe:
        return settings
    recipe = file.recipe["extractor"]
    profile = settings.profile or recipe.get("profile")
    return replace(settings, extractor=str(recipe.get("extractor", "auto")), profile=profile)


def _agreeing(file: StatisticsFile, extractor: Extractor) -> list[str]:
    """Hold the extractor against what the file says of its own; return what the user should know."""
    own, other = extractor.recipe(), file.recipe.get("extractor")
    if other is not None and (differing := [key for key in own if other.get(key) != own[key]]):
        theirs, ours = (", ".join(f"{key} {of.get(key)}" for key in differing) for of in (other, own))
        raise InputError(f"{file.path}: its features are of {theirs}, and those of the images would be of {ours}")
    if file.dimension != extractor.feature_count:
        raise InputError(
            f"{file.path}: is of {file.dimension} features an item, and extractor '{extractor.name}' gives "
            f"{extractor.feature_count}; name the one that the file is of, by --extractor"
        )
    if other is not None:
        return []
    profile = own.get("profile")
    taken = extractor.name if profile is None else f"{extractor.name} with --profile {profile}"
    return [f"{file.path}: does not say which network and resizer it is of; taken to be of {taken}"]


def _reference(file: StatisticsFile) -> Reference:
    import torch

    from genbench.evaluation.measurement import Reference
    from genbench.features.extractor import Features
    from genbench.metrics.gaussian import GaussianStatistics

    none = torch.empty(0, file.dimension)
    described = {"reference_split": file.recipe.get("split"), "reference_count": file.count}
    if file.features is not None:
        return Reference(Features(file.features, None), Features(none, None), described=described)
    assert file.mean is not None
    gaussian = GaussianStatistics(file.mean, file.covariance, file.count or 2)
    return Reference(Features(none, None), Features(none, None), gaussian, described)
