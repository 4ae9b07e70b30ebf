"""What every kind promises, and what each does with its own items: images, texts and clips."""

from __future__ import annotations

import itertools
import math
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.datasets.dataset import Dataset, Split
from genbench.kinds import NOUNS, kind_named, spectrograms
from genbench.kinds.audio import Audio
from genbench.kinds.kind import Kind, Misfit
from genbench.kinds.listing import spelt
from genbench.kinds.nouns import noun_of
from genbench.kinds.text import BYTES, Text

SHAPES = {"image": torch.Size((3, 4, 5)), "text": torch.Size((40,)), "audio": torch.Size((2, 300))}


@pytest.fixture(params=NOUNS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return kind_named(request.param)


def drawn(kind: Kind, count: int = 50) -> torch.Tensor:
    return kind.random(count, SHAPES[kind.name], torch.Generator().manual_seed(0))


def test_what_is_stored_survives_delivery_and_storing(kind: Kind) -> None:
    stored = drawn(kind)
    assert stored.shape == (50, *SHAPES[kind.name])
    batch = kind.deliver(stored)
    assert torch.equal(kind.store(kind.check(batch, batch.shape)), stored)
    assert torch.equal(drawn(kind), stored), "random items depend only on the generator"


def test_random_items_are_uniform_over_all_levels(kind: Kind) -> None:
    items = drawn(kind, 5000)
    # Nothing is drawn after a text's first end.
    free = (items == 0).cumsum(1) <= 1 if kind.name == "text" else torch.ones_like(items, dtype=torch.bool)
    from_zero = items[free].long() - (torch.iinfo(torch.int16).min if kind.name == "audio" else 0)
    counts = torch.bincount(from_zero, minlength=kind.levels)
    assert len(counts) == kind.levels
    expected = counts.sum() / kind.levels
    chi_squared = float(((counts - expected).square() / expected).sum())
    assert abs(chi_squared - (kind.levels - 1)) < 6 * (2 * (kind.levels - 1)) ** 0.5


def test_a_batch_of_another_shape_is_a_misfit(kind: Kind) -> None:
    batch = kind.deliver(drawn(kind))
    with pytest.raises(Misfit, match=r"\(50, .*\), expected \(49, "):
        kind.check(batch, (49, *batch.shape[1:]))
    with pytest.raises(Misfit, match=r"^NoneType, expected"):
        kind.check(None, batch.shape)


def test_its_noun_is_what_a_record_of_its_datasets_says(kind: Kind) -> None:
    split = Split(drawn(kind), None, kind)
    dataset = Dataset("x", split, split, None, "", "")
    assert noun_of({"name": "x", "kind": dataset.data.kind}) == kind.noun
    assert (dataset.data.count, dataset.data.shape, dataset.data.levels) == (50, SHAPES[kind.name], kind.levels)


def test_what_it_shows_is_a_file_that_people_can_look_at(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / f"items{kind.suffix}"
    kind.show(path, drawn(kind)[: kind.shown(SHAPES[kind.name])])
    assert path.stat().st_size > 100


def test_images_are_scaled_to_the_ends_of_the_range_and_rounded_back() -> None:
    image = kind_named("image")
    assert image.deliver(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]
    values = torch.tensor([-1.0, -0.999, 0.0, 0.5, 1.0, 1.0005, -1.0005])
    assert image.store(values).tolist() == [0, 0, 128, 191, 255, 255, 0]
    assert image.nearest(torch.tensor([-3.0, 7.4, 7.6, 300.0])).tolist() == [0, 7, 8, 255]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.tensor([1.002]), "values in [1.002, 1.002], expected values in [-1, 1]; end the network with tanh"),
        (torch.tensor([float("nan")]), "NaN, expected values in [-1, 1]"),
        (torch.zeros(1, dtype=torch.uint8), "torch.uint8, expected a float tensor of shape (1,) in [-1, 1]"),
    ],
)
def test_values_that_are_no_images(bad: torch.Tensor, message: str) -> None:
    with pytest.raises(Misfit) as error:
        kind_named("image").check(bad, (1,))
    assert str(error.value).startswith(message)


