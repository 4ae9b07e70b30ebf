"""`python -m genbench`: the command line, for where the command itself is not on the path."""

from genbench.cli import main

main()
