from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from genbench import Data, Training
from genbench.config import ModelSpec
from genbench.errors import InputError, OptionError, PluginError
from genbench.plugin import finding, loading, options
from genbench.plugin.finding import Found
from genbench.plugin.source_hash import coverage, wrapped_versions

GIVEN = (Data("image", torch.Size((1, 8, 8)), 64, 10), Training(None, 16))  # what a model is built for


def find(text: str) -> Found:
    return finding.find(ModelSpec.parse(text))


def test_the_shipped_models_are_found_by_entry_point_and_not_imported() -> None:
    code = (
        "import sys; from genbench.plugin.finding import installed; models = installed();"
        "print(*models); summaries = [f[0].summary() for f in models.values()]; assert all(summaries), summaries;"
        "[f[0].provenance() for f in models.values()];"
        "assert not [m for m in sys.modules if m.startswith(('torch', 'genbench_'))]"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shipped = "gan dcgan vae conv-vae ae conv-ae ppca rnn transformer seq2seq-vae seqgan"
    assert set(answer.stdout.split()) >= set(shipped.split())


def test_an_unknown_model_gets_the_nearest_names() -> None:
    with pytest.raises(InputError, match="unknown model 'dcgam'; did you mean dcgan"):
        find("dcgam")


def test_a_distribution_chooses_and_one_that_does_not_offer_it_is_reported() -> None:
    assert find("genbench-gan:gan").distribution == "genbench-gan"
    with pytest.raises(InputError, match="model 'gan' is not offered by 'genbench-vae', only by genbench-gan"):
        find("genbench-vae:gan")


def test_a_hook_is_called_directly_with_the_arguments_that_it_takes_unless_something_wraps_it(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    required = "".join(f"@genbench.hookimpl\ndef {name}(): ...\n" for name in ("build_model", "sample"))
    step = "@genbench.hookimpl\ndef train_step(step, model): return model, step\n"
    path.write_text(f"import genbench\n{required}{step}")

    assert loading.load(find(str(path))).function("train_step")(model="m", batch=1, labels=None, step=3) == ("m", 3)

    wrapping = "@genbench.hookimpl(wrapper=True)\ndef train_step(step): return [step, (yield)]\n"
    path.write_text(f"import genbench\n{required}{wrapping}")  # wraps nothing; what pluggy makes of it counts
    assert loading.load(find(str(path))).function("train_step")(model="m", batch=1, labels=None, step=3) == [3, None]


def test_two_distributions_with_one_name_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def point(distribution: str) -> SimpleNamespace:
        return SimpleNamespace(name="same", value="m", dist=SimpleNamespace(name=distribution, version="1"))

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point("a"), point("b"), point("a")])
    with pytest.raises(InputError, match="model 'same' is offered by a 1 and b 1; choose a:same or b:same"):
        find("same")
    assert find("b:same").distribution == "b"


def test_only_listed_distributions_are_loaded_from() -> None:
    allowed = ["genbench_VAE", "genbench-ae"]  # names are compared as package indexes do
    assert finding.find(ModelSpec("vae"), allowed).distribution == "genbench-vae"
    assert set(finding.installed(allowed)) == {"vae", "conv-vae", "ae", "conv-ae", "ppca"}
    listed = r"which --plugins-from does not list \(it lists genbench_VAE, genbench-ae\)"
    with pytest.raises(InputError, match=rf"model 'gan' is from genbench-gan \S+, {listed}"):
        finding.find(ModelSpec("gan"), allowed)


def test_a_listed_distribution_decides_between_two(monkeypatch: pytest.MonkeyPatch) -> None:
    def point(distribution: str) -> SimpleNamespace:
        return SimpleNamespace(name="same", value="m", dist=SimpleNamespace(name=distribution, version="1"))

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point("a"), point("b")])
    assert finding.find(ModelSpec("same"), ["b"]).distribution == "b"


def test_model_files_have_to_be_listed_too(tiny: Path) -> None:
    assert finding.find(ModelSpec(str(tiny)), ["file"]).distribution == "file"
    with pytest.raises(InputError, match="--plugins-from does not list `file`"):
        finding.find(ModelSpec(str(tiny)), ["genbench-vae"])


