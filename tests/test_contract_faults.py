"""Each fault that the contract covers fails its own check and no other, with a helpful message."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_pieces import BUILD, DRAW, LOSSES, SAMPLE, STEP, hook

from genbench.contract import CHECKS, Contract
from genbench.contract.fault import Caution, Fault

# More pieces of the small model that edits replace.
CAPTURABLE = f"{BUILD[:-1]}, capturable=True)"
NET = "    layers = nn"
FIRST = 'model.networks["generator"][0]'
SECOND = 'model.networks["generator"][2]'
MODELS = Path(__file__).parent / "models"
DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])


def fault(name: str, check: str, message: str, *edits: tuple[str, str]) -> Any:
    """A fault: its name, the one check that fails, its message, and the edits to the small model that cause it."""
    return pytest.param(check, message, edits, id=name)


FAULTS = [
    fault(
        "missing import",
        "loads",
        "import failed: ModuleNotFoundError",
        ("import torch\n", "import torch_missing\n"),
    ),
    fault(
        "missing hook",
        "loads",
        "does not implement sample; write the function",
        ("@hookimpl\ndef sample", "def sample"),
    ),
    fault(
        "global state on import",
        "loads",
        "that it changed Python's recursion limit (1000 became 999)\nto fix it: move it out of the module's top level",
        ("LATENT = 16", "import sys\n\nsys.setrecursionlimit(999)\nLATENT = 16"),
    ),
    fault(
        "no docstring",
        "docstring",
        "faulty.py with",
        ('"""A generator', '""""""  # "A generator'),
        ('learns."""', 'learns."'),
    ),
    fault(
        "option without type",
        "options",
        "write `width: int = 16`",
        ("width: int = 16", "width=16"),
    ),
    fault(
        "option of the wrong type",
        "options",
        "rate: str = 0.001 cannot be 0.001",
        ("rate: float = 1e-3", "rate: str = 1e-3"),
    ),
    fault(
        "hidden options",
        "options",
        "named, annotated arguments",
        ("device, **options)", "device, **dict(options))"),
    ),
    fault(
        "no Model",
        "build",
        "to return a genbench.Model, found dict",
        (BUILD, 'return {"generator": net}'),
    ),
    fault(
        "wrong device",
        "build",
        "generator.far on meta",
        (BUILD, f'net.register_buffer("far", torch.zeros(1, device="meta"))\n    {BUILD}'),
    ),
    fault(
        "lazy layer",
        "build",
        "found generator.0.weight of a lazy module",
        ("nn.Linear(LATENT, width)", "nn.LazyLinear(width)"),
    ),
    fault(
        "untrained parameter",
        "build",
        "found none for generator.2.weight",
        ("(net.parameters(), rate)", "(net[0].parameters(), rate)"),
    ),
    fault(
        "foreign parameter",
        "build",
        "one in optimizer 'generator'",
        (BUILD, BUILD.replace('{"generator": net}', "{}")),
    ),
    fault(
        "own seed",
        "build",
        "that networks.generator.0.weight differs",
        (NET, "    torch.seed()\n    layers = nn"),
    ),
    fault(
        "any shape refused",
        "build",
        "refuses 1x8x8 images: too small",
        (NET, '    raise ValueError("too small")\n    layers = nn'),
    ),
    fault(
        "build raises",
        "build",
        "raised ZeroDivisionError: division by zero\nto fix it: see faulty.py:N: 1 / 0",
        (NET, "    1 / 0\n    layers = nn"),
    ),
    fault(
        "torch refuses",
        "build",
        "build_model to return, found that it raised",
        (NET, "    nn.Fold(2, 2)(torch.rand(0))\n    layers = nn"),
    ),
    fault(
        "attached loss",
        "losses",
        "'energy' to be detached, found one that requires grad",
        (LOSSES, 'return {"energy": loss}'),
    ),
    fault(
        "number as loss",
        "losses",
        "'energy' to be a real tensor, found float",
        (LOSSES, 'return {"energy": loss.item()}'),
    ),
    fault(
        "vector as loss",
        "losses",
        "one of shape (1,)\nto fix it: take its .mean()",
        (LOSSES, 'return {"energy": loss.detach()[None]}'),
    ),
    fault(
        "NaN as loss",
        "losses",
        "found nan at step 0",
        (LOSSES, 'return {"energy": loss.detach() * float("nan")}'),
    ),
    fault(
        "nameless loss",
        "losses",
        "named by text of at most 100 characters, found a loss named 0",
        (LOSSES, "return {0: loss.detach()}"),
    ),
    fault(
        "endless name of a loss",
        "losses",
        "named by text of at most 100 characters, found a loss whose name has 101 characters",
        (LOSSES, 'return {"x" * 101: loss.detach()}'),
    ),
    fault(
        "too many losses",
        "losses",
        "at most 256 losses, found 257",
        (LOSSES, "return {str(place): loss.detach() for place in range(257)}"),
    ),
    fault(
        "complex loss",
        "losses",
        "'energy' to be a real tensor, found torch.complex64",
        (LOSSES, 'return {"energy": loss.detach() + 0j}'),
    ),
    fault(
        "no losses",
        "losses",
        "losses from at least one of 64 steps, found an empty dict at each",
        (LOSSES, "return {}"),
    ),
    fault(
        "step exits",
        "losses",
        "raised SystemExit: 3\nto fix it: see faulty.py:N: raise SystemExit(3)",
        (STEP, "    raise SystemExit(3)\n"),
    ),
    fault(
        "no step",
        "movement",
        "generator.0.weight and 5 more unchanged",
        ('    model.optimizers["generator"].step()\n', ""),
    ),
    fault(
        "no gradient at all",
        "movement",
        "generator.0.weight and 5 more unchanged",
        (STEP, f"    loss = loss * 0\n{STEP}"),
    ),
    fault(
        "a layer that no loss reaches",
        "movement",
        "to move in 12 steps, found generator.2.weight and 1 more unchanged",
        (STEP, f"{STEP}    {SECOND}.weight.grad = {SECOND}.bias.grad = None\n"),
    ),
    fault(
        "one_hot without num_classes",
        "waiting",
        "faulty.py:N: nn.functional.one_hot(real.long().abs())",
        (STEP, f"{STEP}    nn.functional.one_hot(real.long().abs())\n"),
    ),
    fault(
        "prints the loss",
        "waiting",
        "faulty.py:N: str(loss)",
        (STEP, f"{STEP}    str(loss)\n"),
    ),
    fault(
        "reads the loss",
        "waiting",
        "a value read at faulty.py:N: float(loss)",
        (STEP, f"{STEP}    float(loss)\n"),
    ),
    fault(
        "branches on the loss",
        "waiting",
        "faulty.py:N: assert loss > -9e9",
        (STEP, f"{STEP}    assert loss > -9e9\n"),
    ),
    fault(
        "lists the loss",
        "waiting",
        "faulty.py:N: loss.tolist()",
        (STEP, f"{STEP}    loss.tolist()\n"),
    ),
    fault(
        "indexes with a mask",
        "waiting",
        "faulty.py:N: real[real > 0]",
        (STEP, f"{STEP}    real[real > 0]\n"),
    ),
    fault(
        "captures the step number",
        "capturable",
        "others at step 4, first at faulty.py:N: loss = loss * (1 + step)",
        (BUILD, CAPTURABLE),
        ("def train_step(model, batch)", "def train_step(model, batch, step)"),
        (STEP, f"    loss = loss * (1 + step)\n{STEP}"),
    ),
    fault(
        "captures every other step",
        "capturable",
        "others at step 4, first at faulty.py:N: loss = loss.abs()",
        (BUILD, CAPTURABLE),
        ("def train_step(model, batch)", "def train_step(model, batch, step)"),
        (STEP, f"    if step % 2 == 0:\n        loss = loss.abs()\n{STEP}"),
    ),
    fault(
        "captures the step number as a tensor",
        "capturable",
        "not to depend on its number, found another generator.0.weight",
        (BUILD, CAPTURABLE),
        ("def train_step(model, batch)", "def train_step(model, batch, step)"),
        (STEP, f"    loss = loss * torch.tensor(step + 1.0)\n{STEP}"),
    ),
    fault(
        "captures a falling rate",
        "capturable",
        "to stay the same, found another optimizers.generator.param_groups.0.lr",
        (BUILD, CAPTURABLE),
        (LOSSES, f'model.optimizers["generator"].param_groups[0]["lr"] *= 0.99\n    {LOSSES}'),
    ),
    fault(
        "captures a scheduler",
        "capturable",
        "to have no schedulers, found 'rate'",
        (
            BUILD,
            'optimizer = torch.optim.Adam(net.parameters(), rate)\n    return Model(nn.ModuleDict({"generator": net}), '
            '{"generator": optimizer}, {"rate": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99)}, True)',
        ),
        (LOSSES, f'model.schedulers["rate"].step()\n    {LOSSES}'),
    ),
    fault(
        "keeps tensors",
        "memory",
        "4 bytes kept at each step",
        (STEP, f'{STEP}    globals().setdefault("KEPT", []).append(loss.detach())\n'),
    ),
    fault(
        "keeps objects",
        "memory",
        "new Python objects per step",
        (STEP, f'{STEP}    globals().setdefault("KEPT", []).append(object())\n'),
    ),
    fault(
        "keeps more objects than it frees, 30 at once",
        "memory",
        "new Python objects per step",
        ("LATENT = 16", "LATENT = 16\nKEPT, FREED = [], [object() for _ in range(1000)]"),
        (STEP, f"{STEP}    KEPT.append(object())\n    if len(KEPT) % 90 == 0:\n        del FREED[:30]\n"),
    ),
    fault(
        "prepares at random",
        "before_training",
        "the same state from equal seeds, found another networks.generator.start",
        (BUILD, f'net.register_buffer("start", torch.zeros((), device=device))\n    {BUILD}'),
        ("LATENT = 16", "import os\n\nLATENT = 16"),
        hook(
            "before_training(model, batches)",
            'model.networks["generator"].start.fill_(int.from_bytes(os.urandom(4), "big"))',
        ),
    ),
    fault(
        "prepares by adding",
        "before_sampling",
        "another networks.generator.seen",
        (BUILD, f'net.register_buffer("seen", torch.zeros((), device=device))\n    {BUILD}'),
        hook("before_sampling(model, batches)", 'model.networks["generator"].seen += next(iter(batches))[0].mean()'),
    ),
    fault(
        "trains before sampling",
        "before_sampling",
        "not to change trained parameters, found another generator.0.bias\nto fix it: train only in train_step",
        hook("before_sampling(model, batches)", f"{FIRST}.bias.fill_(float(next(iter(batches))[0].mean()))"),
    ),
    fault(
        "fits by an optimizer of its own",
        "before_sampling",
        "before_sampling to train nothing, found that it takes steps of SGD\nto fix it: train only in train_step",
        hook(
            "before_sampling(model, batches)",
            "own = torch.zeros(1, requires_grad=True)",
            "own.grad = torch.ones(1)",
            "torch.optim.SGD([own], 0.1).step()",
        ),
    ),
    fault(
        "trains while it is built",
        "build",
        "build_model to train nothing, found that it takes steps of Adam\nto fix it: train in before_training or",
        (BUILD, f"net[0].bias.sum().backward()\n    torch.optim.Adam(net.parameters()).step()\n    {BUILD}"),
    ),
    fault(
        "counts the batches",
        "before_sampling",
        "raised TypeError: object of type 'generator' has no len()\nto fix it: see faulty.py:N: len(batches)",
        hook("before_sampling(model, batches)", "len(batches)"),
    ),
    fault(
        "wrong width",
        "sample",
        "to return (7, 1, 8, 8), found (7, 1, 8, 7)",
        (SAMPLE, f"{SAMPLE}[..., 1:]"),
    ),
    fault(
        "wrong count",
        "sample",
        "to return (1, 1, 8, 8), found (7, 1, 8, 8)",
        (SAMPLE, f"{SAMPLE}[:7]"),
        (DRAW, DRAW.replace("(count", "(8")),
    ),
    fault(
        "wrong range",
        "sample",
        "in [-1, 1], found values in [-",
        (SAMPLE, f"{SAMPLE} * 3"),
    ),
    fault(
        "no bound",
        "sample",
        "once the weights are 10 times as large\nto fix it: end the network with tanh",
        ("nn.Tanh()", "nn.Identity()"),
    ),
    fault(
        "slightly out of range",
        "sample",
        "in [-1, 1], found values in [-1.0",
        (SAMPLE, f"{SAMPLE}.sign() * 1.002"),
    ),
    fault(
        "no values",
        "sample",
        "to return a tensor, found a tensor on meta, which holds no values",
        (SAMPLE, f'{SAMPLE}.to("meta")'),
    ),
    fault(
        "cannot be counted",
        "flops",
        "their FLOPs are counted, to return, found that it raised AssertionError\nto fix it: see faulty.py:N",
        (STEP, f'    assert "Flop" not in str(torch.utils._python_dispatch._get_current_dispatch_mode())\n{STEP}'),
    ),
    fault(
        "bytes",
        "sample",
        "sample to return a float tensor of shape (7, 1, 8, 8) in [-1, 1], found torch.uint8",
        (SAMPLE, f"{SAMPLE}.byte()"),
    ),
    fault(
        "NaN in an image",
        "sample",
        "448 that are NaN or infinite",
        (SAMPLE, f"{SAMPLE}.div(0).mul(0)"),
    ),
    fault(
        "array",
        "sample",
        "to return a tensor, found ndarray",
        (SAMPLE, f"{SAMPLE}.cpu().numpy()"),
    ),
    fault(
        "clock",
        "sample_repeats",
        "different items at the second call",
        (DRAW, f"    import time\n{DRAW}    noise += time.perf_counter() % 1\n"),
    ),
    fault(
        "one image",
        "sample_repeats",
        "different items from another generator, found the same items",
        (DRAW, "    noise = torch.ones(count, LATENT, device=generator.device)\n"),
    ),
    fault(
        "global noise",
        "sample_generator",
        "global generator alone, found that it draws from it",
        ("generator=generator, ", ""),
    ),
    fault(
        "global seed",
        "sample_generator",
        "do not depend on the global seed, found different items",
        (DRAW, f"{DRAW}    noise = noise + torch.initial_seed() % 7\n"),
    ),
    fault(
        "lowers the rate in sample",
        "sample_changes_nothing",
        "that it changed optimizers.generator.param_groups.0.lr",
        (DRAW, f'{DRAW}    model.optimizers["generator"].param_groups[0]["lr"] *= 0.5\n'),
    ),
    fault(
        "whitened batch",
        "sample_batch_size",
        "in a batch of 3 from those in a batch of 8",
        (DRAW, f"{DRAW}    noise = noise - noise.mean(0)\n"),
    ),
    fault(
        "labels unused",
        "sample_labels",
        "different items for another label, found the same items",
        ("sample(model, count,", "sample(model, count, labels,"),
    ),
    fault(
        "crop",
        "reconstruct",
        "to return (8, 1, 8, 8), found (8, 1, 8, 7)",
        hook("reconstruct(model, batch)", "return batch[..., 1:]"),
    ),
    fault(
        "unbounded",
        "reconstruct",
        "found values in [-2, 2] once the weights are 10 times as large",
        hook("reconstruct(model, batch)", f"return batch * (1 + ({FIRST}.weight.abs().mean() > 1))"),
    ),
    fault(
        "noisy",
        "reconstruct",
        "take the mean of the code, not a draw",
        hook("reconstruct(model, batch)", "return torch.rand_like(batch)"),
    ),
    fault(
        "average",
        "reconstruct",
        "to treat each item independently",
        hook("reconstruct(model, batch)", "return (batch + batch.mean(0)) / 2"),
    ),
    fault(
        "map",
        "encode",
        "encode to return (8, D), found (8, 1, 8, 8)",
        hook("encode(model, batch)", "return batch"),
    ),
    fault(
        "column",
        "log_likelihood",
        "log_likelihood to return (8,), found (8, 1)",
        hook("log_likelihood(model, batch)", "return -batch.flatten(1).square().sum(1, keepdim=True)"),
    ),
    fault(
        "density",
        "log_likelihood",
        "to be at most 0, because stored images are discrete and have probabilities",
        hook("log_likelihood(model, batch)", "return 64 - batch.flatten(1).square().sum(1)"),
    ),
    fault(
        "density of few pixels",
        "likelihood_bound",
        "to sum to at most 1, found 190.8 ± 0 before training",
        hook("log_likelihood(model, batch)", "return -batch.flatten(1).square().sum(1)"),
    ),
    fault(
        "density of two values",
        "likelihood_bound",
        "over the 65,536 images of two values to sum to at most 1, found 36,407 ± 0 before training",
        (NET, '    if shape.numel() < 2:\n        raise ValueError("too small")\n    layers = nn'),
        hook("log_likelihood(model, batch)", "return -batch.flatten(1).square().sum(1)"),
    ),
    fault(
        "mean over the pixels",  # on images of one pixel, it is their sum
        "likelihood_bound",
        "over 2,704 images of 1x2x2 in two halves to sum to at most 1, found 10.56 ± 0 before training",
        hook("log_likelihood(model, batch)", "return batch.flatten(1).mean(1) * 0 - math.log(256)"),
        ("import torch\n", "import math\n\nimport torch\n"),
    ),
    fault(
        "density of an image that is squeezed",
        "likelihood_bound",
        "over 2,704 images of 1x2x2 in two halves to sum to at most 1, found 938.6 ± 0 before training",
        (NET, '    if shape[1] % 2 or shape[2] % 2:\n        raise ValueError("odd")\n    layers = nn'),
        hook("log_likelihood(model, batch)", "return -batch.flatten(1).square().sum(1)"),
    ),
    fault(
        "attribute",
        "checkpoint",
        "sample the same images, found others",
        (LOSSES, f"{FIRST}.shift = 0.5\n    {LOSSES}"),
        (DRAW, f'{DRAW}    noise = noise + getattr({FIRST}, "shift", 0)\n'),
    ),
    fault(
        "late buffer",
        "checkpoint",
        'Unexpected key(s) in state_dict: "generator.mean"',
        (LOSSES, f'model.networks["generator"].register_buffer("mean", batch.mean(0))\n    {LOSSES}'),
    ),
    fault(
        "object in the state",
        "checkpoint",
        "keep only tensors and plain values",
        (LOSSES, f'model.optimizers["generator"].param_groups[0]["note"] = Model\n    {LOSSES}'),
    ),
    fault(
        "hidden counter",
        "resume",
        "resumed after step 2 to end after 6 steps in the same state as uninterrupted training, found another",
        ("LATENT = 16", "LATENT = 16\nSTEPS = []"),
        (STEP, f"    STEPS[:] = [len(STEPS) + 1]\n    loss = loss + {FIRST}.bias.sum() * STEPS[0]\n{STEP}"),
    ),
    fault(
        "environment",
        "global_state",
        "the environment (GENBENCH_X)",
        (NET, '    import os\n    os.environ["GENBENCH_X"] = "1"\n    layers = nn'),
    ),
    fault(
        "umask",
        "global_state",
        "the umask (0o22 became 0o77)",
        (NET, "    import os\n    os.umask(0o77)\n    layers = nn"),
    ),
    fault(
        "directory",
        "global_state",
        "the working directory (",
        (STEP, f'{STEP}    import os\n    os.chdir("/")\n'),
    ),
    fault(
        "numpy's random",
        "global_state",
        "the state of numpy's random",
        (DRAW, f"{DRAW}    import numpy\n    numpy.random.rand()\n"),
    ),
    fault(
        "thread",
        "global_state",
        "expected hooks that leave nothing running, found thread 'left'",
        (
            DRAW,
            f'{DRAW}    import threading\n    timer = threading.Timer(5, int)\n    timer.name = "left"\n'
            "    timer.daemon = True\n    timer.start()\n",
        ),
    ),
    fault(
        "process",
        "global_state",
        "expected hooks that leave nothing running, found process ",
        (DRAW, f'{DRAW}    import subprocess\n    subprocess.Popen(["sleep", "5"], start_new_session=True)\n'),
    ),
    fault(
        "connection",
        "network",
        "found one to 127.0.0.1",
        (
            DRAW,
            "    import contextlib, socket\n    with contextlib.suppress(OSError):\n"
            f'        socket.create_connection(("127.0.0.1", 9))\n{DRAW}',
        ),
    ),
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch warns about what some of them do
@pytest.mark.parametrize(("check", "message", "edits"), FAULTS)
@DEVICES
def test_a_fault_fails_its_own_check_alone(
    write_edited: Callable[..., Path], check: str, message: str, edits: tuple[tuple[str, str], ...], device: str
) -> None:
    path = write_edited(*edits)
    source = path.read_text()
    contract = Contract(str(path), [(1, 8, 8)], device)
    # The 200 steps of `memory` take most of the time, and show nothing new if the step is unchanged.
    trains = any(old in (STEP, LOSSES, BUILD) for old, _ in edits)
    items = [item for item in contract.items() if trains or item[0].name != "memory"]
    results = [(item[0].name, contract.result(*item)) for item in items]
    failed = {name: str(result) for name, result in results if isinstance(result, Fault)}
    assert list(failed) == [check]
    text = failed[check]
    for number, line in re.findall(r"faulty\.py:(\d+): (.*)", text):
        assert source.splitlines()[int(number) - 1].strip() == line
    assert message in re.sub(r"faulty\.py:\d+", "faulty.py:N", text)
    assert len(text.splitlines()) == 2


