"""Faulty datasets and metrics of plugins: one line, one missing number, and nothing else affected."""

from __future__ import annotations

import contextlib
import itertools
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from genbench import Evidence, NotMeasurable, datasets
from genbench.cell import preflight
from genbench.contract import BroughtContract, run_contract
from genbench.contract.brought.evidence import drawn
from genbench.errors import InputError, PluginError
from genbench.evaluation import brought
from genbench.evaluation.selection import select
from genbench.plugin import finding
from genbench.plugin.families import DATASET, METRIC, Family
from genbench.plugin.leftovers import Others

DATA = '''"""Grey images."""

import random
import sys

import torch

from genbench import Splits, hookimpl


@hookimpl
def load_dataset(options):
    return draw(**options)


def draw(size: int = 4, held_out: int = 6):
    items = torch.randint(256, (20 + held_out, 1, size, size), dtype=torch.uint8,
                          generator=torch.Generator().manual_seed(3))
    labels = torch.arange(20 + held_out) % 2
    more = {}
    return Splits(train=items[:20], held_out=items[20:], licence="CC0", train_labels=labels[:20],
                  held_out_labels=labels[20:], **more)
'''
MEASURE = '''"""The gap of means."""

import random

import torch

from genbench import Metric, NotMeasurable, Value, hookimpl


@hookimpl
def define_metric():
    return Metric(name="gap", values=(Value("mean_gap", "lower"),), needs=("samples", "reference"), least_count=2,
                  function=measure, summary="distance of means", paper="none")


def measure(evidence):
    gap = (evidence.samples.double().mean(0) - evidence.reference.double().mean(0)).norm()
    return {"mean_gap": gap}
'''
RETURN = '    return {"mean_gap": gap}\n'
_numbers = itertools.count()

