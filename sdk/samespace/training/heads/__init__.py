"""Training a small head on the vectors of a frozen encoder, in minutes on a CPU.

Import from here: `config` (HeadConfig) and `request` (train_on_encoder, train_on_vectors, align_encoders). How a
trained head runs is in `samespace.heads`; how it goes into a graph in `samespace.exporting.heads`.
"""
