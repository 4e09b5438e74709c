"""A folder of this user's own for what is made from an artifact and run as code."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def private_folder(kind: str, digest: str, *, home: Path | None = None) -> Path | None:
    """`~/.cache/samespace/KIND/DIGEST` of a file's *digest*, made for this user alone; None where that cannot be had.

    Whoever can write there can run code as this user. So each level below the home folder has to be this user's, no
    link, and not writable for others; a folder that is not so is not used.
    """
    if not hasattr(os, "getuid"):
        return None
    try:
        folder = home or Path.home()
        for name in (".cache", "samespace", kind, digest[:32]):
            folder = folder / name
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
                return None
    except (OSError, RuntimeError):  # RuntimeError: no home folder is known
        return None
    return folder
