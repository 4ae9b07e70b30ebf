"""The files of a new distribution, except for its module; the names in braces are filled in."""

from __future__ import annotations

__all__ = ["HEADINGS", "INIT", "MEANING", "PYPROJECT", "README", "TEST", "USE"]

PYPROJECT = """\
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
description = "{summary}, as a plugin of genbench."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["genbench>=0.1", "torch>=2.4"]

[project.optional-dependencies]
test = ["pytest>=8.2"]

# One line per {family}: the name that `genbench run` takes, and the module.
[project.entry-points."{group}"]
{name} = "{package}.{family}"

[tool.setuptools]
packages = ["{package}"]
"""

INIT = '''\
"""The package of the genbench {family} `{name}`."""
'''

TEST = """\
from genbench.contract import contract_tests

test_contract = contract_tests({tested})
"""

README = """\
# {name}

{summary}, as a plugin of genbench.

```console
pip install -e '.[test]'
genbench plugin check {check}
{use}
pytest
```

{heading}

{meaning}
"""

# What to do with a plugin once it is installed.
USE = {
    "model": """\
genbench run -m {name} -d digits
genbench models {name}""",
    "dataset": """\
genbench run -m vae -d {name}:size=8
genbench datasets {name}""",
    "extractor": """\
genbench run -m vae -d digits --extractor {name}
genbench doctor""",
    "metric": """\
genbench run -m vae -d digits --metrics +{name}
genbench metrics check {package}.metric:METRIC""",
    "observer": """\
genbench run -m vae -d digits --observe {name}:dir=curves
genbench models""",
}

HEADINGS = {
    "model": """\
The model is `{package}/model.py`. Its options are the keyword arguments of `build`, given as in
`-m {name}:width=512`.

## What sampling means here""",
    "dataset": """\
The dataset is `{package}/dataset.py`. Its options are the keyword arguments of `draw`, given as in
`-d {name}:size=16`.

## What the items are""",
    "extractor": """\
The extractor is `{package}/extractor.py`.

## What the features capture""",
    "metric": """\
The metric is `{package}/metric.py`.

## What the values mean""",
    "observer": """\
The observer is `{package}/observer.py`. Its options are the keyword arguments of `Curves`, given as
in `--observe {name}:dir=curves`.

## What it writes""",
}

MEANING = {
    "ae": """\
A plain autoencoder has no prior. Before samples are drawn, a Gaussian is fitted to the codes of
the training images; `sample` draws codes from it and decodes them.""",
    "gan": """\
`sample` draws latents from a standard normal distribution and returns the generator's output for
them.""",
    "vae": """\
`sample` draws latents from the prior, a standard normal distribution, and returns the mean of the
decoder. `log_likelihood` is the evidence lower bound (ELBO) of the 8-bit image, in nats.""",
    "dataset": """\
Grey images of a soft spot, drawn from a seed; the label is the quarter that it lies in. The
held-out images are drawn from a separate seed.""",
    "extractor": """\
Random features capture texture and brightness, but not the meaning of images. They rank models
trained on one dataset; a distance based on them is not comparable with any other.""",
    "observer": """\
One CSV file per cell, with a row for each loss and metric at each point of its curve. A cell that
resumes after an interruption continues its file.""",
    "metric": """\
Each is 0 if samples and data have the same mean, or the same spread, in every feature.""",
}
