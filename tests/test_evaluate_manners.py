"""What `genbench evaluate` says first and refuses, and how commands continue without a cache or are interrupted."""

from __future__ import annotations

import json
import os
import pwd
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from evaluating import refusal_of
from PIL import Image
from torch import Tensor, nn

from genbench import api, cli, datasets
from genbench.cell import preflight
from genbench.cli.evaluate import evaluate
from genbench.cli.metrics import check
from genbench.cli.models import models
from genbench.cli.regress import regress
from genbench.cli.run import run
from genbench.datasets.cacheless import without_cache
from genbench.datasets.decoding import DROPPED
from genbench.errors import InputError
from genbench.features import classifier
from genbench.features.extractor import Extractor, extract
from genbench.features.intake import Images
from genbench.machine.home import is_writable, settings_of_matplotlib
from genbench.metrics import METRICS
from genbench.metrics.evidence import Evidence
from genbench.metrics.not_measurable import NotMeasurable

QUICK = ("--metrics", "fd,pixel_w1")


class Means(nn.Module):
    """Mean and spread of each channel: like Inception, it takes images of any size."""

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return torch.cat([x.mean(dim=(2, 3)), x.std(dim=(2, 3))], dim=1), None


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extractor that takes grey and RGB images of any size, with a profile that drops alpha."""
    extractor = Extractor(
        *("inception", Means(), Images(Tensor.float, rgb=True, alpha=DROPPED), torch.device("cpu")),
        *("fp32", 6, None, "0" * 64),
    )
    monkeypatch.setattr(preflight, "load_extractor", lambda *_, **__: extractor)


def images(path: Path, shape: tuple[int, ...] = (20, 8, 8, 3)) -> Path:
    np.save(path, np.random.default_rng(len(path.name)).integers(256, size=shape, dtype=np.uint8))
    return path


def folder(path: Path, mode: str = "RGB", side: int = 8) -> Path:
    path.mkdir()
    for index in range(20):
        pixels = np.random.default_rng(index).integers(256, size=(side, side, len(mode)), dtype=np.uint8)
        Image.fromarray(pixels.squeeze(-1) if len(mode) == 1 else pixels).save(path / f"{index}.png")
    return path


def called(*arguments: object) -> Result:
    return CliRunner().invoke(evaluate, [*map(str, arguments), *QUICK], catch_exceptions=False)


def test_the_title_says_that_fd_of_random_features_is_no_fid(tmp_path: Path) -> None:
    own, other = images(tmp_path / "a.npy"), images(tmp_path / "bc.npy")
    title, first, *_ = called(own, "--reference", other).stdout.splitlines()
    assert title == (
        f"{own} (20 images) against {other}; features: random-conv, a network with random weights, so fd is not FID; "
        "for FID add --extractor inception"
    )
    assert first.startswith("fd ↓")


def test_what_will_be_computed_is_said_first_and_how_long_each_took_last(tmp_path: Path) -> None:
    own = images(tmp_path / "a.npy")
    lines = called(own, "--reference", own, "--timing").stderr.splitlines()
    assert lines[0] == "measuring 20 images by random-conv: frechet_distance, pixel_statistics"
    assert lines[-3] == "seconds of each metric with its standard error:"
    for line in lines[-2:]:
        assert re.fullmatch(r"  (frechet_distance|pixel_statistics) +\d+\.\d\d", line)


def test_the_help_of_run_says_where_its_two_budgets_apply() -> None:
    text = " ".join(CliRunner().invoke(run, ["--help"]).stdout.split())
    assert "for 1000 steps instead of the default 3000" in text
    assert "[default: 3000steps; 1000steps if no model is named]" in text


def test_numbers_of_fewer_items_than_were_given_say_of_how_many(tmp_path: Path) -> None:
    """Through the command: images of 8x8 on random features, of which at most 750 are compared."""
    own, other = images(tmp_path / "a.npy", (760, 8, 8, 3)), images(tmp_path / "bc.npy", (755, 8, 8, 3))
    arguments = [str(own), "--reference", str(other), "--extractor", "random-conv", "--metrics", "fd,kid,precision"]
    said = CliRunner().invoke(evaluate, arguments, catch_exceptions=False).stderr
    assert "\nof 750 samples: kid\nof 750 samples and 750 items of the data: precision, recall\n" in said
    few = called(images(tmp_path / "d.npy"), "--reference", images(tmp_path / "ef.npy"), "--extractor", "random-conv")
    assert "samples" not in few.stderr.replace("draws of as many samples", "")


def test_images_that_a_classifier_cannot_take_are_refused_before_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "_train", lambda *_: pytest.fail("trained"))
    rgb, shapes = images(tmp_path / "a.npy", (20, 16, 16, 3)), ("-d", "shapes", "--extractor", "classifier", *QUICK)
    said = refusal_of(evaluate, rgb, *shapes)
    assert said.startswith("extractor 'classifier': takes 3x32x32 images (channels x height x width), got 3x16x16")


def test_images_of_another_size_lose_what_needs_one_size_and_nothing_else(tmp_path: Path, any_size: None) -> None:
    answer = called(images(tmp_path / "a.npy", (20, 8, 8, 3)), "--reference", images(tmp_path / "b.npy", (20, 6, 9, 3)))
    assert answer.exit_code == 0
    assert answer.stdout.splitlines()[1].startswith("fd ")
    assert (
        "not measured: pixel_statistics: needs images of one shape, got sample items of 3x8x8 and reference items of "
        "3x6x9 (channels x height x width)"
    ) in answer.stderr


def test_every_metric_of_two_sets_of_images_is_left_out_where_their_shapes_differ() -> None:
    evidence = Evidence(
        torch.randn(30, 4),
        torch.randn(30, 4),
        sample_items=torch.zeros(30, 1, 8, 8, dtype=torch.uint8),
        reference_items=torch.zeros(30, 3, 8, 8, dtype=torch.uint8),
        held_out_items=torch.zeros(30, 1, 9, 8, dtype=torch.uint8),
        held_out_labels=torch.zeros(30, dtype=torch.int64),
    )
    images = [metric for metric in METRICS.values() if metric.kinds == ("image",)]
    both = [metric for metric in images if sum(need.endswith("_items") for need in metric.needs) > 1]
    assert {metric.name for metric in both} == {"pixel_statistics", "classification_accuracy"}
    for metric in both:
        with pytest.raises(NotMeasurable, match=f"{metric.name}: needs images of one shape"):
            metric.compute(evidence)


def asked(metrics: str | None, *arguments: object) -> Result:
    flags = () if metrics is None else ("--metrics", metrics)
    return CliRunner().invoke(evaluate, [*map(str, arguments), *flags], catch_exceptions=False)


def test_where_nothing_that_was_asked_for_applies_it_is_refused_before_extraction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = images(tmp_path / "a.npy"), images(tmp_path / "bc.npy")
    monkeypatch.setattr("genbench.features.extractor.extract", lambda *_, **__: pytest.fail("extracted"))
    for module in ("measurement", "references"):
        monkeypatch.setattr(f"genbench.evaluation.{module}.extract", lambda *_, **__: pytest.fail("extracted"))
    for metrics, why in (
        ("ssim", "reconstruction: needs originals, which only a model gives, in genbench run"),
        ("modes_covered", "mode_counts: needs known modes, which the reference does not have"),
        ("c_t", "data_copying: needs held-out images, which the reference does not have"),
        ("cas", "classification_accuracy: needs held-out images, which the reference does not have"),
        (
            "class_fd",
            "class_frechet: needs reference labels, which --reference does not read; -d npz:PATH reads those of an "
            ".npz",
        ),
        ("classifier_score", "classifier_score: needs logits, which random-conv does not give"),
    ):
        said = refusal_of(evaluate, own, "--reference", other, "--metrics", metrics)
        assert said == f"nothing to measure: {why}; request other metrics"
    grey = images(tmp_path / "grey.npy", (20, 8, 8, 1))
    said = refusal_of(evaluate, grey, "-d", "digits", "--metrics", "ssim,bits_per_dim")
    assert "reconstruction: needs originals" in said
    assert "; likelihood: needs log likelihoods, which only a model gives" in said


def test_where_no_number_comes_of_what_was_asked_for_it_is_an_error(tmp_path: Path) -> None:
    own = images(tmp_path / "a.npy")
    said = refusal_of(evaluate, own, "--reference", own, "--metrics", "fd_infinity,ssim")
    assert said == (
        "nothing was measured: reconstruction: needs originals, which only a model gives, in genbench run; "
        "fd_infinity: needs at least 256 samples for 64 features, got 20; request other metrics"
    )


def test_what_cannot_apply_and_nobody_named_is_one_line(tmp_path: Path) -> None:
    own, other = images(tmp_path / "a.npy"), images(tmp_path / "bc.npy")
    few = "not measured: fd_infinity: needs at least 256 samples for 64 features, got 20"
    named = "not measured: reconstruction: needs originals, which only a model gives, in genbench run"
    for metrics, before, rest in (
        (None, [few], "class_coverage, mode_counts, reconstruction, likelihood"),
        ("+ssim", [named, few], "class_coverage, mode_counts, likelihood"),
    ):
        answer = asked(metrics, own, "--reference", other)
        said = [line for line in answer.stderr.splitlines() if line.startswith("not measured")]
        assert said == [
            *before,
            "not measured, as this comparison lacks what they need: classifier_score, data_copying, frechet_gap, "
            f"{rest}",
        ]
    reasons = json.loads(asked(None, own, "--reference", other, "--json").stdout)["not_measured"]
    assert reasons["mode_counts"] == "mode_counts: needs known modes, which the reference does not have"
    assert reasons["likelihood"] == "likelihood: needs log likelihoods, which only a model gives, in genbench run"


@pytest.mark.parametrize("grey", ["images", "reference"])
def test_grey_against_rgb_says_how_they_were_converted(tmp_path: Path, grey: str) -> None:
    sides = {
        "images": folder(tmp_path / "images", "L" if grey == "images" else "RGB"),
        "reference": folder(tmp_path / "reference", "L" if grey == "reference" else "RGB"),
    }
    answer = called(sides["images"], "--reference", sides["reference"])
    other = sides["reference" if grey == "images" else "images"]
    assert (
        f"{sides[grey]}: grey, but {other} is RGB: the channel of each image was repeated for all three"
        in answer.stderr
    )
    assert "pixel_w1" in answer.stdout


def test_what_becomes_of_alpha_is_said_and_in_the_recipe_where_there_is_any(tmp_path: Path, any_size: None) -> None:
    plain, clear = folder(tmp_path / "plain"), folder(tmp_path / "clear", "RGBA")
    answer = called(clear, "--reference", plain, "--json")
    assert f"{clear}: some are transparent: their alpha dropped, as the profile's tool does" in answer.stderr
    document = json.loads(answer.stdout)
    assert {recipe["alpha"] for recipe in document["recipes"].values()} == {"dropped"}
    assert document["remarks"] == [f"{clear}: some are transparent: their alpha dropped, as the profile's tool does"]
    document = json.loads(called(plain, "--reference", plain, "--json").stdout)
    assert not any("alpha" in recipe for recipe in document["recipes"].values())


@pytest.mark.parametrize("side", ["items", "reference"])
def test_images_with_an_opaque_alpha_count_as_those_without(tmp_path: Path, any_size: None, side: str) -> None:
    plain, opaque = folder(tmp_path / "plain"), tmp_path / "opaque"
    opaque.mkdir()
    for path in plain.iterdir():
        Image.open(path).convert("RGBA").save(opaque / path.name)
    sides = (opaque, plain) if side == "items" else (plain, opaque)
    expected, found = (called(own, "--reference", other, "--json") for own, other in ((plain, plain), sides))
    assert json.loads(found.stdout)["numbers"] == json.loads(expected.stdout)["numbers"]  # and so the recipes
    assert "transparent" not in found.stderr


def test_alpha_of_a_reference_that_becomes_rgb_is_said(tmp_path: Path) -> None:
    plain, clear = folder(tmp_path / "plain"), folder(tmp_path / "clear", "LA")
    answer = called(plain, "--reference", clear, "--json")
    assert f"{clear}: some are transparent: laid on white" in answer.stderr
    assert {recipe["alpha"] for recipe in json.loads(answer.stdout)["recipes"].values()} == {"on white"}


def test_features_of_a_stream_are_those_of_the_whole() -> None:
    pixels = torch.randint(256, (50, 3, 8, 8), dtype=torch.uint8)
    extractor = Extractor(*("x", Means(), Images(Tensor.float), torch.device("cpu"), "fp32", 6, None, "0" * 64))
    sizes = []
    hook = extractor.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    whole = extract(extractor, pixels, batch_size=8)
    expected, sizes = sizes, []
    hook.remove()
    extractor.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    streamed = extract(extractor, pixels, batch_size=8, filled=iter([3, 7, 20, 21, 50]))
    assert sizes == expected  # with different batches, the last digits would differ
    assert torch.equal(streamed.features, whole.features)
    assert len(extract(extractor, pixels, batch_size=8, filled=iter([10, 44]))) == 44


# Options without effect


def test_options_of_evaluate_that_would_have_no_effect(tmp_path: Path) -> None:
    array, other = images(tmp_path / "a.npy"), images(tmp_path / "b.npy")
    files = folder(tmp_path / "files")
    against = ("--reference", other)
    assert "--image-size has no effect on arrays" in refusal_of(evaluate, array, *against, "--image-size", 8)
    assert "is an array of 8x8 images, which is used unchanged" in refusal_of(
        evaluate, array, "--reference", files, "--image-size", 4
    )
    assert called(array, "--reference", files, "--image-size", 8).exit_code == 0
    assert "--skip-corrupt has no effect on arrays" in refusal_of(evaluate, array, *against, "--skip-corrupt")
    assert "--data-root has no effect with --reference" in refusal_of(
        evaluate, array, *against, "--data-root", tmp_path
    )
    assert "--data-root has no effect with -d digits" in refusal_of(
        evaluate, array, "-d", "digits", "--data-root", tmp_path
    )
    for option in ("--weights", "--profile"):
        assert f"takes no {option}" in refusal_of(evaluate, array, *against, "--extractor", "random-conv", option, "x")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("-m", "real", "--seed", "1", "--seeds", "2"), "--seed and --seeds are mutually exclusive"),
        (("-m", "real", "--control", "noise", "--no-controls"), "--control and --no-controls are mutually exclusive"),
        (("-m", "real", "--timeout", "60", "--hang-timeout", "90"), "--hang-timeout 90 has no effect, as --timeout 60"),
        (("-m", "real", "--data-root", "."), "--data-root has no effect with digits"),
        (("-m", "real", "--compile"), "--compile has no effect, as controls are not trained"),
        (("-m", "real", "--batch-size", "32"), "--batch-size has no effect, as controls are not trained"),
        (("-m", "real", "--training-precision", "bf16"), "--training-precision has no effect, as controls are not"),
    ],
)
def test_options_of_run_that_would_have_no_effect(flags: tuple[str, ...], message: str) -> None:
    assert message in refusal_of(run, *flags)


def test_options_of_other_commands_that_would_have_no_effect() -> None:
    assert "--pairs has no effect with --update-counters" in refusal_of(regress, "--update-counters", "--pairs", "9")
    assert "its options have no effect here; write vae" in refusal_of(models, "vae:beta=4")
    assert "--purpose has no effect on numbers of genbench's own" in refusal_of(check, "kid", "--purpose", "copying")


# Without a cache, and when interrupted


@pytest.fixture
def unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A non-empty cache folder that cannot be written; root can write anywhere, so `os.access` is patched."""
    root = tmp_path / "home" / "genbench"
    (root / "weights").mkdir(parents=True)
    (root / "weights" / "kept").write_text("whole")
    (root / "data").mkdir()
    for name in ("GENBENCH_CACHE", "GENBENCH_DATA", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: not Path(path).is_relative_to(tmp_path / "home") and access(path, mode)
    )
    return root


