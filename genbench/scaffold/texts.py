"""What the files of a new distribution say, beside its own module; the names in braces are filled in."""

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

# One line a {family}: the name that `genbench run` takes, and the module.
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

# What is done with a plugin once it is installed.
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

## What the features say""",
    "metric": """\
The metric is `{package}/metric.py`.

## What the numbers say""",
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
`sample` draws latents from a standard normal distribution and returns what the generator makes of
them.""",
    "vae": """\
`sample` draws latents from the prior, a standard normal distribution, and returns the mean of the
decoder. `log_likelihood` is the evidence lower bound (ELBO) of the 8-bit image, in nats.""",
    "dataset": """\
Grey images of one soft spot, drawn from a seed; the label is the quarter that it lies in. The
held-out images come from a stream of their own.""",
    "extractor": """\
Random features see texture and brightness, and know nothing of what the images mean. They rank
models of one dataset; a distance under them compares with no other.""",
    "observer": """\
A CSV file a cell, with a row for each loss and number of each point of its curve. A cell that goes
on after an interrupt goes on in its file.""",
    "metric": """\
Each is 0 where samples and data have the same mean, or the same spread, in every feature.""",
}
