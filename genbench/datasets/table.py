"""The table of datasets. Imports no torch: a source's module is imported when the source is loaded."""

from __future__ import annotations

from genbench.datasets.source import Source

__all__ = ["SOURCES"]


def _idx(folder: str, train: str = "train", held_out: str = "t10k") -> tuple[str, ...]:
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return tuple(f"{folder}/raw/{split}-{kind}" for split in (train, held_out) for kind in kinds)


_CIFAR10_FILES = tuple(
    f"cifar-10-batches-py/{file}" for file in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
)
_STL10_FILES = tuple(
    f"stl10_binary/{file}" for file in ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin")
)

_OF_CLIPS = ("seconds", "window", "rate", "channels")
_OF_TEXTS = ("length", "symbols")

_ROWS = (
    Source(
        "digits",
        "8×8 grey handwritten digits, bundled with scikit-learn: 1,297 to train on, 500 held out",
        "CC BY 4.0 (E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI)",
        "digits",
    ),
    Source(
        "shapes",
        "drawn RGB shapes with known factors, any size and count: 64 modes (8 kinds × 8 colours)",
        "CC0: drawn by genbench",
        "shapes",
        argument="size=N,count=N,held_out=N,seed=N",
        drawn=True,
    ),
    Source(
        "gaussians",
        "two-dimensional mixtures as images of one pixel and two channels, with known density: 8 or 25 modes",
        "CC0: drawn by genbench",
        "gaussians",
        argument="ring or grid",
        drawn=True,
    ),
    Source(
        "folder",
        "any directory of images, class sub-folders optional: folder:PATH",
        "that of your files",
        "folder",
        argument="PATH",
        argument_needed=True,
        own_held_out=True,
    ),
    Source(
        "npz",
        "an .npz file of uint8 images, (N, H, W, C), (N, C, H, W) or (N, H, W), and labels where there are: npz:PATH",
        "that of your file",
        "npz",
        argument="PATH",
        argument_needed=True,
        own_held_out=True,
        path_of="file",
    ),
    Source(
        "mnist",
        "28×28 grey handwritten digits: 60,000 to train on, 10,000 held out",
        "CC BY-SA 3.0 (Y. LeCun, C. Cortes, C. Burges)",
        "torchvision_sets",
        needs_download=True,
        files=_idx("MNIST"),
    ),
    Source(
        "fashion-mnist",
        "28×28 grey pictures of clothes: 60,000 to train on, 10,000 held out",
        "MIT (Zalando SE)",
        "torchvision_sets",
        needs_download=True,
        files=_idx("FashionMNIST"),
    ),
    Source(
        "kmnist",
        "28×28 grey cursive hiragana: 60,000 to train on, 10,000 held out",
        "CC BY-SA 4.0 (ROIS-DS Center for Open Data in the Humanities)",
        "torchvision_sets",
        needs_download=True,
        files=_idx("KMNIST"),
    ),
    Source(
        "emnist",
        "28×28 grey handwritten digits and letters, the balanced split: 112,800 to train on, 18,800 held out",
        "none stated (G. Cohen et al., from NIST Special Database 19)",
        "torchvision_sets",
        needs_download=True,
        files=_idx("EMNIST", "emnist-balanced-train", "emnist-balanced-test"),
    ),
    Source(
        "cifar10",
        "32×32 RGB photographs of 10 kinds of things: 50,000 to train on, 10,000 held out",
        "none stated; its authors ask to be cited (A. Krizhevsky, 2009)",
        "torchvision_sets",
        needs_download=True,
        files=_CIFAR10_FILES,
    ),
    Source(
        "cifar100",
        "32×32 RGB photographs of 100 kinds of things: 50,000 to train on, 10,000 held out",
        "none stated; its authors ask to be cited (A. Krizhevsky, 2009)",
        "torchvision_sets",
        needs_download=True,
        files=tuple(f"cifar-100-python/{file}" for file in ("train", "test", "meta")),
    ),
    Source(
        "svhn",
        "32×32 RGB house numbers: 73,257 to train on, 26,032 held out",
        "non-commercial use only (Y. Netzer et al., 2011)",
        "torchvision_sets",
        needs_download=True,
        files=("train_32x32.mat", "test_32x32.mat"),
    ),
    Source(
        "stl10",
        "96×96 RGB photographs of 10 kinds of things, the labelled part: 5,000 to train on, 8,000 held out",
        "none stated; the images are from ImageNet, for research only (A. Coates et al., 2011)",
        "torchvision_sets",
        needs_download=True,
        files=_STL10_FILES,
    ),
    Source(
        "celeba",
        "RGB faces cropped to 140×140 and resized, 64×64 unless asked: 162,770 to train on, 19,962 held out",
        "non-commercial research only (Z. Liu et al., 2015)",
        "celeba",
        needs_download=True,
        files=("celeba/list_eval_partition.txt", "celeba/img_align_celeba"),
    ),
    Source(
        "grammar",
        "drawn sentences of up to 49 characters whose probabilities are known: 20,000 to train on, 5,000 held out",
        "CC0: drawn by genbench",
        "grammar",
        argument="count=N,held_out=N,seed=N,length=N",
        drawn=True,
    ),
    Source(
        "tones",
        "drawn clips with known factors, any length, rate and count: 64 modes (8 pitches × 4 timbres × 2 envelopes)",
        "CC0: drawn by genbench",
        "tones",
        argument="seconds=S,rate=N,count=N,held_out=N,seed=N",
        drawn=True,
    ),
    Source(
        "audio",
        "any directory of WAV, FLAC or OGG files, class sub-folders optional: audio:PATH,seconds=S,rate=N",
        "that of your files",
        "audio",
        argument="PATH",
        argument_needed=True,
        own_held_out=True,
        options=_OF_CLIPS,
    ),
    Source(
        "spoken-digits",
        "spoken digits of five speakers, a second each at 8 kHz (FSDD): 2,250 to train on, 250 held out",
        "CC BY-SA 4.0 (Z. Jackson et al.: Free Spoken Digit Dataset)",
        "spoken",
        needs_download=True,
        files=("spoken-digits/recordings",),
        options=_OF_CLIPS,
    ),
    Source(
        "sc09",
        "the ten digits of Speech Commands, a second each at 16 kHz: 18,620 to train on",
        "CC BY 4.0 (P. Warden: Speech Commands, 2018)",
        "spoken",
        needs_download=True,
        files=("sc09/recordings",),
        options=_OF_CLIPS,
    ),
    Source(
        "names",
        "first and last names, labelled by their list: 84,864 to train on, 9,429 held out; from the package names",
        "public domain (U.S. Census Bureau, 1990); the package is MIT (T. Hunner)",
        "names",
        options=_OF_TEXTS,
    ),
    Source(
        "text",
        "any file or folder of texts, one a line, or with window=N the windows of a running text: text:PATH",
        "that of your files",
        "text_file",
        argument="PATH",
        argument_needed=True,
        own_held_out=True,
        path_of="file or folder",
        options=(*_OF_TEXTS, "window"),
    ),
    Source(
        "tiny-shakespeare",
        "lines of Shakespeare's plays as windows of 64 characters: 15,685 to train on, 1,742 held out",
        "public domain (W. Shakespeare; collected by A. Karpathy)",
        "running_texts",
        needs_download=True,
        files=("tiny-shakespeare/input.txt",),
        options=_OF_TEXTS,
    ),
    Source(
        "text8",
        "a cleaned part of Wikipedia as windows of 64 letters: 1,406,250 to train on, 78,125 held out",
        "CC BY-SA 3.0 (Wikipedia; cleaned by M. Mahoney)",
        "running_texts",
        needs_download=True,
        files=("text8/text8.zip",),
        options=_OF_TEXTS,
    ),
)

SOURCES: dict[str, Source] = {source.name: source for source in _ROWS}
