from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from genbench.api import command_for
from genbench.config import Benchmark, Budget, Cell, ModelSpec, Settings, make_benchmark, read_benchmark
from genbench.errors import InputError
from genbench.execution.runner import Runner
from genbench.records.files import read_records
from genbench.records.identity import identity
from genbench.records.record import cell_id, write_record
from genbench.records.schemas import SCHEMA


@pytest.mark.parametrize(
    ("text", "batch_size", "flops", "steps"),
    [
        ("3000steps", 64, 0, 3000),
        ("1step", 64, 0, 1),
        ("200kimg", 64, 0, 3125),
        ("0.001kimg", 64, 0, 1),
        ("1e15flop", 64, 1e12, 1000),
        ("5flop", 64, 1e12, 1),
        ("60s", 64, 1, None),
    ],
)
def test_budget_in_steps(text: str, batch_size: int, flops: float, steps: int | None) -> None:
    assert Budget.parse(text).steps(batch_size, lambda amount: int(amount // flops)) == steps


def test_a_budget_of_flops_needs_steps_that_cost_some() -> None:
    with pytest.raises(InputError, match="budget 5flop: no floating-point operations were counted"):
        Budget.parse("5flop").steps(64, lambda amount: None)


@pytest.mark.parametrize("text", ["3000steps", "2.5kimg", "60s", "1e+15flop", "100000000steps"])
def test_budget_reads_what_it_writes(text: str) -> None:
    budget = Budget.parse(text)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    "text", ["", "3000", "steps", "-5steps", "0steps", "1.5steps", "5 minutes", "nan s", "1e400s x"]
)
def test_budget_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError, match="budget") as error:
        Budget.parse(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "name", "options", "label"),
    [
        ("vae", "vae", {}, "vae"),
        (
            "vae:beta=4,likelihood=gaussian",
            "vae",
            {"beta": 4, "likelihood": "gaussian"},
            "vae:beta=4,likelihood=gaussian",
        ),
        ("genbench-vae:vae", "genbench-vae:vae", {}, "genbench-vae:vae"),
        ("genbench-vae:vae:beta=0.5", "genbench-vae:vae", {"beta": 0.5}, "genbench-vae:vae:beta=0.5"),
        ("./a/my_model.py:deep=true", "./a/my_model.py", {"deep": True}, "my_model:deep=True"),
        ("gan:generator_norm=none", "gan", {"generator_norm": "none"}, "gan:generator_norm=none"),
        ("m:a='x y',b=None,c=1e-3", "m", {"a": "x y", "b": None, "c": 1e-3}, "m:a=x y,b=None,c=0.001"),
    ],
)
def test_model_spec(text: str, name: str, options: dict[str, object], label: str) -> None:
    spec = ModelSpec.parse(text)
    assert (spec.name, dict(spec.options), spec.label) == (name, options, label)


@pytest.mark.parametrize("text", ["", ":beta=1", "beta=1", "vae:beta=1,4", "vae:b=1,b=2", "vae:1a=2"])
def test_model_spec_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError, match="model"):
        ModelSpec.parse(text)


@pytest.mark.parametrize("label", ["007", "true", "A.b_c-d", "x" * 40])
def test_a_label_is_text_and_no_option(label: str) -> None:
    spec = ModelSpec.parse(f"./a/model.py:width=3,label={label}")
    assert (dict(spec.options), spec.label) == ({"width": 3}, label)
    (same,) = make_benchmark({"models": [{"name": "./a/model.py", "width": 3, "label": label}]}).models
    assert same == spec


@pytest.mark.parametrize("label", [" a", "_a", "-a", ".a", "a b", "a/b", "a\\b", "a*b", "a$b", "é", "a\n", "x" * 41])
def test_a_label_is_safe_in_file_names_tables_and_markdown(label: str) -> None:
    with pytest.raises(InputError, match="label"):
        ModelSpec.of("vae", {"label": label})


def test_two_files_of_one_name_stand_in_one_benchmark() -> None:
    benchmark = make_benchmark({"models": ["a/model.py", "b/model.py:label=mine"], "controls": []})
    assert [cell.model.label for cell in benchmark.cells()][:2] == ["model", "mine"]
    words = shlex.split(command_for(benchmark))
    again = [ModelSpec.parse(words[place + 1]) for place, word in enumerate(words) if word == "-m"]
    assert again == list(benchmark.models)


def test_another_label_renames_the_record_and_keeps_its_numbers(tmp_path: Path) -> None:
    cell = {"model": "vae", "label": "before", "role": "model", "seed": 0, "dataset": {"name": "digits"}}
    parts: dict[str, Any] = {"schema": SCHEMA, "id": cell_id(cell), "status": "finished", "cell": cell, "curve": []}
    key = identity({}, 8)
    parts |= {"numbers": {"fd": {"value": 1.5, "recipe": key}}, "recipes": {key: {}}, "cost": {}, "environment": {}}
    record = write_record(tmp_path, parts)
    place: Any = SimpleNamespace(planned=SimpleNamespace(description={"label": "after"}))
    runner: Any = SimpleNamespace(directory=tmp_path)
    renamed = Runner._relabelled(runner, place, record)
    (stored,) = read_records(tmp_path)
    assert (renamed.data, stored.label, stored.numbers) == (stored.data, "after", {"fd": 1.5})
    assert Runner._relabelled(runner, place, renamed) is renamed


