"""How items are shown to the pixel and to the label: grids, planes, spectrograms and listings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from genbench.kinds import grid, kind_named, kind_of_shape, listing, mel, pictures, spectrograms
from genbench.kinds.audio import Audio
from genbench.kinds.bounded import bounded
from genbench.kinds.kind import Misfit
from genbench.kinds.mel import Mel, mel_of
from genbench.kinds.nouns import noun_of
from genbench.kinds.text import Text


@pytest.mark.parametrize("sign", [1, -1])
def test_half_precision_may_land_a_thousandth_outside_the_range(sign: int) -> None:
    inside, outside = sign * torch.tensor([1.0009]), sign * torch.tensor([1.0015])
    assert torch.equal(bounded(inside, (1,)), inside)
    with pytest.raises(Misfit):
        bounded(outside, (1,))


def test_whoever_rounds_is_told_not_to_and_whoever_returns_no_tensor_is_not() -> None:
    with pytest.raises(Misfit, match=r"in \[-1, 1\]; do not round: genbench does$"):
        bounded(torch.zeros(2, 3, dtype=torch.int64), (2, 3))
    with pytest.raises(Misfit, match=r"expected a float tensor of shape \(2, 3\) in \[-1, 1\]$"):
        bounded("none", (2, 3))
    assert str(Misfit("one", "two")) == "one, expected two"


def test_a_model_is_told_the_number_of_values() -> None:
    levels = [kind_named(kind).data((1, 64), 9, 4).levels for kind in ("image", "text", "audio")]
    assert levels == [256, kind_named("text").levels, 65_536]


def test_a_model_is_told_the_number_of_classes() -> None:
    for kind, shape in (("image", (1, 8, 8)), ("text", (12,)), ("audio", (1, 64))):
        data = kind_named(kind).data(shape, 9, 4)
        assert (data.shape, data.count, data.classes) == (torch.Size(shape), 9, 4)


def test_the_smallest_images_are_of_one_value_and_of_two_in_each_direction() -> None:
    wholes = list(kind_named("image").wholes())
    assert [tuple(whole.items.shape) for whole in wholes] == (
        [(256, 1, 1, 1), (65_536, 1, 1, 2), (65_536, 1, 2, 1), (65_536, 2, 1, 1)]
    )
    assert all(len(whole.items.flatten(1).unique(dim=0)) == len(whole.items) for whole in wholes)


@pytest.mark.parametrize(
    ("kind", "worlds"),
    [
        (
            "image",
            [
                ("the 256 images of one pixel", 32, (1, 1, 1), torch.uint8),
                *[("the 65,536 images of two values", 4, shape, torch.uint8) for shape in [(1, 1, 2), (1, 2, 1)]],
                ("the 65,536 images of two values", 4, (2, 1, 1), torch.uint8),
            ],
        ),
        ("audio", [("the 65,536 clips of one sample", 4, (1, 1), torch.int16)]),
        ("text", [("the 31 texts of up to 4 symbols of two", 64, (4,), torch.int16)]),
    ],
)
def test_a_small_world_has_a_name_and_a_number_of_draws(kind: str, worlds: list[Any]) -> None:
    wholes = list(kind_named(kind).wholes())
    assert [(one.name, one.draws, tuple(one.items.shape[1:]), one.items.dtype) for one in wholes] == worlds
    assert {one.kind.name for one in wholes} == {kind}


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        ("image", {(1, 2, 2): 2704, (1, 4, 4): 256, (1, 8, 8): 256, (3, 8, 8): 256}),
        ("audio", {(1, 2): 65_536, (1, 8): 256, (1, 64): 256}),
        ("text", {}),
    ],
)
def test_items_in_two_halves_differ_and_have_the_outer_levels(kind: str, counts: dict[tuple[int, ...], int]) -> None:
    parts = list(kind_named(kind).parts())
    assert {tuple(part.items.shape[1:]): len(part.items) for part in parts} == counts
    for part in parts:
        limits = torch.iinfo(part.items.dtype)
        assert part.items.dtype == part.kind.dtype
        assert [int(end) for end in part.items.aminmax()] == [limits.min, limits.max]
        halves = part.items.flatten(2).view(len(part.items), -1, 2, part.items[0, 0].numel() // 2)
        assert torch.equal(halves, halves[:, :1, :, :1].expand_as(halves))
        assert len(halves[:, 0, :, 0].unique(dim=0)) == len(halves)
        assert part.name.startswith(f"{len(halves):,} {part.kind.noun} of ")


@pytest.mark.parametrize(("shape", "name"), [((3, 8, 8), "image"), ((12,), "text"), ((1, 4000), "audio")])
def test_a_kind_is_known_by_its_dimensions_and_has_its_noun(shape: tuple[int, ...], name: str) -> None:
    kind = kind_of_shape(shape)
    assert kind.name == name
    assert noun_of({"kind": name}) == kind.noun
    assert noun_of({"kind": "graph"}) == noun_of({}) == "items"


def test_clips_stay_integers_and_random_ones_take_every_value() -> None:
    audio = kind_named("audio")
    clips = audio.random(400, (1, 4000), torch.Generator().manual_seed(0))
    assert clips.dtype == audio.store(torch.zeros(3)).dtype == audio.nearest(torch.zeros(3)).dtype == torch.int16
    assert clips.unique().numel() == 65_536


def test_values_far_outside_the_range_are_stored_as_its_ends() -> None:
    assert kind_named("image").store(torch.tensor([-7.0, 7.0])).tolist() == [0, 255]


# Pictures


@pytest.mark.parametrize(("size", "factor"), [((8, 8), 4), ((20, 20), 2), ((5, 40), 1), ((3, 11), 3), ((31, 2), 2)])
def test_the_longer_side_of_a_tile_has_at_least_32_pixels(size: tuple[int, int], factor: int) -> None:
    assert grid.enlargement(*size) == factor == math.ceil(32 / max(size))


def test_of_two_channels_the_first_is_shown(tmp_path: Path) -> None:
    images = torch.randint(256, (3, 2, 40, 33), dtype=torch.uint8)
    pictures.save_grid(tmp_path / "two.png", images)
    shown = grid.cut(tmp_path / "two.png", (1, 40, 33), 8)
    assert all(np.array_equal(found, image[0]) for found, image in zip(shown, images, strict=False))
    with Image.open(tmp_path / "two.png") as opened:
        assert opened.mode == "L"


def test_colour_images_lie_row_by_row_on_a_background_that_shows_between_them(tmp_path: Path) -> None:
    images = torch.randint(256, (19, 3, 33, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pictures.save_grid(tmp_path / "colours.png", images)
    expected = np.full((2 + 3 * (33 + 2), 2 + 8 * (40 + 2), 3), grid.BACKGROUND)
    for place, image in enumerate(images):
        top, left = 2 + 35 * (place // 8), 2 + 42 * (place % 8)
        expected[top : top + 33, left : left + 40] = image.movedim(0, 2)
    with Image.open(tmp_path / "colours.png") as opened:
        assert np.array_equal(np.asarray(opened), expected)


def test_points_and_their_reconstructions_are_two_planes_side_by_side(tmp_path: Path) -> None:
    points = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8).view(2, 1, 2, 1, 1)
    pictures.save_pairs(tmp_path / "pairs.png", *points)
    for name, point in zip(("left", "right"), points, strict=True):
        pictures.save_grid(tmp_path / f"{name}.png", point)
    both, left, right = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("pairs", "left", "right"))
    assert np.array_equal(both[:, :512], left)
    assert np.array_equal(both[:, 512 + grid.GAP :], right)


@pytest.mark.parametrize("more", [(1, 0), (0, 1)])
def test_a_picture_that_is_a_little_wider_or_higher_is_no_grid(tmp_path: Path, more: tuple[int, int]) -> None:
    pictures.save_grid(tmp_path / "grid.png", torch.zeros(8, 1, 8, 8, dtype=torch.uint8))
    with Image.open(tmp_path / "grid.png") as opened:
        larger = Image.new("L", (opened.width + more[0], opened.height + more[1]), grid.BACKGROUND)
        larger.paste(opened)
    larger.save(tmp_path / "larger.png")
    with pytest.raises(ValueError, match="not a grid"):
        grid.cut(tmp_path / "larger.png", (1, 8, 8), 8)


def test_a_clip_is_shown_beside_its_reconstruction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[Any, ...]] = []
    monkeypatch.setattr(spectrograms, "save_grid", lambda *given, **settings: shown.append((*given, settings)))
    first, second = torch.tensor([[[5, 6]], [[7, 8]]], dtype=torch.int16), torch.zeros(2, 1, 2, dtype=torch.int16)
    Audio(8_000).show_pairs(tmp_path / "pairs.png", first, second)
    ((path, clips, rate, settings),) = shown
    assert (path, rate, settings) == (tmp_path / "pairs.png", 8_000, {"are_pairs": True})
    assert torch.equal(Audio(8_000).store(clips), torch.stack([first[0], second[0], first[1], second[1]]))


def test_a_point_lies_at_its_first_channel_to_the_right_and_its_second_upwards(tmp_path: Path) -> None:
    pictures.save_grid(tmp_path / "plane.png", torch.tensor([30, 180], dtype=torch.uint8).view(1, 2, 1, 1))
    with Image.open(tmp_path / "plane.png") as plane:
        rows, columns = np.nonzero(np.asarray(plane) < 200)
    assert (columns.min(), columns.max()) == (2 * 29, 2 * 31 + 1)  # 3 × 3 pixels, enlarged by 2
    assert (rows.min(), rows.max()) == (2 * (255 - 181), 2 * (255 - 179) + 1)


def test_several_points_in_one_spot_are_darker() -> None:
    point = torch.tensor([30, 180], dtype=torch.uint8).view(1, 2, 1, 1)
    shades = [np.asarray(pictures._plane(point.expand(count, -1, -1, -1))).min() for count in (1, 2)]
    assert shades == [round(255 * math.exp(-0.7)), round(255 * math.exp(-1.4))]


# Spectrograms


def test_pairs_of_clips_are_shown_as_pairs_at_their_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(spectrograms, "save_grid", lambda *given, **named: told.extend([*given, named]))
    audio, clips = Audio(8_000), torch.arange(20, dtype=torch.int16).view(20, 1, 1)
    audio.show_pairs(tmp_path / "pairs.png", clips[:10], clips[10:])
    _, shown, rate, named = told
    assert audio.shown(torch.Size((1, 64))) == 12
    assert audio.store(shown).flatten().tolist() == [0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15]
    assert (rate, named) == (8_000, {"are_pairs": True})


def test_channels_are_averaged_in_power_and_a_scale_of_60_db_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panels: list[Tensor] = []
    panel = spectrograms._panel
    monkeypatch.setattr(spectrograms, "_panel", lambda each: panels.append(each) or panel(each))
    tone = 0.5 * torch.sin(2 * math.pi * 1000 * torch.arange(4000) / 8000)
    silence = torch.zeros(4000)
    for clip in (torch.stack([tone, silence]), tone[None], silence[None]):
        spectrograms.save_grid(tmp_path / "one.png", clip[None], 8_000)
    both, alone, nothing = panels
    assert not nothing.any()
    assert float(alone.max()) == pytest.approx(1 - 20 * math.log10(2) / 60, abs=0.05)
    loud = alone > 0.5
    torch.testing.assert_close(both[loud], alone[loud] - 10 * math.log10(2) / 60, atol=1e-4, rtol=0)


def test_a_panel_has_evenly_spaced_colours_and_its_lowest_band_at_the_bottom() -> None:
    loudness = torch.tensor([0.0, 0.2, 0.45, 0.7, 1.0])[:, None].expand(5, spectrograms.PANEL[0])
    picture = np.asarray(spectrograms._panel(loudness))
    middles = [int(spectrograms.PANEL[1] * (1 - (band + 0.5) / 5)) for band in range(5)]
    found = picture[middles, 0].astype(float)
    colours = np.array(spectrograms._COLOURS, dtype=float)
    expected = [
        np.interp(float(each) * 4, range(5), colours[:, channel]) for each in loudness[:, 0] for channel in range(3)
    ]
    assert np.abs(found.flatten() - expected).max() <= 0.5 + 1e-3


class Labels:
    """Records the labels of a grid and where they stand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: list[tuple[str, float, float]] = []
        genuine = ImageDraw.ImageDraw.text

        def note(draw: Any, at: tuple[float, float], name: str, **more: Any) -> None:
            self.found.append((name, *at))
            genuine(draw, at, name, **more)

        monkeypatch.setattr(ImageDraw.ImageDraw, "text", note)
        self.ticks: list[list[tuple[float, float]]] = []
        monkeypatch.setattr(ImageDraw.ImageDraw, "line", lambda draw, ends, **more: self.ticks.append(ends))

    def named(self, *names: str) -> list[tuple[str, float, float]]:
        return [each for each in self.found if each[0] in names]