def test_a_grid_holds_64_images_and_a_plane_every_point(tmp_path: Path) -> None:
    image = kind_named("image")
    assert image.shown(torch.Size((1, 8, 8))) == 64
    assert image.shown(torch.Size((2, 1, 1))) > 10_000
    image.show(tmp_path / "grid.png", torch.zeros(64, 1, 8, 8, dtype=torch.uint8))
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size[0] == grid.size[1]


def test_a_pair_is_the_original_on_the_left_and_what_was_restored_on_the_right(tmp_path: Path) -> None:
    image = kind_named("image")
    dark, bright = torch.zeros(9, 1, 32, 32, dtype=torch.uint8), torch.full((9, 1, 32, 32), 200, dtype=torch.uint8)
    image.show_pairs(tmp_path / "pairs.png", dark, bright)
    with Image.open(tmp_path / "pairs.png") as grid:
        row = [grid.getpixel((2 + 16 + 34 * place, 18)) for place in range(8)]
    assert row == [0, 200] * 4


def test_pairs_of_points_are_two_planes(tmp_path: Path) -> None:
    image = kind_named("image")
    low, high = (torch.full((5, 2, 1, 1), level, dtype=torch.uint8) for level in (50, 200))
    image.show_pairs(tmp_path / "pairs.png", low, high)
    with Image.open(tmp_path / "pairs.png") as planes:
        assert planes.width == 512 + 2 + 512
        for left, here, elsewhere in ((0, 50, 200), (514, 200, 50)):
            assert planes.getpixel((left + 2 * here, 2 * (255 - here))) < 40, "a point is missing"
            assert planes.getpixel((left + 2 * elsewhere, 2 * (255 - elsewhere))) > 250


def test_every_grey_level_is_delivered_as_float32_arithmetic_has_it() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    delivered = kind_named("image").deliver(levels.view(-1, 1, 1, 1)).flatten()
    assert delivered.dtype == torch.float32
    assert torch.equal(delivered, torch.tensor([float(level) for level in range(256)]) / 127.5 - 1)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert kind_named("image").deliver(levels).dtype == torch.float32
    finally:
        torch.set_default_dtype(default)


# Texts

AB = Text(("", "a", "b"))


def test_what_follows_the_first_end_of_a_text_is_not_kept() -> None:
    returned = torch.tensor([[1, 0, 2, 1], [0, 1, 1, 1], [1, 2, 1, 2], [2, 1, 0, 0]])
    before = returned.clone()
    stored = AB.store(AB.check(returned, (4, 4)))
    assert stored.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [1, 2, 1, 2], [2, 1, 0, 0]]
    assert stored.dtype == torch.int16
    assert torch.equal(returned, before), "what the hook returned is left unchanged"
    assert AB.texts(stored) == ["a", "", "abab", "ba"]
    assert AB.deliver(stored).dtype == torch.int64


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.zeros(1, 4), "torch.float32, expected int64 tokens of shape (1, 4); take the argmax, or draw"),
        (torch.zeros(1, 4, dtype=torch.int32), "torch.int32, expected int64 tokens of shape (1, 4)"),
        (torch.zeros(1, 4, dtype=torch.bool), "torch.bool, expected int64 tokens of shape (1, 4)"),
        ([[0, 0, 0, 0]], "list, expected int64 tokens of shape (1, 4)"),
        (torch.tensor([[1, -1, 2, 0]]), "tokens from -1 to 2, expected 0 to 2; see data.levels"),
        (torch.tensor([[1, 3, 2, 0]]), "tokens from 0 to 3, expected 0 to 2; see data.levels"),
        (torch.zeros(1, 3, dtype=torch.int64), "(1, 3), expected (1, 4); fill what follows the end with 0"),
        (torch.zeros(1, 5, dtype=torch.int64), "(1, 5), expected (1, 4)"),
        (torch.zeros(2, 4, dtype=torch.int64), "(2, 4), expected (1, 4)"),
        (None, "NoneType, expected int64 tokens of shape (1, 4)"),
        (torch.zeros(1, 4, 1, dtype=torch.int64), "(1, 4, 1), expected (1, 4)"),
    ],
)
def test_what_is_no_batch_of_texts(bad: object, message: str) -> None:
    with pytest.raises(Misfit) as error:
        AB.check(bad, (1, 4))
    assert str(error.value) == message, "advice is given only where it helps"


