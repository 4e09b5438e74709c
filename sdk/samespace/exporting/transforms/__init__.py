"""Linear maps after the encoder: `fit` (PCA, whitening, truncation) and `choice` (which one, by nDCG@10).

What a transform is, and its file, is in `samespace.model.transform`.
"""
