"""One training run over several processes with one device each, transparent to the plugin: what `--ranks` does."""
