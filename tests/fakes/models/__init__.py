"""Tiny encoders, texts to train them on, and forged artifacts."""
