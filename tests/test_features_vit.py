"""DINOv2 and CLIP: the same features as torch-fidelity and timm, from files of random weights of small networks."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import Tensor, nn

from genbench import features
from genbench.cli.evaluate import evaluate
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.errors import InputError
from genbench.features import vit_file
from genbench.features.extractor import Extractor, default_batch_size, extract
from genbench.features.vit import ARCHITECTURES, Architecture, built, parameter_shapes
from genbench.features.vit_weights import load_vit
from genbench.features.weight_file import file_sha256
from genbench.machine.torchvision_import import declare_missing_operators
from genbench.metrics import DIRECTIONS, METRICS

declare_missing_operators()  # the peers import torchvision

CPU = torch.device("cpu")
PUBLISHED_SHAPES = dict(ARCHITECTURES)
SMALL = {
    "dinov2-vits14": Architecture("dinov2", 224, 48, 2, 3, trained_grid=16),
    "dinov2-vitb14": Architecture("dinov2", 224, 24, 1, 2, trained_grid=37),
    "dinov2-vits14-reg": Architecture("dinov2", 224, 48, 2, 3, trained_grid=37, registers=4),
    "clip-vitl14-336": Architecture("clip", 336, 128, 2, 2, trained_grid=24, projected=20),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks under the names of the published ones, with otherwise the same architecture."""
    for name, shape in SMALL.items():
        monkeypatch.setitem(ARCHITECTURES, name, shape)


def random_weights(name: str) -> dict[str, Tensor]:
    """Weights for which attention is far from uniform and each part matters."""
    randomness = torch.Generator().manual_seed(0)
    tensors = {}
    for each, shape in parameter_shapes(SMALL[name]).items():
        noise = torch.randn(shape, generator=randomness)
        if each.endswith(("norm.weight", "norm1.weight", "norm2.weight", "norm_pre.weight", "gamma")):
            tensors[each] = 1 + 0.3 * noise
        elif noise.dim() > 1 and each.endswith("weight"):
            tensors[each] = noise * (2 / noise[0].numel()) ** 0.5
        else:
            tensors[each] = 0.3 * noise
    return tensors


def images(*shape: int) -> Tensor:
    """Coarse patterns with fine noise, and as many values at the ends of the range as in photographs."""
    randomness = torch.Generator().manual_seed(sum(shape))
    coarse = torch.rand(*shape[:2], 3, 3, generator=randomness) * 400 - 70
    fine = torch.rand(shape, generator=randomness) * 40
    return (nn.functional.interpolate(coarse, shape[2:], mode="bilinear") + fine).clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints with the keys of the published files."""
    folder = tmp_path_factory.mktemp("vit")
    paths = {name: folder / f"{name}.pth" for name in SMALL}
    for name, path in paths.items():
        tensors = random_weights(name)
        if name.startswith("clip-"):
            tensors = as_openai(tensors) | {
                "logit_scale": torch.ones(()),
                "transformer.resblocks.0.ln_1.bias": torch.ones(2),
            }
        else:
            tensors["mask_token"] = torch.ones(1, SMALL[name].width)
        torch.save(tensors, path)
    return paths


# Our names, including the dots, and OpenAI's.
OPENAI = {
    "patch_embed.proj.": "conv1.",
    "norm_pre.": "ln_pre.",
    "norm.": "ln_post.",
    "norm1.": "ln_1.",
    "norm2.": "ln_2.",
    "attn.qkv.": "attn.in_proj_",
    "attn.proj.": "attn.out_proj.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
}


def as_openai(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's tensors under OpenAI's names, in OpenAI's shapes."""
    found = {
        "visual.proj": tensors["head.weight"].T.contiguous(),
        "visual.class_embedding": tensors["cls_token"].flatten(),
        "visual.positional_embedding": tensors["pos_embed"][0],
    }
    for name, value in tensors.items():
        block = "".join(re.findall(r"^blocks\.\d+\.", name))
        part = next((part for part in OPENAI if name.startswith(block + part)), None)
        if part is not None:
            theirs = block.replace("blocks.", "transformer.resblocks.") + OPENAI[part]
            found["visual." + theirs + name.removeprefix(block + part)] = value
    assert len(found) == len(tensors)
    return found


def dataset_of(shape: tuple[int, ...] = (3, 32, 32)) -> Dataset:
    split = Split(images(2, *shape), None)
    return Dataset("made", split, split, None, "none", fingerprint(split, split))


