"""What a migration does not do by itself, because something would be lost that only people can decide about.

Each function raises `MigrationBlocked` with what is in the way and what to do; `--force` passes over those that say so.
"""
