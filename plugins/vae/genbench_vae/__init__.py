"""Variational autoencoders for genbench: `vae` (fully connected) and `conv-vae`."""
