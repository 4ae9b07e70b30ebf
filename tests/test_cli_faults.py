"""Bad input: one line, exit code 2, nothing trained, no traceback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

Command = Callable[..., subprocess.CompletedProcess[str]]
TINY = str(Path(__file__).parent / "models" / "tiny.py")


def refused(answer: subprocess.CompletedProcess[str], cwd: Path) -> str:
    """Assert that the request was refused in one line and nothing was trained; return the line."""
    lines = [line for line in answer.stderr.splitlines() if not line.startswith(("checking ", "  "))]
    assert answer.returncode == 2, answer.stderr
    assert "Traceback" not in answer.stderr
    assert len(lines) == 1, answer.stderr
    assert not list(cwd.rglob("records/*.json"))
    assert lines[0].startswith("genbench: ")
    return lines[0]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(20):
        Image.new("L", (8, 8), index * 10).save(folder / f"{index:02}.png")
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "dcgam"], "unknown model 'dcgam'; did you mean dcgan"),
        (
            ["-m", f"{TINY}:widht=3"],
            "model 'tiny' (file): unknown option 'widht'; did you mean width? It takes width: int = 256",
        ),
        (["-m", f"{TINY}:width=wide"], "model 'tiny' (file): option width: int = 256 cannot be 'wide'"),
        (["-m", "vae:beta=high"], "model 'vae' (genbench-vae 0.1.0): option beta: float = 1.0 cannot be 'high'"),
        (["-m", "./nowhere.py"], "model file ./nowhere.py does not exist"),
        (["-m", TINY, "-d", "digit"], "unknown dataset 'digit'; did you mean digits"),
        (["-m", TINY, "--budget", "3000"], "budget '3000' cannot be read; write for example 3000steps, 200kimg"),
        (["-m", TINY, "--seeds", "0"], "--seeds must be a whole number above zero, not 0"),
        (
            ["-m", TINY, "--batch-size", "5000"],
            "batch size 5000 is larger than the training split of digits, which has 1297",
        ),
        (["-m", TINY, "--training-precision", "fp8"], "--training-precision 'fp8' is not one of fp32, tf32, bf16"),
        (
            ["-m", TINY, "--device", "cpu", "--training-precision", "tf32"],
            "--training-precision tf32 needs a CUDA device, and this",
        ),
        (
            ["-m", TINY, "--device", "cpu", "--cuda-graph"],
            "--cuda-graph needs a CUDA device, and this benchmark runs",
        ),
        (["-m", TINY, "--device", "gpu"], "device 'gpu' is not one of auto, cpu, cuda, mps"),
        (["-m", TINY, "--extractor", "resnet"], "resnet"),
        (["-m", TINY, "--control", "reel"], "unknown control 'reel'; did you mean real?"),
        (["-m", TINY, "-d", "folder:nowhere"], "nowhere"),
        (["none.toml"], "none.toml: cannot be read: No such file or directory"),
        (["-m", TINY, "-m", TINY], "model 'tiny' is named twice"),
        (["-m", TINY, "--seeds", "100001"], "--seeds must be a whole number up to 100,000, not '100001'"),
        (["-m", TINY, "--seed", "-1"], "--seed must be a whole number of at least 0, not -1"),
        (["-m", TINY, "--image-size", "0"], "--image-size must be a whole number above zero, not 0"),
        (["-m", TINY, "--image-size", "70000"], "--image-size must be at most 65,535, not 70000"),
        (["-m", TINY, "--stop-at-target"], "--stop-at-target has no effect without a target"),
        (["-m", TINY, "--jobs", "0"], "--jobs must be a whole number above zero, not 0"),
        (["-m", TINY, "--timeout", "-1"], "timeout must be above zero, not -1.0"),
        (["-m", TINY, "--memory-limit", "much"], "memory limit 'much' cannot be read; write for example 2GB or 800MB"),
        (["-m", TINY, "--memory-limit", "1B"], "memory limit must be at least 256 MB, about what a process needs"),
        (["-m", "gan", "--plugins-from", "genbench-vae"], "which --plugins-from does not list (it lists genbench-vae)"),
    ],
)
def test_refused(command: Command, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert message in refused(command("run", *arguments, cwd=tmp_path, code=2), tmp_path)


def test_a_device_that_is_not_there(command: Command, tmp_path: Path) -> None:
    line = refused(command("run", "-m", TINY, "--device", "cuda", cwd=tmp_path, code=2), tmp_path)
    assert "device 'cuda' is not available" in line
    assert "use --device cpu" in line


def test_an_unknown_key_is_named_with_its_line(command: Command, tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text('models = ["gan"]\n# a comment\nbugdet = "3steps"\n')
    line = refused(command("run", "b.toml", cwd=tmp_path, code=2), tmp_path)
    assert line == "genbench: b.toml:3: unknown key 'bugdet'; did you mean budget?"


def test_data_that_is_not_on_disk(command: Command, tmp_path: Path) -> None:
    # No network: the proxies' port is closed.
    closed = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    line = refused(
        command(
            "run", "-m", TINY, "-d", "mnist", "--data-root", str(tmp_path / "data"), cwd=tmp_path, code=2, **closed
        ),
        tmp_path,
    )
    for part in ("mnist", "train-images-idx3-ubyte", str(tmp_path / "data"), "--data-root"):
        assert part in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write anywhere")
def test_a_folder_that_is_not_writable(command: Command, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    line = refused(command("run", "-m", TINY, "--out", str(tmp_path / "out"), cwd=tmp_path, code=2), tmp_path)
    assert "choose another with --out" in line


def test_a_file_where_the_output_should_go(command: Command, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    line = refused(command("run", "-m", TINY, "--out", str(tmp_path / "out"), cwd=tmp_path, code=2), tmp_path)
    assert "output directory" in line
    assert "choose another with --out" in line


def test_a_folder_without_images(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    line = refused(command("run", "-m", TINY, "-d", "folder:empty", cwd=tmp_path, code=2), tmp_path)
    assert "empty" in line
    assert "image" in line


def test_a_corrupt_image_is_named(command: Command, tmp_path: Path, images: Path) -> None:
    (images / "07.png").write_bytes(b"no picture")
    assert "07.png" in refused(command("run", "-m", TINY, "-d", f"folder:{images}", cwd=tmp_path, code=2), tmp_path)


def test_sizes_that_differ_are_named_with_the_way_out(command: Command, tmp_path: Path, images: Path) -> None:
    Image.new("L", (9, 8)).save(images / "07.png")
    line = refused(command("run", "-m", TINY, "-d", f"folder:{images}", cwd=tmp_path, code=2), tmp_path)
    assert "07.png" in line
    assert "--image-size" in line


def test_weights_of_another_architecture(command: Command, tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    line = refused(
        command("run", "-m", TINY, "--extractor", "inception", "--weights", "other.pth", cwd=tmp_path, code=2), tmp_path
    )
    assert "other.pth" in line


def test_a_folder_of_records_that_is_not_there(command: Command, tmp_path: Path) -> None:
    assert "nowhere does not exist" in refused(command("report", "nowhere", cwd=tmp_path, code=2), tmp_path)


@pytest.mark.parametrize("folder", ["records", "plans"])
def test_a_damaged_record_or_plan_is_an_invalid_request(command: Command, tmp_path: Path, folder: str) -> None:
    control = (
        "run",
        "-m",
        "noise",
        "--no-controls",
        "--seeds",
        "1",
        "--samples",
        "64",
        "--metrics",
        "fd",
        "--out",
        "out",
    )
    command(*control, cwd=tmp_path)
    (path,) = (tmp_path / "out" / folder).glob("*.json")
    path.write_text("{")
    for arguments in (("report", "out"), control) if folder == "records" else (("report", "out"),):
        ended = command(*arguments, cwd=tmp_path, code=2)
        assert f"{path.name} cannot be read" in ended.stderr
