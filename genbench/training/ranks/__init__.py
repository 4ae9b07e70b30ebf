"""One training by several processes of one device each, of which a plugin knows nothing: what `--ranks` does."""