def test_the_least_and_the_greatest_token_fit_and_so_does_an_empty_batch() -> None:
    assert AB.check(torch.tensor([[0, 2]]), (1, 2)).tolist() == [[0, 2]]
    assert AB.check(torch.zeros(0, 2, dtype=torch.int64), (0, 2)).shape == (0, 2)


def test_a_model_of_texts_is_told_what_tokens_stand_for() -> None:
    data = AB.data((4,), 9, None)
    assert (data.kind, data.shape, data.count, data.levels) == ("text", torch.Size((4,)), 9, 3)
    assert data.symbols == ("", "a", "b")
    assert type(data).from_json(data.to_json()) == data


def test_nothing_lies_between_two_texts() -> None:
    with pytest.raises(TypeError, match=r"^there is nothing between two texts$"):
        AB.nearest(torch.tensor([[0.5]]))


@pytest.mark.parametrize("text", ["naïve", "日本語 \U0001f600", "\x00\xff\x7f", ""])
def test_bytes_take_any_text_there_and_back(text: str) -> None:
    kind = Text(BYTES)
    tokens = kind.tokens(text)
    assert tokens == [byte + 1 for byte in text.encode()]
    assert kind.levels == 257
    items = torch.zeros(1, 40, dtype=torch.int16)
    items[0, : len(tokens)] = torch.tensor(tokens)
    assert kind.texts(items) == [text]


def test_bytes_that_are_no_utf_8_are_shown_as_such() -> None:
    assert Text(BYTES).texts(torch.tensor([[0xFF + 1, ord("a") + 1, 0]])) == ["\ufffda"]


def test_a_symbol_outside_the_alphabet_becomes_minus_one() -> None:
    assert AB.tokens("abc") == [1, 2, -1]


def test_a_symbol_is_one_token_however_many_bytes_it_has() -> None:
    kind = Text(("", "a", "é", "本"))
    assert kind.tokens("本aé") == [3, 1, 2]
    assert kind.spelt("本aé") == "本aé"


def test_the_small_world_of_texts_holds_each_text_once() -> None:
    (whole,) = AB.wholes()
    texts = whole.kind.texts(whole.items)  # type: ignore[attr-defined]
    expected = ["".join(each) for length in range(5) for each in itertools.product("ab", repeat=length)]
    assert sorted(texts) == sorted(expected)
    assert whole.name == "the 31 texts of up to 4 symbols of two"
    assert torch.equal(whole.kind.store(whole.kind.deliver(whole.items)), whole.items), "items are in their stored form"


def test_a_listing_shows_what_a_line_cannot_hold(tmp_path: Path) -> None:
    kind = Text(("", *"\t\n\x1b\\a\u202e\u2028é"))
    items = torch.tensor([[1, 5, 0, 0], [2, 3, 0, 0], [4, 5, 6, 7], [8, 0, 0, 0], [0, 0, 0, 0]])
    kind.show(tmp_path / "some.txt", items)
    spelt_out = [r"\ta", r"\n\x1b", r"\\a\u202e\u2028", "é", ""]
    assert (tmp_path / "some.txt").read_text(encoding="utf-8").split("\n") == [*spelt_out, ""]
    kind.show_pairs(tmp_path / "pairs.txt", items[:2], items[2:4])
    lines = (tmp_path / "pairs.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t→\t") for line in lines] == [[spelt_out[0], spelt_out[2]], [spelt_out[1], spelt_out[3]]]


def test_two_texts_that_differ_are_spelt_differently() -> None:
    texts = ["\n", "\\n", "\\\\n", "\\\n", "\x85", "\\x85", "\u200b", "\\u200b", "\ud800", "\\ud800"]
    assert len({spelt(text) for text in texts}) == len(texts)
    assert all(spelt(text).isprintable() for text in texts)
    assert Text(BYTES).spelt("\ud800") == "\xed\xa0\x80", "bytes may be no text"


