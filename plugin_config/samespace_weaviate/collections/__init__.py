"""What programs use: `collection` (PinnedCollection, create), `aliased` (AliasedCollection), `specfile` (apply).

They join `access`, `pinning` and `importing`; searching and grouping of results are here.
"""
