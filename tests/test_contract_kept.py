"""What the contract's checks accept, what else they find, and what they leave as it was."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_pieces import BUILD, LOSSES, STEP, hook

from genbench import seeding
from genbench.config import ModelSpec
from genbench.contract import CHECKS, Contract
from genbench.contract.case import Case, Subject
from genbench.contract.checks import memory, module, persistence, ranks, sharing, waiting
from genbench.contract.fault import Caution, Fault, Refused, Unmet
from genbench.plugin import finding, loading, world

COUNTER = (BUILD, f'net.register_buffer("seen", torch.zeros(()))\n    {BUILD}')
COUNTS = 'model.networks["generator"].seen += 1'

Edit = tuple[str, str]
Outcome = Callable[..., Any]


@pytest.fixture
def outcome(write_edited: Callable[..., Path]) -> Outcome:
    """Return the outcome of one check on the small model with some edits: None where it passes."""

    def check(name: str, *edits: Edit, options: str = "") -> Any:
        contract = Contract(f"{write_edited(*edits)}{options}", [(1, 8, 8)])
        return contract.result(CHECKS[name], None if CHECKS[name].once else contract.cases[0])

    return check


@pytest.fixture
def subject(write_edited: Callable[..., Path]) -> Callable[..., Subject]:
    """Return the small model with some edits as a check gets it, on images with labels."""

    def load(*edits: Edit) -> Subject:
        plugin = loading.load(finding.find(ModelSpec(str(write_edited(*edits)))))
        return Subject(plugin, {}, Case("image", (1, 8, 8), 10), torch.device("cpu"))

    return load


@pytest.fixture
def frozen() -> Iterator[None]:
    """As it was, after a test that decides itself whether objects are excluded from garbage collection."""
    yield
    gc.freeze()  # as tests/conftest.py does


@pytest.mark.parametrize("before", [False, True])
def test_tensors_of_the_first_steps_may_be_kept_and_objects_stay_as_collectable_as_they_were(
    outcome: Outcome, frozen: None, before: bool
) -> None:
    """Of the nine steps that are watched, three keep a tensor."""
    gc.freeze() if before else gc.unfreeze()
    kept = '    KEPT = globals().setdefault("KEPT", [])\n    KEPT.append(loss.detach()) if len(KEPT) < 45 else None\n'
    assert outcome("memory", (STEP, f"{STEP}{kept}")) is None
    assert (gc.get_freeze_count() > 0) == before


SPARSE = [
    (BUILD, 'table = nn.Embedding(10, LATENT, sparse=True, device=device)\n    '
        'nets = nn.ModuleDict({"generator": net, "table": table})\n    '
        'return Model(nets, {"generator": torch.optim.Adam(net.parameters(), rate), '
        '"table": torch.optim.SparseAdam(table.parameters(), rate)})'),
    ("def train_step(model, batch):", "def train_step(model, batch, step):"),
    ('["generator"](noise).flatten(1)', '["generator"](noise '
        '+ model.networks["table"](torch.arange(len(batch)) % 10)).flatten(1)'),
    (STEP, f'{STEP}    model.optimizers["table"].step()\n    model.optimizers["table"].zero_grad()\n'),
]  # fmt: skip


@pytest.mark.parametrize("name", ["losses", "movement", "resume", "memory"])
def test_gradients_may_be_sparse(outcome: Outcome, name: str) -> None:
    """Those of an embedding that SparseAdam trains."""
    assert outcome(name, *SPARSE) is None


def test_sparse_gradients_that_are_kept_are_found(outcome: Outcome) -> None:
    kept = '    globals().setdefault("KEPT", []).append(model.networks["table"].weight.grad)\n'
    edit = SPARSE[-1][1].replace('    model.optimizers["table"].step()', f'{kept}    model.optimizers["table"].step()')
    found = outcome("memory", *SPARSE[:-1], (STEP, edit))
    assert isinstance(found, Fault)
    assert "bytes kept at each step" in str(found)


def test_growth_is_per_step_and_the_least_between_two_counts() -> None:
    assert memory._least_growth([0, 900, 990, 1500]) == 1.0


def test_an_import_may_set_variables(outcome: Outcome) -> None:
    sets = 'import os\n\nos.environ["GENBENCH_OF_A_LIBRARY"] = "1"\nLATENT = 16'
    assert outcome("loads", ("LATENT = 16", sets)) is None


NARROW = ("    layers = nn", '    if width < 17:\n        raise ValueError("too narrow")\n    layers = nn')


def test_options_are_checked_with_the_values_given(outcome: Outcome) -> None:
    assert outcome("options", NARROW, options=":width=17") is None


def test_a_refusal_is_no_fault_of_the_options(subject: Callable[..., Subject]) -> None:
    with pytest.raises(Refused, match="too narrow"):
        module.takes_options(subject(NARROW))


def test_a_preparation_may_add_to_the_state_of_a_model_that_it_has_not_seen(outcome: Outcome) -> None:
    assert outcome("before_training", COUNTER, hook("before_training(model, batches)", COUNTS)) is None


def test_training_before_sampling_is_found_that_begins_after_the_first_step(outcome: Outcome) -> None:
    trains = 'if model.optimizers["generator"].state: model.networks["generator"][0].bias.add_(1)'
    found = outcome("before_sampling", hook("before_sampling(model, batches)", trains))
    assert "before_sampling not to change trained parameters, found another generator.0.bias" in str(found)


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("reconstruct", "model, batch", "batch"),
        ("encode", "model, batch", "batch.flatten(1)"),
        ("log_likelihood", "model, batch", "-batch.flatten(1).square().sum(1)"),
    ],
)
def test_a_hook_that_counts_its_calls_changes_something(
    outcome: Outcome, name: str, arguments: str, value: str
) -> None:
    found = outcome(name, COUNTER, hook(f"{name}({arguments})", COUNTS, f"return {value}"))
    assert f"expected {name} to change nothing, found that it changed networks.generator.seen" in str(found)


@pytest.mark.parametrize(
    ("given", "said"), [(", generator=generator", None), ("", "pass generator=generator to every")]
)
def test_a_likelihood_draws_from_its_generator(outcome: Outcome, given: str, said: str | None) -> None:
    draws = f"return -100 - torch.rand(len(batch){given})"
    found = outcome("log_likelihood", hook("log_likelihood(model, batch, generator)", draws))
    assert found is None if said is None else said in str(found)


def test_a_resumed_training_must_report_the_same_losses(outcome: Outcome) -> None:
    counted = LOSSES.replace("loss.detach()", "loss.detach() + len(STEPS)")
    found = outcome("resume", ("LATENT = 16", "LATENT = 16\nSTEPS = []"), (LOSSES, f"STEPS.append(1)\n    {counted}"))
    assert "found another loss 'energy'" in str(found)


@pytest.mark.parametrize("check", [persistence.round_trip, persistence.resume], ids=["checkpoint", "resume"])
def test_a_package_that_is_imported_anew_is_put_back(check: Callable[[Subject], None]) -> None:
    plugin = loading.load(finding.find(ModelSpec("ae")))
    before = {name: module for name, module in sys.modules.items() if name.startswith("genbench_ae")}
    assert {"genbench_ae.mlp", "genbench_ae.density"} <= set(before)
    check(Subject(plugin, {"bottleneck": 2, "hidden": 8}, Case("image", (1, 8, 8), None), torch.device("cpu")))
    assert {name: sys.modules[name] for name in before} == before


def test_what_the_first_step_leaves_in_another_module_is_not_there_after_resuming(
    write_edited: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = "    if step == 0:\n        kept.SCALE = 2.0\n    loss = loss * kept.SCALE\n"
    signature = "def train_step(model, batch)"
    source = write_edited(
        (signature, f"{signature[:-1]}, step)"),
        (STEP, first + STEP),
        ("import torch\n", "import torch\nfrom scaled_package import kept\n"),
    ).read_text()
    (tmp_path / "scaled_package").mkdir()
    for name, text in {"__init__": "", "kept": "SCALE = 1.0\n", "model": source}.items():
        (tmp_path / "scaled_package" / f"{name}.py").write_text(text)
    (tmp_path / "scaled-1.dist-info").mkdir()
    (tmp_path / "scaled-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: scaled\nVersion: 1\n")
    (tmp_path / "scaled-1.dist-info" / "entry_points.txt").write_text("[genbench]\nscaled = scaled_package.model\n")
    monkeypatch.syspath_prepend(tmp_path)
    contract = Contract("scaled", [(1, 8, 8)])
    assert "keep all state in Model" in str(contract.result(CHECKS["resume"], contract.cases[0]))


def test_statistics_of_a_batch_are_those_of_all_ranks(outcome: Outcome) -> None:
    hidden = "nn.ReLU(), nn.Linear(width, width)"
    assert outcome("ranks", (hidden, f"nn.BatchNorm1d(width), {hidden}")) is None


def test_ranks_get_the_labels_of_their_rows_and_leave_the_global_generator(subject: Callable[..., Subject]) -> None:
    """Left where it was seeded: the draws of the ranks' steps are put back."""
    same = f"    assert len(labels) == len(batch) == 4\n{STEP}"
    ranks.ranks(subject(("def train_step(model, batch)", "def train_step(model, batch, labels)"), (STEP, same)))
    found = torch.get_rng_state()
    seeding.seed_global(0, "contract", "ranks")
    assert torch.equal(found, torch.get_rng_state())


