"""Training: data without duplicates and leaks, contrastive fine-tuning, and a record of what was done.

from samespace.training.data.sources import load_data      # files and folders to Examples
from samespace.training.finetuning.config import read_config
from samespace.training.finetuning.trainer import train
from samespace.demo.pydoc_set import make_pydoc_set

The extra `train`. Nothing is imported here, so that a configuration can be read without torch.
"""
