"""Whole cells of small models that older versions failed, or passed where they should not, run in this process."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genbench import cell
from genbench.config import Budget, Cell, ModelSpec, Settings
from genbench.errors import PluginError
from genbench.plugin import finding, world
from genbench.records.record import record_path

MODELS = Path(__file__).parent / "models"
ID = "0123456789abcdef"
STEP = "    loss.backward()\n"

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run one cell on the digits and return its record; `stages` of the function fills with its stages."""

    def run_cell(path: Path, budget: str, options: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        settings = Settings(Budget.parse(budget), evaluations=1, samples=100, device="cpu", metrics=("fd",), **more)
        spec = ModelSpec(str(path), options or {})
        payload = {
            "cell": Cell(spec, "digits", 0, settings).to_json(),
            "id": ID,
            "description": {"samples": 100, "device": "cpu"},
            "distribution": "file",
            "covered": finding.find(spec).coverage(spec.options).to_json(),
            "directory": str(tmp_path),
            "command": "",
            "checkpoint_interval": None,
            "jobs": 1,
            "slot": 0,
        }
        with world.kept():
            cell.run(json.loads(json.dumps(payload)), lambda event: None)
        found: dict[str, Any] = json.loads(record_path(tmp_path, ID).read_text())
        return found

    return run_cell


def test_a_wgan_with_a_gradient_penalty_runs_and_pays_for_each_generator_step_once(run: Run) -> None:
    options = {"width": 16, "latent": 4}
    record = run(MODELS / "wgan_gp.py", "12steps", options, batch_size=8)
    flops = [row["flops"] for row in record["curve"]]
    steps = [after - before for before, after in itertools.pairwise(flops)]
    of_critic, of_both = steps[0], steps[4]
    # The same closed form as in test_flops.py: three products a layer but one, 8 images, 64 pixels.
    generator, critic = (4 * 16, 16 * 16, 16 * 64), (64 * 16, 16 * 16, 16 * 1)
    assert of_both - of_critic == 2 * 8 * (3 * sum(generator) - generator[0] + 3 * sum(critic))
    assert steps == [of_critic, of_critic, of_critic, of_critic, of_both] * 2 + [of_critic] * 2
    assert record["cost"]["flops_counted"] == "steps 0 to 11 counted; later steps repeat the last 5"
    assert record["cost"]["train_flops_per_item"] == pytest.approx((4 * of_critic + of_both) / 5 / 8)
    paid = run(MODELS / "wgan_gp.py", f"{int(flops[10] - 1)}flop", options, batch_size=8)
    assert (paid["cost"]["steps"], paid["curve"][-1]["flops"]) == (9, flops[9])


@pytest.mark.parametrize("name", ["class_conditional", "flow"])
def test_a_model_that_is_right_finishes(run: Run, name: str) -> None:
    record = run(MODELS / f"{name}.py", "2steps")
    assert record["numbers"]["fd"]["value"] > 0
    assert record["cost"]["flops_counted"] == "steps 0 to 1 counted; later steps are as the last"


@pytest.mark.parametrize("where", ["top", "step"])
def test_what_a_library_draws_while_it_is_imported_is_no_fault(
    run: Run, write_plugin: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / f"drawing_{where}.py").write_text(
        "import random, numpy\nrandom.random()\nnumpy.random.rand()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    place = {"top": "LATENT = 16\n", "step": STEP}[where]
    indent = " " * (len(place) - len(place.lstrip()))
    record = run(write_plugin(place, f"{indent}import drawing_{where}\n{place}"), "2steps")
    assert record["status"] == "finished"


def test_training_before_sampling_is_refused_in_one_line(run: Run) -> None:
    with pytest.raises(PluginError) as error:
        run(MODELS / "trains_before_sampling.py", "2steps")
    assert str(error.value) == (
        "model 'trains_before_sampling' (file): before_sampling changed net.down.weight, which is trained; train in "
        "train_step alone, where time and FLOPs are counted, and keep in buffers what is fitted for sampling"
    )


@pytest.mark.parametrize(
    ("left", "named"),
    [
        ("torch.autocast('cpu', torch.bfloat16).__enter__()", "torch's autocast (cpu: off became torch.bfloat16)"),
        ("torch.backends.mkldnn.set_flags(False)", "torch's switches of kernels (mkldnn: True became False)"),
    ],
)
def test_a_mode_that_a_step_leaves_on_fails_the_cell(
    run: Run, write_plugin: Callable[..., Path], left: str, named: str
) -> None:
    with pytest.raises(PluginError) as error:
        run(write_plugin(STEP, f"{STEP}    {left}\n"), "2steps")
    assert f"changed {named}; what a hook changes it must put back" in str(error.value)


def test_a_loss_without_a_name_fails_before_the_training(run: Run, write_plugin: Callable[..., Path]) -> None:
    path = write_plugin('{"energy": loss.detach()}', "{None: loss.detach()}")
    with pytest.raises(PluginError, match="train_step returned a loss named None, expected a name that is text"):
        run(path, "1e6steps")
