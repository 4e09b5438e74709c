"""Encoders in the shapes that other libraries expect, one module a library; the library is imported only there.

langchain   `samespace.adapters.langchain.SamespaceEmbeddings` (extra `langchain`)
"""
