"""Hostile input for a budget, a model, a benchmark file or a dataset: a value, or one error line of bounded length."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genbench.changes import parse
from genbench.config import Budget, ModelSpec, Settings, make_benchmark, read_benchmark
from genbench.datasets import load
from genbench.errors import LONGEST_LINE, GenbenchError, InputError, quoted

LONG = 100_000
# The pieces of budgets, options and terms, so that most texts come close to valid ones.
PIECES = st.sampled_from(
    [
        *("vae", "gan:", "./a.py", "fd", "kimg", "steps", "s", "flop", "beta", "=", ":", ",", ".", "-", "+", "_", " "),
        *("e", "E", "1", "0", "9" * 400, "e308", "e-400", "0x", "'", '"', "\\", "(", "[", "{", "nan", "inf", "None"),
        *("true", ">", "<", "%", "\n", "\0", "\x1b[2J", "٣", "K", "\ud800", "1" * 5000, "-" * 5000, "[" * 5000),
    ]
)
TEXTS = st.one_of(st.text(max_size=30), st.lists(PIECES, max_size=8).map("".join))
SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.floats(), TEXTS, st.dates(), st.times()),
    st.integers(),
    st.sampled_from([3, 40, 1400, 70_000]).map(lambda bits: 2**bits),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
KEYS = st.sampled_from(["models", "datasets", "seeds", "controls", "metrics", *Settings.__dataclass_fields__])


def refused(read: Callable[[], object]) -> str | None:
    """Return the error's line, or None if a value was read; any other exception fails the test."""
    try:
        read()
    except InputError as error:
        line = str(error)
        assert "\n" not in line
        assert len(line) <= LONGEST_LINE + 100
        return line
    return None


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_budget_or_one_line(text: str) -> None:
    if refused(lambda: Budget.parse(text)) is None:
        budget = Budget.parse(text)
        assert Budget.parse(str(budget)) == budget
        assert budget.steps(1, 1.0) is None or budget.steps(1, 1.0) >= 1


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_model_or_one_line(text: str) -> None:
    if refused(lambda: make_benchmark({"models": [text]})) is None:
        (model,) = make_benchmark({"models": [text]}).models
        assert model.label.isprintable()
        assert len(model.label) <= len(text) + 100


@given(KEYS, VALUES)
@settings(max_examples=400, deadline=None)
def test_any_value_makes_a_benchmark_or_one_line(key: str, value: object) -> None:
    refused(lambda: make_benchmark({key: value}))
    refused(lambda: make_benchmark({"models": [{"name": "vae", key: value}]}))


@given(st.one_of(st.binary(max_size=60), TEXTS.map(lambda text: text.encode(errors="surrogatepass"))), KEYS)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_benchmark_file_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, key: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    for content in (data, key.encode() + b" = " + data):
        path.write_bytes(content)
        refused(lambda: make_benchmark(read_benchmark(path)))


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_term_or_one_line(text: str) -> None:
    refused(lambda: parse(text))


@given(TEXTS)
@settings(max_examples=50, deadline=None)
def test_any_options_of_drawn_data_are_one_line(text: str) -> None:
    assert refused(lambda: load(f"shapes:x{text}")) is not None
    assert refused(lambda: load(f"gaussians:x{text}")) is not None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("1e400steps", "must be above zero and at most 1e+12steps"),
        ("9" * 400 + "steps", "must be above zero and at most 1e+12steps"),
        ("1__0steps", "cannot be read"),
        ("_1steps", "cannot be read"),
        ("1e309flop", "must be above zero and at most 1e+30flop"),
        ("1e-400kimg", "must be above zero"),
        ("1e10s", "must be above zero and at most 1e+09s"),
        ("1.5steps", "must be a whole number of steps"),
        ("٣steps", "cannot be read"),
        ("1" * LONG, "cannot be read"),
    ],
    ids=lambda text: text[:20],
)
def test_a_budget_that_no_training_has(text: str, fault: str) -> None:
    assert fault in (refused(lambda: Budget.parse(text)) or "")