def test_a_model_file(tiny: Path) -> None:
    plugin = loading.load(find(str(tiny)))
    assert plugin.found.name == "tiny"
    assert plugin.found.summary().startswith("A generator that matches the batch in energy distance")
    assert plugin.implements("sample")
    assert not plugin.implements("reconstruct")
    assert plugin.implements("sample", "generator")
    assert not plugin.implements("sample", "labels")


def test_a_model_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"model file \./none\.py does not exist"):
        find("./none.py")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@hookimpl\ndef sample", "def sample", r"does not implement sample; write the function"),
        ("def sample(model, count", "def sample(model, number", r"'number'.* can not be found in the hookspec"),
        ("def sample", "def smaple", r"unknown hook 'smaple'"),
        (
            "import torch",
            "import torch_not_there",
            r"import failed: ModuleNotFoundError: No module named 'torch_not_there'",
        ),
        ("LATENT = 16", "LATENT = 16 +", r"import failed: SyntaxError"),
        ("LATENT = 16", "raise ValueError('first\\nsecond')", r"import failed: ValueError: first$"),
    ],
)
def test_a_plugin_that_breaks_the_contract_is_named(write_plugin, old: str, new: str, message: str) -> None:
    with pytest.raises(PluginError, match=message) as error:
        loading.load(find(str(write_plugin(old, new))))
    assert str(error.value).startswith("model 'faulty' (file)")
    assert "\n" not in str(error.value)


def test_the_source_hash_changes_with_the_source_and_with_nothing_else(write_plugin, tmp_path: Path) -> None:
    first = find(str(write_plugin(name="one"))).provenance()
    assert find(str(tmp_path / "one.py")).provenance() == first
    write_plugin("LATENT = 16", "LATENT = 17", name="one")
    assert find(str(tmp_path / "one.py")).provenance().source_sha256 != first.source_sha256


def test_the_source_hash_changes_with_the_version_of_a_library_that_the_plugin_wraps(
    monkeypatch: pytest.MonkeyPatch, write_plugin
) -> None:
    root = write_plugin(name="one")
    required = {"genbench": ["torch>=2"], "adapter": ["genbench", "torch", "Some_Library>=1; extra == ''", "absent"]}
    versions = {"torch": "2.0", "some-library": "1.0"}
    monkeypatch.setattr("importlib.metadata.requires", lambda name: required[name])

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr("importlib.metadata.version", version)
    assert wrapped_versions("adapter") == ["some-library==1.0"]
    covered = coverage(root)
    first = covered.sha256(wrapped_versions("adapter"))
    versions["torch"] = "3.0"
    assert covered.sha256(wrapped_versions("adapter")) == first
    versions["some-library"] = "1.1"
    assert covered.sha256(wrapped_versions("adapter")) != first
    assert covered.sha256() == find(str(root)).provenance().source_sha256


def test_a_plugin_may_import_torchvision_whatever_its_build(write_plugin) -> None:
    path = write_plugin("import torch\n", "import torch\nimport torchvision\n")
    code = "import sys; from genbench.config import ModelSpec; from genbench.plugin import finding, loading;"
    code += "loading.load(finding.find(ModelSpec.parse(sys.argv[1])))"
    ended = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_an_origin_says_how_a_plugin_came_here_and_never_where_it_lies(tiny: Path) -> None:
    assert find(str(tiny)).provenance().origin == "tiny.py"
    assert find("gan").provenance().origin in ("editable", "local", "index")


