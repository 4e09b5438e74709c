"""Vectors keep their space through a file, and a file that does not say its space is refused."""

from __future__ import annotations

import io
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samespace.errors import DataInvalid, ExtraMissing, RequestInvalid, SamespaceError, SpaceMismatch
from samespace.vector_files import FORMATS, SPACE_KEY, from_arrow, read_vectors, to_arrow, write_vectors
from samespace.vectors import Vectors, normalise

ONE, TWO = "1" * 64, "2" * 64
REFUSAL_BYTES = 1 << 20  # what refusing a file may cost: far below what its header asks for


def some(rows: int = 5, space_id: str = ONE) -> Vectors:
    return Vectors(normalise(np.random.default_rng(7).normal(size=(rows, 8))), space_id)


def npz(path: Path, *, header: bytes | None = None, **arrays: Any) -> Path:
    """An .npz of these arrays; *header* replaces the first array's own .npy header, its data stay."""
    contents = {"vectors": np.eye(4, dtype=np.float32), "space_id": np.array(ONE)} | arrays
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in contents.items():
            if array is None:
                continue
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=True)
            data = buffer.getvalue()
            if header is not None and name == "vectors":
                data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data[128:]
            archive.writestr(f"{name}.npy", data)
    return path


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("rows", [0, 5])
def test_vectors_come_back_with_their_space_and_ids(tmp_path: Path, ending: str, rows: int) -> None:
    """Numbers, space and ids are equal after a round trip, and nothing else is left in the folder."""
    path, ids = tmp_path / f"v{ending}", [f"é\0{row}" for row in range(rows)]
    write_vectors(path, some(rows), ids=ids)
    back = read_vectors(path, expect=ONE)
    assert back.vectors == some(rows) and back.ids == tuple(ids)
    write_vectors(path, some(rows))
    assert read_vectors(path).vectors == some(rows) and read_vectors(path).ids is None
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_of_another_space_is_refused(tmp_path: Path, ending: str) -> None:
    """The reader says which space it wants; the error names the file and both."""
    write_vectors(tmp_path / f"v{ending}", some(space_id=TWO))
    with pytest.raises(SpaceMismatch, match=f"v{ending}") as caught:
        read_vectors(tmp_path / f"v{ending}", expect=ONE)
    assert (caught.value.expected, caught.value.found) == (ONE, TWO)


