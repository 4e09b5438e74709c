"""Training: data without duplicates and leaks, contrastive fine-tuning, and a record of what was done.

from samespace.training.sources import load_data      # files and folders to Examples
from samespace.training.config import read_config
from samespace.training.trainer import train
from samespace.training.pydoc import make_pydoc_set

The extra `train`. Nothing is imported here, so that a configuration can be read without torch.
"""
