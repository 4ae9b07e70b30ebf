"""Plans for models, controls and datasets of several kinds, made in this process and without an extractor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from genbench import datasets
from genbench.cell import preflight
from genbench.config import CONTROLS, Benchmark, Cell, ModelSpec
from genbench.errors import InputError
from genbench.execution.executor import FoundModel
from genbench.execution.limits import Limits
from genbench.execution.planning import Planned, plan
from genbench.execution.running import Outcome
from genbench.plugin import finding
from genbench.progress import Silence

IMAGES, TEXTS = "digits", "grammar:count=200,held_out=100"
BIGRAM = str(Path(__file__).parent / "models" / "bigram.py")


class Here:
    """Stands in for the fork server: models are built in this process, and data are only described."""

    def prepare(self, models: Sequence[FoundModel]) -> None: ...

    def run(self, task: str, payload: Mapping[str, Any], *_: object, **__: object) -> Outcome:
        if task == "check_model":
            cell = Cell.from_json(payload["cell"])
            return Outcome(preflight.check_model(cell, payload["data"], payload["distribution"]))
        dataset = datasets.load(payload["dataset"])
        told = {
            "dataset": {"name": dataset.name, "kind": dataset.kind.name, "fingerprint": dataset.fingerprint},
            "told": dataset.data.to_json(),
        }
        return Outcome({**told, "samples": 9, "metrics": {}, "device": "cpu", "extractor": {"extractor": "none"}})


def planned(
    models: Sequence[str], controls: Sequence[str] = tuple(CONTROLS), seeds: tuple[int, ...] = (0,)
) -> list[Planned]:
    specs = tuple(ModelSpec(name) for name in models)
    benchmark = Benchmark(specs, (IMAGES, TEXTS), seeds, tuple(controls))
    found = {spec.label: finding.find(spec) for spec in specs if spec.name not in CONTROLS}
    return plan(benchmark, found, Here(), Silence(), Limits())  # type: ignore[arg-type]


def rows(plans: Sequence[Planned], dataset: str) -> dict[str, str | None]:
    return {each.cell.model.label: each.unsuitable for each in plans if each.cell.dataset == dataset}


def test_each_kind_brings_its_controls_and_models_of_another_are_not_applicable() -> None:
    plans = planned(["vae", BIGRAM], seeds=(0, 1))
    of_both = {"real": None, "noise": None, "copycat": None}
    text = "takes no texts: their tokens are symbols, and it returns real numbers"
    assert rows(plans, IMAGES) == {**of_both, "gaussian": None, "vae": None, "bigram": "takes only texts"}
    assert rows(plans, TEXTS) == {**of_both, "ngram": None, "vae": text, "bigram": None}
    assert len(plans) == 2 * 2 * 6
    assert len({each.id for each in plans}) == len(plans)
    for label in ("vae", "bigram"):  # at every seed, although it is found out at the first
        assert len({(each.cell.dataset, each.unsuitable) for each in plans if each.cell.model.label == label}) == 2


@pytest.mark.parametrize(
    ("models", "controls"), [(["vae"], ["real", "ngram", "gaussian"]), (["vae", "ngram", "gaussian"], ["real"])]
)
def test_a_control_of_another_kind_that_is_asked_for_by_name_is_not_applicable(
    models: list[str], controls: list[str]
) -> None:
    plans = planned(models, controls)
    images, texts = rows(plans, IMAGES), rows(plans, TEXTS)
    assert images.pop("ngram") == "is only for texts"
    assert texts.pop("gaussian") == "is only for images and clips"
    assert set(images) == {"real", "vae", "gaussian"}
    assert images["gaussian"] is None
    assert texts["ngram"] is None
    assert "takes no texts" in str(texts["vae"])


def test_a_control_that_is_asked_for_beside_the_usual_ones_leaves_the_others_out() -> None:
    plans = planned(["vae", "ngram"])
    assert rows(plans, IMAGES)["ngram"] == "is only for texts"
    assert "gaussian" not in rows(plans, TEXTS)


def test_where_every_model_is_for_something_else_nothing_would_run() -> None:
    spec = ModelSpec("vae")
    with pytest.raises(InputError, match=r"^nothing would run: vae is not applicable to grammar"):
        plan(Benchmark((spec,), (TEXTS,)), {"vae": finding.find(spec)}, Here(), Silence(), Limits())  # type: ignore[arg-type]