def test_numpy_reads_the_npz(tmp_path: Path) -> None:
    """The file is plain: whoever has numpy alone gets the numbers and the space id."""
    write_vectors(tmp_path / "v.npz", some())
    with np.load(tmp_path / "v.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["vectors"], np.asarray(some())) and str(arrays["space_id"]) == ONE


def test_arrow_tables_keep_other_columns() -> None:
    """The documented layout: a fixed-size list of float32, and the id in the schema's metadata, through slices too."""
    pyarrow = pytest.importorskip("pyarrow")
    table = to_arrow(some(), {"title": list("abcde")})
    assert table.schema.field("vector").type == pyarrow.list_(pyarrow.float32(), 8)
    assert table.schema.metadata[SPACE_KEY.encode()] == ONE.encode() and table.column_names == ["title", "vector"]
    assert from_arrow(table.slice(2, 2)) == some()[2:4]
    with pytest.raises(DataInvalid, match="no space id"):
        from_arrow(table.replace_schema_metadata(None))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"space_id": None}, "space_id"),
        ({"space_id": np.array("1" * 63)}, "<U63"),
        ({"space_id": np.array("g" * 64)}, "says no space id"),
        ({"space_id": np.array([ONE])}, "says no space id"),
        ({"vectors": np.zeros((2, 2, 2), np.float32)}, "shape"),
        ({"vectors": np.zeros((2, 0), np.float32)}, "shape"),
        ({"vectors": np.eye(2)}, "<f8"),
        ({"vectors": np.array([[np.nan, 0.0]], np.float32)}, "NaN"),
        ({"vectors": np.array([{}])}, "header|type"),
        ({"vectors": np.asfortranarray(np.ones((2, 3), np.float32))}, "header"),
        ({"ids": np.frombuffer(b'["a"]', np.uint8)}, "ids"),
        ({"ids": np.frombuffer(b"[" * 100_000, np.uint8)}, "recursion"),
        ({"extra": np.zeros(1)}, "extra"),
        ({"header": b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000, 384), }\n"}, "takes"),
        ({"header": b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 5), }\n"}, "takes"),
        ({"header": b"{'descr': '|O', 'fortran_order': False, 'shape': (4, 4), }\n"}, "header"),
        ({"header": b"(" * 4000}, "header"),
        ({"header": b" " * 60_000}, "header of 60000 bytes"),
    ],
)
def test_a_wrong_npz_is_refused_before_memory_is_taken(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    """Each damage is named, with the file; the largest costs no more than the file itself."""
    path = npz(tmp_path / "v.npz", **change)
    tracemalloc.start()
    try:
        with pytest.raises(DataInvalid, match=reason) as caught:
            read_vectors(path)
        assert tracemalloc.get_traced_memory()[1] < REFUSAL_BYTES
    finally:
        tracemalloc.stop()
    assert caught.value.path == str(path)


def test_a_bomb_is_refused_by_its_size(tmp_path: Path) -> None:
    """Zeros pack a thousandfold: what they would unpack to is compared with the file's size first."""
    path = npz(tmp_path / "v.npz", vectors=np.zeros((100_000, 128), np.float32))
    tracemalloc.start()
    try:
        with pytest.raises(DataInvalid, match="unpacks to"):
            read_vectors(path)
        assert tracemalloc.get_traced_memory()[1] < REFUSAL_BYTES
    finally:
        tracemalloc.stop()


def test_a_table_of_contents_without_end_is_refused(tmp_path: Path) -> None:
    """A zip may list millions of empty members; it is not asked for them."""
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        for number in range(3000):
            archive.writestr(f"{number}.npy", b"")
    with pytest.raises(DataInvalid, match="table of contents"):
        read_vectors(tmp_path / "v.npz")


@pytest.mark.parametrize("ending", FORMATS)
def test_a_truncated_or_missing_file_is_refused(tmp_path: Path, ending: str) -> None:
    """Cut anywhere: an error of ours, with the file's name."""
    path = tmp_path / f"v{ending}"
    with pytest.raises(DataInvalid, match="No such file"):
        read_vectors(path)
    write_vectors(path, some())
    data = path.read_bytes()
    for size in (0, 1, len(data) // 3, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(DataInvalid) as caught:
            read_vectors(path)
        assert caught.value.path == str(path)


def _table(change: Callable[[Any, Any], Any]) -> Any:
    pyarrow = pytest.importorskip("pyarrow")
    return change(pyarrow, to_arrow(some()))


@pytest.mark.parametrize("ending", [".arrow", ".parquet"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _, table: table.replace_schema_metadata({SPACE_KEY: "1"}), "space id"),
        (lambda _, table: table.replace_schema_metadata(None), "space id"),
        (lambda _, table: table.rename_columns(["other"]), "columns"),
        (lambda pa, table: table.set_column(0, "vector", pa.array([[1.0]] * 5)), "fixed-size list"),
        (lambda pa, table: table.set_column(0, "vector", pa.array([[np.nan]] * 5, pa.list_(pa.float32(), 1))), "NaN"),
        (lambda pa, table: table.set_column(0, "vector", pa.array([None] * 5, pa.list_(pa.float32(), 1))), "null"),
        (lambda pa, table: table.set_column(0, "vector", pa.array([[None]] * 5, pa.list_(pa.float32(), 1))), "null"),
        (lambda pa, table: table.append_column("id", pa.array([1] * 5)), "id"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, ending: str, change: Callable[[Any, Any], Any], reason: str) -> None:
    """No space id, another type, nulls, NaN, ids that are no strings."""
    table = _table(change)
    if reason != "space id":  # set_column and the like drop the metadata
        table = table.replace_schema_metadata({SPACE_KEY: ONE})
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / f"v{ending}"
    if ending == ".parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        with pyarrow.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    with pytest.raises(DataInvalid, match=reason):
        read_vectors(path)


def test_one_id_a_million_times_is_not_unpacked(tmp_path: Path) -> None:
    """A dictionary page holds a long string once: its rows are counted before they are made."""
    pytest.importorskip("pyarrow")
    import pyarrow
    import pyarrow.parquet

    rows = 20_000
    vectors = Vectors(np.ones((rows, 1), np.float32), ONE)
    ids = pyarrow.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["x" * 20_000])
    pyarrow.parquet.write_table(to_arrow(vectors, {"id": ids}), tmp_path / "v.parquet")
    with pytest.raises(DataInvalid, match="says that it holds"):
        read_vectors(tmp_path / "v.parquet")


@pytest.mark.parametrize("ending", FORMATS)
@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_files_never_crash(tmp_path: Path, ending: str, data: st.DataObject) -> None:
    """Flipped and missing bytes give the same vectors, others of the same space, or an error of ours."""
    path = tmp_path / f"v{ending}"
    write_vectors(path, some(), ids=list("abcde"))
    raw = bytearray(path.read_bytes())
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), min_size=1, max_size=6)
    ):
        raw[place] = value
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)) | st.just(len(raw)))])
    try:
        assert isinstance(read_vectors(path).vectors, Vectors)
    except SamespaceError as error:
        assert str(path) in str(error)


def test_a_killed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new file takes the old one's place only when it is whole."""
    path = tmp_path / "v.npz"
    write_vectors(path, some())
    monkeypatch.setattr("os.fsync", _disk_full)
    with pytest.raises(OSError, match="disk full"):
        write_vectors(path, some(3))
    assert len(read_vectors(path).vectors) == 5 and [each.name for each in tmp_path.iterdir()] == ["v.npz"]


def _disk_full(_: int) -> None:
    raise OSError("disk full")


def test_what_cannot_be_read_back_is_not_written(tmp_path: Path) -> None:
    """Another ending, a space id that is none, ids of another number."""
    for path, vectors, ids in (
        ("v.pkl", some(), None),
        ("v.npz", some(space_id="tiny"), None),
        ("v.npz", some(), ["a"]),
        ("v.parquet", some(), ["\ud800"] * 5),
        ("v.npz", some(), [1, 2, 3, 4, 5]),
    ):
        with pytest.raises(RequestInvalid):
            write_vectors(tmp_path / path, vectors, ids=ids)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_arrow_without_pyarrow_asks_for_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install has no pyarrow; the answer is the pip line."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("samespace.extras.find_spec", lambda _: None)
    with pytest.raises(ExtraMissing, match=r"samespace\[arrow\]"):
        write_vectors(tmp_path / "v.parquet", some())
