"""Contrastive fine-tuning of a whole encoder.

Import from here: `config` (read_config, TrainingConfig) and `trainer` (train). The others are its parts: what is
trained on (`training_set`, `batches`, `mining`), the loop (`setup`, `loop`, `rates`, `checkpoints`) and the model in
training (`model`, `encoding`). Losses are in `training.losses`, the judge of a run in `training.sentinel`, scores in
`training.scoring`.
"""
