"""Demonstrations: the quickstart, the retrieval set of installed documentation, and the tour of refusals.

Nothing of the product imports this room. It stands above server and plugin, beside the command line.
"""