def test_the_command_of_a_benchmark_has_no_flag_that_run_would_refuse() -> None:
    values = {"models": ["vae"], "data_root": "kept"}
    assert "--data-root" not in command_for(make_benchmark({**values, "datasets": ["digits"]}))
    assert "--data-root kept" in command_for(make_benchmark({**values, "datasets": ["digits", "mnist"]}))


def test_cell_survives_json() -> None:
    cell = Cell(ModelSpec.parse("vae:beta=4,label=strong"), "digits", 2, Settings(budget=Budget(60, "s"), samples=100))
    assert Cell.from_json(json.loads(json.dumps(cell.to_json()))) == cell


def test_benchmark_has_a_cell_for_each_model_dataset_and_seed() -> None:
    benchmark = make_benchmark(
        {"models": ["gan", "vae"], "datasets": ["digits", "mnist"], "seeds": 3, "controls": ["real"]}
    )
    cells = {(cell.model.name, cell.dataset, cell.seed) for cell in benchmark.cells()}
    assert cells == {(m, d, s) for m in ("real", "gan", "vae") for d in ("digits", "mnist") for s in range(3)}
    assert len(benchmark.cells()) == len(cells)


def test_a_control_named_as_a_model_is_run_once() -> None:
    benchmark = Benchmark((ModelSpec("real"),), seeds=(0,))
    assert sorted(cell.model.name for cell in benchmark.cells()) == [
        "copycat",
        "gaussian",
        "ngram",
        "noise",
        "real",
        "silence",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modles": ["gan"]}, "unknown key 'modles'; did you mean models"),
        ({"seeds": 0}, "seeds must be at least 1, not 0"),
        ({"seeds": [1, "a"]}, "seeds must be"),
        ({"seeds": True}, "seeds must be"),
        ({"batch_size": 0}, "batch_size must be a whole number above zero"),
        ({"evaluations": 1.5}, "evaluations must be a whole number above zero"),
        ({"training_precision": "fp8"}, "training_precision 'fp8' is not one of fp32, tf32, bf16"),
        ({"device": "gpu"}, "device 'gpu' is not one of"),
        ({"controls": ["reel"]}, "unknown control 'reel'; did you mean real?"),
        ({"datasets": "digits"}, "datasets must be a list"),
        ({"datasets": []}, "no dataset is given"),
        ({"models": ["gan", "gan"]}, "model 'gan' is named twice"),
        ({"models": [3]}, "models: 3 is neither"),
        (
            {"models": ["vae:label=gan", "gan"]},
            "two models are called 'gan' ('vae' and 'gan'); give one a label, as in -m gan",
        ),
        (
            {"models": ["a/m.py:w=3", "b/m.py:w=3"]},
            "two models are called 'm:w=3' ('a/m.py' and 'b/m.py'); give one a label, as in -m b/m.py:w=3,label=mine",
        ),
        ({"models": ["vae:label=real"]}, "model 'vae' is called 'real' like a control; give it a label"),
        ({"models": ["a/noise.py"]}, "model 'a/noise.py' is called 'noise' like a control; give it a label"),
        ({"models": ["real:label=floor"]}, "'real' is a control and keeps its name; leave out its label"),
        ({"models": ["vae:label="]}, "its label is empty"),
        ({"models": ["vae:label=a/b"]}, "label 'a/b' cannot be used"),
        ({"models": [{"name": "vae", "label": "a|b"}]}, "label 'a|b' cannot be used"),
        ({"models": [{"name": "vae", "label": 3}]}, "label 3 cannot be used"),
        ({"eval_precision": "tf32"}, "eval_precision 'tf32' is not one of fp32, bf16"),
        ({"compile": "yes"}, "compile must be true or false"),
        ({"cuda_graph": 1}, "cuda_graph must be true or false, not 1"),
        ({"cuda_graph": True, "compile": True}, "compile and cuda_graph cannot be combined; choose one"),
        ({"data_root": 3}, "data_root must be text"),
    ],
)
def test_bad_values(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        make_benchmark(values)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_reads_a_file_with_options_as_text_and_as_a_table(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text('models = ["gan", {name = "vae", beta = 4.0}]\nseeds = [3, 5]\nbudget = "2kimg"\n')
    benchmark = make_benchmark(read_benchmark(path))
    assert [model.label for model in benchmark.models] == ["gan", "vae:beta=4.0"]
    assert benchmark.seeds == (3, 5)
    assert benchmark.settings.budget == Budget(2, "kimg")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('models = ["gan"]\n\nbugdet = "3steps"\n', ":3: unknown key 'bugdet'; did you mean budget?"),
        ('models = ["gan"]\nbudget = "3"\n', ":2: budget '3' cannot be read"),
        ("[settings]\nbatch_size = 3\n", ":1: unknown key 'settings'"),
        ("models = [\n", "not valid TOML"),
    ],
)
def test_a_fault_in_a_file_names_the_line(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "b.toml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_benchmark(path)
    assert str(error.value).startswith(str(path))
    assert where in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        'models = ["gan"]\ncontrols = []\nseeds = 20_000\n',  # too many cells with the default controls
        'seeds = 100_000\ncontrols = []\nmodels = ["gan"]\n',
        'models = ["gan"]\ndatasets = ["folder:a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t"]\n',  # no long key
    ],
)
def test_a_valid_file_is_not_refused_for_one_of_its_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "b.toml"
    path.write_text(text)
    assert make_benchmark(read_benchmark(path)).models == (ModelSpec("gan"),)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"b\.toml: cannot be read: No such file"):
        read_benchmark(tmp_path / "b.toml")