def test_where_the_cache_cannot_be_written_a_command_goes_on_and_warns_once(unwritable: Path, tmp_path: Path) -> None:
    own = images(tmp_path / "a.npy")
    answer = called(own, "--reference", own)
    assert answer.exit_code == 0
    assert answer.stderr.count("continuing without a cache") == 1
    assert f"{unwritable} cannot be written" in answer.stderr
    assert sorted(path.name for path in unwritable.rglob("*")) == ["data", "kept", "weights"]
    assert "GENBENCH_CACHE" not in os.environ


def test_what_an_unwritable_cache_holds_can_still_be_read(unwritable: Path) -> None:
    with without_cache() as warning:
        assert warning is not None
        folder = datasets.cache_root()
        assert folder != unwritable
        assert (folder / "weights" / "kept").read_text() == "whole"
        assert datasets.default_data_root() == unwritable / "data"
        with settings_of_matplotlib():
            assert Path(os.environ["MPLCONFIGDIR"]).is_dir()
    assert not folder.exists()
    assert datasets.cache_root() == unwritable
    assert "MPLCONFIGDIR" not in os.environ


def test_a_run_from_python_warns(unwritable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "run_benchmark", lambda *_: [])
    monkeypatch.setattr("genbench.report.render_directory", lambda directory: directory)
    with pytest.warns(UserWarning, match="continuing without a cache"):
        api.run(["real"], out=tmp_path / "out")


