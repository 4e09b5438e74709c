"""What leaves this machine for a hub: an artifact or a model folder, by an allow-list, read back after the push.

`contents` says what may leave, `hub` carries it. What they leave to others: what a card says (`exporting.card`,
`training.scoring`), the hub's wire (huggingface_hub).
"""
