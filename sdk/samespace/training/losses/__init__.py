"""Losses: `formulas` (one function each), `masking` (which pairs are no negatives), `batch_loss` (a batch to a number).

They take tensors and values; data, models and steps belong to `training.finetuning`.
"""