def test_a_fault_within_a_wrapped_library_names_both_lines(
    write_plugin: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "wrapped.py").write_text("def read(loss):\n    return loss.item()\n")
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    (tmp_path / "plugin").mkdir()
    path = write_plugin(STEP, f"{STEP}    __import__('wrapped').read(loss)\n")
    path = path.rename(tmp_path / "plugin" / path.name)
    contract = Contract(str(path), [(1, 8, 8)])
    text = str(contract.result(CHECKS["waiting"], contract.cases[0]))
    assert "read(loss) (within wrapped.py:2: return loss.item())\nto fix it" in re.sub(
        r"\S*__\('wrapped'\)\.", "", text
    )


CAUTIONS = {
    "gradient of zero": (
        "movement",
        "the gradient of generator.far is exactly zero in 12 steps: the loss does not depend on it",
        [
            (NET, "    layers = nn"),
            (BUILD, f"net.far = nn.Parameter(torch.ones(1, device=device))\n    {BUILD}"),
            (STEP, f'    loss = loss + model.networks["generator"].far.sum() * 0\n{STEP}'),
        ],
    ),
    **{
        f"no gradient in a layer that has one, {how}": (
            "movement",
            "the gradient of generator.2.bias is exactly zero in 12 steps: the loss does not depend on it",
            [(BUILD, f"{parametrized}{BUILD}"), (STEP, f"{STEP}    {SECOND}.bias.grad = None\n")],
        )
        for how, parametrized in (
            ("plain", ""),
            ("parametrized", "nn.utils.parametrizations.weight_norm(net[2])\n    "),
        )
    },
    "gradient of rounding errors": (
        "movement",
        "the gradient of generator.0.bias is only rounding errors in 12 steps: the loss does not depend on it",
        [
            ("nn.ReLU(), nn.Linear(width, width)", "nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width)"),
            (BUILD, BUILD.replace("Adam(net.parameters(), rate)", "SGD(net.parameters(), rate, momentum=0.9)")),
        ],
    ),
    "a count that is kept nowhere": (
        "resume",
        "generator.seen is 6 after 6 steps, and 2 if training is resumed after step 4: checkpoints do not hold it",
        [(BUILD, f"net.seen = 0\n    {BUILD}"), (STEP, f'    model.networks["generator"].seen += 1\n{STEP}')],
    ),
    "a list that grows": (
        "resume",
        "the length of generator.seen is 6 after 6 steps, and 2 if training is resumed after step 4",
        [(BUILD, f"net.seen = []\n    {BUILD}"), (STEP, f'    model.networks["generator"].seen.append(batch)\n{STEP}')],
    ),
    "a private number that is halved": (
        "resume",
        "generator._rate is 0.015625 after 6 steps, and 0.25 if training is resumed after step 4",
        [(BUILD, f"net._rate = 1.0\n    {BUILD}"), (STEP, f'    model.networks["generator"]._rate /= 2\n{STEP}')],
    ),
    "a word that changes": (
        "resume",
        "generator.phase is 'late' after 6 steps, and 'early' if training is resumed after step 4",
        [
            (BUILD, f"net.phase, net.seen = 'early', 0\n    {BUILD}"),
            (
                STEP,
                "    net = model.networks['generator']\n    net.seen += 1\n"
                f"    net.phase = ['early', 'late'][net.seen > 4]\n{STEP}",
            ),
        ],
    ),
    **{
        f"a {kind} that grows": (
            "resume",
            "the length of generator.seen is 6 after 6 steps, and 2 if training is resumed after step 4",
            [
                ("import torch\n", "from collections import deque\n\nimport torch\n"),
                (BUILD, f"net.seen = {kind}()\n    {BUILD}"),
                (STEP, f'    seen = model.networks["generator"].seen\n    {grow}\n{STEP}'),
            ],
        )
        for kind, grow in (
            ("deque", "seen.append(batch)"),
            ("set", "seen.add(len(seen))"),
            ("dict", "seen[len(seen)] = batch"),
        )
    },
    **{
        f"{what} that nothing saves": (
            "resume",
            said,
            [
                ("LATENT = 16", "LATENT = 16\n\n\nclass Kept:\n    count = 0"),
                (BUILD, f"{build}\n    {BUILD}"),
                (STEP, f'    net = model.networks["generator"]\n    {keep}\n{STEP}'),
            ],
        )
        for what, build, keep, said in (
            (
                "a tensor",
                "net.seen = torch.zeros(())",
                "net.seen = net.seen + 1",
                "generator.seen is 6 after",
            ),
            (
                "a tensor in place",
                "net.seen = torch.zeros(1)",
                "net.seen += 1",
                "generator.seen is 6 after",
            ),
            (
                "a buffer",
                'net.register_buffer("seen", torch.zeros(2), persistent=False)',
                "net.seen += 1",
                "generator.seen is another tensor after 6 steps if training is resumed after step 4",
            ),
            (
                "an entry",
                'net.seen = {"n": 0}',
                'net.seen["n"] += 1',
                "generator.seen['n'] is 6 after",
            ),
            (
                "an object",
                "net.kept = Kept()",
                "net.kept.count += 1",
                "generator.kept.count is 6 after",
            ),
            (
                "a generator",
                "net.own = torch.Generator()",
                "torch.rand((), generator=net.own)",
                "generator.own is another tensor after 6 steps if",
            ),
            ("Python's generator", "net.own = __import__('random').Random(0)", "net.own.random()", "generator.own is "),
            (
                "an optimizer",
                "net.own = torch.optim.SGD([torch.zeros(1)], 1.0)",
                'net.own.param_groups[0]["lr"] /= 2',
                "generator.own.param_groups[0]['lr'] is 0.015625 after 6 steps, and 0.25 if",
            ),
            (
                "a module in a list",
                "net.copies = [nn.Linear(1, 1, device=device)]",
                "net.copies[0].weight.data.add_(1)",
                "generator.copies[0].weight is ",
            ),
            (
                "a parameter's attribute",
                "net[0].weight.seen = 0",
                "net[0].weight.seen += 1",
                "generator.0.weight.seen is 6",
            ),
        )
    },
    "an attribute of an optimizer that nothing saves": (
        "resume",
        "generator.seen is 6 after 6 steps, and 2 if training is resumed after step 4",
        [(STEP, f'{STEP}    own = model.optimizers["generator"]\n    own.seen = getattr(own, "seen", 0) + 1\n')],
    ),
    "average of weights": (
        "waiting",
        "a library waits for the device at faulty.py:N: average.update_parameters(net) (within swa_utils.py:",
        [
            (
                BUILD,
                "average = AveragedModel(net, device).requires_grad_(False)\n"
                '    return Model(nn.ModuleDict({"generator": net, "average": average}), '
                '{"generator": torch.optim.Adam(net.parameters(), rate)})',
            ),
            ("import torch\n", "import torch\nfrom torch.optim.swa_utils import AveragedModel\n"),
            (
                LOSSES,
                f'net, average = model.networks["generator"], model.networks["average"]\n'
                f"    average.update_parameters(net)\n    {LOSSES}",
            ),
        ],
    ),
}


