"""The contract's `resume` interrupts training at several steps, and accepts state in `.grad`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from genbench.config import ModelSpec
from genbench.contract.case import Case, Subject
from genbench.contract.checks import persistence
from genbench.contract.fault import Fault
from genbench.plugin import finding, loading
from genbench.plugin.model import Model
from genbench.training import checkpoint

ACCUMULATES = Path(__file__).parent / "models" / "accumulates.py"


def subject(path: Path, **options: int) -> Subject:
    plugin = loading.load(finding.find(ModelSpec(str(path))))
    return Subject(plugin, {"width": 16, **options}, Case("image", (1, 8, 8), None), torch.device("cpu"))


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5])
def test_accumulated_gradients_are_state_that_a_checkpoint_holds(monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    persistence.resume(subject(ACCUMULATES, every=every))
    monkeypatch.setattr(checkpoint, "_gradients", lambda model: {})
    if every == 1:  # `.grad` holds nothing between steps
        persistence.resume(subject(ACCUMULATES, every=every))
        return
    with pytest.raises(Fault, match=r"resumed after step \d to end after 6 steps"):
        persistence.resume(subject(ACCUMULATES, every=every))


@pytest.mark.parametrize("every", [2, 3, 4, 5, 6])
def test_what_a_plugin_keeps_aside_and_uses_every_few_steps_is_found(tmp_path: Path, every: int) -> None:
    """Wherever a single cut was made, one of these periods would keep nothing at that step."""
    source = ACCUMULATES.read_text()
    backward = "    (loss / every).backward()\n"
    assert backward in source
    kept = f"{backward}    KEPT.append(loss.detach())\n"
    used = '        model.optimizers["adam"].step()\n'
    assert used in source
    weighed = f"        for p in net.parameters():\n            p.grad *= sum(KEPT)\n        KEPT.clear()\n{used}"
    path = tmp_path / "keeps.py"
    path.write_text(source.replace(backward, kept).replace(used, weighed) + "\n\nKEPT = []\n")
    with pytest.raises(Fault, match="keep all state in Model"):
        persistence.resume(subject(path, every=every))


def test_a_model_that_keeps_all_its_state_resumes_from_each_cut(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restored: list[str] = []
    restore = checkpoint.restore

    def noting(path: Path, model: Model) -> object:
        restored.append(path.stem)
        return restore(path, model)

    monkeypatch.setattr(checkpoint, "restore", noting)
    persistence.resume(subject(tiny))
    assert restored == ["2", "3", "4"]


COMPILES = """
def backend(graph, inputs):
    first = [each.node.hint for each in inputs if isinstance(each, torch.SymInt)] or [0]
    return lambda *given: [each * (1 + 1e-6 * first[0]) for each in graph.forward(*given)]


@torch.compile(backend=backend)
def forward(network, noise):
    return network(noise)
"""


def test_compiled_code_that_rounds_differently_for_other_sizes_is_not_taken_for_lost_state(
    write_plugin: Callable[..., Path],
) -> None:
    """Other checks have given the compiled function batches of other sizes; a fresh program has not.

    What is compiled for all sizes depends on the size that it was first compiled with.
    """
    called = 'model.networks["generator"](noise)'
    path = write_plugin()
    path.write_text(path.read_text().replace(called, 'forward(model.networks["generator"], noise)') + COMPILES)
    compiled = subject(path)
    for count in (7, 3, 8):
        compiled.sample(compiled.untrained, count)
        other = compiled.build()
        compiled.step(other, compiled.batch(0)[0][:count], None, 0)
    persistence.round_trip(compiled)
    persistence.resume(compiled)
