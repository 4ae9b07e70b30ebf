"""Extractors from plugins: how they are identified, what each fault says, and what is measured without them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_extractor import BUILDS, READS, RETURNS, Place, placing

from genbench import datasets, features
from genbench.cell import preflight
from genbench.config import Cell, ModelSpec, Settings
from genbench.datasets.dataset import Dataset
from genbench.errors import InputError
from genbench.evaluation.measurement import Evaluator
from genbench.evaluation.references import reference_for
from genbench.evaluation.selection import select
from genbench.features import brought
from genbench.features.extractor import Extractor, default_batch_size, extract
from genbench.kinds import kind_of_shape

CPU = torch.device("cpu")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return placing(tmp_path, monkeypatch.syspath_prepend)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets.load("digits")


def load(dataset: Dataset, name: str = "small", **options: object) -> Extractor:
    return features.load(name, dataset=dataset, device=CPU, **options)  # type: ignore[arg-type]


def refusal(dataset: Dataset, module: str, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        load(dataset, **options)
    message, who = str(caught.value), f"extractor 'small' ({module} 0.1.0): "
    assert "\n" not in message
    assert message.startswith(who)
    return message.removeprefix(who)


# What an extractor returns and how it is identified


def test_features_are_those_of_the_network_on_items_as_hooks_see_them(place: Place, digits: Dataset) -> None:
    place(RETURNS, "        return features, features[:, :2]\n")
    extractor = load(digits)
    network = extractor.network.network
    found = extract(extractor, digits.train.items[:300], batch_size=128)
    inputs = digits.train.items[:300].flatten(1)[:, :4].float() / 127.5 - 1
    expected = torch.nn.functional.linear(inputs, network.linear.weight, network.linear.bias)
    torch.testing.assert_close(found.features, expected)
    torch.testing.assert_close(found.logits, expected[:, :2])
    assert (extractor.feature_count, extractor.classes, extractor.earned) == (3, 2, {})
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())


def test_the_recipe_says_whose_code_and_which_weights(place: Place, digits: Dataset) -> None:
    module = place()
    recipe = load(digits).recipe()
    name, version, digest = str(recipe["extractor_plugin"]).split(" ")
    assert (name, version, digest.partition(":")[0], len(digest)) == (module, "0.1.0", "sha256", 7 + 64)
    assert len(str(recipe["weights_sha256"])) == 64
    assert load(digits).recipe() == recipe, "initial weights come from generators with the same seed"


@pytest.mark.parametrize(
    ("old", "new", "same_weights"),
    [
        (RETURNS, "        return 2 * features\n", True),
        (BUILDS, BUILDS + "    network.linear.weight.data[0, 0] += 1e-6\n", False),
        (BUILDS, BUILDS + "    network.offset[1] += 1\n", False),
        (BUILDS, BUILDS + "    network.double()\n", False),
    ],
)
def test_another_source_or_other_weights_are_another_extractor_with_features_of_its_own(
    place: Place, digits: Dataset, old: str, new: str, same_weights: bool
) -> None:
    place()
    first = load(digits)
    known = reference_for(digits, first)
    place(old, new)
    second = load(digits)
    assert (first.weights_sha256 == second.weights_sha256) == same_weights
    assert first.recipe()["extractor_plugin"] != second.recipe()["extractor_plugin"]
    extracted: list[str] = []
    fresh = reference_for(digits, second, lambda event: extracted.append(event["stage"]))
    assert extracted, "nothing comes from the other extractor's cache"
    assert not torch.equal(known.train.features, fresh.train.features) or "double" in new
    extracted.clear()
    again = reference_for(digits, first, lambda event: extracted.append(event["stage"]))
    assert not extracted
    assert torch.equal(again.train.features, known.train.features)


def test_every_number_that_reads_features_names_the_plugin_and_no_other_does(place: Place, digits: Dataset) -> None:
    place()
    extractor = load(digits)
    metrics = select(["fd", "pixel_w1"], "image")
    evaluator = Evaluator(digits, extractor, reference_for(digits, extractor), metrics)
    numbers = evaluator.score(digits.held_out.items, None)
    told = {name: evaluator.recipes[number.recipe].get("extractor_plugin") for name, number in numbers.items()}
    assert told["fd"] == extractor.fields["extractor_plugin"]
    assert told["pixel_w1"] is None


@pytest.mark.parametrize("shape", [(12,), (1, 300), (3, 8, 8)])
def test_items_of_each_kind_are_taken(place: Place, shape: tuple[int, ...]) -> None:
    place()
    kind = kind_of_shape(shape)
    splits = [datasets.dataset.Split(brought.probes(kind, torch.Size(shape), count), None, kind) for count in (9, 5)]
    dataset = Dataset("drawn", *splits, None, "none", "0")
    assert extract(load(dataset), dataset.train.items).features.shape == (9, 3)


def test_weights_of_a_file_count_by_their_content(place: Place, digits: Dataset, tmp_path: Path) -> None:
    module = place(f"(data, device):\n{BUILDS}", f"(data, weights, device):{READS}")
    linear, hashes = torch.nn.Linear(4, 3), list[str]()
    state = {"linear.weight": linear.weight.data, "linear.bias": linear.bias.data, "offset": torch.zeros(3)}
    for index, scale in enumerate((1, 1, 2)):
        torch.save({name: scale * value for name, value in state.items()}, tmp_path / f"{index}.pth")
        hashes.append(load(digits, weights=tmp_path / f"{index}.pth").weights_sha256)
    assert hashes[0] == hashes[1] != hashes[2]
    assert refusal(digits, module, weights=tmp_path / "none.pth") == (
        f"no file {tmp_path}/none.pth; name the one with its weights"
    )
    (tmp_path / "damaged.pth").write_bytes(b"no weights")
    assert refusal(digits, module, weights=tmp_path / "damaged.pth").startswith("build_extractor raised Unpickling")
    assert refusal(digits, module).startswith("build_extractor raised AttributeError"), "it needs weights, and says so"


def test_a_wide_network_is_given_smaller_batches(place: Place, digits: Dataset) -> None:
    place()
    narrow = default_batch_size(load(digits))
    place("nn.Linear(4, 3)", "nn.Sequential(nn.Linear(4, 500_000), nn.Linear(500_000, 3))")
    assert default_batch_size(load(digits)) <= narrow / 4  # 2 MB per output, and up to four outputs are held at a time


# How an extractor is found


def test_names_are_found_among_plugins_and_clashes_and_other_distributions_are_one_line(
    place: Place, digits: Dataset
) -> None:
    first = place()
    with pytest.raises(InputError, match=r"extractor 'smal': unknown; did you mean small\?"):
        load(digits, "smal")
    with pytest.raises(
        InputError, match=rf"extractor 'small' is from {first} 0\.1\.0, which --plugins-from does not list"
    ):
        load(digits, plugins_from=["genbench-gan"])
    second = place(beside=True)
    with pytest.raises(InputError, match=f"is offered by .*{first} 0.1.0.*; choose one with --plugins-from") as caught:
        features.check_name("small")
    assert second in str(caught.value)
    assert load(digits, plugins_from=[second]).recipe()["extractor_plugin"].startswith(second)
    place(name="random-conv", beside=True)
    assert "extractor_plugin" not in load(digits, "random-conv").recipe(), "genbench's own extractors take precedence"


def test_a_plugin_is_described_before_it_is_imported(place: Place) -> None:
    place("import torch\n", "raise RuntimeError\n")
    found = features.check_name("small")
    assert found is not None
    assert found.summary() == "A small network."


# Faults on loading


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("import torch\n", "import nothing_of_the_kind\n", "import failed: ModuleNotFoundError: No module"),
        ("@hookimpl\n", "", "does not implement build_extractor; write the function and mark it @genbench.hookimpl"),
        (BUILDS, "    raise RuntimeError('no luck')\n", "build_extractor raised RuntimeError: no luck"),
        (BUILDS, "    raise SystemExit(3)\n", "build_extractor raised SystemExit: 3"),
        (BUILDS, "    raise Unsuitable('takes clips')\n", "does not suit digits: takes clips; choose another"),
        ("network.to(device)", "network.forward", "build_extractor returned method, expected a torch.nn.Module"),
        ("network.to(device)", "None", "build_extractor returned NoneType, expected a torch.nn.Module"),
        (BUILDS, f"{BUILDS}    torch.set_num_threads(1 + torch.get_num_threads())\n", "build_extractor changed torch"),
        ("nn.Linear(4, 3)", "nn.LazyLinear(3)", "build_extractor raised ValueError: Attempted to use an uninit"),
        (RETURNS, "        raise KeyError('x')\n", "its network raised KeyError: 'x'"),
        (RETURNS, "        return list(features)\n", "its network returned features as list, expected a tensor"),
        (RETURNS, "        return features.long()\n", "its network returned features as torch.int64, expected a"),
        (RETURNS, "        return features[:, 0]\n", "its network returned features of shape (3,), expected (3, D)"),
        (RETURNS, "        return features[1:]\n", "its network returned features of shape (2, 3), expected (3, D)"),
        (RETURNS, "        return features[:, :0]\n", "its network returned features of shape (3, 0), expected (3, D)"),
        (RETURNS, "        return features, features[0]\n", "its network returned logits of shape (3,), expected (3"),
        (
            RETURNS,
            "        features[1, 0] = torch.nan\n        return features\n",
            "its network returned features that are NaN or infinite, for 1 of 3 items",
        ),
        (
            RETURNS,
            "        return features[:, : len(batch)]\n",
            "its network returned 1 features and no logits, but 3 features and no logits for the first batch; the",
        ),
        (
            RETURNS,
            "        return features - features.mean(0)\n",
            "its network returned different features for the same item in another batch",
        ),
        (
            RETURNS,
            "        return features + torch.rand(3)\n",
            "its network changed the state of torch's global generator; leave alone what others share",
        ),
        (
            RETURNS,
            "        g = torch.Generator()\n        g.seed()\n        return features + torch.rand(3, generator=g)\n",
            "its network returned different features for the same batch; it may not draw at random",
        ),
        (
            RETURNS,
            "        self.offset += 1\n        return features\n",
            "its network changed its own weights; leave parameters and buffers alone",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_that_names_the_plugin(
    place: Place, digits: Dataset, old: str, new: str, message: str
) -> None:
    module, before = place(old, new), torch.get_num_threads()
    assert refusal(digits, module).startswith(message)
    assert torch.get_num_threads() == before


def test_options_that_it_does_not_take(place: Place, digits: Dataset, tmp_path: Path) -> None:
    module = place()
    assert refusal(digits, module, weights=tmp_path / "a.pth") == "takes no --weights; leave it out"
    with pytest.raises(InputError, match="extractor 'small': takes no --profile"):
        load(digits, profile="clean-fid")
    with pytest.raises(InputError, match="extractor 'small': was built for images of 1x8x8, got 1x4x4"):
        load(digits)(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))


def test_what_it_draws_and_prints_disturbs_nobody(
    place: Place, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    place(RETURNS, "        print('here I am')\n        return features\n")
    before = torch.get_rng_state()
    load(digits)(digits.train.items[:2])
    assert torch.equal(torch.get_rng_state(), before)
    assert capsys.readouterr().out == ""


# Faults on some items


FAILS_ON_WHITE = """        if bool((batch > 0.99).flatten(1).all(1).any()):
            FAULT
        return features