@pytest.mark.parametrize("name", CAUTIONS)
@DEVICES
def test_a_caution_is_only_a_warning_and_every_other_check_passes(
    write_edited: Callable[..., Path], name: str, device: str
) -> None:
    check, message, edits = CAUTIONS[name]
    contract = Contract(str(write_edited(*edits)), [(1, 8, 8)], device)
    checks = [CHECKS[other] for other in ("losses", "movement", "waiting", "sample", "resume")]
    results = {each.name: contract.result(each, contract.cases[0]) for each in checks}
    found = results.pop(check)
    assert isinstance(found, Caution)
    assert message in re.sub(r"faulty\.py:\d+", "faulty.py:N", str(found))
    assert set(results.values()) == {None}


@pytest.mark.parametrize(
    ("edit", "checks"),
    [
        ((STEP, f"{STEP}    nn.functional.one_hot(real.long().clamp(0, 3), 4)\n"), ("waiting",)),
        ((STEP, f"{STEP}    nn.functional.one_hot(real.long().clamp(0, 3), num_classes=4)\n"), ("waiting",)),
        ((LOSSES, "step = model.optimizers['generator'].state[next(iter(model.networks.parameters()))]['step']\n"
          '    return {"energy": loss.detach()} if int(step) % 5 == 4 else {}'), ("losses", "movement")),
    ],
)  # fmt: skip
@DEVICES
def test_what_is_right_passes(
    write_plugin: Callable[..., Path], edit: tuple[str, str], checks: tuple[str, ...], device: str
) -> None:
    contract = Contract(str(write_plugin(*edit)) + ":width=16", [(1, 8, 8)], device)
    assert [contract.result(CHECKS[check], contract.cases[0]) for check in checks] == [None] * len(checks)


