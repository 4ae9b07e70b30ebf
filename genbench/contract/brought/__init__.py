"""The contracts for plugins other than models: one file per family holds its checks and what they examine.

`table` lists the families; `contract` runs one plugin's family's checks on it.
"""
