"""The checks before any training: what a planned cell learns about its data, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from genbench import Data, Training, datasets, features
from genbench.cell import preflight
from genbench.config import Budget, Cell, ModelSpec, Settings
from genbench.datasets.dataset import Dataset, Split
from genbench.errors import InputError, PluginError
from genbench.evaluation import references
from genbench.evaluation.brought import PLUGIN
from genbench.evaluation.selection import select
from genbench.plugin import options

CPU = torch.device("cpu")
SHAPE = (2, 3, 5)


def images(count: int) -> torch.Tensor:
    return torch.zeros(count, *SHAPE, dtype=torch.uint8)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replaces the dataset and the extractor that a cell names, and keeps what was requested."""
    held: dict[str, Any] = {
        "dataset": Dataset("toy", Split(images(70), None), Split(images(30), None), None, "MIT", "fedcba", remark=None)
    }
    digits = datasets.load("digits")
    held["extractor"] = features.load("digits-cnn", dataset=digits, device=CPU)

    def load(*given: object, **named: object) -> Dataset:
        held["load"] = given, named
        found: Dataset = held["dataset"]
        return found

    def load_extractor(name: str, **named: Any) -> object:
        held["load_extractor"] = name, named
        named["progress"]("training it", 3, 8)
        return held["extractor"]

    def reference_for(*given: object) -> None:
        held["reference_for"] = given

    monkeypatch.setattr(datasets, "load", load)
    monkeypatch.setattr(features, "load", load_extractor)
    monkeypatch.setattr(references, "reference_for", reference_for)
    return held


def cell(**settings: Any) -> Cell:
    return Cell(ModelSpec("vae"), "toy", 0, Settings(**{"device": "cpu", **settings}))


def test_a_planned_cell_is_told_what_identifies_its_data_and_how_it_is_measured(loaded: dict[str, Any]) -> None:
    events: list[dict[str, Any]] = []
    emit = events.append
    told = preflight.check_data(cell(data_root="here", image_size=5, weights="w.pth", profile="clean-fid"), emit)
    assert told == {
        "device": "cpu",
        "samples": 30,
        "extractor": loaded["extractor"].recipe(),
        "metrics": {metric.name: metric.version for metric in select((), "image")},
        "dataset": {
            "name": "toy",
            "fingerprint": "fedcba",
            "kind": "image",
            "shape": [2, 3, 5],
            "classes": None,
            "train_count": 70,
            "held_out_count": 30,
            "licence": "MIT",
        },
        "told": {
            "kind": "image",
            "shape": [2, 3, 5],
            "count": 70,
            "classes": None,
            "levels": 256,
            "symbols": None,
            "sample_rate": None,
        },
    }
    assert loaded["load"] == (("toy",), {"data_root": Path("here"), "image_size": 5, "plugins_from": None})
    name, asked = loaded["load_extractor"]
    del asked["progress"]
    assert (name, asked) == (
        "auto",
        {
            "dataset": loaded["dataset"],
            "device": CPU,
            "weights": Path("w.pth"),
            "profile": "clean-fid",
            "precision": "fp32",
            "plugins_from": None,
            "also": None,
        },
    )
    assert loaded["reference_for"] == (loaded["dataset"], loaded["extractor"], emit)
    assert events == [
        {"event": "stage", "stage": "loading toy"},
        {"event": "stage", "stage": "extractor for toy"},
        {"event": "progress", "stage": "training it", "done": 3, "total": 8},
    ]


def test_by_default_the_dataset_and_the_extractor_choose(loaded: dict[str, Any]) -> None:
    told = preflight.check_data(cell(metrics=("fd",), samples=12, eval_precision="bf16"), lambda event: None)
    assert (told["samples"], list(told["metrics"])) == (12, ["frechet_distance"])
    assert loaded["load"] == (("toy",), {"data_root": None, "image_size": None, "plugins_from": None})
    named = loaded["load_extractor"][1]
    assert (named["weights"], named["profile"], named["precision"]) == (None, None, "bf16")


def test_what_a_dataset_remarks_is_passed_on(loaded: dict[str, Any]) -> None:
    loaded["dataset"] = Dataset("toy", Split(images(70), None), Split(images(3), None), None, "", "f", remark="mixed")
    events: list[dict[str, Any]] = []
    preflight.check_data(cell(), events.append)
    assert [event for event in events if event["event"] == "notice"] == [{"event": "notice", "text": "mixed"}]