# Clips


def test_every_16_bit_value_lies_evenly_between_the_ends_of_the_range_and_survives() -> None:
    (whole,) = kind_named("audio").wholes()
    assert whole.items.unique().numel() == 65_536
    delivered = whole.kind.deliver(whole.items).flatten()
    expected = torch.linspace(-1, 1, 65_536, dtype=torch.float64)  # like the 256 values of an image
    assert delivered.dtype == torch.float32
    assert float((delivered - expected).abs().max()) < 1e-7
    assert torch.equal(whole.kind.store(delivered), whole.items.flatten())
    assert torch.equal(whole.items.flatten(), torch.arange(-32768, 32768).to(torch.int16)), "stored items are unchanged"


def test_clips_are_rounded_silence_stays_silent_and_the_ends_are_clamped() -> None:
    audio = kind_named("audio")
    values = torch.tensor([-1.0, 1.0, 0.0, 1.0005, -1.0005, 2 / 65_535])
    assert audio.store(values).tolist() == [-32768, 32767, 0, 32767, -32768, 0]
    assert audio.nearest(torch.tensor([-4e4, -1.6, 0.4, 4e4])).tolist() == [-32768, -2, 0, 32767]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.full((1, 1, 4), 1.2), "values in [1.2, 1.2], expected values in [-1, 1]; end the network with tanh"),
        (torch.full((1, 1, 4), float("nan")), "NaN, expected values in [-1, 1]"),
        (torch.zeros(1, 1, 4, dtype=torch.int16), "torch.int16, expected a float tensor of shape (1, 1, 4)"),
        (torch.zeros(1, 1, 5), "(1, 1, 5), expected (1, 1, 4)"),
        (torch.zeros(1, 4), "(1, 4), expected (1, 1, 4)"),
    ],
)
def test_what_is_no_batch_of_clips(bad: torch.Tensor, message: str) -> None:
    with pytest.raises(Misfit) as error:
        kind_named("audio").check(bad, (1, 1, 4))
    assert str(error.value).startswith(message)


def test_a_model_of_clips_is_told_the_sample_rate_and_so_is_the_fingerprint() -> None:
    data = Audio(8_000).data((1, 4000), 9, None)
    assert (data.kind, data.levels, data.sample_rate) == ("audio", 65_536, 8_000)
    assert type(data).from_json(data.to_json()) == data
    assert Audio(8_000).identity != Audio(16_000).identity


def test_clips_are_kept_as_they_are_stored(tmp_path: Path) -> None:
    """A quiet clip stays quiet, and channels stay separate."""
    clips = drawn(kind_named("audio"), 10) // 64
    paths = Audio(11_025).keep(tmp_path / "some", clips)
    assert [path.name for path in paths] == [f"some-{number}.wav" for number in range(1, 9)]
    with wave.open(str(paths[1]), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (11_025, 2, 2)
        samples = torch.frombuffer(bytearray(file.readframes(999)), dtype=torch.int16)
    assert torch.equal(samples.view(-1, 2).T, clips[1])


def test_a_grid_shows_a_tone_at_its_frequency_and_silence_as_one_colour(tmp_path: Path) -> None:
    second = torch.arange(8000) / 8000
    clips = torch.stack([torch.sin(2 * math.pi * 1000 * second), torch.zeros(8000)])[:, None]
    audio = Audio(8_000)
    audio.show(tmp_path / "grid.png", audio.store(clips))
    with Image.open(tmp_path / "grid.png") as grid:
        pixels = torch.from_numpy(np.asarray(grid.convert("L")).copy()).float()
    across, down = spectrograms.PANEL
    first, other = (pixels[15 : 15 + down, column : column + across] for column in (46, 46 + across + 6))
    assert float(other.max() - other.min()) == 0, "silence has one colour"
    rows = first[:, 20:-20].mean(1) - other[0, 0]
    # From bottom to top, the panel spans 0 to 4,000 Hz, or 2146 mel; 1,000 Hz is 1,000 mel.
    assert (down - 0.5 - int(rows.argmax())) / down == pytest.approx(1000 / 2146, abs=0.02)
