"""The checks, one concern per file: each takes a `Subject` and raises `Fault`, or `Unmet` where it does not apply."""
