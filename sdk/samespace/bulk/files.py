"""Where files are: paths of this machine, and whatever pyarrow (s3, gs, hdfs, abfs) or fsspec (hf, memory, ...) reach.

A file appears whole or not at all. On disks and HDFS it is written beside its place and renamed; object stores have no
rename, and show an object only when its upload has ended. What is cut off in spite of that is not Parquet without
its end, and is made again.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import DataInvalid, RequestInvalid
from ..extras import require_extra
from ..folders import held, sync

_RENAMES: Final = ("local", "hdfs")
_BLOCK: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder, and the filesystem that it is on."""

    filesystem: Any
    path: str
    uri: str

    def __truediv__(self, name: str) -> Place:
        return Place(self.filesystem, f"{self.path.rstrip('/')}/{name}", f"{self.uri.rstrip('/')}/{name}")

    @property
    def local(self) -> bool:
        """Whether it is on a disk of this machine."""
        return bool(self.filesystem.type_name == "local")

    def info(self) -> Any:
        """pyarrow's `FileInfo`.

        Raises:
            DataInvalid: the filesystem does not answer.
        """
        try:
            return self.filesystem.get_file_info(self.path)
        except OSError as error:
            raise DataInvalid(path=self.uri, reason=f"cannot be listed: {error}") from error

    def size(self) -> int | None:
        """Bytes of the file; None where there is none."""
        info = self.info()
        return int(info.size) if info.is_file else None

    def open(self) -> Any:
        """The file, to read from any place of it.

        Raises:
            DataInvalid: it cannot be opened.
        """
        try:
            return self.filesystem.open_input_file(self.path)
        except OSError as error:
            raise DataInvalid(path=self.uri, reason=f"cannot be read: {error}") from error

    def names(self) -> list[str]:
        """Names of the files in this folder, sorted; none where it does not exist."""
        from pyarrow.fs import FileSelector

        found = self.filesystem.get_file_info(FileSelector(self.path, allow_not_found=True))
        return sorted(each.base_name for each in found if each.is_file)

    def read(self) -> bytes:
        """The whole file."""
        with self.open() as stream:
            return bytes(stream.read())

    def delete(self) -> None:
        """Delete the file, if it is there."""
        if self.size() is not None:
            self.filesystem.delete_file(self.path)


def place_of(uri: str) -> Place:
    """The place that *uri* or a path names.

    Raises:
        RequestInvalid: nothing here knows its scheme.
        ExtraMissing: pyarrow is not installed.
    """
    require_extra("arrow", feature="reading and writing Parquet", modules=("pyarrow",))
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem, FSSpecHandler, LocalFileSystem, PyFileSystem

    if "://" not in uri:
        path = os.path.abspath(uri)  # noqa: PTH100 - resolve() would follow links, and change what messages name
        return Place(LocalFileSystem(), path, uri)
    try:
        filesystem, path = FileSystem.from_uri(uri)
        return Place(filesystem, path, uri)
    except (ArrowException, OSError, ValueError) as error:
        try:
            import fsspec

            found, path = fsspec.core.url_to_fs(uri)
        except (ImportError, ValueError) as other:
            raise RequestInvalid(field="INPUT", reason=f"{uri!r}: {error}; by fsspec: {other}") from error
        return Place(PyFileSystem(FSSpecHandler(found)), path, uri)


def inputs(uris: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """The files that *uris* mean, in order: a folder stands for the files in it whose ending is one of *kinds*.

    Raises:
        DataInvalid: one is not there, a folder has nothing to read, or a file comes twice.
    """
    found: list[str] = []
    for uri in uris:
        place = place_of(uri)
        info = place.info()
        if info.is_file:
            found.append(uri)
            continue
        names = [name for name in place.names() if name.endswith(tuple(kinds)) and not name.startswith((".", "_"))]
        if not names:
            raise DataInvalid(path=uri, reason=f"no such file, or a folder without any of {', '.join(kinds)}")
        found += [(place / name).uri for name in names]
    if twice := [uri for uri in found if found.count(uri) > 1][:1]:
        raise DataInvalid(path=twice[0], reason="appears twice among the inputs")
    return found


@contextmanager
def writing_to(uri: str) -> Iterator[None]:
    """One job at a time writes to the folder *uri*, where it is on a disk of this machine; see `folders.held`."""
    place = place_of(uri)
    with held(place.path) if place.local else nullcontext():
        yield


def partial_beside(target: Place) -> Path:
    """Where a file is written before it is whole: beside *target* on a disk, else in the machine's temporary folder."""
    import tempfile

    folder = Path(target.path).parent if target.local else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    name = target.path.rpartition("/")[2]
    return folder / f".{name}.{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.partial"


def publish(work: Path, target: Place) -> None:
    """Put the finished file *work* in place of *target*, and remove it from where it was."""
    if target.local:
        sync(work)
        work.replace(target.path)
        sync(Path(target.path).parent)
        return
    renames = target.filesystem.type_name in _RENAMES
    folder, _, name = target.path.rpartition("/")
    target.filesystem.create_dir(folder, recursive=True)
    path = f"{folder}/.{name}.{secrets.token_hex(4)}.partial" if renames else target.path
    with work.open("rb") as source, target.filesystem.open_output_stream(path) as sink:
        shutil.copyfileobj(source, sink, _BLOCK)
    if renames:
        target.filesystem.move(path, target.path)
    work.unlink()


def write_whole(target: Place, data: bytes) -> None:
    """Write a small file, whole or not at all."""
    work = partial_beside(target)
    try:
        work.write_bytes(data)
        publish(work, target)
    finally:
        work.unlink(missing_ok=True)


def sweep(folder: Place) -> None:
    """Remove what killed processes of this machine left in a folder of a disk; what a live one works on stays."""
    if not folder.local:
        return
    ours = f".{socket.gethostname()}-"
    for left in Path(folder.path).glob(".*.partial"):
        _, here, process = left.name.removesuffix(".partial").rpartition(ours)
        number = process.partition("-")[0]
        if here and number.isdigit() and not Path(f"/proc/{number}").exists() and Path("/proc/self").exists():
            left.unlink(missing_ok=True)
