"""Collections that nobody pinned: which encoder and recipe wrote them, and a pin in the place where they are.

Import from here: `run` (look, adopt). The search for a recipe is in `search`, what is read in `sample`.
"""
