"""A folder of this user's own for what is made from an artifact and believed, or run as code, at the next start."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ..folders import cache_home

ROOM_SHARE: Final = 4


def private_folder(kind: str, digest: str, *, home: Path | None = None) -> Path | None:
    """`~/.cache/samespace/KIND/DIGEST` of a file's *digest*, made for this user alone; None where that cannot be had.

    Where XDG_CACHE_HOME is set, it takes the place of `~/.cache`.

    Whoever can write there can run code as this user. So each level below the home folder has to be this user's, no
    link, and not writable for others; a folder that is not so is not used.
    """
    if not hasattr(os, "getuid"):
        return None
    try:
        levels = [cache_home() if home is None else home / ".cache"]
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


def digest_of(circumstances: Mapping[str, Any]) -> str:
    """sha256 of plain JSON, in hex digits, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(circumstances, sort_keys=True).encode()).hexdigest()


def write_whole(file: Path, parts: Sequence[bytes]) -> bool:
    """Write *file* whole or not at all; whether it was.

    It is not where it would take more than a quarter of the room: a small file system may be memory, or others' too.
    """
    temporary = ""
    try:
        room = os.statvfs(file.parent)
        if ROOM_SHARE * sum(map(len, parts)) > room.f_bavail * room.f_frsize:
            return False
        descriptor, temporary = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(parts)
        Path(temporary).replace(file)
    except OSError:
        with suppress(OSError):
            Path(temporary).unlink()
        return False
    return True
