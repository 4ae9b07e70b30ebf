"""The contract of extractors: each broken promise fails its own check and no other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import torch
from small_extractor import BUILDS, PLUGIN, READS, RETURNS, Place, placing

from genbench.cli import cli
from genbench.contract import BroughtContract
from genbench.contract.fault import Caution, Fault, Unmet


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return placing(tmp_path, monkeypatch.syspath_prepend)


def outcomes(name: str = "small") -> dict[str, Fault | Caution | Unmet | None]:
    contract = BroughtContract(name, "extractor")
    return {check.name: contract.result(check) for check, _ in contract.items()}


def failed(found: dict[str, Fault | Caution | Unmet | None]) -> list[str]:
    return [name for name, outcome in found.items() if isinstance(outcome, Fault)]


def test_a_sound_extractor_keeps_its_whole_contract(place: Place) -> None:
    place()
    assert set(outcomes().values()) == {None}


@pytest.mark.parametrize(
    ("old", "new", "check", "message"),
    [
        ("@hookimpl\n", "", "loads", "does not implement build_extractor"),
        (PLUGIN[: PLUGIN.index("\n")], "", "docstring", "a docstring whose first line describes the extractor"),
        (BUILDS, "    raise KeyError('x')\n", "builds", "that it raised KeyError: 'x'"),
        (BUILDS, "    raise Unsuitable('no')\n", "builds", "only refusals: 1x8x8 images: no"),
        ("network.to(device)", "network.forward", "builds", "to return a torch.nn.Module, found method"),
        (RETURNS, "        raise KeyError('x')\n", "features", "the network on 1x8x8 images to return"),
        (RETURNS, "        return features[0]\n", "features", "the network to return (5, D), found (3,)"),
        (RETURNS, "        return features[:, :0]\n", "features", "the network to return (5, D), found (5, 0)"),
        (RETURNS, "        return features, features[:, :0]\n", "features", "to return (5, K), found (5, 0)"),
        (RETURNS, "        return features[:, : len(batch)]\n", "features", "2 features of 2 items, 1 features of 1"),
        (RETURNS, "        return features / features.sum(1, True).isnan()\n", "features", "are NaN or infinite"),
        (
            RETURNS,
            "        return features / batch.flatten(1).float().std(1, keepdim=True)\n",
            "finite",
            "NaN or infinite",
        ),
        (RETURNS, "        return features + torch.rand(())\n", "repeats", "different features the second time"),
        (
            BUILDS,
            f"{BUILDS}    import random\n    network.offset += random.random()\n",
            "repeats",
            "newly built network",
        ),
        (RETURNS, "        return features - features.mean(0)\n", "batch", "others of 1x8x8 images alone"),
        (RETURNS, "        return features + torch.arange(len(batch))[:, None]\n", "batch", "images alone"),
        (BUILDS, f"{BUILDS}    network.scale = [torch.ones(3)]\n", "weights", "found Network.scale that is neither"),
        (BUILDS, f"{BUILDS}    network.other = [nn.Linear(2, 2)]\n", "weights", "found Network.other that is neither"),
        (
            RETURNS,
            "        self.seen += 1\n        return features\n",
            "weights",
            "different ones after a forward pass",
        ),
        (RETURNS, "        return batch.flatten(1)[:, :4].float()\n", "follows_weights", "found the same features"),
        (BUILDS, f"{BUILDS}    torch.set_num_threads(1 + torch.get_num_threads())\n", "global_state", "number of thre"),
        (RETURNS, "        torch.rand(1)\n        return features\n", "global_state", "torch's global generator"),
    ],
)
def test_each_broken_promise_fails_its_own_check_alone(
    place: Place, old: str, new: str, check: str, message: str
) -> None:
    counting = PLUGIN.replace(
        "        self.reg", "        self.register_buffer('seen', torch.zeros(1))\n        self.reg"
    )
    place(old, new, source=counting if "seen" in new else PLUGIN)
    found = outcomes()
    assert failed(found) == [check]
    assert message in str(found[check])


def test_an_extractor_without_parameters_or_with_a_file_of_weights_is_checked_too(place: Place, tmp_path: Path) -> None:
    place(
        "self.linear(batch.flatten(1)[:, :4].float())",
        "batch.flatten(1)[:, :3].float()",
        source=PLUGIN.replace("        self.linear = nn.Linear(4, 3)\n", ""),
    )
    assert [name for name, outcome in outcomes().items() if outcome is not None] == ["follows_weights"]
    place(f"(data, device):\n{BUILDS}", f"(data, weights, device):{READS}")
    state = {"linear.weight": torch.ones(3, 4), "linear.bias": torch.zeros(3), "offset": torch.zeros(3)}
    torch.save(state, tmp_path / "w.pth")
    assert set(outcomes(f"small:weights={tmp_path}/w.pth").values()) == {None}
    assert failed(outcomes("small:width=3")) == ["builds"]
    assert failed(outcomes("small")) == ["builds"]


# The page

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "write-an-extractor.md").read_text()


def test_every_command_of_the_page_takes_what_it_is_given() -> None:
    shown = [shlex.split(line) for line in re.findall(r"^\$ genbench (.*)$", PAGE, re.MULTILINE)]
    assert len(shown) == 4
    for words in shown:
        at: click.Command = cli
        while isinstance(at, click.Group):
            at = at.commands[words.pop(0)]
        at.make_context(at.name, words, resilient_parsing=False).close()
