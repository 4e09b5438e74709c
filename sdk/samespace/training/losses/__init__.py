"""Losses: a new one is one file in `kinds`, found by its name.

`loss` (what a loss is, and the one that a name means) can be read without torch. `pairs` is which vectors belong
together, `batch` what a step brings, `batch_loss` a batch to a number, `masking` which pairs are no negatives.
They take tensors and values; data, models and steps belong to `training.finetuning` and `training.heads`.
"""
