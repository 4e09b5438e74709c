"""A model folder's files: which keys and modules are understood, its prompts and tokenizer, and writing one anew."""
