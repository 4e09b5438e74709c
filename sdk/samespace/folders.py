"""Folders and files written whole or not at all, and by one process at a time.

Each is written under a temporary name beside its target, waits for the disk, and takes its place by one rename. What
takes long holds its target from its beginning (`held`, `writes`), by a lock of the operating system on a file beside
it: it ends with the process, however that ends. What the disk does not take is an `OutputFailed`.
"""

from __future__ import annotations

import errno
import fcntl
import inspect
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import reduce, wraps
from pathlib import Path
from typing import IO, Final, ParamSpec, TypeVar

from .errors import OutputBusy, OutputFailed, SamespaceError

P = ParamSpec("P")
R = TypeVar("R")

# What a disk says, and what to do about it; other errors are somebody else's, unless they name a file of the output.
_REMEDIES: Final = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room, or have the quota raised",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "name an output on a disk that can be written",
    errno.EACCES: "name an output in a folder that you may write",
    errno.EIO: "look at the disk's health, or name an output on another one",
}
_OF_DISKS: Final = frozenset(_REMEDIES) - {errno.EACCES}
_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")  # how libraries in Rust tell theirs
_TORCH_FAILED: Final = ("PytorchStreamWriter failed writing", "basic_ios::clear: iostream error")
_UNLOCKABLE: Final = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK})

_HELD: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


@contextmanager
def held(target: Path | str) -> Iterator[None]:
    """Nobody else writes *target*, a file or a folder, while the block runs; it need not be there.

    The folder around it is made, and a small file beside it says that it is held: where that cannot be written, the
    block is not begun. Both are gone afterwards. A block inside of one for the same target takes part in its hold.
    Filesystems without locks are trusted. What the disk does not take in the block is an `OutputFailed`.

    Raises:
        OutputBusy: another process, or another thread of this one, holds it.
        OutputFailed: nothing can be written there.
    """
    place = Path(target).resolve()
    if place in _HELD.get():
        yield
        return
    with _folder_of(place):
        lock = place.with_name(f".{place.name}.lock")
        with disk_errors(Path(target)):
            descriptor = _locked(lock, Path(target))
        before = _HELD.set(_HELD.get() | {place})
        try:
            with disk_errors(Path(target)):
                yield
        finally:
            _HELD.reset(before)
            with suppress(OSError):  # it says nothing without its lock
                lock.unlink()
            os.close(descriptor)