def test_panels_are_labelled_with_their_number_frequencies_and_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = Labels(monkeypatch)
    spectrograms.save_grid(tmp_path / "some.png", torch.zeros(14, 1, 16_000), 8_000)
    left, tall = 46, 108
    assert [name for name, *_ in labels.found if name in map(str, range(1, 15))].count("12") == 1
    assert not labels.named("13", "14")
    tops = [15 + row * (15 + tall + 6) for row in range(3)]
    assert [y for _, _, y in labels.named("1,000")] == (
        pytest.approx([top + tall * (1 - mel_of(1000) / mel_of(4000)) for top in tops])
    )
    assert {name for name, *_ in labels.found if name.endswith(",000")} == {"1,000", "2,000", "4,000"}
    # Two seconds, a tick each half: below the last row alone, and not where the next panel begins.
    expected = [
        (left + column * 138 + 132 * part / 4, f"{part / 2:g}" if part else "0 s")
        for column in range(4)
        for part in range(4)
    ]
    below = [(x, name) for name, x, y in labels.found if y > tops[-1] + tall]
    assert [name for _, name in below] == [name for _, name in expected]
    assert [x for x, _ in below] == pytest.approx([x for x, _ in expected])
    ticks = [start[0] for start, end in labels.ticks if start[0] == end[0]]
    assert ticks == pytest.approx([left + column * 138 + 132 * part / 4 for column in range(4) for part in range(5)])


