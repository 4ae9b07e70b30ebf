"""The checks, one concern per file: each takes a `Subject` and raises `Fault`, or `Unmet` if it does not apply."""