def writes(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """For a function that works for long before it writes: its argument *name*, or an attribute of one such as
    `wanted.out`, is `held` from its beginning; None is nothing to hold."""
    argument, *attributes = name.split(".")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @wraps(function)
        def called(*args: P.args, **given: P.kwargs) -> R:
            bound = signature.bind(*args, **given)
            bound.apply_defaults()
            target = reduce(getattr, attributes, (bound.kwargs | bound.arguments)[argument])
            with nullcontext() if target is None else held(target):
                return function(*args, **given)

        return called

    return decorate


def cache_home() -> Path:
    """XDG_CACHE_HOME, or ~/.cache; raises RuntimeError where no home folder is known."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home) if home else Path.home() / ".cache"


def require_room(target: Path, needed_bytes: int) -> None:
    """Raise `OutputFailed` where the disk of *target* has less room than it needs at least; asked before the work."""
    folder = next(each for each in target.absolute().parents if each.exists())
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        mib = 1 << 20
        raise OutputFailed(
            path=str(target),
            reason=f"it needs {-(-needed_bytes // mib)} MiB and {free // mib} MiB are free there; make room, or name "
            "an output on another disk",
        )


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """What a disk did not take of *target* in the block is raised as `OutputFailed`, whichever library wrote it."""
    try:
        yield
    except SamespaceError:
        raise
    except Exception as error:
        reason = _disk_reason(error, Path(target))
        if reason is None:
            raise
        raise OutputFailed(path=str(target), reason=reason) from error


@contextmanager
def whole_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes *target* when the block ends and it is on the disk, and is removed when it fails.

    What killed writes to the same target left behind is tidied up first.

    Args:
        replace: put the new folder in place of one that is there; otherwise the rename fails on it.

    Raises:
        OutputBusy: somebody else is writing it.
        OutputFailed: the disk did not take it; what was there before is there.
    """
    with held(target), disk_errors(target), folder_beside(target) as work:
        yield work
        for path in (*sorted(work.rglob("*")), work):
            sync(path)
        _put(work, target, replace=replace)


@contextmanager
def whole_file(target: Path) -> Iterator[IO[bytes]]:
    """A new file, open for writing, that takes the place of *target* when the block ends and it is on the disk.

    It is removed when the block fails. Where the process is killed, the next write to the same target removes it.

    Raises:
        OutputFailed: the disk did not take it; the old file is as it was.
    """
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        work = _beside(target)
        try:
            with work.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            work.replace(target)
            sync(target.parent)
        finally:
            _remove(work)


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """A temporary folder on the disk of *target*, for what it will be made of; removed when the block ends.

    Where the process is killed, the next write to the same target removes it.
    """
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        work = _beside(target)
        work.mkdir()
        try:
            yield work
        finally:
            _remove(work)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; only then does a disk tell what it did not take."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(work: Path, target: Path, *, replace: bool) -> None:
    """*work* in the place of *target*, or everything as it was. No way to exchange two folders works everywhere: killed
    between the renames, the old folder is out of the way, and the next write puts it back."""
    old = work.with_suffix(".previous")
    if replace and target.exists():
        target.rename(old)
    try:
        work.rename(target)
        sync(target.parent)
    except OSError as error:
        try:
            if not work.exists():
                target.rename(work)
            if old.exists():
                old.rename(target)
        except OSError:
            if not old.exists():
                raise error from None
            reason = f"{error.strerror}; what was there is in {old}: name it {target.name} again"
            raise OutputFailed(path=str(target), reason=reason) from error
        raise
    _remove(old)


@contextmanager
def _folder_of(place: Path) -> Iterator[None]:
    """The folder around *place*; what of it was made and is empty at the end is removed."""
    missing = [folder for folder in place.parents if not folder.exists()]
    with disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for folder in missing:
            with suppress(OSError):  # not empty
                folder.rmdir()


def _locked(lock: Path, target: Path) -> int:
    """The lock file, open and locked by this process, with its number in it."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                who = os.read(descriptor, 20)
                raise OutputBusy(path=str(target), process=int(who) if who.isdigit() else 0) from None
            except OSError as error:
                if error.errno not in _UNLOCKABLE:
                    raise
            if _is(descriptor, lock):
                _sign(descriptor, lock)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it meanwhile


def _sign(descriptor: int, lock: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    except OSError:
        lock.unlink(missing_ok=True)
        raise


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _disk_reason(error: BaseException, target: Path) -> str | None:
    """What a disk said, from an error or what led to it; None where it is about something else."""
    chain = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None and before not in chain:
        chain.append(before)
    for each in chain:
        number = each.errno if isinstance(each, OSError) else None
        if number is None and (said := _OS_ERROR.search(str(each))):
            number = int(said[1])
        if number is None:
            continue
        of_output = isinstance(each, OSError) and each.filename is not None and _below(each.filename, target)
        if of_output or (number in _OF_DISKS and getattr(each, "filename", None) is None):
            remedy = _REMEDIES.get(number)
            return f"{os.strerror(number)}; {remedy}" if remedy else os.strerror(number)
    failed = any(words in str(each) for each in chain for words in _TORCH_FAILED)
    return "the disk did not take it; is there room?" if failed else None


def _below(path: object, target: Path) -> bool:
    """Whether *path* is of *target*, has one of its temporary names, or is a folder around it."""
    if not isinstance(path, str | os.PathLike):
        return False
    place, target = Path(path).absolute(), target.absolute()
    if target.is_relative_to(place):
        return True
    inside = place.is_relative_to(target.parent) and place.relative_to(target.parent).parts[0]
    return inside == target.name or (isinstance(inside, str) and inside.startswith(f".{target.name}."))


def _remove(path: Path) -> None:
    """Remove a file or folder, if it is there; what a broken disk does not let go of is swept up by the next write."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)


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
        else:
            _remove(left)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
