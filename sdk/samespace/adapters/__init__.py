"""Encoders in the shapes that other libraries expect, one module a library; the library is imported only there.

langchain    `samespace.adapters.langchain.SamespaceEmbeddings` (extra `langchain`)
llamaindex   `samespace.adapters.llamaindex.SamespaceEmbedding` (extra `llamaindex`)
haystack     `samespace.adapters.haystack.SamespaceTextEmbedder`, `SamespaceDocumentEmbedder` (extra `haystack`)
mteb         `samespace.adapters.mteb.MtebEncoder` (extra `mteb`)
"""