@pytest.mark.parametrize(("every", "fails"), [(64, ""), (65, "movement")])
def test_gradients_of_many_steps_may_be_accumulated(every: int, fails: str) -> None:
    contract = Contract(f"{MODELS / 'accumulates.py'}:width=16,every={every}", [(1, 8, 8)])
    found = {name: contract.result(CHECKS[name], contract.cases[0]) for name in ("losses", "movement", "resume")}
    assert [name for name, result in found.items() if result is not None] == [fails] * bool(fails)
    assert not fails or "to move in 64 steps, found net.0.weight and 3 more unchanged" in str(found[fails])


@pytest.mark.parametrize(("every", "fails"), [(64, False), (65, True)])
def test_losses_may_be_returned_once_in_many_steps(write_edited: Callable[..., Path], every: int, fails: bool) -> None:
    signature = "def train_step(model, batch)"
    path = write_edited(
        (signature, signature.replace("batch)", "batch, step)")),
        (LOSSES, f"{LOSSES} if step % {every} == {every - 1} else {{}}"),
    )
    contract = Contract(str(path), [(1, 8, 8)])
    assert isinstance(contract.result(CHECKS["losses"], contract.cases[0]), Fault) is fails


def test_a_cache_that_is_full_after_some_hundred_steps_is_no_leak(write_plugin: Callable[..., Path]) -> None:
    filling = (
        f'{STEP}    kept = globals().setdefault("KEPT", [])\n    kept.append(object()) if len(kept) < 300 else None\n'
    )
    contract = Contract(str(write_plugin(STEP, filling)) + ":width=16", [(1, 8, 8)])
    assert contract.result(CHECKS["memory"], None) is None


def test_each_check_has_a_fault() -> None:
    # What `ranks` finds breaks nothing on one device, so it only warns: see tests/test_ranks/test_contract.py.
    assert {case.values[0] for case in FAULTS} == set(CHECKS) - {"ranks"}