def load(name: str, file: Path | None, shape: tuple[int, ...] = (3, 32, 32), **more: Any) -> Extractor:
    return features.load(name, dataset=dataset_of(shape), device=CPU, weights=file, **more)


def assert_same(ours: Tensor, theirs: Tensor, relative: float = 1e-4) -> None:
    """Features agree to `relative`; the difference of the first two images, which is not small, to ten times that."""
    assert ours.shape == theirs.shape
    assert float((ours - theirs).norm() / theirs.norm()) < relative
    apart = theirs[0] - theirs[1]
    assert float(apart.norm()) > 0.02 * float(theirs[0].norm())
    assert float((ours[0] - ours[1] - apart).norm() / apart.norm()) < 10 * relative


def peer(module: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own deprecation warnings
        return pytest.importorskip(module, reason=f"{module.partition('.')[0]} is not installed")


def timm_network(name: str, side: int) -> nn.Module:
    """The same network in timm, which also has positions for its registers: here they are zero."""
    shape, tensors = SMALL[name], random_weights(name)
    network: nn.Module = peer("timm.models.vision_transformer").VisionTransformer(
        side,
        14,
        embed_dim=shape.width,
        depth=shape.depth,
        num_heads=shape.heads,
        init_values=1.0,
        reg_tokens=shape.registers,
        num_classes=0,
        dynamic_img_size=True,
    )
    if shape.registers:
        tensors["reg_token"] = tensors.pop("register_tokens")
        first, grid = tensors["pos_embed"].split((1, shape.trained_grid**2), dim=1)
        tensors["pos_embed"] = torch.cat([first, torch.zeros(1, shape.registers, shape.width), grid], dim=1)
    network.load_state_dict(tensors)
    return network.eval()


@pytest.mark.parametrize("side", [28, 224, 300])
def test_features_of_torch_fidelity_with_the_network_of_timm(
    side: int, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = timm_network("dinov2-vits14", 224)
    monkeypatch.setattr(torch.hub, "load", lambda *arguments, **more: network)
    monkeypatch.setenv("XFORMERS_DISABLED", "1")  # the peer sets it permanently
    theirs = peer("torch_fidelity.feature_extractor_dinov2").FeatureExtractorDinoV2("dinov2-vit-s-14", ["dinov2"])
    batch = images(3, 3, side, side)
    ours, logits = load("dinov2-vits14", files["dinov2-vits14"], profile="torch-fidelity")(batch)
    assert logits is None
    with torch.inference_mode():
        assert_same(ours, theirs(batch)[0])


def test_features_of_timm_with_registers_and_positions_of_another_grid(files: dict[str, Path]) -> None:
    """Positions are for 37 × 37 patches, as published, and images have 16 × 16; both networks antialias them."""
    theirs = timm_network("dinov2-vits14-reg", 518)
    extractor = load("dinov2-vits14-reg", files["dinov2-vits14-reg"])
    batch = images(3, 3, 40, 40)
    with torch.inference_mode():
        assert_same(extractor(batch)[0], theirs(extractor.intake.prepared(batch, CPU, torch.float32)))


def test_positions_without_registers_are_read_a_little_too_close_together() -> None:
    """DINOv2's arithmetic: position i of 16 reads the grid of 37 at (i + ½) · 37 / 16.1 − ½, with a cubic kernel."""
    shape = SMALL["dinov2-vitb14"]
    tensors = random_weights("dinov2-vitb14")
    reads = np.zeros((16, 37))
    for i in range(16):
        centre = (i + 0.5) * 37 / 16.1 - 0.5
        for tap in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            x = abs(centre - tap)
            cubic = 1.25 * x**3 - 2.25 * x**2 + 1 if x < 1 else -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
            reads[i, min(max(tap, 0), 36)] += cubic
    trained = tensors["pos_embed"].numpy()
    expected = np.einsum("ia,jb,abd->ijd", reads, reads, trained[0, 1:].reshape(37, 37, -1)).reshape(256, -1)
    found = built(shape, tensors).pos_embed
    np.testing.assert_allclose(found[0, 1:].numpy(), expected, atol=1e-5)
    assert torch.equal(found[:, 0], tensors["pos_embed"][:, 0])


class Tree(nn.Module):
    """Tensors under dotted names, without any computation."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for name in {name.partition(".")[0] for name in tensors}:
            inner = {
                rest: v for whole, v in tensors.items() for head, _, rest in [whole.partition(".")] if head == name
            }
            if "" in inner:
                self.register_buffer(name, inner[""])
            else:
                self.add_module(name, Tree(inner))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TorchScript archive like OpenAI's, in half precision, with part of its text tower."""
    path = tmp_path_factory.mktemp("openai") / "ViT-L-14-336px.pt"
    tensors = {name: value.half() for name, value in as_openai(random_weights("clip-vitl14-336")).items()}
    tensors |= {"text_projection": torch.ones(2, 20), "logit_scale": torch.ones(()), "ln_final.bias": torch.ones(2)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(Tree(tensors)), path)
    return path


@pytest.mark.parametrize("side", [32, 336])
def test_features_of_torch_fidelity_s_clip(side: int, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On OpenAI's archive, which is opened only because its hash is known."""
    monkeypatch.setattr(vit_file, "OPENAI_CLIP", file_sha256(archive))
    theirs = peer("torch_fidelity.feature_extractor_clip").FeatureExtractorCLIP(
        "clip-vit-l-14-336px", ["clip"], feature_extractor_weights_path=str(archive)
    )
    batch = images(2, 3, side, side)
    with torch.inference_mode():
        expected = theirs(batch)[0]
    assert_same(load("clip-vitl14-336", archive, profile="torch-fidelity")(batch)[0], expected)


def test_another_archive_is_not_opened(archive: Path) -> None:
    with pytest.raises(InputError, match=r"not a PyTorch checkpoint of plain tensors or is damaged \(.*TorchScript"):
        load("clip-vitl14-336", archive)


def test_transformers_names_are_the_same_extractor(files: dict[str, Path], tmp_path: Path) -> None:
    ours = random_weights("clip-vitl14-336")
    theirs = {
        "vision_model.embeddings.class_embedding": ours["cls_token"].flatten(),
        "vision_model.embeddings.position_embedding.weight": ours["pos_embed"][0],
        "vision_model.embeddings.position_ids": torch.arange(577)[None],
        "vision_model.embeddings.patch_embedding.weight": ours["patch_embed.proj.weight"],
        "visual_projection.weight": ours["head.weight"],
        "text_model.final_layer_norm.bias": torch.zeros(3),
    }
    for part in ("weight", "bias"):
        theirs[f"vision_model.pre_layrnorm.{part}"] = ours[f"norm_pre.{part}"]
        theirs[f"vision_model.post_layernorm.{part}"] = ours[f"norm.{part}"]
        for block in range(2):
            here, there = f"blocks.{block}", f"vision_model.encoder.layers.{block}"
            for name, third in zip("qkv", ours[f"{here}.attn.qkv.{part}"].chunk(3), strict=True):
                theirs[f"{there}.self_attn.{name}_proj.{part}"] = third.clone()
            theirs[f"{there}.self_attn.out_proj.{part}"] = ours[f"{here}.attn.proj.{part}"]
            for i in (1, 2):
                theirs[f"{there}.layer_norm{i}.{part}"] = ours[f"{here}.norm{i}.{part}"]
                theirs[f"{there}.mlp.fc{i}.{part}"] = ours[f"{here}.mlp.fc{i}.{part}"]
    save_file(theirs, tmp_path / "model.safetensors")
    first, second = (
        load("clip-vitl14-336", files["clip-vitl14-336"]),
        load("clip-vitl14-336", tmp_path / "model.safetensors"),
    )
    assert first.recipe() == second.recipe()
    batch = images(2, 3, 20, 30)
    assert torch.equal(first(batch)[0], second(batch)[0])
    assert (first.feature_count, first.classes) == (20, None)


def test_profiles_are_recipes_of_their_own_and_the_first_is_the_default(files: dict[str, Path]) -> None:
    found = {
        profile: load("dinov2-vits14", files["dinov2-vits14"], profile=profile)
        for profile in (None, "dgm-eval", "edm2", "torch-fidelity")
    }
    recipes = {profile: extractor.recipe() for profile, extractor in found.items()}
    assert recipes[None] == recipes["dgm-eval"]
    assert len({(recipe["profile"], recipe["resizer"]) for recipe in recipes.values()}) == 3
    assert recipes[None]["range"] == "(x/255 - mean)/std of ImageNet"
    features_of = {profile: extractor(images(2, 3, 32, 32))[0] for profile, extractor in found.items()}
    for profile in ("edm2", "torch-fidelity"):
        assert float((features_of[profile] - features_of[None]).norm() / features_of[None].norm()) > 1e-4
    assert load("clip-vitl14-336", files["clip-vitl14-336"]).recipe()["profile"] == "cmmd"


@pytest.mark.parametrize(
    ("name", "given", "more", "message"),
    [
        ("dinov2-vits14", None, {}, "needs a weights file; download https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_"),
        ("clip-vitl14-336", None, {}, "ViT-L-14-336px.pt and add --weights FILE"),
        ("dinov2-vits14", "nowhere.pth", {}, "extractor 'dinov2-vits14': no file nowhere.pth; give the path"),
        ("dinov2-vits14", "dinov2-vitb14", {}, "dinov2-vitb14.pth holds dinov2-vitb14; add --extractor dinov2-vitb14"),
        ("dinov2-vits14", "dinov2-vits14-reg", {}, "holds dinov2-vits14-reg; add --extractor dinov2-vits14-reg"),
        ("dinov2-vits14", "clip-vitl14-336", {}, "holds clip-vitl14-336; add --extractor clip-vitl14-336"),
        ("clip-vitl14-336", "dinov2-vits14", {}, "holds dinov2-vits14; add --extractor dinov2-vits14, or pass"),
        ("dinov2-vits14", "dinov2-vits14", {"profile": "clean-fid"}, "has no profile 'clean-fid'; known: dgm-eval, "),
        ("clip-vitl14-336", "clip-vitl14-336", {"profile": "edm2"}, "has no profile 'edm2'; known: cmmd, torch-fid"),
        ("inception", None, {"profile": "dgm-eval"}, "'inception': has no profile 'dgm-eval'; known: clean-fid, "),
        ("dinov2-vits14", None, {"shape": (2, 8, 8)}, "takes images of 1 or 3 channels, got 2 (2x8x8)"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(
    name: str, given: str | None, more: dict[str, Any], message: str, files: dict[str, Path]
) -> None:
    file = None if given is None else files.get(given, Path(given))
    with pytest.raises(InputError) as caught:
        load(name, file, **more)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_vision_transformer_of_no_known_size_is_described(tmp_path: Path) -> None:
    tensors = random_weights("dinov2-vits14")
    tensors = {name: value for name, value in tensors.items() if not name.startswith("blocks.1.")}
    torch.save(tensors | {"register_tokens": torch.zeros(1, 7, 48)}, tmp_path / "w.pth")
    with pytest.raises(InputError) as caught:
        load("dinov2-vits14", tmp_path / "w.pth")
    said = "w.pth looks like a vision transformer of width 48 with 1 blocks, patches of 14x14 and 7 registers: "
    assert said + "weights of another architecture: missing blocks.1.attn.proj.bias" in str(caught.value)


def test_weights_of_no_vision_transformer_are_reported_by_name(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "w.pth")
    with pytest.raises(
        InputError, match=r"w.pth: weights of another architecture: missing blocks.0.* unexpected fc.weight$"
    ):
        load("dinov2-vits14", tmp_path / "w.pth")


def test_the_container_and_what_no_evaluation_reads_leave_the_identity(files: dict[str, Path], tmp_path: Path) -> None:
    tensors = random_weights("dinov2-vits14")
    save_file(tensors, tmp_path / "w.safetensors")
    given, other = (load("dinov2-vits14", path) for path in (files["dinov2-vits14"], tmp_path / "w.safetensors"))
    assert given.recipe() == other.recipe()
    save_file(tensors | {"cls_token": tensors["cls_token"] + 1}, tmp_path / "w.safetensors")
    assert load("dinov2-vits14", tmp_path / "w.safetensors").weights_sha256 != given.weights_sha256


def test_only_a_published_file_earns_a_name_and_only_for_its_network(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files["dinov2-vits14"]
    assert load("dinov2-vits14", path).earned == {}
    monkeypatch.setattr(vit_file, "PUBLISHED", {file_sha256(path): ("dinov2-vits14", {"fd": "fd_dinov2"})})
    assert load("dinov2-vits14", path).earned == {"fd": "fd_dinov2"}
    save_file(random_weights("dinov2-vits14"), tmp_path / "same.safetensors")
    assert load("dinov2-vits14", tmp_path / "same.safetensors").earned == {}
    monkeypatch.setattr(vit_file, "PUBLISHED", {file_sha256(path): ("dinov2-vitl14", {"fd": "fd_dinov2"})})
    assert load("dinov2-vits14", path).earned == {}


def test_the_names_that_are_earned_are_those_of_the_table() -> None:
    earned = {pair for _, names in vit_file.PUBLISHED.values() for pair in names.items() if pair[0] in DIRECTIONS}
    said = {(value.name, name) for metric in METRICS.values() for value in metric.values for name in value.earned}
    assert ("fd", "fd_dinov2") in earned
    assert earned <= said
    assert (
        {name for name, _ in vit_file.PUBLISHED.values()}
        <= set(ARCHITECTURES)
        == set(features.FROM_A_FILE) - {"vggish"}
    )


def test_grey_images_are_repeated_and_sizes_may_differ(files: dict[str, Path]) -> None:
    extractor = load("dinov2-vits14", files["dinov2-vits14"])
    grey = images(2, 1, 50, 41)
    assert torch.equal(extractor(grey)[0], extractor(grey.expand(-1, 3, -1, -1).contiguous())[0])


def test_an_image_has_the_same_features_in_any_batch_and_no_random_numbers_are_drawn(files: dict[str, Path]) -> None:
    state = torch.get_rng_state()
    extractor = load("dinov2-vits14-reg", files["dinov2-vits14-reg"])
    batch = images(5, 3, 30, 30)
    whole = extract(extractor, batch).features
    torch.testing.assert_close(extract(extractor, batch, batch_size=2).features, whole, rtol=1e-5, atol=1e-5)
    assert torch.equal(extract(extractor, batch).features, whole)
    assert torch.equal(torch.get_rng_state(), state)


def test_bf16_is_near_and_a_recipe_of_its_own(files: dict[str, Path]) -> None:
    file = files["dinov2-vits14-reg"]
    exact, rounded = (load("dinov2-vits14-reg", file, precision=precision) for precision in ("fp32", "bf16"))
    batch = images(3, 3, 32, 32)
    difference = float((exact(batch)[0] - rounded(batch)[0]).norm() / exact(batch)[0].norm())
    assert 1e-4 < difference < 0.03
    assert rounded(batch)[0].dtype == torch.float32
    assert rounded.recipe() == exact.recipe() | {"precision": "bf16"}


def test_memory_grows_with_the_network_and_the_images(files: dict[str, Path]) -> None:
    file = files["dinov2-vits14"]
    small, large = (
        load_vit("dinov2-vits14", file, torch.Size((3, side, side)), CPU, None, "fp32") for side in (32, 4000)
    )
    assert large.item_bytes - small.item_bytes > 3 * 4000 * 4000
    assert default_batch_size(large) < default_batch_size(small)
    assert PUBLISHED_SHAPES["dinov2-vitl14"].item_bytes > 2 * PUBLISHED_SHAPES["dinov2-vits14"].item_bytes


@pytest.mark.parametrize(
    ("name", "millions"),
    [("dinov2-vits14", 22.1), ("dinov2-vitb14", 86.6), ("dinov2-vitl14", 304.4), ("clip-vitl14-336", 304.3)],
)
def test_published_networks_have_their_published_sizes(name: str, millions: float) -> None:
    """Parameters of the papers' networks; DINOv2's without its mask token."""
    count = sum(int(np.prod(shape)) for shape in parameter_shapes(PUBLISHED_SHAPES[name]).values())
    assert count == pytest.approx(millions * 1e6, abs=0.06e6)


def test_evaluate_takes_it(files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", images(8, 16 + (name == "b"), 16, 1).numpy())
    arguments = [str(tmp_path / "a.npy"), "--reference", str(tmp_path / "b.npy"), "--metrics", "fd,kid", "--json"]
    arguments += ["--extractor", "dinov2-vits14", "--weights", str(files["dinov2-vits14"]), "--profile", "edm2"]
    shown = json.loads(CliRunner().invoke(evaluate, arguments, catch_exceptions=False).stdout)
    recipe = shown["recipes"][shown["numbers"]["fd"]["recipe"]]
    assert (recipe["extractor"], recipe["profile"], recipe["dtype"]) == ("dinov2-vits14", "edm2", "float32")