@pytest.mark.parametrize("text", ["200KIMG", " 60 s ", "1e-05s", "0.1234567890123456789kimg", "1234567890123457flop"])
def test_a_budget_is_written_so_that_it_reads_back(text: str) -> None:
    budget = Budget.parse(text)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"vae:beta={'-' * LONG}", "option 'beta' cannot be used: its text has 100,000 characters"),
        (f"vae:beta={'9' * 5000}", "its text has 5,000 characters"),
        (f"vae:beta={'9' * 900}", "does not fit into 64 bits"),
        (f"vae:beta=0x{'f' * 900}", "does not fit into 64 bits"),
        ("x" * LONG, "a name must have 1 to 4,096 characters"),
        ("vae:a='b\\tc'", "contains characters that cannot be shown"),
    ],
    ids=lambda text: text[:20],
)
def test_an_option_that_no_model_can_take(text: str, fault: str) -> None:
    assert fault in (refused(lambda: ModelSpec.parse(text)) or "")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", ["{[]}", "'\\d'", "1is 1", "(" * 900, "-" * 900, "1e999", "3" + "j" * 900])
def test_what_is_no_literal_is_text_or_a_number_without_a_warning(value: str) -> None:
    option = ModelSpec.parse(f"vae:a={value}").options["a"]
    assert option == (value if value not in ("'\\d'", "1e999") else {"'\\d'": "\\d", "1e999": float("inf")}[value])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"seeds = 1000000000000", "seeds must be at most 100,000, not 1000000000000"),
        (b"seeds = " + b"9" * 5000, "contains a whole number with too many digits"),
        (b"seeds = 0x" + b"f" * 5000, "not a whole number of 20,000 bits"),
        (b"seeds = [" + b"9" * 30 + b"]", "a list of whole numbers below 2**63"),
        (b"samples = " + b"9" * 30, "samples must be at most 2,147,483,647"),
        (b"batch_size = " + b"9" * 30, "batch_size must be at most 2,147,483,647"),
        (b"image_size = 100000", "image_size must be at most 65,535, not 100000"),
        (b"evaluations = 1000000000", "evaluations must be at most 10,000"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b".".join([b"a"] * 50_000) + b" = 1", "a key has more than 16 parts"),  # tomllib would take a minute
        (b"[" + b" . ".join([b'"a"', b"'b'"] * 25_000) + b"]", "a key has more than 16 parts"),
        (b"models = [{name = 'vae', " + b".".join([b"a"] * 50_000) + b" = 1}]", "a key has more than 16 parts"),
        (b"models = [{name = 'vae', beta = 1979-05-27}]", "is not a number, text, true or false"),
        (b"models = [{name = 'vae', beta = 07:32:00}]", "is not a number, text, true or false"),
        (b"models = [{name = 'vae', beta = {a = 1}}]", "is not a number, text, true or false"),
        (b"models = [{name = 'vae', beta = nan}]", "it is not a number (nan)"),
        (b"models = [{name = 'vae', 'a b' = 1}]", "it is not an identifier"),
        (b"models = [{name = ''}]", "a name must have 1 to 4,096 characters"),
        (b"models = {a = 1}", "models must be a list, not {'a': 1}"),
        (b'datasets = ["a\\nb"]', "contains characters that cannot be shown"),
        (b'device = "\\u001b[2J"', "device must be text that can be shown"),
        (b"budget = 3", "budget 3 cannot be read"),
        (b"seeds = 1\nseeds = 2", "not valid TOML"),
        (b"models = ['gan']\0", "not valid TOML"),
        (b"models = ['gan\xff']", "not valid TOML"),
        (b"# " + b"x" * (1 << 20), "larger than 1 MB"),
    ],
    ids=lambda text: text[:30].decode(errors="replace") if isinstance(text, bytes) else "",
)
def test_a_file_that_no_benchmark_is(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "b.toml"
    path.write_bytes(content)
    line = refused(lambda: make_benchmark(read_benchmark(path)))
    assert line is not None
    assert fault in line
    assert line.startswith(str(path))


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_bytes("\ufeffmodels = ['gan']\r\nbudget = '''\r\n3steps'''\r\n".encode())
    benchmark = make_benchmark(read_benchmark(path))
    assert [model.label for model in benchmark.models] == ["gan"]
    assert benchmark.settings.budget == Budget(3, "steps")


@pytest.mark.parametrize("path", ["/dev/zero", "/tmp", "a\0b", "/tmp/" + "x" * 5000], ids=lambda path: path[:9])
def test_what_is_no_file_is_not_waited_for(path: str) -> None:
    assert refused(lambda: read_benchmark(Path(path))) is not None


def test_more_cells_than_sane_are_refused_before_any_is_made() -> None:
    values = {"models": [f"m{i}" for i in range(400)], "datasets": ["digits", "mnist"], "seeds": 125, "controls": []}
    assert len(make_benchmark(values).cells()) == 100_000
    line = refused(lambda: make_benchmark({**values, "seeds": 126}))
    assert line == (
        "400 models and 0 controls × 2 datasets × 126 seeds are 100,800 cells, "
        "but one benchmark can have at most 100,000"
    )
    line = refused(lambda: make_benchmark({"models": ["m"], "seeds": 20_000}))
    assert line is not None
    assert line.startswith("1 model and 6 controls × 1 dataset × 20,000 seeds are 140,000 cells, ")


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("shapes:count=1000000000", "GB of memory, and"),
        ("shapes:size=100000,count=1,held_out=1", "GB of memory, and"),
        ("shapes:count=1000000000000", "count must be at most 2,147,483,647"),
        (f"shapes:seed={'9' * 5000}", "seed must be a whole number"),
        ("shapes:seed=３", "seed must be a whole number"),
        ("shapes:seed=1,seed=2", "option seed is given twice"),
        ("gaussians:modes=1e9", "no mixture is called 'modes=1e9'"),
        (f"folder:{'x' * LONG}", "no such folder"),
        ("folder:~nobody-of-this-name/x", "no such folder"),
        ("folder:a\0b", "no such folder"),
        ("x" * LONG, "unknown dataset"),
    ],
    ids=lambda text: text[:25],
)
def test_a_dataset_that_cannot_be_had(spec: str, fault: str) -> None:
    assert fault in (refused(lambda: load(spec)) or "")


def test_what_a_user_gave_is_shown_in_part() -> None:
    for error in (GenbenchError("x" * LONG), InputError("a" + "\x00" * LONG)):
        assert len(str(error)) <= LONGEST_LINE + 30
    assert str(GenbenchError("x" * LONG)).startswith("x" * 900)
    for value in ("x" * LONG, 10**5000, -(10**5000), [[[[[["x" * LONG]]]]]], {string.ascii_letters * 9: LONG}):
        assert len(quoted(value)) < 500
