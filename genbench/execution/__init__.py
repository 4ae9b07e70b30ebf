"""Runs cells, each in its own process, forked from a server that has already imported torch."""
