"""How much a protobuf message holds, found without building any of it. Pure.

Two bytes of a message may become an object: 16 MB of empty texts took the parser most of a second. So the entries of a
larger message are counted first, by hopping from one to the next, and never further than the limit.

Source: protobuf's encoding, https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from typing import Final

from samespace.errors import RequestInvalid

_VARINT, _BYTES = 0, 2
_FIXED: Final = {1: 8, 3: 0, 4: 0, 5: 4}  # bytes behind the tag; 3 and 4 begin and end a group
_LONGEST_VARINT: Final = 10


def check_entries(data: bytes, most: int) -> None:
    """Raise `RequestInvalid` where *data* has more than *most* fields at its top, each repetition counted.

    What is no protobuf is left to the parser, which refuses it where this stopped. What is inside of groups, which
    nothing of ours has, counts as if it were at the top.
    """
    at, entries, end = 0, 0, len(data)
    while at < end:
        entries += 1
        if entries > most:
            told = f"more than {most} entries in one request; send fewer, or raise the server's --max-texts"
            raise RequestInvalid(field="request", reason=told)
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _BYTES:
            size, at = _varint(data, at)
            at += size
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            return  # no protobuf: the parser stops here too


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at *at*, and where it ends; beyond the data where it does not."""
    value = 0
    for place, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    return 0, len(data)
