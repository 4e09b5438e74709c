"""Pinned collections in the shapes that other libraries expect, one module a library.

langchain    `samespace_weaviate.adapters.langchain.PinnedVectorStore` (extras `langchain` and `weaviate`)
llamaindex   `samespace_weaviate.adapters.llamaindex.PinnedNodeStore` (extras `llamaindex` and `weaviate`)
haystack     `samespace_weaviate.adapters.haystack.PinnedDocumentStore`, `PinnedRetriever` (`haystack` and `weaviate`)
"""
