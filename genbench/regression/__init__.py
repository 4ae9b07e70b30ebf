"""Is a revision slower than another? Counters first, then paired times, with the machine's own noise beside them.

The parts: `checkout` and `installation` put two revisions side by side; `process` and `worker` are the fresh processes
that count and time; `timing` lets them take turns; `decision` says when a difference is one; `baseline` keeps counters
in a file; `gate` joins them; `rendering` writes what came out.
"""
