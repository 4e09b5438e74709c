"""Experimental: continued pretraining on raw texts, by masked tokens (MLM) or reconstruction (TSDAE).

Import from here: `run` (pretrain) and `domain` (texts of a domain). In our measurements it did not pay; see
`benchmarks/results/vocabulary.json`. No other room depends on this one.
"""