@pytest.mark.parametrize(
    ("check", "line", "said"),
    [
        (sharing.network, "socket.create_connection(('127.0.0.1', 9))", "one to 127.0.0.1"),  # fails, and so the hook
        (sharing.global_state, "os.environ['GENBENCH_X'] = '1'", r"the environment \(GENBENCH_X\)"),
    ],
    ids=["network", "global_state"],
)
@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("before_sampling(model, batches)", "None"),
        ("reconstruct(model, batch)", "batch"),
        ("encode(model, batch)", "batch.flatten(1)"),
        ("log_likelihood(model, batch)", "-batch.flatten(1).square().sum(1)"),
    ],
)
def test_every_hook_is_watched(
    subject: Callable[..., Subject], signature: str, value: str, check: Callable[[Subject], None], line: str, said: str
) -> None:
    one = subject(hook(signature, "import os, socket", line, f"return {value}"))
    with world.kept(), pytest.raises(Fault, match=said):
        check(one)


def test_a_model_without_parameters_has_none_that_move() -> None:
    contract = Contract("ppca:latent=2", [(1, 8, 8)])
    found = contract.result(CHECKS["movement"], contract.cases[0])
    assert isinstance(found, Unmet)
    assert str(found) == "nothing is trained by gradient steps"


WGAN = """
import torch
from torch import nn
from genbench import Model, hookimpl


@hookimpl
def build_model(data, options, device):
    shape = data.shape
    generator = nn.Sequential(nn.Linear(4, shape.numel()), nn.Tanh(), nn.Unflatten(1, shape))
    critic = nn.Sequential(nn.Flatten(), nn.Linear(shape.numel(), 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    networks = nn.ModuleDict({"generator": generator, "critic": critic}).to(device)
    return Model(networks, {name: torch.optim.Adam(each.parameters()) for name, each in networks.items()})


@hookimpl
def train_step(model, batch):
    generator, critic = model.networks["generator"], model.networks["critic"]
    noise = torch.randn(len(batch), 4, device=batch.device)
    of_critic = critic(generator(noise).detach()).mean() - critic(batch).mean()
    model.optimizers["critic"].zero_grad()
    of_critic.backward()
    model.optimizers["critic"].step()
    of_generator = -critic(generator(noise)).mean()
    model.optimizers["generator"].zero_grad()
    of_generator.backward()
    model.optimizers["generator"].step()
    return {"critic": of_critic.detach(), "generator": of_generator.detach()}


@hookimpl
def sample(model, count, generator):
    return model.networks["generator"](torch.randn(count, 4, generator=generator, device=generator.device))
"""


