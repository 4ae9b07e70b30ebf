"""Where the studies of a benchmark are stored next to its records, for the code that writes, reads and reports them."""

__all__ = ["FOLDER", "RESULTS"]

FOLDER = "studies"
RESULTS = "results.json"
