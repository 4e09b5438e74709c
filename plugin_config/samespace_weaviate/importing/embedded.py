"""What `samespace embed` made, as passages whose vectors are known.

Each part becomes passages and an encoder that looks their vectors up, so that everything else is the importer's own:
forms of long texts, types, tenants, retries. A part is in memory at a time, some 25 MB with 384 dims.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from samespace.bulk.files import place_of
from samespace.bulk.job import SUMMARY
from samespace.encoder import Encoded, EncodeOptions, Encoder
from samespace.errors import DataInvalid, RequestInvalid, SpaceMismatch
from samespace.text import BY_WINDOW, Role
from samespace.vector_files import from_arrow
from samespace.vectors import Float32, Vectors

from ..access.values import Passage

_OWN_COLUMNS: Final = frozenset({"id", "text", "vector", "tokens", "windows", "window", "start", "end"})


@dataclass(frozen=True, slots=True)
class EmbeddedFolder:
    """A complete folder of parts.

    Attributes:
        uri: where it is.
        space_id, dims: of all vectors.
        long_texts: what was asked of the encoder.
        files: names of the parts, in order.
        rows: of each.
        texts: of each, long ones once.
        digests: of what each was made of.
    """

    uri: str
    space_id: str
    dims: int
    long_texts: str
    files: tuple[str, ...]
    rows: tuple[int, ...]
    texts: tuple[int, ...]
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its vectors.

    Attributes:
        passage: with its text in one piece.
        vectors: (pieces, dims).
        spans: the characters that each piece stands for.
        tokens, windows: as the encoder counted.
    """

    passage: Passage
    vectors: Float32
    spans: tuple[tuple[int, int], ...]
    tokens: int
    windows: int


def is_embedded(uri: str) -> bool:
    """Whether *uri* is a folder that `samespace embed` finished."""
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None and (place_of(uri) / SUMMARY).size() is not None


def open_folder(uri: str) -> EmbeddedFolder:
    """The folder at *uri*.

    Raises:
        DataInvalid: it is not complete, or was made for something else than an import.
    """
    place = place_of(uri) / SUMMARY
    try:
        found = json.loads(place.read())
        options, parts = found["options"], found["parts"]
        folder = EmbeddedFolder(
            uri,
            found["space_id"],
            int(found["dims"]),
            options["long_texts"],
            *(tuple(part[key] for part in parts) for key in ("file", "rows", "texts", "input_sha256")),
        )
        role, shortened, with_text = options["role"], options["dims"], options["with_text"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataInvalid(path=place.uri, reason=f"is not what samespace embed writes: {error!r}") from error
    for wrong, reason in (
        (role != "passage", "its texts were encoded as queries; run samespace embed with --role passage"),
        (shortened is not None, f"its vectors were cut to {shortened} dims; queries would have all"),
        (not with_text, "it has no texts, and the collection stores them; run samespace embed without --without-text"),
    ):
        if wrong:
            raise DataInvalid(path=uri, reason=reason)
    return folder


def read_documents(folder: EmbeddedFolder, number: int) -> list[Document]:
    """The documents of part *number*; every page is held against its checksum.

    Raises:
        DataInvalid: the part is damaged, or is not what the folder says.
        SpaceMismatch: it is of another space than the folder.
    """
    import pyarrow
    import pyarrow.parquet

    place = place_of(folder.uri) / folder.files[number]
    try:
        with place.open() as stream, pyarrow.parquet.ParquetFile(stream, page_checksum_verification=True) as parquet:
            table = parquet.read()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataInvalid(path=place.uri, reason=f"cannot be read: {error}") from error
    vectors = from_arrow(table)
    if vectors.space_id != folder.space_id:
        raise SpaceMismatch(expected=folder.space_id, found=vectors.space_id, where=place.uri)
    if len(vectors) != folder.rows[number] or vectors.dims != folder.dims:
        raise DataInvalid(
            path=place.uri, reason=f"has shape {vectors.shape}; {SUMMARY} says {folder.rows[number]} rows"
        )
    rows = table.drop_columns(["vector"]).to_pylist()
    documents = [
        _document(rows[first:end], np.asarray(vectors)[first:end], f"{place.uri}, row {first + 1}")
        for first, end in _documents_of(rows, folder.long_texts)
    ]
    if len(documents) != folder.texts[number]:
        raise DataInvalid(path=place.uri, reason=f"{len(documents)} texts; {SUMMARY} says {folder.texts[number]}")
    return documents


def _documents_of(rows: Sequence[Mapping[str, Any]], long_texts: str) -> Iterator[tuple[int, int]]:
    """First and end row of each document."""
    at = 0
    while at < len(rows):
        count = rows[at]["windows"] if long_texts in BY_WINDOW else 1
        yield at, at + count
        at += count


def _document(rows: Sequence[Mapping[str, Any]], vectors: Float32, where: str) -> Document:
    first = rows[0]
    if any(row["id"] != first["id"] or row.get("window", 0) != number for number, row in enumerate(rows)):
        raise DataInvalid(path=where, reason=f"the rows of {first['id']!r} are not together; the part was changed")
    spans = tuple((row["start"], row["end"]) for row in rows) if "start" in first else ((0, len(first["text"])),)
    text = first["text"] if len(rows) == 1 else _joined([row["text"] for row in rows], spans)
    kept = {name: value for name, value in first.items() if name not in _OWN_COLUMNS and value is not None}
    passage = Passage(first["id"], text, kept)
    return Document(passage, vectors, spans, first["tokens"], first["windows"])


def _joined(pieces: Sequence[str], spans: Sequence[tuple[int, int]]) -> str:
    """The text that overlapping pieces come from. Between slices white space is left out; blanks stand for it."""
    letters = [" "] * spans[-1][1]
    for piece, (start, end) in zip(pieces, spans, strict=True):
        letters[start:end] = piece
    return "".join(letters)


class KnownVectors(Encoder):
    """An encoder that knows the vectors of some documents, and no others."""

    def __init__(self, folder: EmbeddedFolder, documents: Sequence[Document]) -> None:
        self.folder = folder
        self._known = {document.passage.text: document for document in documents}

    @property
    def space_id(self) -> str:
        return self.folder.space_id

    @property
    def name(self) -> str:
        return self.folder.uri

    @property
    def dims(self) -> int:
        return self.folder.dims

    @property
    def token_limit(self) -> int:
        """Of the texts that are in one piece: no more is known."""
        return max((each.tokens for each in self._known.values() if each.windows == 1), default=0)

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        """Look up.

        Raises:
            RequestInvalid: another role, or another form of long texts than the folder was made with.
        """
        have = "pool" if self.folder.long_texts == "reject" else self.folder.long_texts
        if role != "passage" or options.long_texts != have or options.dims is not None:
            raise RequestInvalid(
                field="long_texts",
                reason=f"{self.folder.uri} has {role}s with --long-texts {self.folder.long_texts}, and the collection "
                f"wants {options.long_texts}; run samespace embed with --long-texts {options.long_texts} into another "
                "folder",
            )
        found = [self._known[text] for text in texts]
        rows = [each.vectors for each in found]
        return Encoded(
            Vectors(np.concatenate(rows) if rows else np.empty((0, self.dims), np.float32), self.space_id),
            tuple(each.tokens for each in found),
            tuple(each.windows for each in found),
            tuple((text, start, end) for text, each in enumerate(found) for start, end in each.spans),
        )
