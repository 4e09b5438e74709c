"""What a checkpoint is: from a model folder or a hub name to weights, tokenizer and recipe that can be exported.

Import from here: `checkpoint` (load_checkpoint, Checkpoint, Overrides), `exportable` (what an export needs to know),
`transform` and `evidence` (a linear map after pooling, and why it was chosen), `scratch` (a new model folder).

`export` and `training` build on this room; it knows neither. The extra `train`.
"""
