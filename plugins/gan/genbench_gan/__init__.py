"""Generative adversarial networks for genbench: `gan` (fully connected) and `dcgan` (convolutional)."""
