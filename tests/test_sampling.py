from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from genbench import Training, datasets, seeding
from genbench.config import ModelSpec
from genbench.datasets.dataset import Dataset, Split
from genbench.errors import PluginError
from genbench.evaluation import controls, sampling
from genbench.kinds.image import KIND as IMAGES
from genbench.plugin import finding, loading, options
from genbench.plugin.model import Model
from genbench.training.passes import passes

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets.load("digits")


def draw(path: Path, dataset: Dataset, count: int = 300, seed: int = 0):
    plugin = loading.load(finding.find(ModelSpec(str(path))))
    seeding.seed_global(0, "build")
    model = options.build(plugin, dataset.data, Training(None, 64), {}, CPU)
    return sampling.draw(plugin, model, dataset, count, seed, CPU)


def test_rounding_is_the_one_of_the_design() -> None:
    values = torch.tensor([-1.0, -0.999, 0.0, 0.5, 1.0, 1.0005, -1.0005, 1.01, -1.01, 2.0, -2.0])
    rounded = IMAGES.store(values)
    assert rounded.tolist() == [0, 0, 128, 191, 255, 255, 0, 255, 0, 255, 0]
    assert rounded.dtype == torch.uint8


def test_samples_follow_from_the_seed_and_leave_the_global_generator_alone(tiny: Path, digits: Dataset) -> None:
    images, labels = draw(tiny, digits)
    state = torch.get_rng_state()
    torch.rand(3)
    again, labels_again = draw(tiny, digits)
    assert images.shape == (300, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert torch.equal(images, again)
    assert torch.equal(labels, labels_again)
    assert not torch.equal(draw(tiny, digits, seed=1)[0], images)
    torch.set_rng_state(state)


def test_labels_come_by_the_data_frequencies(digits: Dataset) -> None:
    labels = sampling.draw_labels(digits.train, 20000, seeding.generator(0, "x"))
    frequencies = torch.bincount(labels, minlength=10) / 20000
    expected = torch.bincount(digits.train.labels, minlength=10) / len(digits.train)
    assert (frequencies - expected).abs().max() < 0.01


@pytest.mark.parametrize("labelled", [True, False])
def test_batches_and_their_labels_come_from_two_streams_of_the_seed(digits: Dataset, labelled: bool) -> None:
    asked: list[tuple[int, torch.Tensor | None, bool, bool, torch.device]] = []
    sizes: list[int] = []

    def sample(model: Model, count: int, labels: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
        grad = torch.is_grad_enabled()
        asked.append((count, labels, model.networks.training, grad, generator.device))
        return torch.rand(count, 1, 8, 8, generator=generator) * 2 - 1

    plugin: Any = SimpleNamespace(hook=SimpleNamespace(sample=sample))
    split = digits.train if labelled else Split(digits.train.items, None)
    data = dataclasses.replace(digits, train=split)
    model = Model(nn.ModuleDict({"net": nn.Linear(1, 1)}), {})
    images, labels = sampling.draw(plugin, model, data, 600, 5, CPU, sizes.append)
    stream = seeding.generator(5, "sample")
    expected = torch.cat([torch.rand(count, 1, 8, 8, generator=stream) * 2 - 1 for count in (250, 250, 100)])
    assert torch.equal(images, IMAGES.store(expected))
    assert sizes == [count for count, *_ in asked] == [250, 250, 100]
    assert {tuple(more) for _, _, *more in asked} == {(False, False, CPU)}
    if not labelled:
        assert labels is None
        assert {given for _, given, *_ in asked} == {None}
        return
    assert digits.train.labels is not None
    rows = torch.randint(len(digits.train), (600,), generator=seeding.generator(5, "sample labels"))
    assert torch.equal(labels, digits.train.labels[rows])
    assert torch.equal(torch.cat([given for _, given, *_ in asked if given is not None]), labels)


def test_labels_and_the_generator_of_samples_are_on_the_device(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, device, asked = seeding.generator, torch.device("meta"), list[object]()

    def noted(*names: int | str, device: object = None) -> torch.Generator:
        asked.append(device)
        return generator(*names)  # type: ignore[arg-type]

    def sample(model: Model, count: int, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        asked.append(labels.device)
        return torch.zeros(count, 1, 8, 8)

    monkeypatch.setattr(seeding, "generator", noted)
    plugin: Any = SimpleNamespace(hook=SimpleNamespace(sample=sample))
    sampling.draw(plugin, Model(nn.ModuleDict(), {}), digits, 3, 0, device)
    assert asked == [None, device, device]  # labels are drawn on the CPU


class Liar(torch.Tensor):
    """A tensor that claims to be within [-1, 1]."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func in (torch.Tensor.aminmax, torch.aminmax):
            return torch.tensor(-1.0), torch.tensor(1.0)
        return super().__torch_function__(func, types, args, kwargs)


def liar(noise: torch.Tensor) -> torch.Tensor:
    values = torch.zeros(len(noise), 1, 8, 8)
    values[0, 0, 0, :2] = torch.tensor([-9.0, 9.0])
    return values.as_subclass(Liar)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("(noise)[:, :, :7]", r"sample returned \(250, 1, 7, 8\), expected \(250, 1, 8, 8\)"),
        ("(noise)[:-1]", r"sample returned \(249, 1, 8, 8\), expected \(250, 1, 8, 8\)"),
        ("(noise).to(torch.uint8)", "sample returned torch.uint8, expected a float tensor"),
        ("(noise) * 2 + 3", r"sample returned values in \[.*\], expected values in \[-1, 1\]"),
        ("(noise) * float('nan')", "sample returned NaN"),
        ("(noise).log().nan_to_num(nan=float('inf'))", "sample returned values in .*inf"),
        ("(noise).to('meta')", "sample returned a tensor on meta, which holds no values, expected a float tensor"),
        ("(noise).to_sparse()", r"sample returned a tensor of layout torch.sparse_coo; call .to_dense\(\), expected"),
        ("(noise).to(torch.float8_e5m2)", "sample returned torch.float8_e5m2, expected a float tensor"),
        ("(noise) + 0j", "sample returned torch.complex64, expected a float tensor"),
        ("(noise) if False else torch.nested.nested_tensor(list(noise))", "sample returned a nested tensor, expected"),
        (
            "(noise) if False else torch.nested.nested_tensor(list(noise), layout=torch.jagged)",
            "sample returned NestedTensor, a subclass of Tensor; return a torch.Tensor itself, expected",
        ),
        ("(noise) if False else __import__('helpers_of_test').liar(noise)", r"values in \[-9, 9\], expected"),
        ("(noise).tolist()", "sample returned list, expected a float tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_bad_samples_are_named(
    write_plugin, digits: Dataset, new: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "helpers_of_test", SimpleNamespace(liar=liar))  # type: ignore[arg-type]
    path = write_plugin(
        'generator=generator, device=generator.device)\n    return model.networks["generator"](noise)',
        f'generator=generator, device=generator.device)\n    return model.networks["generator"]{new}',
    )
    with pytest.raises(PluginError, match=message) as error:
        draw(path, digits)
    assert str(error.value).startswith("model 'faulty' (file)")


def test_one_pass_holds_each_training_image_once_in_order(digits: Dataset) -> None:
    parts = list(passes(digits.train, 100, CPU))
    assert torch.equal(IMAGES.store(torch.cat([images for images, _ in parts])), digits.train.items)
    assert torch.equal(torch.cat([labels for _, labels in parts]), digits.train.labels)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_pass_is_on_the_device_and_without_labels_where_there_are_none(labelled: bool) -> None:
    split = Split(torch.zeros(5, 1, 2, 2, dtype=torch.uint8), torch.arange(5) if labelled else None)
    parts = list(passes(split, 2, torch.device("meta")))
    assert [(images.device.type, len(images)) for images, _ in parts] == [("meta", 2), ("meta", 2), ("meta", 1)]
    expected = ["meta"] * 3 if labelled else [None] * 3
    assert [None if labels is None else labels.device.type for _, labels in parts] == expected


@pytest.mark.parametrize("implemented", [True, False])
def test_before_sampling_gets_the_model_and_the_batches_in_evaluation_mode_where_there_is_one(
    implemented: bool,
) -> None:
    called: list[tuple[object, object, bool, bool]] = []

    def before_sampling(model: Model, batches: object) -> None:
        called.append((model, batches, model.networks.training, torch.is_grad_enabled()))

    plugin = SimpleNamespace(
        implements=lambda hook: implemented and hook == "before_sampling",
        hook=SimpleNamespace(before_sampling=before_sampling),
    )
    model = Model(nn.ModuleDict({"net": nn.Linear(1, 1)}), {})
    batches = [(torch.zeros(1), None)]
    sampling.prepare(plugin, model, batches)  # type: ignore[arg-type]
    assert [(found is model, given is batches, *more) for found, given, *more in called] == (
        [(True, True, False, False)] if implemented else []
    )


def test_optimizers_that_step_before_sampling_are_named_and_no_others() -> None:
    model = Model(nn.ModuleDict({"net": nn.Linear(1, 1)}), {})
    trained, idle = (torch.zeros(1, requires_grad=True) for _ in range(2))
    trained.grad = torch.ones(1)
    own = [torch.optim.SGD([trained]), torch.optim.RMSprop([idle]), torch.optim.Adam([idle, trained])]

    def before_sampling(model: Model, batches: object) -> None:
        for optimizer in own:
            optimizer.step()

    plugin = SimpleNamespace(implements=lambda hook: True, hook=SimpleNamespace(before_sampling=before_sampling))
    first = sampling.prepare(plugin, model, [])  # type: ignore[arg-type]
    own[0].step()  # after it, nothing is noted any more
    assert first == ["SGD", "Adam"]
    plugin.hook.before_sampling = lambda **_: None
    assert sampling.prepare(plugin, model, []) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["real", "gaussian", "noise", "copycat"])
def test_controls_draw_as_many_as_asked_and_repeat(digits: Dataset, name: str) -> None:
    images = controls.draw(name, digits, 400, seeding.generator(0, name))
    again = controls.draw(name, digits, 400, seeding.generator(0, name))
    assert images.shape == (400, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert torch.equal(images, again)


def rows(images: torch.Tensor) -> set[bytes]:
    return {bytes(image.flatten().tolist()) for image in images}


def test_real_is_held_out_and_copycat_is_training_data(digits: Dataset) -> None:
    real = controls.draw("real", digits, 500, seeding.generator(0, "r"))
    copies = controls.draw("copycat", digits, 500, seeding.generator(0, "c"))
    assert rows(real) == rows(digits.held_out.items)
    assert rows(copies) <= rows(digits.train.items)
    assert len(rows(copies)) == 500


def test_copycat_keeps_the_proportions_of_the_classes(digits: Dataset) -> None:
    labels = digits.train.labels
    assert labels is not None
    drawn = labels[controls._order(digits.train, seeding.generator(3, "c"))[:500]]
    shares = torch.bincount(drawn) / 500 - torch.bincount(labels) / len(labels)
    assert shares.abs().max() <= 1 / 500


@pytest.mark.parametrize("count", [50, 1297])  # fewer images than pixels, and more
def test_gaussian_has_the_mean_and_covariance_of_the_pixels(digits: Dataset, count: int) -> None:
    # Pixels far from 0 and 255, so that clamping has no effect.
    train = digits.train.items[:count] // 8 + 110
    narrow = Dataset("x", Split(train, None), digits.held_out, None, "", "")
    images = controls.draw("gaussian", narrow, 20000, seeding.generator(0, "g"))
    drawn, real = images.flatten(1).double(), train.flatten(1).double()
    assert (drawn.mean(0) - real.mean(0)).abs().max() < 0.4
    # Rounding to whole values adds 1/12 to the variances.
    difference = drawn.T.cov() - real.T.cov() - torch.eye(64) / 12
    assert difference.abs().max() < 0.08 * real.T.cov().abs().max()


def test_values_half_a_thousandth_outside_pass_and_twice_a_thousandth_do_not(digits: Dataset) -> None:
    plugin = loading.load(finding.find(ModelSpec(str(Path(__file__).parent / "models" / "tiny.py"))))
    sampling.check(plugin, "sample", IMAGES, torch.tensor([-1.0005, 1.0005]), (2,))
    sampling.check(plugin, "sample", IMAGES, torch.tensor([-1 - 1e-3, 1 + 1e-3], dtype=torch.float64), (2,))
    for outside in (-1.002, 1.002):
        with pytest.raises(PluginError, match="expected values in"):
            sampling.check(plugin, "sample", IMAGES, torch.tensor([outside]), (1,))


def test_what_is_trained_is_found_wherever_it_changes() -> None:
    net = nn.ModuleDict({"held": nn.Linear(3, 4), "free": nn.Linear(2, 2), "average": nn.Linear(2, 2)})
    net["held"].requires_grad_(False)
    net["average"].requires_grad_(False)
    net["held"].register_buffer("density", torch.zeros(2))
    model = Model(net, {"held": torch.optim.SGD(net["held"].parameters(), 1.0)})
    with sampling.untouched("model", model, "sample"):  # type: ignore[arg-type]
        net["average"].weight.data += 1
        net["held"].density += 1
    for name, change in {
        "held.weight": lambda weight: weight.data.mul_(1.0001),
        "held.bias": lambda bias: bias.data.copy_(bias.data.flip(0)),
        "free.weight": lambda weight: weight.data.copy_(weight.data.flip(1)),
        "free.bias": lambda bias: bias.data.neg_(),
    }.items():
        message = f"^model: encode changed {name}, which is trained; train only in train_step"
        told = pytest.raises(PluginError, match=message)
        with told, sampling.untouched("model", model, "encode"):  # type: ignore[arg-type]
            change(net.get_parameter(name))


@pytest.mark.parametrize(
    "trained",
    [torch.tensor(3.0), torch.tensor(3.0 + 4.0j), torch.ones(2, 3, dtype=torch.complex64), torch.ones(200, 300)],
    ids=["scalar", "complex scalar", "complex matrix", "one of 60,000"],
)
def test_the_least_change_of_one_number_is_found(trained: torch.Tensor) -> None:
    net = nn.ParameterDict({"weight": nn.Parameter(trained)})
    model = Model(nn.ModuleDict({"net": net}), {})
    with torch.device("meta"):  # nothing may be created on the default device
        with sampling.untouched("model", model, "sample"):  # type: ignore[arg-type]
            pass
        told = pytest.raises(PluginError, match=r"^model: sample changed net.weight, which is trained")
        with told, sampling.untouched("model", model, "sample"):  # type: ignore[arg-type]
            values = net["weight"].data
            numbers = (torch.view_as_real(values) if values.is_complex() else values).view(-1)
            numbers[-1] = torch.nextafter(numbers[-1], numbers[-1] + 1)
