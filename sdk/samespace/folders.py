"""Folders and files written whole or not at all: under a temporary name beside the target, then one rename."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes *target* when the block ends, and is removed when it fails.

    What killed writes to the same target left behind is tidied up first.

    Args:
        replace: put the new folder in place of one that is there; otherwise the rename fails on it.
    """
    with folder_beside(target) as work:
        yield work
        if replace and target.exists():
            # No way to exchange two folders works everywhere: killed between the renames, the old
            # folder is out of the way, and the next write puts it back.
            old = work.with_suffix(".previous")
            target.rename(old)
            work.rename(target)
            shutil.rmtree(old)
        else:
            work.rename(target)


@contextmanager
def whole_file(target: Path) -> Iterator[IO[bytes]]:
    """A new file, open for writing, that takes the place of *target* when the block ends and it is on the disk.

    It is removed when the block fails. Where the process is killed, the next write to the same target removes it.
    """
    _sweep(target)
    work = _beside(target)
    try:
        with work.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        work.replace(target)
    finally:
        work.unlink(missing_ok=True)


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """A temporary folder on the disk of *target*, for what it will be made of; removed when the block ends.

    Where the process is killed, the next write to the same target removes it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    work = _beside(target)
    work.mkdir()
    try:
        yield work
    finally:
        if work.exists():
            shutil.rmtree(work)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")


def _sweep(target: Path) -> None:
    """Tidy up after killed writes to the same target; what a live process works on stays."""
    for left in sorted(target.parent.glob(f".{target.name}.*")):
        process = left.name.removeprefix(f".{target.name}.").split("-")[0]
        if left.suffix not in (".partial", ".previous") or not process.isdigit() or _alive(int(process)):
            continue
        if left.suffix == ".previous" and not target.exists():
            left.rename(target)
        elif left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
