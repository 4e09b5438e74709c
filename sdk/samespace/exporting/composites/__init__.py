"""Artifacts that hold several artifacts: vectors side by side, or one encoder for each role.

Import from here: `request` (combine_folders: all of `samespace combine`), `concatenate` (combine, join_towers),
`evidence` (measure_towers: whether two encoders share a space) and `towers` (export_towers: from checkpoints).
Each part is a whole artifact, exported and gated by `export.package`. How one runs is in `samespace.runtime`.
"""
