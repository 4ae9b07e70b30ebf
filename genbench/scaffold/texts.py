"""What the files of a new distribution say, beside the model itself; the names in braces are filled in."""

from __future__ import annotations

__all__ = ["INIT", "PYPROJECT", "README", "SAMPLING", "TEST"]

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

# One line a model: the name that `genbench run -m` takes, and the module.
[project.entry-points.genbench]
{name} = "{package}.model"

[tool.setuptools]
packages = ["{package}"]
"""

INIT = '''\
"""The package of the genbench model `{name}`."""
'''

TEST = """\
from genbench.contract import contract_tests

test_contract = contract_tests("{name}")
"""

README = """\
# {name}

{summary}, as a plugin of genbench.

```console
pip install -e '.[test]'
genbench plugin check {name}
genbench run -m {name} -d digits
genbench models {name}
pytest
```

The model is `{package}/model.py`. Its options are the keyword arguments of `build`, given as in
`-m {name}:width=512`.

## What sampling means here

{sampling}
"""

SAMPLING = {
    "ae": """\
A plain autoencoder has no prior. Before samples are drawn, a Gaussian is fitted to the codes of
the training images; `sample` draws codes from it and decodes them.""",
    "gan": """\
`sample` draws latents from a standard normal distribution and returns what the generator makes of
them.""",
    "vae": """\
`sample` draws latents from the prior, a standard normal distribution, and returns the mean of the
decoder. `log_likelihood` is the evidence lower bound (ELBO) of the 8-bit image, in nats.""",
}
