"""A folder of this user's own for what is made from an artifact and believed, or run as code, at the next start."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def private_folder(kind: str, digest: str, *, home: Path | None = None) -> Path | None:
    """`~/.cache/samespace/KIND/DIGEST` of a file's *digest*, made for this user alone; None where that cannot be had.

    Where XDG_CACHE_HOME is set, it takes the place of `~/.cache`.

    Whoever can write there can run code as this user. So each level below the home folder has to be this user's, no
    link, and not writable for others; a folder that is not so is not used.
    """
    if not hasattr(os, "getuid"):
        return None
    try:
        cache = os.environ.get("XDG_CACHE_HOME") if home is None else None
        levels = [Path(cache)] if cache else [(home or Path.home()) / ".cache"]
        for name in ("samespace", kind, digest[:32]):
            levels.append(levels[-1] / name)
        for folder in levels:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
                return None
    except (OSError, RuntimeError):  # RuntimeError: no home folder is known
        return None
    return levels[-1]