def test_permissions_that_a_file_system_does_not_honour_are_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: True)  # what root is told
    assert not is_writable(Path("/proc/home/.cache"))


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home folder: no `$HOME`, no entry in the table of users, as in a container."""
    for name in ("HOME", "GENBENCH_CACHE", "GENBENCH_DATA", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path("/"))  # an ordinary user


def test_a_user_without_a_home_folder_goes_on_without_a_cache(homeless: None, tmp_path: Path) -> None:
    own = images(tmp_path / "a.npy")
    answer = called(own, "--reference", own)
    assert answer.exit_code == 0
    assert answer.stderr.count("/nonexistent/.cache/genbench cannot be written: continuing without a cache") == 1


@pytest.mark.parametrize("command", [["doctor"], ["datasets"], ["models"]])
def test_a_user_without_a_home_folder_is_shown_every_list(homeless: None, command: list[str]) -> None:
    assert CliRunner().invoke(cli.cli, command, catch_exceptions=False).exit_code == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["run", "-m", "~nosuch/m.py", "-d", "digits"], "model file ~nosuch/m.py does not exist"),
        (["models", "~nosuch/m.py"], "model file ~nosuch/m.py does not exist"),
        (["run", "-m", "vae", "-d", "digits", "--cluster", "~nosuch/s.json"], "scheduler file ~nosuch/s.json cannot"),
        (["evaluate", "~nosuch/x", "-d", "digits"], "~nosuch/x: no such folder or file"),
    ],
)
def test_the_home_of_an_unknown_user_is_a_path_like_any_other(command: list[str], said: str, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out")] if command[0] == "run" else []
    with pytest.raises(InputError, match=re.escape(said)):
        CliRunner().invoke(cli.cli, [*command, *out], catch_exceptions=False)


def test_no_path_is_expanded_by_what_fails_for_an_unknown_user() -> None:
    """`Path.expanduser` raises a RuntimeError where `os.path.expanduser` leaves the path as it was written."""
    folder = Path(cli.__file__).parents[1]
    method = re.compile(r"(?<!os\.path)\.expanduser\(|Path\.home\(")
    found = [
        str(path)
        for path in folder.rglob("*.py")
        for line in path.read_text().splitlines()
        if method.search(line) and ">>>" not in line
    ]
    assert not found


def test_a_cache_that_was_named_is_not_replaced(unwritable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(unwritable))
    with without_cache() as warning:
        assert warning is None
        assert datasets.cache_root() == unwritable


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["evaluate", "x", "-d", "digits"], "genbench: interrupted"),
        (["plugin", "check", "vae"], "genbench: interrupted"),
        (["report", "x"], "genbench: interrupted"),
    ],
)
def test_only_a_command_that_can_resume_says_so(
    command: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    ended = cli.cli.commands[command[0]]
    monkeypatch.setattr(ended.commands["check"] if command[0] == "plugin" else ended, "callback", interrupted)
    monkeypatch.setattr(sys, "argv", ["genbench", *command])
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the test runner keeps its own handlers
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert (end.value.code, capsys.readouterr().err.strip()) == (130, line)
