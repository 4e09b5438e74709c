"""Arrays of an `.npz` file, read without trusting it: no pickle, and no size is believed before it is checked.

`numpy.load` allocates what a header asks for and unpacks what a zip member holds; here both are held against a
limit first. Only plain arrays as numpy itself writes them are read: little-endian, C order, header version 1 to 3.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

_MAX_HEADER_BYTES: Final = 4096
_MAX_DIRECTORY_BYTES: Final = 65_536
_HEADER: Final = re.compile(
    r"\{'descr': '([<|][a-zA-Z]\d{1,6})', 'fortran_order': False, 'shape': \((\d{1,15}(?:, ?\d{1,15})*)?,?\), \} *\n"
)


def read_arrays(stream: IO[bytes], wanted: Mapping[str, str], *, most_bytes: int) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an `.npz` file by name, read-only.

    Args:
        stream: the open file.
        wanted: name -> dtype as numpy writes it ("<f4"), for all arrays that may be there; one whose name ends in "?"
            may be missing.
        most_bytes: of all arrays together, unpacked.

    Raises:
        ValueError: it is not such a file; the text says why.
    """
    names = {name.rstrip("?"): dtype for name, dtype in wanted.items()}
    needed = {name for name in wanted if not name.endswith("?")}
    try:
        _check_directory(stream)
        with zipfile.ZipFile(stream) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            if len(members) != len(archive.infolist()) or not needed <= members.keys() <= names.keys():
                raise ValueError(f"it holds {sorted(members)[:8]}, expected {sorted(needed)}")
            total = sum(member.file_size for member in members.values())
            if total > most_bytes:
                raise ValueError(f"it unpacks to {total} bytes, at most {most_bytes} are read")
            return {name: _array(archive, member, name, names[name]) for name, member in members.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OverflowError, OSError, struct.error) as error:
        raise ValueError(f"it is damaged: {error or type(error).__name__}") from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, wanted: str) -> npt.NDArray[Any]:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed in a way that numpy does not use")
    with archive.open(member) as stream:
        start = stream.read(10)
        if start[:6] != b"\x93NUMPY" or start[6:7] not in (b"\x01", b"\x02", b"\x03") or len(start) != 10:
            raise ValueError(f"{name} is no array")
        more = b"" if start[6] == 1 else stream.read(2)
        length = int.from_bytes(start[8:10] + more, "little")
        if length > _MAX_HEADER_BYTES:
            raise ValueError(f"{name} has a header of {length} bytes")
        header = _HEADER.fullmatch(stream.read(length).decode("latin-1"))
        if header is None:
            raise ValueError(f"{name} has a header that numpy does not write for a plain array")
        dtype, shape = header[1], tuple(int(size) for size in (header[2] or "").replace(" ", "").split(",") if size)
        if dtype != wanted:
            raise ValueError(f"{name} is of type {dtype}, expected {wanted}")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        held = member.file_size - 10 - len(more) - length
        if size != held:
            raise ValueError(f"{name} says shape {shape}, which takes {size} bytes, but holds {held}")
        data = stream.read(size)
        # Reading past the end is what makes zipfile compare the checksum.
        if len(data) != size or stream.read(1):
            raise ValueError(f"{name} is truncated")
    return np.frombuffer(data, dtype=dtype).reshape(shape)


def _check_directory(stream: IO[bytes]) -> None:
    """Refuse a table of contents of more than a few entries before zipfile makes objects of all of them.

    Source: PKWARE, APPNOTE.TXT 6.3.10, 4.3.14 to 4.3.16.
    """
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 98))
    tail = stream.read(98)
    end = tail[-22:]
    if len(end) < 22 or end[:4] != b"PK\x05\x06" or end[20:] != b"\0\0":
        raise ValueError("it is truncated, or no .npz file")
    directory = int.from_bytes(end[12:16], "little")
    if tail[-42:-38] == b"PK\x06\x07":  # files beyond 4 GB
        directory = int.from_bytes(tail[-58:-50], "little")
    if directory > _MAX_DIRECTORY_BYTES:
        raise ValueError(f"its table of contents has {directory} bytes")
    stream.seek(0)