def test_as_many_samples_are_drawn_as_are_held_out_but_no_more_than_ten_thousand(loaded: dict[str, Any]) -> None:
    for count in (9_999, 10_001):
        loaded["dataset"] = Dataset("toy", Split(images(70), None), Split(images(count), None), None, "", "f")
        assert preflight.check_data(cell(), lambda event: None)["samples"] == min(count, 10_000)
    assert preflight.check_data(cell(samples=10_002), lambda event: None)["samples"] == 10_002


def test_the_memory_of_the_samples_is_asked_for_in_bytes(
    loaded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(preflight, "shortage", lambda size: asked.append(size) or "do not fit")
    with pytest.raises(InputError, match=r"^1,234 samples of toy do not fit$"):
        preflight.check_data(cell(samples=1234), lambda event: None)
    assert asked == [1234 * 2 * 3 * 5]
    wide = Split(torch.zeros(70, 3, dtype=torch.int16), None)
    loaded["dataset"] = Dataset("toy", wide, wide, None, "", "f")
    with pytest.raises(InputError, match="do not fit"):
        preflight.check_data(cell(samples=10), lambda event: None)
    assert asked[1:] == [10 * 3 * 2]


def test_a_batch_may_be_the_whole_training_split_and_no_more(loaded: dict[str, Any]) -> None:
    preflight.check_data(cell(batch_size=70), lambda event: None)
    with pytest.raises(InputError, match="batch size 71 is larger than the training split of toy, which has 70 images"):
        preflight.check_data(cell(batch_size=71), lambda event: None)


@pytest.mark.parametrize(
    ("asked", "flag"),
    [({"cuda_graph": True}, "--cuda-graph"), ({"training_precision": "tf32"}, "--training-precision tf32")],
)
def test_what_needs_cuda_is_refused_elsewhere(loaded: dict[str, Any], asked: dict[str, Any], flag: str) -> None:
    told = f"^{flag} needs a CUDA device, and this benchmark runs on cpu; leave it out$"
    with pytest.raises(InputError, match=told):
        preflight.check_data(cell(**asked), lambda event: None)
    preflight._refuse_without_cuda(Settings(**asked), torch.device("cuda", 1))
    preflight._refuse_without_cuda(Settings(training_precision="bf16"), CPU)


def test_a_model_is_built_as_a_cell_would_build_it(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"told": Data("image", torch.Size((1, 8, 8)), 1297, 10).to_json()}
    settings = Settings(Budget.parse("0.64kimg"), batch_size=32)
    asked = Cell(ModelSpec(str(tiny), {"width": 8}), "digits", 0, settings)
    built: list[tuple[Any, ...]] = []
    build = options.build
    monkeypatch.setattr(options, "build", lambda plugin, *given: built.append(given) or build(plugin, *given))
    assert preflight.check_model(asked, data, "file") == {"built": True}
    known = Data("image", torch.Size((1, 8, 8)), 1297, 10)
    assert built == [(known, Training(20, 32), {"width": 8}, CPU)]
    with pytest.raises(InputError, match="does not list `file`"):  # the distribution must be the planned one
        preflight.check_model(asked, data, "genbench-gan")
    by_time = Cell(ModelSpec(str(tiny)), "digits", 0, Settings(Budget.parse("10s")))
    preflight.check_model(by_time, data, "file")
    assert built[1][1] == Training(None, 64)


def test_a_model_that_is_none_or_does_not_suit_says_so(write_plugin: Any) -> None:
    data = {"told": Data("image", torch.Size((1, 8, 8)), 1297).to_json()}

    def told(body: str, name: str) -> dict[str, Any]:
        path = write_plugin("    return build(data.shape", f"    {body}\n    return build(data.shape", name)
        return preflight.check_model(Cell(ModelSpec(str(path)), "digits", 0, Settings()), data, "file")

    assert told("return 3", "three") == {"built": False}
    assert told("import genbench; raise genbench.Unsuitable('takes no squares')", "picky") == {
        "unsuitable": "takes no squares"
    }


@pytest.mark.parametrize(
    ("device", "asked", "message"),
    [
        ("cpu", {"ranks": 3, "batch_size": 8}, "a batch of 8 does not divide among 3 ranks; use --batch-size 6 or 9"),
        ("cpu", {"ranks": 3, "batch_size": 2}, "a batch of 2 does not divide among 3 ranks; use --batch-size 3"),
        ("mps", {"ranks": 2}, "--ranks 2 needs the CPU or several GPUs, and this benchmark runs on mps; leave it out"),
        ("cuda", {"ranks": 2, "device": "cuda:0"}, "--device cuda:0 is one GPU, and --ranks 2 needs several; use cuda"),
        ("cuda", {"ranks": 4, "device": "cuda"}, "--ranks 4 needs as many GPUs, and this machine has 3; leave it out"),
        ("cuda", {"ranks": 3, "batch_size": 6, "device": "cuda"}, None),
        ("cuda", {"ranks": 1, "device": "cuda:0"}, None),
        ("mps", {"ranks": 1, "device": "mps"}, None),
        ("cpu", {"ranks": 2}, None),
    ],
)  # fmt: skip
def test_ranks_divide_the_batch_and_the_devices(
    monkeypatch: pytest.MonkeyPatch, device: str, asked: dict[str, Any], message: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    given = Settings(**{"batch_size": 64, **asked})
    if message is None:
        preflight._refuse_ranks(given, torch.device(device))
        return
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        preflight._refuse_ranks(given, torch.device(device))


def test_ranks_are_checked_on_the_chosen_device_before_anything_is_loaded(loaded: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="does not divide"):
        preflight.check_data(cell(ranks=3, batch_size=64), lambda event: None)
    assert "load" not in loaded
    devices: list[torch.device] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preflight, "_refuse_ranks", lambda settings, device: devices.append(device))
        preflight.check_data(cell(), lambda event: None)
    assert devices == [CPU]


def test_plugins_come_from_the_given_distributions_and_targets_are_checked_for_this_kind(
    loaded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    selected, checked = [], []
    monkeypatch.setattr(preflight, "select", lambda *given: selected.append(given) or select(*given))
    monkeypatch.setattr(preflight.targets, "check_measured", lambda *given: checked.append(given))
    asked = cell(metrics=("fd",))
    preflight.check_data(asked, lambda event: None, ["theirs"])
    assert loaded["load"][1]["plugins_from"] == ["theirs"]
    assert loaded["load_extractor"][1]["plugins_from"] == ["theirs"]
    assert selected == [(("fd",), "image", ["theirs"])]
    assert checked == [(asked.settings, "image", loaded["extractor"].earned, "toy")]


def test_what_a_plugin_brings_must_be_what_the_identity_says() -> None:
    plugin = {"version": "1", "source_sha256": "a"}
    recipe = {"name": "eyes", "extractor_plugin": plugin}
    dataset = SimpleNamespace(plugin=plugin, fingerprint="f")
    extractor = SimpleNamespace(recipe=lambda: recipe)
    metrics = [SimpleNamespace(name="own", version="2", parameters={}),
               SimpleNamespace(name="theirs", version="3", parameters={PLUGIN: "x 1.0"})]  # fmt: skip
    planned = {"name": "drawn:size=8", "plugin": plugin, "fingerprint": "f"}
    description = {"dataset": planned, "extractor": recipe, "metrics": {"own": "2", "theirs": "3 of x 1.0"}}
    preflight.check_unchanged(description, dataset, extractor, metrics)  # type: ignore[arg-type]
    for name, changed in {
        "dataset": {"dataset": {**planned, "plugin": {**plugin, "version": "2"}}},
        "items of the dataset": {"dataset": {**planned, "fingerprint": "g"}},
        "extractor": {"extractor": {**recipe, "name": "ears"}},
        "metrics": {"metrics": {"own": "2", "theirs": "3 of x 1.1"}},
    }.items():
        with pytest.raises(PluginError, match=f"^the {name} changed after this run began.*same command again") as said:
            preflight.check_unchanged({**description, **changed}, dataset, extractor, metrics)  # type: ignore[arg-type]
        # Where the code is the same, it may be a dataset that never gives the same items.
        told = "genbench plugin check drawn --family dataset" in str(said.value)
        assert told == (name == "items of the dataset")