@pytest.mark.parametrize(
    ("edit", "kind", "said"),
    [
        (("", ""), Caution, "the gradient of critic.3.bias is exactly zero in 12 steps"),
        # The generator's loss leaves gradients in the critic, but the critic's optimizer never steps them.
        (('    model.optimizers["critic"].step()\n', ""), Fault, "found critic.1.weight and 3 more unchanged"),
        (("each.parameters())", "each.parameters(), lr=0.0)"), Fault, "found generator.0.weight and 5 more unchanged"),
    ],
    ids=["as it is", "no step", "no rate"],
)
def test_a_critic_s_last_bias_may_stay_although_the_generator_s_loss_leaves_a_gradient_in_it(
    tmp_path: Path, edit: Edit, kind: type[Exception], said: str
) -> None:
    path = tmp_path / "wgan.py"
    path.write_text(WGAN.replace(*edit))
    contract = Contract(str(path), [(1, 8, 8)])
    found = contract.result(CHECKS["movement"], contract.cases[0])
    assert type(found) is kind
    assert said in str(found)


def test_the_first_step_may_wait(outcome: Outcome) -> None:
    net = 'model.networks["generator"]'
    once = f'{STEP}    if not hasattr({net}, "first"):\n        {net}.first = float(loss.detach())\n'
    assert outcome("waiting", (STEP, once)) is None