"""


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("features = features / 0", "its network returned features that are NaN or infinite, for 4 of 4 items"),
        ("raise ValueError('white')", "its network raised ValueError: white"),
        ("features = features[:, :2]", "its network returned 2 features and no logits, but 3 features and no logits"),
    ],
)
def test_numbers_that_read_features_are_missing_with_the_reason_and_the_others_are_there(
    place: Place, digits: Dataset, fault: str, message: str
) -> None:
    module = place(RETURNS, FAILS_ON_WHITE.replace("FAULT", fault))
    extractor = load(digits)
    metrics = select(["fd", "precision", "pixel_w1"], "image")
    evaluator = Evaluator(digits, extractor, reference_for(digits, extractor), metrics)
    white = torch.full((4, 1, 8, 8), 255, dtype=torch.uint8)
    numbers = evaluator.score(white, None)
    assert "pixel_w1" in numbers
    assert not {"fd", "precision"} & numbers.keys()
    assert set(evaluator.missing) >= {"frechet_distance", "precision_recall"}
    said = evaluator.missing["frechet_distance"]
    assert said.startswith(f"extractor 'small' ({module} 0.1.0): {message}")
    assert "\n" not in said
    assert "fd" in evaluator.score(digits.held_out.items[:50], None)
    assert "frechet_distance" not in evaluator.missing


def test_data_that_it_gives_no_features_of_are_refused_before_anything_is_trained(
    place: Place, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = place(RETURNS, FAILS_ON_WHITE.replace("FAULT", "features = features / 0"))
    items = digits.train.items.clone()
    items[7] = 255
    white: Dataset = Dataset(
        "digits", datasets.dataset.Split(items, digits.train.labels), digits.held_out, digits.class_names, "", "another"
    )
    monkeypatch.setattr(preflight, "load_dataset", lambda *_: white)
    cell = Cell(ModelSpec("vae"), "digits", 0, Settings(extractor="small", device="cpu"))
    with pytest.raises(
        InputError, match=rf"^extractor 'small' \({module} 0\.1\.0\): its network returned features that"
    ):
        preflight.check_data(cell, lambda event: None)


def test_without_memory_for_a_batch_a_smaller_one_is_taken(
    place: Place, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(RETURNS, "        if len(batch) > 10:\n            raise torch.OutOfMemoryError\n        return features\n")
    assert extract(load(digits), digits.train.items[:50], batch_size=32).features.shape == (50, 3)
