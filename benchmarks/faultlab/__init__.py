"""Faults on real Weaviates: `site` (nodes, encoders, clients), `child` (what is killed), `count` (what is there, told
without samespace's own reading), `single` and `cluster` (the rows). Run by `benchmarks/faults.py`."""
