"""Rerankers: models that read a query and a passage together and give one score. Torch-free.

`pairs` has the text path, `reranker` what programs import (`samespace.Reranker`), `pipeline` the one id over encoder
and reranker. What it leaves to others: the identity and the folder (`artifact`), running a graph (`runtime`), export.
"""
