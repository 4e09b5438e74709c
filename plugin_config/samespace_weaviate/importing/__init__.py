"""Bulk import: read, encode, write, resume after a kill, say what failed.

Import from here: `importer` (import_passages, ImportOptions), `import_embedded` (vectors that `samespace embed` wrote),
`sources` (files to passages) and `report`. Weaviate is reached through `access` alone.
"""