def test_pairs_are_labelled_as_data_and_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = Labels(monkeypatch)
    spectrograms.save_grid(tmp_path / "pairs.png", torch.zeros(6, 1, 800), 8_000, are_pairs=True)
    titles = [name for name, *_ in labels.found if ", " in name]
    assert titles == ["1, data", "1, restored", "2, data", "2, restored", "3, data", "3, restored"]


def test_many_frames_are_transformed_in_parts_and_short_windows_have_16_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clips, how = torch.randn(3, 2, 4000) / 4, Mel.of(8_000)
    whole = how.decibels(clips)
    monkeypatch.setattr(mel, "_CHUNK_FRAMES", 5)  # fewer than those of one clip
    assert torch.equal(how.decibels(clips), whole)
    assert (Mel.of(100).window, Mel.of(100).hop) == (16, 4)


def test_bands_are_triangles_that_are_evenly_spaced_on_the_mel_scale() -> None:
    how = Mel.of(8_000)
    scale = 2595 * np.log10(1 + np.array([0.0, *how.centres().tolist(), 4_000.0]) / 700)
    np.testing.assert_allclose(np.diff(scale), scale[-1] / (how.bands + 1), rtol=1e-9)
    bins = 2595 * np.log10(1 + np.arange(257) * 15.625 / 700)
    expected = [np.interp(bins, scale[band : band + 3], [0.0, 1.0, 0.0]) for band in range(how.bands)]
    found = mel.triangles(257, 8_000, how.bands, 0.0, 4_000.0)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), np.array(expected), atol=1e-10)


