"""Is one revision slower than another? Counters first, then paired times next to the machine's own noise.

The parts: `checkout` and `installation` set up two revisions side by side; `process` and `worker` are the fresh
processes that count and time; `timing` lets them take turns; `decision` says when a difference is real; `baseline`
keeps counters in a file; `gate` combines them; `rendering` writes the result.
"""
