"""The checks, one concern a file: each takes a `Subject` and raises `Fault`, or `Unmet` where it does not apply."""