def test_waits_that_cuda_reports_are_those_of_the_lines_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[object] = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: "as before")
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with waiting._waits_on_cuda(SimpleNamespace(home=str(Path(__file__).parent))) as waits:  # type: ignore[arg-type]
        warnings.warn("something else", stacklevel=1)
        assert waits.own == []
        warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
    assert len(waits.own) == 1
    assert modes == ["warn", "as before"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("encode", "batch.flatten(1) - batch.mean()", "encode to treat each item independently"),
        ("log_likelihood", "torch.arange(len(batch)) - 6.0", "log_likelihood to be at most 0"),  # one of 8 is above
    ],
)
def test_one_item_is_enough(outcome: Outcome, name: str, value: str, said: str) -> None:
    assert said in str(outcome(name, hook(f"{name}(model, batch)", f"return {value}")))


def test_a_state_that_is_not_restored_is_found_though_samples_are_the_same(outcome: Outcome) -> None:
    forgets = "class Forgets(nn.Identity):\n        def _load_from_state_dict(self, *given):\n            pass\n\n"
    adds = f'    {forgets}    net.append(Forgets())\n    net[-1].register_buffer("seen", torch.zeros(()))\n    {BUILD}'
    counts = 'model.networks["generator"][-1].seen += 1'
    found = outcome("checkpoint", (f"    {BUILD}", adds), (LOSSES, f"{counts}\n    {LOSSES}"))
    assert "expected the state that was saved, found another networks.generator.7.seen" in str(found)


HIDDEN = (BUILD, f"net.shift = torch.randn(())\n    {BUILD}")  # of the initial seed, and in no state


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        ("checkpoint", 'return model.networks["generator"](noise)', "noise = noise + SHIFT\n    "),
        ("resume", STEP, "    loss = loss + SHIFT * model.networks['generator'][0].bias.sum()\n"),
    ],
)
def test_what_is_drawn_with_the_weights_must_be_part_of_the_state(
    outcome: Outcome, check: str, old: str, new: str
) -> None:
    found = outcome(check, HIDDEN, (old, new.replace("SHIFT", 'model.networks["generator"].shift') + old))
    assert isinstance(found, Fault)
    assert "none in" in str(found) or "nothing in attributes" in str(found)


def test_ranks_that_part_at_the_fifth_step_are_found(outcome: Outcome) -> None:
    by_hand = "    if step == 4:\n        model.networks['generator'][0].bias.data += batch.mean()\n"
    found = outcome(
        "ranks", ("def train_step(model, batch)", "def train_step(model, batch, step)"), (STEP, by_hand + STEP)
    )
    assert "generator.0.bias is not the same on two ranks after 6 steps" in str(found)


def test_a_pass_that_is_interrupted_in_the_last_step_is_named(outcome: Outcome) -> None:
    interrupted = (
        "    import contextlib\n    if step == 5:\n"
        "        model.networks['generator'][0].weight.register_hook(lambda gradient: 1 / 0)\n"
        "    with contextlib.suppress(ZeroDivisionError):\n        loss.backward()\n"
    )
    found = outcome(
        "ranks", ("def train_step(model, batch)", "def train_step(model, batch, step)"), (STEP, interrupted)
    )
    assert "a backward pass of step 5 was interrupted" in str(found)
