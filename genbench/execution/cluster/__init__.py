"""Cells on the workers of a Dask cluster, each of which hosts a fork server: `genbench run --cluster`.

`engine` is the executor, in the process that shows progress. `hosting` is what runs on a worker: it imports distributed
for nothing but the worker that it is in. Between them go plain values and bytes: `parcels` packs what a cell left and
unpacks it, `vetting` says how a worker differs from what a benchmark needs, `address` reads what `--cluster` names,
`connection` reaches it, `pool` counts the places.
"""
