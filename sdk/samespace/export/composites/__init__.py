"""Artifacts that hold several artifacts: `concatenate` (vectors side by side) and `towers` (one encoder a role).

Each part is a whole artifact, exported and gated by `export.package`. How a composite runs is in `samespace.runtime`.
"""
