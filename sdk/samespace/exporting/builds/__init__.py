"""The ONNX files of an artifact, each measured before it is written: exact (fp32), half (fp16), int8.

Import from here: `exact` (the builds of a checkpoint), `int8`, `calibration` (texts that int8 is scaled with), `gate`
(what a build may lose) and `parity` (how far it is from torch). Graphs come from `export.graph`; files are written by
`export.package`.
"""
