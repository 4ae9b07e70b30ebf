"""Where the studies of a benchmark lie beside its records, for what writes, reads and reports them."""

__all__ = ["FOLDER", "RESULTS"]

FOLDER = "studies"
RESULTS = "results.json"
