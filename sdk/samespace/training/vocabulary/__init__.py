"""Experimental: whole-word tokens for a domain's terms.

`terms` finds them, `coverage` puts them into a tokenizer, `extension` gives them embeddings. In our measurements it
saved tokens and cost quality; see `benchmarks/results/vocabulary.json`. No other room depends on this one.
"""
