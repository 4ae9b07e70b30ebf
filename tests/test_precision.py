"""The precision of float32 operations, whichever of torch's two interfaces has set it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from genbench.features import extractor
from genbench.machine import precision
from genbench.machine.precision import float32_precision, full_float32, set_float32_precision
from genbench.metrics.density_coverage import density_coverage
from genbench.metrics.neighbours import sweep
from genbench.plugin import world
from genbench.training import loop


def set_to(name: str, value: str) -> Callable[[], None]:
    place = torch.backends
    for part in name.split(".") if name else ():
        place = getattr(place, part)
    return lambda: setattr(place, "fp32_precision", value)


SETTINGS = {
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "CUDA's TF32": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "no TF32 in convolutions": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "all": set_to("", "tf32"),
    "all of the CPU": set_to("mkldnn", "bf16"),
    "products on the CPU": set_to("mkldnn.matmul", "bf16"),
    "products on CUDA": set_to("cuda.matmul", "tf32"),
    "convolutions on CUDA": set_to("cudnn.conv", "ieee"),
}
MIXED = ("all", "all of the CPU", "products on the CPU", "products on CUDA")  # for these, the older interface raises


DEFAULT = {
    "products": "highest",
    "TF32 in convolutions": "True",
    **dict.fromkeys(("all", "mkldnn", "cudnn"), "none"),
    **dict.fromkeys(("mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn", "cuda.matmul"), "none"),
    **dict.fromkeys(("cudnn.conv", "cudnn.rnn"), "tf32"),
}


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = float32_precision()
    set_float32_precision(DEFAULT)
    assert dict(float32_precision()) == DEFAULT
    yield
    set_float32_precision(before)
    assert dict(float32_precision()) == dict(before)
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.backends.cudnn.allow_tf32


def operations() -> dict[str, str]:
    return {name: value for name, value in float32_precision().items() if "." in name}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_seen_and_undone(name: str) -> None:
    before = float32_precision()
    SETTINGS[name]()
    found = float32_precision()
    assert found != before
    assert (found["products"] == "mixed") == (name in MIXED)
    set_float32_precision(before)
    assert dict(float32_precision()) == dict(before)
    SETTINGS[name]()
    assert dict(float32_precision()) == dict(found)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_block_in_full_precision_leaves_settings_as_they_were(name: str) -> None:
    SETTINGS[name]()
    found = float32_precision()
    with full_float32():
        assert set(operations().values()) == {"ieee"}
        assert torch.get_float32_matmul_precision() == "highest"  # the older interface can be read
        assert torch.backends.cudnn.allow_tf32 is False
    assert dict(float32_precision()) == dict(found)


@pytest.mark.parametrize("name", SETTINGS)
def test_features_on_cuda_are_extracted_by_exact_kernels_whatever_is_set(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cudnn = torch.backends.cudnn
    for switch, value in {"enabled": False, "benchmark": True, "deterministic": False}.items():
        monkeypatch.setattr(cudnn, switch, value)
    SETTINGS[name]()
    found = float32_precision()
    with extractor._exact_float32(torch.device("cuda")):
        assert set(operations().values()) == {"ieee"}
        assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic) == (True, False, True)
        with cudnn.flags(enabled=True, allow_tf32=False):  # as a third party's extractor may do
            assert set(float32_precision().values()) <= {"ieee", "none", "highest", "False"}
            assert torch.backends.fp32_precision == torch.backends.cudnn.fp32_precision == "ieee"
    assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic) == (False, True, False)
    assert dict(float32_precision()) == dict(found)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("wanted", ["fp32", "tf32"])
def test_a_training_precision_leaves_settings_as_they_were(name: str, wanted: str) -> None:
    SETTINGS[name]()
    found = float32_precision()
    with loop.in_precision(wanted, torch.device("cuda")):
        assert torch.get_float32_matmul_precision() == {"fp32": "highest", "tf32": "high"}[wanted]
        assert torch.backends.cudnn.allow_tf32 == (wanted == "tf32")
    assert operations() == {name: value for name, value in found.items() if "." in name}


@pytest.mark.parametrize("name", SETTINGS)
def test_metrics_of_neighbours_do_not_depend_on_settings(name: str) -> None:
    draw = torch.Generator().manual_seed(0)
    sides = [torch.randn(90, 4, generator=draw) for _ in range(2)]
    expected = density_coverage(*sides)
    SETTINGS[name]()
    assert density_coverage(*sides) == expected


def test_full_precision_asked_for_is_no_change() -> None:
    before, world_before = float32_precision(), world.snapshot()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    assert float32_precision() == before
    assert world.changes(world_before, world.snapshot()) == []
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    assert float32_precision() != before
    assert len(world.changes(world_before, world.snapshot())) == 1
    assert before != dict(before)


def test_an_older_setting_that_torch_does_not_tell_is_no_change_once_extraction_has_replaced_it() -> None:
    torch.backends.cudnn.conv.fp32_precision = torch.backends.cudnn.rnn.fp32_precision = "ieee"
    before, world_before = float32_precision(), world.snapshot()
    assert before["TF32 in convolutions"] == "mixed"
    with full_float32():
        pass
    assert float32_precision() == before
    assert world.changes(world_before, world.snapshot()) == []
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    assert float32_precision() != before


def test_a_torch_without_the_newer_interface_has_the_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_GENERAL", ())
    monkeypatch.setattr(precision, "_OPERATIONS", ())
    torch.set_float32_matmul_precision("medium")
    assert dict(float32_precision()) == {"products": "medium", "TF32 in convolutions": "True"}
    with full_float32():
        assert torch.get_float32_matmul_precision() == "highest"
    assert torch.get_float32_matmul_precision() == "medium"
    with loop.in_precision("tf32", torch.device("cuda")):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == "medium"


def test_sweeps_need_no_newer_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older:
        """`torch.backends` without it."""

    during: list[str] = []
    product = torch.mm

    def noted(*sides: Tensor, out: Tensor) -> Tensor:
        during.append(torch.get_float32_matmul_precision())
        return product(*sides, out=out)

    torch.set_float32_matmul_precision("high")
    with monkeypatch.context() as patched:
        patched.setattr(torch, "backends", Older)
        patched.setattr(torch, "mm", noted)
        sweep(torch.ones(4, 2), torch.zeros(3, 2), [], filtered=True)
    assert during == ["highest"]
    assert torch.get_float32_matmul_precision() == "high"
