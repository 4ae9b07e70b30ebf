"""Every installed model passes the contract, which skips what does not apply and leaves no trace."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_pieces import DRAW, SAMPLE

from genbench.contract import CHECKS, SHAPES, Contract, Outcome, contract_tests, run_contract
from genbench.errors import InputError
from genbench.plugin import finding, loading

SMALL = [(1, 8, 8)]
IMAGES = [shape for shape in SHAPES if len(shape) == 3]
# Options with which the same code takes a fifth to three fifths less time.
OPTIONS = {
    "ae": ":hidden=64",
    "conv-ae": ":channels=8",
    "conv-vae": ":channels=8",
    "dcgan": ":channels=8",
    "rnn": ":embedding=16,hidden=16",
    "seq2seq-vae": ":embedding=16,hidden=16",
    "seqgan": ":embedding=16,hidden=16",
    "transformer": ":width=16",
    "vae": ":hidden=32",
    "wavegan": ":critic_steps=2,channels=4",
}
# These models see only the number of values in an item, and their running time grows with it.
FLATTEN = ("gan", "vae", "ae", "ppca")
# The checks that are skipped for a plugin without optional hooks.
OPTIONAL = {"before_training", "before_sampling", "sample_labels", "reconstruct", "encode", "log_likelihood"}
OPTIONAL |= {"capturable", "likelihood_bound"}


def failed(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.check.name: outcome.text for outcome in outcomes if outcome.status == "failed"}


def test_a_good_model_passes_all_that_applies(tiny: Path) -> None:
    outcomes = run_contract(Contract(f"{tiny}:width=16", IMAGES))
    assert failed(outcomes) == {}
    assert {outcome.check.name for outcome in outcomes if outcome.status == "ok"} == set(CHECKS) - OPTIONAL
    reasons = {outcome.text for outcome in outcomes if outcome.status == "skipped"}
    assert reasons == {
        "sample takes no labels",
        "the model does not declare capturable",
        *(f"the plugin has no {hook}" for hook in OPTIONAL & set(loading.hook_names())),
    }


@pytest.mark.parametrize("model", finding.installed())
def test_each_installed_model(model: str) -> None:
    shapes = [(3, 9, 7), (12,), (2, 50)] if model in FLATTEN else [(1, 8, 8), (3, 32, 32), (12,), (2, 300)]
    contract = Contract(f"{model}{OPTIONS.get(model, '')}", shapes)
    outcomes = run_contract(contract)
    assert failed(outcomes) == {}
    built = [outcome.case for outcome in outcomes if outcome.check.name == "build" and outcome.status == "ok"]
    kinds = {case.kind for case in built if case is not None}
    assert kinds, "the model takes no kind of item"
    assert built == [case for case in contract.cases if case.kind in kinds], (
        "the model refuses a shape of a kind that it takes"
    )


def test_shapes_that_a_model_refuses_are_skipped_with_its_reason(write_plugin) -> None:
    path = write_plugin(
        "    net = nn", '    if shape[1] < 16:\n        raise ValueError("sides from 16")\n    net = nn'
    )
    outcomes = run_contract(Contract(str(path), [(1, 8, 8), (1, 16, 16)]))
    assert failed(outcomes) == {}
    refused = [outcome for outcome in outcomes if outcome.case and outcome.case.shape == (1, 8, 8)]
    assert {(outcome.status, outcome.text) for outcome in refused} == {
        ("skipped", "build_model refuses 1x8x8 images: sides from 16")
    }
    assert {outcome.status for outcome in outcomes if outcome.check.name in ("memory", "options")} == {"ok"}


def test_randomness_that_cannot_be_told_apart_by_image_is_no_fault(write_plugin) -> None:
    path = write_plugin(DRAW, f"{DRAW}    torch.randperm(count, generator=generator)\n")
    outcomes = run_contract(Contract(str(path), SMALL))
    assert failed(outcomes) == {}
    reasons = {outcome.text for outcome in outcomes if outcome.check.name == "sample_batch_size"}
    assert reasons == {"sample draws randomness that is not one row per image"}


class _Memory:
    def __init__(self, available: int) -> None:
        self.available = available


@pytest.mark.parametrize(("states", "fits"), [(8, False), (10, True)])
def test_checks_that_do_not_fit_into_memory_are_refused_before_they_begin(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, states: int, fits: bool
) -> None:
    contract = Contract(f"{tiny}:width=16", [(1, 8, 16)])
    networks = contract.subject(contract.cases[0]).build().networks
    state = 4 * 4 * sum(weight.numel() for weight in networks.parameters())
    monkeypatch.setattr("psutil.virtual_memory", lambda: _Memory(states * state))
    if fits:
        contract.refuse_bad_input()
        return
    with pytest.raises(InputError, match=r"0\.0 GiB of weights on 1x8x16, .* check a smaller shape") as refused:
        contract.refuse_bad_input()
    assert len(str(refused.value).splitlines()) == 1


def test_the_default_shapes_are_not_built_to_weigh_them(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []
    monkeypatch.setattr("genbench.contract.case.Subject.build", built.append)
    Contract(str(tiny), SMALL).refuse_bad_input()
    assert built == []


def test_what_is_no_model_is_left_to_the_checks(write_plugin) -> None:
    contract = Contract(
        str(write_plugin("    return Model(", "    return None or (lambda *_, **__: None)(")), [(1, 8, 16)]
    )
    contract.refuse_bad_input()
    assert "to return a genbench.Model" in str(contract.result(CHECKS["build"], contract.cases[0]))


@pytest.mark.parametrize(
    ("model", "device", "message"),
    [
        ("dcgam", "cpu", "unknown model 'dcgam'; did you mean dcgan"),
        ("./none.py", "cpu", "model file ./none.py does not exist"),
        ("{tiny}:widht=3", "cpu", "model 'tiny' (file): unknown option 'widht'; did you mean width?"),
        ("{tiny}:width=0.5", "cpu", "option width: int = 256 cannot be 0.5"),
        ("{tiny}", "abacus", "device 'abacus'"),
    ],
)
def test_bad_input_is_no_fault_of_the_plugin(tiny: Path, model: str, device: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        run_contract(Contract(model.format(tiny=tiny), SMALL, device))
    assert message in str(error.value)


def test_state_in_another_module_of_a_package_is_found(
    write_plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = "    loss.backward()\n"
    count = "    counter.STEPS += 1\n    loss = loss * counter.STEPS\n"
    source = write_plugin(step, count + step).read_text()
    for name, text in {
        "hidden_package/__init__.py": "",
        "hidden_package/counter.py": "STEPS = 0\n",
        "hidden_package/model.py": source.replace(
            "import torch\n", "import torch\nfrom hidden_package import counter\n", 1
        ),
        "hidden-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: hidden\nVersion: 1\n",
        "hidden-1.dist-info/entry_points.txt": "[genbench]\nhidden = hidden_package.model\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    outcomes = failed(run_contract(Contract("hidden", SMALL)))
    assert list(outcomes) == ["resume"]
    assert "keep all state in Model, none in globals" in outcomes["resume"]


def test_global_state_is_as_before_whatever_a_plugin_does(write_plugin) -> None:
    mess = ["import os, random", "os.environ['GENBENCH_X'] = '1'", "os.chdir('/')", "random.seed(0)"]
    mess += ["torch.set_num_threads(3)", "torch.set_default_dtype(torch.float64)", "torch.manual_seed(0)"]
    path = write_plugin("    loss.backward()\n", "".join(f"    {line}\n" for line in ["loss.backward()", *mess]))
    before = shared_state()
    assert failed(run_contract(Contract(str(path), SMALL)))
    assert shared_state() == before


def shared_state() -> list[object]:
    generators = [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]
    return [dict(os.environ), Path.cwd(), torch.get_num_threads(), torch.get_default_dtype(), *generators]


def test_the_pytest_function_of_an_author(write_plugin) -> None:
    path = write_plugin(SAMPLE, f"{SAMPLE} * 3")
    test_contract = contract_tests(str(path), shapes=SMALL)
    assert test_contract.__name__ == "test_contract"
    rows = {row.id: row.values for row in test_contract.pytestmark[0].args[1]}
    assert len(rows) == sum(1 if check.once else 2 for check in CHECKS.values())
    test_contract(*rows["loads"])
    with pytest.raises(pytest.skip.Exception, match="needs sample, which failed"):
        test_contract(*rows["resume-image-1x8x8-no-labels"])
    with pytest.raises(pytest.fail.Exception) as failure:
        test_contract(*rows["sample-image-1x8x8-labels"])
    assert not failure.value.pytrace
    expected, change = failure.value.msg.splitlines()
    assert re.fullmatch(
        r"faulty, 1x8x8 images with labels: expected sample to return values in \[-1, 1\], found values in \[.*",
        expected,
    )
    assert change == "to fix it: end the network with tanh, or with .clamp(-1, 1) in the hook"


def test_without_pytest_one_line_says_so() -> None:
    code = "import sys; sys.modules['pytest'] = None; import genbench.contract"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.stderr.splitlines()[-1] == "ModuleNotFoundError: genbench.contract needs pytest: pip install pytest"
