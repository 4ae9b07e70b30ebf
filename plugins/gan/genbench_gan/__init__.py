"""Generative adversarial networks for genbench: `gan` (fully connected), `dcgan` and `wavegan` (convolutional)."""
