"""Pinned collections in the shapes that other libraries expect, one module a library.

langchain   `samespace_weaviate.adapters.langchain.PinnedVectorStore` (extras `langchain` and `weaviate`)
"""
