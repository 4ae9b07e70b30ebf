"""The machine that genbench runs on: its description, its processors, its files and the names of its folders."""
