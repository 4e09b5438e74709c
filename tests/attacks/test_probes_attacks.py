"""probes.npz that means harm: what it asks for is checked before it is unpacked."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.models.forgery import forge_file
from samespace.artifact import Probes
from samespace.errors import ArtifactDamaged

SAME: dict[str, Any] = {
    "texts": np.frombuffer(json.dumps(["a"]).encode(), np.uint8),
    "roles": np.zeros(1, np.uint8),
    "vectors": np.eye(1, 32, dtype=np.float32),
}


def npz(arrays: dict[str, Any], *, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An .npz of arrays, or of raw bytes as members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            if isinstance(array, bytes):
                member.write(array)
            else:
                np.save(member, array, allow_pickle=True)
            archive.writestr(f"{name}.npy", member.getvalue())
    return buffer.getvalue()


def header(shape: str, descr: str = "'<f4'", data: bytes = b"") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"vectors": header("(1000000000000, 32)")}, "takes"),
        ({"vectors": header("(999999999999999, 999999999999999)")}, "takes"),
        ({"vectors": header("(-1, 32)", data=b"\0" * 128)}, "header"),
        ({"vectors": header("(1, 32)", descr="'|O'", data=b"cos\nsystem\n(S'id'\ntR." + b"\0" * 105)}, "header|type"),
        ({"vectors": header("(1, 32)", descr="[('a', '<f4')]", data=b"\0" * 128)}, "header"),
        ({"vectors": b"\x80\x04cos\nsystem\n."}, "no array"),
        ({"vectors": np.array([{"a": 1}])}, "header|type"),
        ({"vectors": np.zeros((1 << 14, 1 << 11), np.float32)}, "unpacks to"),
        ({"vectors": np.full((1, 32), np.nan, np.float32)}, "not finite"),
        ({"vectors": np.zeros((1, 31), np.float32)}, "dims"),
        ({"vectors": np.zeros((1, 32))}, "type <f8"),
        ({"roles": np.full(1, 9, np.uint8)}, "holds no probes"),
        ({"texts": np.frombuffer(b"[" * 100_000, np.uint8)}, "recursion"),
        ({"texts": np.frombuffer(b'{"a": 1}', np.uint8)}, "strings"),
        ({"texts": np.frombuffer(b'["\\ud800"]', np.uint8)}, "surrogate"),
        ({"texts": np.frombuffer(json.dumps(["x" * (9 << 20)]).encode(), np.uint8)}, "its texts have"),
        ({"more": np.zeros(1)}, "more"),
        ({f"n{number}": b"" for number in range(5000)}, "table of contents"),
    ],
)
def test_dangerous_probes_are_refused(
    artifact: Path, refused: Callable[..., None], change: dict[str, Any], reason: str
) -> None:
    """Sizes beyond memory, pickles, bombs, members without end: by the file's name, without taking the memory."""
    forge_file(artifact, "probes.npz", npz(SAME | change))
    refused("probes.npz", reason)


def test_another_packing_or_a_damaged_one_is_refused(artifact: Path, refused: Callable[..., None]) -> None:
    """numpy stores or deflates; whatever else zip can do is not read. A checksum that does not fit is noticed."""
    forge_file(artifact, "probes.npz", npz(SAME, how=zipfile.ZIP_LZMA))
    refused("probes.npz", "packed")
    data = npz(SAME, how=zipfile.ZIP_STORED)
    place = data.index(np.float32(1).tobytes())
    forge_file(artifact, "probes.npz", data[:place] + b"\0\0\0\0" + data[place + 4 :])
    refused("probes.npz", "CRC")


@given(data=st.data())
@settings(max_examples=1500, deadline=None)
def test_mutated_probes_never_crash(data: st.DataObject) -> None:
    """Flipped and missing bytes anywhere in the zip."""
    raw = bytearray(npz(SAME, how=data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ArtifactDamaged):
        assert Probes.from_bytes(bytes(raw[data.draw(st.sampled_from([0, 0, 0, 1])) :]), dims=32, file="x").texts == (
            "a",
        )
