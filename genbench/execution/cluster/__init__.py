"""Cells on the workers of a Dask cluster, each of which hosts a fork server: `genbench run --cluster`.

`engine` is the executor, in the process that shows progress: `admission` says which workers take cells, `dispatch`
sends tasks and takes their answers (`sent` is one of them), both over the `link` to the scheduler; `address` reads what
`--cluster` names, `connection` reaches it, `pool` counts the places. `hosting` is what is called on a worker, and the
only one there that imports distributed: `host` is its fork server, `hosted` one task on it, `throttle` limits what it
tells. Between both sides go plain values and bytes: `parcels` packs what a cell left and unpacks it, `vetting` says how
a worker differs from what a benchmark needs.
"""
