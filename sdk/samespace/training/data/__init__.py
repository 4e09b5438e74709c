"""Files to examples: `sources` and `formats` (read them), `examples` (hold them), `near_duplicates` (find copies).

What is wrong with data is said by `training.doctor`; what is made of it for a training by `training.finetuning`.
"""
