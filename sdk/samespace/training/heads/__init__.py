"""Training a small head on the vectors of a frozen encoder, in minutes on a CPU.

Import from here: `config` (HeadConfig) and `run` (train_head, align). How a trained head runs is in
`samespace.heads`; how it goes into a graph in `samespace.export.heads`.
"""
