"""Which spaces are served: `registry` (Spaces: find, add, remove) and `loader` (load, reload and unload while serving).

An engine that runs a space comes from `scheduling`.
"""
