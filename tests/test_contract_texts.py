"""The contract on texts: a text model passes, each fault fails its own check, and image models are skipped."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from genbench.cli.plugin import plugin
from genbench.contract import CHECKS, Contract, Outcome, run_contract
from genbench.contract.case import Case, Subject
from genbench.contract.fault import Fault, Refused
from genbench.kinds.text import Text

BIGRAM = Path(__file__).parent / "models" / "bigram.py"
SHAPES = [(6,)]
NATS = "    return nats(model, batch)\n"
DRAWN = "    return torch.stack(tokens, 1)\n"
COPY = "    return batch.clone()\n"
REFUSE = '    if data.kind != "image":\n        raise Unsuitable("it makes images")\n'


def failed(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.check.name: outcome.text for outcome in outcomes if outcome.status == "failed"}


def test_a_model_of_texts_passes_all_that_applies() -> None:
    outcomes = run_contract(Contract(str(BIGRAM), [(1, 8, 8), (6,)]))
    assert failed(outcomes) == {}
    reasons = {outcome.text for outcome in outcomes if outcome.status == "skipped"}
    assert reasons == {
        "unsuitable for 1x8x8 images without labels: takes only texts",
        "unsuitable for 1x8x8 images with labels: takes only texts",
        "the plugin has no before_training",
        "the plugin has no before_sampling",
        "sample takes no labels",
        "the model does not declare capturable",
    }
    for case in ("length-6 texts without labels", "length-6 texts with labels"):
        passed = {each.check.name for each in outcomes if str(each.case) == case and each.status == "ok"}
        assert passed >= {"sample", "resume", "checkpoint", "log_likelihood", "reconstruct", "encode", "flops"}
    once = {each.check.name for each in outcomes if each.case is None and each.status == "ok"}
    assert once == {"loads", "docstring", "options", "ranks", "memory", "likelihood_bound"}


def test_the_probabilities_of_the_model_sum_to_one() -> None:
    contract = Contract(str(BIGRAM), SHAPES)
    kind = Text(("", "a", "b"))
    subject = Subject(contract._load(), {}, Case("text", (4,), None), torch.device("cpu"), kind)
    every = [torch.tensor([*each, *[0] * (4 - n)]) for n in range(5) for each in itertools.product((1, 2), repeat=n)]
    found = subject.call(subject.untrained, "log_likelihood", batch=torch.stack(every), generator=subject.generator())
    assert float(found.double().exp().sum()) == pytest.approx(1.0, abs=1e-6)


FAULTS = {
    "floats": (
        "sample",
        "sample to return int64 tokens of shape (7, 6), found torch.float32\nto fix it: take the argmax, or draw",
        [(DRAWN, DRAWN.replace("1)", "1).float()"))],
    ),
    "short integers": ("sample", "found torch.int32", [(DRAWN, DRAWN.replace("1)", "1).int()"))]),
    "a token above the range": (
        "sample",
        "sample to return 0 to 26, found tokens from ",
        [(DRAWN, DRAWN.replace("1)", "1) + 27"))],
    ),
    "a token below the range": ("sample", "found tokens from -1 to ", [(DRAWN, DRAWN.replace("1)", "1) - 1"))]),
    "a different length": (
        "sample",
        "sample to return (7, 6), found (7, 5)",
        [(DRAWN, DRAWN.replace("1)", "1)[:, 1:]"))],
    ),
    "one text": (
        "sample_repeats",
        "found the same items",
        [("uniform = torch.rand(", "uniform = 0.5 + 0 * torch.rand(")],
    ),
    "no end": (
        "likelihood_bound",
        "exp(log_likelihood) over the 31 texts of up to 4 symbols of two to sum to at most 1, found ",
        [("masked_fill(~written", "masked_fill(ends")],
    ),
    "half a likelihood": (
        "likelihood_bound",
        "to fix it: normalise over all data.levels symbols, count the end of a text that has one, and the cost",
        [(NATS, NATS.replace("nats(", "0.5 * nats("))],
    ),
    "above 0": (
        "log_likelihood",
        "log_likelihood to be at most 0, because stored texts are discrete and have probabilities, found ",
        [(NATS, NATS.replace("nats(", "99 + nats("))],
    ),
    "restored as floats": ("reconstruct", "int64 tokens of shape (8, 6)", [(COPY, "    return batch.float()\n")]),
    "restored in part": ("reconstruct", "to return (8, 6), found (8, 5)", [(COPY, "    return batch[:, 1:]\n")]),
    "restored together": ("reconstruct", "to treat each item independently", [(COPY, "    return batch.flip(0)\n")]),
    "a code of tokens": (
        "encode",
        "encode to return floats, found torch.int64",
        [("(batch).mean(1)", "(batch).long().sum(1)")],
    ),
}
LOOKED_AT = ("sample", "sample_repeats", "reconstruct", "encode", "log_likelihood", "likelihood_bound")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_on_texts_fails_its_own_check_alone(tmp_path: Path, name: str) -> None:
    check, message, edits = FAULTS[name]
    source = BIGRAM.read_text()
    for old, new in edits:
        assert old in source
        source = source.replace(old, new, 1)
    path = tmp_path / "faulty.py"
    path.write_text(source)
    contract = Contract(str(path), SHAPES)
    case = contract.cases[0]
    results = {each: contract.result(CHECKS[each], None if CHECKS[each].once else case) for each in LOOKED_AT}
    faults = {each: str(result) for each, result in results.items() if isinstance(result, Fault)}
    assert list(faults) == [check]
    assert message in faults[check]


def test_a_model_that_does_not_refuse_texts_fails_on_them(write_plugin: Callable[..., Path]) -> None:
    outcomes = run_contract(Contract(f"{write_plugin(REFUSE)}:width=16", [(1, 8, 8), (6,)]))
    assert {(each.check.name, each.case.kind) for each in outcomes if each.status == "failed" and each.case} == {
        ("losses", "text")
    }


@pytest.mark.parametrize("model", ["gan", "dcgan", "vae", "conv-vae", "ae", "conv-ae", "ppca"])
def test_models_of_images_skip_texts(model: str) -> None:
    contract = Contract(model, [(1, 8, 8), (12,)])
    _, _, *texts = contract.cases
    assert [case.kind for case in texts] == ["text", "text"]
    for case in texts:
        result = contract.result(CHECKS["build"], case)
        assert isinstance(result, Refused)
        assert str(result).startswith(f"unsuitable for {case}: takes ")
    assert isinstance(contract.result(CHECKS["sample"], texts[0]), Refused)


def test_the_command_names_what_is_skipped_and_exits_with_0(write_plugin: Callable[..., Path]) -> None:
    path = write_plugin("= 256", "= 8")
    answer = CliRunner().invoke(plugin, ["check", str(path), "--shape", "1x8x8", "--shape", "12"])
    assert answer.exit_code == 0, answer.output
    assert "unsuitable for length-12 texts with labels: it makes images" in " ".join(answer.output.split())


@pytest.mark.parametrize(("old", "told"), [(REFUSE, True), ("    loss.backward()\n", False)])
def test_where_all_that_failed_is_on_texts_the_command_says_how_to_refuse_them(
    write_plugin: Callable[..., Path], old: str, told: bool
) -> None:
    path = write_plugin(old, "")
    path.write_text(path.read_text().replace("= 256", "= 8"))
    answer = CliRunner().invoke(plugin, ["check", str(path), "--shape", "1x8x8", "--shape", "12"])
    assert answer.exit_code == 1
    line = "every failure is on texts: if the model does not support them, let build_model say so"
    assert (line in " ".join(answer.output.split())) == told


def test_texts_alone_are_no_shape_for_a_model_of_images() -> None:
    contract = Contract("ppca", SHAPES)
    result = contract.result(CHECKS["build"], contract.cases[0])
    assert isinstance(result, Fault)
    assert "unsuitable for length-6 texts without labels: takes no texts" in str(result)


def test_a_case_is_named_by_its_length() -> None:
    assert str(Case.of((12,), 10)) == "length-12 texts with labels"
    assert Case.of((12,), None).id == "text-length-12-no-labels"
    assert str(Case.of((1, 8, 8), None)) == "1x8x8 images without labels"
