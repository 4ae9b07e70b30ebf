"""Where cells run: each in a process of its own, forked from a server that has already imported torch."""
