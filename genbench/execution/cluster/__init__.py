"""Cells on the workers of a Dask cluster, each of which hosts a fork server: `genbench run --cluster`.

`engine` is the executor, in the process that shows progress: `admission` decides which workers take cells, `dispatch`
sends tasks and receives their answers (`sent` is one task), both over the `link` to the scheduler; `address` parses
`--cluster`, `connection` connects, `pool` counts the places. `hosting` contains the functions called on a worker, and
is the only module there that imports distributed: `host` is its fork server, `hosted` one task on it, `throttle` limits
its events. The two sides exchange plain values and bytes: `parcels` packs and unpacks the results of a cell, `vetting`
reports how a worker differs from the requirements of a benchmark.
"""
