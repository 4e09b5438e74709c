"""One loss a module, which is its name in a configuration; each defines `LOSS`.

They import torch inside their functions alone: a configuration is read, and its loss checked, where torch is not.
"""
