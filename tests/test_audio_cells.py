"""The artifacts that a cell saves for clips, and the contract on clips."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest
import torch
from PIL import Image

from genbench import datasets
from genbench.cell.artifacts import save_artifacts
from genbench.config import Budget, Cell, ModelSpec, Settings
from genbench.contract import Contract, run_contract
from genbench.contract.case import Case, Subject
from genbench.errors import PluginError
from genbench.evaluation import controls, sampling
from genbench.kinds.audio import Audio
from genbench.seeding import generator

SPEC = "tones:seconds=0.2,rate=4000,count=40,held_out=20"
MODEL = '''"""A model of clips that learns how loud they are."""

import genbench
import torch
from torch import nn

VALUE = 0.0


@genbench.hookimpl
def build_model(data, training, options, device):
    if data.kind != "audio":
        raise genbench.Unsuitable("takes only clips")
    return build(data.shape, device, **options)


def build(shape, device, rate: float = 0.1):
    network = nn.Linear(1, 1, bias=False).to(device)
    network.shape = tuple(shape)
    optimizer = torch.optim.SGD(network.parameters(), rate)
    return genbench.Model(nn.ModuleDict({"network": network}), {"optimizer": optimizer})


@genbench.hookimpl
def train_step(model, batch, labels, step):
    network = model.networks["network"]
    loss = (network.weight.sum() - batch.square().mean()).square()
    model.optimizers["optimizer"].zero_grad()
    loss.backward()
    model.optimizers["optimizer"].step()
    return {"loss": loss.detach()}


@genbench.hookimpl
def sample(model, count, generator):
    network = model.networks["network"]
    noise = torch.rand((count, *network.shape), generator=generator, device=network.weight.device)
    return (noise * network.weight.sum().clamp(-1, 1) + VALUE)LENGTH
'''


def written(path: Path, value: float = 0.0, length: str = "") -> str:
    path.write_text(MODEL.replace("VALUE = 0.0", f'VALUE = float("{value}")').replace("LENGTH", length))
    return str(path)


def test_a_cell_leaves_a_picture_and_wav_files_beside_its_record(tmp_path: Path) -> None:
    data = datasets.load(SPEC)
    cell = Cell(ModelSpec("copycat"), SPEC, 0, Settings(budget=Budget.parse("1steps")))
    quiet = controls.draw("copycat", data, 20, generator(0, "test")) // 100
    paths = save_artifacts(tmp_path, cell, "0123456789", data, quiet, data.held_out.items)
    pictures = {name: path for name, path in paths.items() if path.endswith(".png")}
    assert set(pictures) == {"samples", "reference", "reconstructions"}
    for path in pictures.values():
        with Image.open(tmp_path / path) as picture:
            assert picture.size[0] == 600, "the picture should have the full width of a montage"
    sounds = {name: path for name, path in paths.items() if path.endswith(".wav")}
    assert set(sounds) == {f"{what}, {n}" for what in ("samples", "reference", "reconstructions") for n in range(1, 9)}
    with wave.open(str(tmp_path / sounds["samples, 3"]), "rb") as file:
        assert file.getframerate() == 4_000
        stored = torch.frombuffer(bytearray(file.readframes(9999)), dtype=torch.int16)
    assert torch.equal(stored, quiet[2, 0]), "the clip's volume should be unchanged"


def test_the_contract_has_cases_of_clips(tmp_path: Path) -> None:
    assert str(Case.of((1, 64), 10)) == "1x64 clips with labels"
    outcomes = run_contract(Contract(written(tmp_path / "loud.py"), [(2, 30)]))
    assert {outcome.check.name: outcome.text for outcome in outcomes if outcome.status == "failed"} == {}
    passed = {outcome.check.name for outcome in outcomes if outcome.status == "ok"}
    assert passed >= {"sample", "resume", "checkpoint", "losses", "movement"}


@pytest.mark.parametrize(
    ("value", "length", "message"),
    [
        (1.5, "", "expected values in [-1, 1]; end the network with tanh"),
        (float("nan"), "", "NaN"),
        (0.0, "[..., :-1]", "(20, 1, 799), expected (20, 1, 800)"),
    ],
)
def test_a_sampler_of_other_values_or_another_length_is_one_line(
    tmp_path: Path, value: float, length: str, message: str
) -> None:
    plugin = Contract(written(tmp_path / "bad.py", value, length), [(1, 800)])._load()
    data = datasets.load(SPEC)
    subject = Subject(plugin, {}, Case("audio", (1, 800), None), torch.device("cpu"), Audio(4_000))
    with pytest.raises(PluginError) as error:
        sampling.draw(plugin, subject.build(), data, 20, 0, torch.device("cpu"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sampler_of_a_constant_is_drawn_and_belongs_to_no_mode(tmp_path: Path) -> None:
    plugin = Contract(written(tmp_path / "dc.py", 0.5), [(1, 800)])._load()
    data = datasets.load(SPEC)
    subject = Subject(plugin, {}, Case("audio", (1, 800), None), torch.device("cpu"), Audio(4_000))
    model = subject.build()
    with torch.no_grad():
        model.networks["network"].weight.zero_()
    items, _ = sampling.draw(plugin, model, data, 4, 0, torch.device("cpu"))
    assert items.unique().tolist() == [16383]
    assert data.nearest_mode is not None
    assert data.nearest_mode(items).tolist() == [-1] * 4
