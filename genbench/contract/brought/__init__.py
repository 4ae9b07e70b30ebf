"""The contracts of what plugins bring beside models: one file a family has its checks and what they look at.

`table` lists the families, `contract` puts one plugin under the checks of its own.
"""