# Listings


def test_listings_are_utf_8_whatever_the_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encodings, opened = [], Path.open

    def recorded(path: Path, *given: Any, **settings: Any) -> Any:
        encodings.append(settings.get("encoding"))
        return opened(path, *given, **settings)

    monkeypatch.setattr(Path, "open", recorded)
    listing.save(tmp_path / "some.txt", ["é"])
    listing.save_pairs(tmp_path / "pairs.txt", ["é"], ["è"])
    assert listing.read(tmp_path / "some.txt") == ["é"]
    assert encodings == ["utf-8"] * 3


def test_a_listing_is_read_as_it_was_written(tmp_path: Path) -> None:
    texts = ["a\nb", "a\tb", "\\n", "\\\\t", "", "plain", ""]
    listing.save(tmp_path / "some.txt", texts)
    assert listing.read(tmp_path / "some.txt") == texts
    (tmp_path / "other.txt").write_text("a\u2028b\x0cc\n\n", encoding="utf-8")  # lines end with "\n" alone
    assert listing.read(tmp_path / "other.txt") == ["a\u2028b\x0cc", ""]


def test_a_listing_shows_a_hundred_texts_and_models_their_classes() -> None:
    assert Text(("", "a")).shown(torch.Size((4,))) == 100
    assert Text(("", "a", "b")).identity != Text(("", "a", "c")).identity


def test_every_character_of_a_listing_is_restored() -> None:
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    assert listing.restored(listing.spelt(every)) == every
    assert [listing.restored(line) for line in (r"\q", r"\x1", r"\U00110000", "\\")] == [
        r"\q",
        r"\x1",
        r"\U00110000",
        "\\",
    ]