Place = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Install a plugin as pip would, with one piece of its source replaced, and return its distribution."""
    placed: list[str] = []

    def write(family: Family, name: str, source: str, old: str = "", new: str = "") -> str:
        assert old in source
        module = f"placed_{next(_numbers)}"
        metadata = tmp_path / module / f"{module}-0.1.0.dist-info"
        metadata.mkdir(parents=True)
        (tmp_path / module / f"{module}.py").write_text(source.replace(old, new, 1) if old else source)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1.0\n")
        (metadata / "entry_points.txt").write_text(f"[{family.group}]\n{name} = {module}\n")
        monkeypatch.syspath_prepend(tmp_path / module)
        placed.append(module)
        return module

    yield write
    for module in placed:
        sys.modules.pop(module, None)


def data(place: Place, old: str = "", new: str = "") -> str:
    return place(DATASET, "grey", DATA, old, new)


def measure(place: Place, old: str = "", new: str = "") -> str:
    return place(METRIC, "gap", MEASURE, old, new)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return drawn("image", 32, 0)


# Datasets


def test_a_dataset_is_what_its_plugin_gives_with_the_part_that_is_asked_for(place: Place) -> None:
    distribution = data(place)
    whole, part = datasets.load("grey"), datasets.load("grey:fraction=0.5,held_out=4")
    assert whole.plugin is not None
    assert (whole.plugin["distribution"], whole.plugin["version"]) == (distribution, "0.1.0")
    assert (len(whole.train), len(whole.held_out), whole.class_names) == (20, 6, ("0", "1"))
    # `held_out` is the builder's own option here, so ten fewer items are drawn and none are left out.
    assert (len(part.train), len(part.held_out), part.plugin) == (10, 4, whole.plugin)
    assert datasets.load("grey:size=5").shape == (1, 5, 5)
    assert datasets.load("grey").fingerprint == whole.fingerprint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("import torch\n", "import torch_of_nobody\n", "import failed: ModuleNotFoundError: No module named"),
        ("@hookimpl\n", "", "does not implement load_dataset; write the function and mark it"),
        ("    more = {}\n", "    raise KeyError('x')\n", "load_dataset raised KeyError: 'x'"),
        ("    more = {}\n", "    sys.exit(3)\n", "load_dataset raised SystemExit: 3"),
        ("    more = {}\n", "    return items\n", "load_dataset returned Tensor, expected genbench.Splits"),
        ("items[:20]", "items[:20].float()", "gave train as torch.float32, expected a tensor of torch.uint8"),
        ("items[20:]", "items[20:, :, 1:]", "gave items of two shapes, (1, 4, 4) and (1, 3, 4)"),
        ("items[20:]", "items[:0]", "gave held_out of shape (0, 1, 4, 4), which hold nothing"),
        ("items[20:]", "items[20:, 0, 0]", "gave held_out of shape (6, 4), which are no images"),
        ("labels[20:]", "None", "gave train_labels without held_out_labels"),
        ("labels[20:]", "labels[20:] + 5", "gave held-out items of class 5 and none to train on"),
        ("labels[20:]", "labels[20:] - 1", "gave labels from -1 to 1, expected 0 to 1"),
        ("labels[20:]", "labels[20:].int()", "gave held_out_labels as torch.int32, expected a tensor of torch.int64"),
        ("more = {}", "more = {'kind': 'film'}", "gave items of kind 'film', expected one of image, text, audio"),
        ("more = {}", "more = {'kind': 'audio'}", "gave clips without sample_rate; say what it is"),
        ("more = {}", "more = {'sample_rate': 8}", "gave sample_rate of images, which have none"),
        ("more = {}", "more = {'mode_count': 8}", "gave mode_count without nearest_mode"),
        ('licence="CC0"', 'licence="two\\nlines"', "gave licence 'two\\nlines', expected one line of text"),
        (
            "    more = {}\n",
            "    more = {}\n    torch.manual_seed(1)\n",
            "changed the state of torch's global generator",
        ),
        ("    more = {}\n", "    more = {}\n    random.seed(1)\n", "changed the state of Python's random"),
        ("    more = {}\n", "    more = {}\n    torch.set_num_threads(7)\n", "changed torch's number of threads"),
    ],
)
def test_a_dataset_at_fault_is_one_line(place: Place, old: str, new: str, message: str) -> None:
    distribution = data(place, old, new)
    states = random.getstate(), torch.get_rng_state(), torch.get_num_threads()
    with pytest.raises(InputError) as caught:
        datasets.load("grey")
    assert str(caught.value).startswith(f"dataset 'grey' ({distribution} 0.1.0): ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert torch.get_num_threads() == states[2]


@pytest.mark.parametrize(
    ("tokens", "symbols", "message"),
    [
        ("[[1, 2, 0]]", "('', 'a', 'b')", None),
        ("[[1, 3, 0]]", "('', 'a', 'b')", "gave train with tokens from 0 to 3, expected 0 to 2"),
        ("[[1, 0, 2]]", "('', 'a', 'b')", "gave train with symbols after the end of a text, expected only 0"),
        ("[[1, 2, 0]]", "('a', 'b')", "gave symbols that are not the end's '' and then one character each"),
        ("[[1, 2, 0]]", "('', 'a', 'a')", "gave symbols of which two are the same"),
    ],
)
def test_texts_are_closed_and_over_their_symbols(place: Place, tokens: str, symbols: str, message: str | None) -> None:
    made = f"    return Splits(train=t, held_out=t, licence='CC0', kind='text', symbols={symbols})\n"
    data(place, "    more = {}\n", f"    t = torch.tensor({tokens}, dtype=torch.int16)\n{made}")
    if message is None:
        assert datasets.load("grey").kind.levels == 3
    else:
        with pytest.raises(InputError, match=message.replace("(", r"\(")):
            datasets.load("grey")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("grey:siz=4", "dataset 'grey:siz=4': unknown option 'siz'; did you mean size?"),
        ("grey:size=big", "option size: int = 4 cannot be 'big'"),
        ("grey:size=4,size=5", "option size is given twice"),
        ("grey:size", "option 'size' is not of the form name=value"),
        ("grey:fraction=0", "fraction must be a number above 0"),
        ("gray", "unknown dataset 'gray'; did you mean grey?"),
    ],
)
def test_what_is_asked_for_wrongly_is_one_line(place: Place, spec: str, message: str) -> None:
    data(place)
    with pytest.raises(InputError) as caught:
        datasets.load(spec)
    assert message in str(caught.value)


def test_an_image_size_that_the_hook_does_not_take_is_refused(place: Place) -> None:
    data(place)
    with pytest.raises(InputError, match="--image-size 8 has no effect on it; leave it out"):
        datasets.load("grey", image_size=8)


def test_what_a_dataset_prints_is_no_output_of_the_command(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    data(place, "    more = {}\n", "    more = {}\n    print('chatter')\n")
    datasets.load("grey")
    assert capsys.readouterr() == ("", "chatter\n")


def test_two_distributions_of_one_name_are_both_named_and_one_can_be_chosen(place: Place) -> None:
    first, second = data(place), data(place, "size: int = 4", "size: int = 5")
    with pytest.raises(InputError, match="choose one with --plugins-from") as caught:
        datasets.load("grey")
    assert first in str(caught.value)
    assert second in str(caught.value)
    assert datasets.load("grey", plugins_from=[first]).shape == (1, 4, 4)
    with pytest.raises(InputError, match="which --plugins-from does not list"):
        datasets.load("grey", plugins_from=["genbench-gan"])
    assert datasets.reads_data_root("grey")


def test_a_name_of_genbenchs_own_is_never_a_plugins(place: Place) -> None:
    place(DATASET, "shapes", DATA)
    assert datasets.load("shapes:count=4,held_out=2").plugin is None


def test_another_source_is_another_dataset(place: Place) -> None:
    distribution = data(place)
    before = finding.find_brought(DATASET, "grey").provenance().code
    assert datasets.load("grey").plugin == before
    path = Path(finding.find_brought(DATASET, "grey").path or "")
    path.write_text(f"{path.read_text()}# changed\n")
    after = finding.find_brought(DATASET, "grey").provenance().code
    assert after != before
    assert after["distribution"] == distribution


# Metrics


def test_a_metric_measures_as_its_function_does_and_says_whose_it_is(place: Place, evidence: Evidence) -> None:
    distribution = measure(place)
    metric = brought.load("gap")
    expected = np.linalg.norm(evidence.samples.double().numpy().mean(0) - evidence.reference.double().numpy().mean(0))
    assert metric.compute(evidence)["mean_gap"] == pytest.approx(float(expected), rel=1e-12)
    assert metric.parameters["plugin"].startswith(f"{distribution} 0.1.0 sha256:")
    assert metric.parameters["directions"] == {"mean_gap": "lower"}
    assert [each.name for each in select(["fd", "gap"], "image")] == ["frechet_distance", "gap"]
    assert "gap" not in [each.name for each in select((), "image")], "installed metrics are measured only on request"
    assert select(["gap"]) == (), "before the data is known, the metric is found but not imported"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("import torch\n", "import torch_of_nobody\n", "import failed: ModuleNotFoundError"),
        ("    return Metric(", "    raise KeyError('x')\n    return Metric(", "define_metric raised KeyError: 'x'"),
        ("    return Metric(", "    return dict(", "define_metric returned dict, expected genbench.Metric"),
        ('name="gap"', 'name="other"', "called 'other', expected the name of its entry point, 'gap'"),
        ('"mean_gap", "lower"', '"fd", "lower"', "called 'fd', which is a number of genbench's own"),
        ('"mean_gap", "lower"', '"Mean gap", "lower"', "called 'Mean gap'; use small letters"),
        ('"mean_gap", "lower"', '"seed", "lower"', "called 'seed', which is a column of results.csv"),
        ('"mean_gap", "lower"', '"fd_ratio", "lower"', "called 'fd_ratio', which is a column"),
        ('"mean_gap", "lower"', '"mean_gap", "down"', "the direction 'down', expected 'lower', 'higher' or None"),
        ('("samples", "reference")', '("sample",)', "needs sample; name fields of genbench.Evidence"),
        ("least_count=2", "least_count=0", "gave least_count 0 and version 1, expected whole numbers from 1"),
        ("function=measure", "function='measure'", "expected one that can be called"),
        ('paper="none"', 'paper="none", kinds=("film",)', "gave kinds ('film',), expected some of"),
        ('paper="none"', 'paper="none", parameters={"seed": 1}', "a parameter called 'seed', which a recipe has"),
    ],
)
def test_an_invalid_metric_is_one_line(place: Place, old: str, new: str, message: str) -> None:
    distribution = measure(place, old, new)
    with pytest.raises(InputError) as caught:
        select(["gap"], "image")
    assert str(caught.value).startswith(f"metric 'gap' ({distribution} 0.1.0): ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("    raise KeyError('x')\n", "its function raised KeyError: 'x'"),
        ("    raise NotMeasurable('gap: why')\n", "gap: why"),
        ("    return gap\n", "gap: returned Tensor, expected a dict of numbers by name"),
        ("    return {'gapp': gap}\n", "gap: returned 'gapp', which is none of its values"),
        ("    return {'mean_gap': 'none'}\n", "gap: returned str for mean_gap, expected a number"),
        ("    return {'mean_gap': '1.5'}\n", "gap: returned str for mean_gap, expected a number"),
        ("    return {'mean_gap': -(10**400)}\n", "gap: returned -inf for mean_gap, expected a finite number"),
        ("    return {'mean_gap': gap * torch.nan}\n", "gap: returned nan for mean_gap, expected a finite number"),
        ("    torch.rand(1)\n" + RETURN, "its function changed the state of torch's global generator"),
        ("    random.random()\n" + RETURN, "its function changed the state of Python's random"),
    ],
)
def test_a_metric_at_fault_is_a_number_that_is_missing_for_a_reason(
    place: Place, evidence: Evidence, new: str, message: str
) -> None:
    measure(place, RETURN, new)
    metric, state = brought.load("gap"), torch.get_rng_state()
    with pytest.raises(NotMeasurable) as caught:
        metric.compute(evidence)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert torch.equal(torch.get_rng_state(), state)


def test_the_threads_of_a_metric_are_not_held_against_a_model(place: Place, evidence: Evidence) -> None:
    measure(
        place,
        RETURN,
        f"    import concurrent.futures\n    concurrent.futures.ThreadPoolExecutor(1).submit(int)\n{RETURN}",
    )
    before = Others.now()
    assert brought.load("gap").compute(evidence)
    assert before.left() == []


def test_a_metric_that_writes_to_its_evidence_fails_the_cell(place: Place) -> None:
    measure(place, RETURN, "    evidence.samples.zero_()\n" + RETURN)
    with pytest.raises(PluginError, match="changed samples of its evidence; work on a copy"):
        brought.load("gap").compute(drawn("image", 8, 0))


@pytest.mark.parametrize("what", ["", "dataset", "items of the dataset", "metrics", "extractor"])
def test_a_cell_is_of_the_plugins_that_it_was_planned_with(place: Place, what: str) -> None:
    data(place)
    measure(place)
    dataset, metrics = datasets.load("grey"), select(["gap"], "image")
    recipe = {"extractor_plugin": "then" if what == "extractor" else "now"}
    code = finding.find_brought(METRIC, "gap").provenance().code
    description = {
        "dataset": {
            "name": "grey",
            "fingerprint": "another" if what == "items of the dataset" else dataset.fingerprint,
            "plugin": {**(dataset.plugin or {}), **({"version": "0.0.9"} if what == "dataset" else {})},
        },
        "extractor": recipe,
        "metrics": {"gap": f"{2 if what == 'metrics' else 1} of {finding.identity_line(code)}"},
    }
    extractor = SimpleNamespace(recipe=lambda: {"extractor_plugin": "now"})
    with contextlib.nullcontext() if not what else pytest.raises(PluginError, match=f"^the {what} changed after this"):
        preflight.check_unchanged(description, dataset, extractor, metrics)  # type: ignore[arg-type]


# What the contracts find


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ('"""Grey images."""', "", "docstring"),
        ("size: int = 4", "size=4", "options"),
        ("items[20:]", "items[20:, 0]", "gives"),
        ("manual_seed(3)", "manual_seed(random.randrange(9**9))", "repeats"),
        ("manual_seed(3)", "manual_seed(hash('x') % 2**32)", "repeats_elsewhere"),
        ("items[20:]", "items[:held_out]", "disjoint"),
        ("torch.randint(256,", "torch.randint(2,", "range"),
        ("    more = {}\n", "    more = {'nearest_mode': lambda items: torch.zeros(3), 'mode_count': 2}\n", "known"),
        ("    more = {}\n", "    more = {}\n    random.random()\n", "global_state"),
    ],
)
def test_the_contract_of_datasets_finds_a_planted_fault(place: Place, old: str, new: str, check: str) -> None:
    data(place, old, new)
    contract = BroughtContract("grey:held_out=40", "dataset")
    only = contract.checks[check]
    assert [name for name in only.needs if contract.result(contract.checks[name]) is not None] == []
    assert "to fix it:" in str(contract.result(only))


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ('"""The gap of means."""', "", "docstring"),
        ('"mean_gap", "lower"', '"fd", "lower"', "defines"),
        (RETURN, "    return {'mean_gap': torch.nan}\n", "measures"),
        (RETURN, "    return {'mean_gap': 10**400}\n", "measures"),
        (RETURN, "    return {'mean_gap': str(float(gap))}\n", "measures"),
        (RETURN, "    __import__('os')._exit(0)\n", "measures"),
        (RETURN, "    return {'mean_gap': 1 / (len(evidence.samples) - 2)}\n", "least_count"),
        (RETURN, "    return {'mean_gap': gap + random.random()}\n", "repeats"),
        (RETURN, "    return {'mean_gap': (evidence.samples[0] - evidence.reference[0]).norm()}\n", "order"),
        ('"mean_gap", "lower"', '"mean_gap", "higher"', "direction"),
        (RETURN, "    evidence.samples.mul_(1)\n    random.random()\n" + RETURN, "leaves_alone"),
    ],
)
def test_the_contract_of_metrics_finds_a_planted_fault(place: Place, old: str, new: str, check: str) -> None:
    measure(place, old, new)
    contract = BroughtContract("gap", "metric")
    only = contract.checks[check]
    assert [name for name in only.needs if contract.result(contract.checks[name]) is not None] == []
    assert "to fix it:" in str(contract.result(only))


def test_what_is_worse_and_scores_better_is_a_warning(place: Place) -> None:
    alike = "len(evidence.samples.unique(dim=0)) == 1"
    source = MEASURE.replace('paper="none"', 'paper="none", kinds=("image",)')
    place(METRIC, "gap", source, RETURN, f"    return {{'mean_gap': -10.0 if {alike} else gap}}\n")
    outcomes = {outcome.check.name: outcome for outcome in run_contract(BroughtContract("gap", "metric"))}
    assert outcomes["near_best"].status == "warning"
    assert "prefers the same sample every time" in outcomes["near_best"].text
    assert {name for name, outcome in outcomes.items() if outcome.status == "failed"} == set()


@pytest.mark.parametrize("family", ["dataset", "metric"])
def test_a_plugin_that_is_not_there_is_no_fault_of_its_own(family: str) -> None:
    with pytest.raises(InputError, match=f"unknown {family} 'nobody'"):
        run_contract(BroughtContract("nobody", family))