def test_options_are_read_from_the_builder(tiny: Path) -> None:
    accepted = options.accepted(loading.load(find(str(tiny))))
    assert accepted is not None
    assert [options.describe(parameter) for parameter in accepted.values()] == [
        "width: int = 256",
        "rate: float = 0.001",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"widht": 3}, "unknown option 'widht'; did you mean width? It takes width: int = 256, rate: float = 0.001"),
        ({"zzz": 3}, "unknown option 'zzz'; it takes width: int = 256, rate: float = 0.001"),
        ({"width": "wide"}, "option width: int = 256 cannot be 'wide'"),
        ({"width": 2.5}, "option width: int = 256 cannot be 2.5"),
        ({"width": True}, "option width: int = 256 cannot be True"),
        ({"rate": None}, "option rate: float = 0.001 cannot be None"),
    ],
)
def test_a_wrong_option_is_reported_with_the_accepted_ones(tiny: Path, given: dict[str, object], message: str) -> None:

    plugin = loading.load(find(str(tiny)))
    with pytest.raises(OptionError) as error:
        options.build(plugin, *GIVEN, given, torch.device("cpu"))
    assert str(error.value) == f"model 'tiny' (file): {message}"


OPEN = ("rate: float = 1e-3):", 'rate: float = 1e-3, kind: Literal["round", "square"] = "round", **more):\n')
REFUSES = '    if set(more) - {"depth"}:\n        raise ValueError(f"no {sorted(more)}; did you mean depth?")\n'


def test_a_whole_number_for_a_float_arrives_as_a_float(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text("""
import genbench


def build(rate: float = 1.0, decay: float | None = None, width: int = 1, either: int | float = 1, untyped=1):
    return rate, decay, width, either, untyped


@genbench.hookimpl
def build_model(data, options):
    return build(**options)


@genbench.hookimpl
def train_step(): ...


@genbench.hookimpl
def sample(): ...
""")
    plugin = loading.load(find(str(path)))
    given = dict.fromkeys(("rate", "decay", "width", "either", "untyped"), 0)
    built = options.build(plugin, *GIVEN, given, torch.device("cpu"))
    assert [type(value) for value in built] == [float, float, int, int, int]
    assert given["rate"] is given["width"]  # what the user gave stays as it was
    (huge, *_) = options.build(plugin, *GIVEN, {"rate": 10**400}, torch.device("cpu"))
    assert huge == 10**400


def test_a_builder_that_takes_any_option_refuses_unknown_ones_itself(write_plugin, tmp_path: Path) -> None:

    path = write_plugin(OPEN[0], OPEN[1] + REFUSES)
    path.write_text(path.read_text().replace("import torch\n", "from typing import Literal\n\nimport torch\n", 1))
    plugin = loading.load(find(str(path)))
    assert options.is_open(plugin)
    assert [*(options.accepted(plugin) or {})] == ["width", "rate", "kind"]

    def build(**given: object) -> object:
        return options.build(plugin, *GIVEN, given, torch.device("cpu"))

    build(depth=3)
    with pytest.raises(OptionError, match=r"^model 'faulty' \(file\): no \['detph'\]; did you mean depth\?$"):
        build(detph=3)
    with pytest.raises(OptionError, match=r"option width: int = 256 cannot be 'wide'$"):
        build(width="wide")
    with pytest.raises(
        OptionError, match=r"kind: 'round' \| 'square' = 'round' cannot be 'sqare'; did you mean square\?$"
    ):
        build(kind="sqare")
    with pytest.raises(OptionError, match=r"kind: 'round' \| 'square' = 'round' cannot be 'zzz'$"):
        build(kind="zzz")


def test_a_builder_of_named_options_is_not_open(tiny: Path) -> None:
    assert not options.is_open(loading.load(find(str(tiny))))


def test_a_builder_whose_source_hides_its_options_still_names_the_unknown_one(write_plugin) -> None:
    path = write_plugin(
        "return build(data.shape, device, **options)", "kw = options; return build(data.shape, device, **kw)"
    )
    plugin = loading.load(find(str(path)))
    assert options.accepted(plugin) is None
    with pytest.raises(OptionError, match=r"build\(\) got an unexpected keyword argument 'depth'"):
        options.build(plugin, *GIVEN, {"depth": 3}, torch.device("cpu"))


def test_a_type_error_of_the_plugin_itself_is_not_taken_for_an_option(write_plugin) -> None:

    plugin = loading.load(find(str(write_plugin("net = nn.Sequential(", "len(3)\n    net = nn.Sequential("))))
    with pytest.raises(TypeError, match="has no len"):
        options.build(plugin, *GIVEN, {"width": 3}, torch.device("cpu"))
