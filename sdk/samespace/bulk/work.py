"""One part from rows to a file: read, encode, write. What every engine does, on whichever machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..encoder import Encoded, Encoder
from ..errors import DataInvalid, SpaceMismatch, TextTooLong
from ..folders import require_room
from ..progress import Advance
from ..vectors import Vectors
from .files import partial_beside, place_of, publish
from .parts import Done, done_metadata, open_writer, read_done, table_of
from .plan import BulkPart, Options
from .rows import Chunk, read_chunks, rows_digest


def existing(part: BulkPart, options: Options, out: str) -> Done | None:
    """What is there of *part*, if it is complete and of the same rows, options and space.

    The rows are read for it, because sizes and times of files say little about what is in them; reading is a small
    part of encoding.

    Raises:
        SpaceMismatch: the folder has a part of another space.
        DataInvalid: the rows cannot be read.
    """
    done = read_done(place_of(out) / part.file, options)
    if done is None:
        return None
    found = rows_digest(part, options.columns, skip_empty=options.skip_empty)
    return done if done.input_sha256 == found else None


def require_room_for(parts: Sequence[BulkPart], options: Options, out: str, dims: int) -> None:
    """Raise `OutputFailed` where the vectors of the parts that are not there have no room on a disk of this machine."""
    place = place_of(out)
    if not place.local or options.skip_empty:
        return
    there = set(place.names())
    rows = sum(part.rows for part in parts if part.file not in there)
    require_room(Path(place.path) / "part", rows * (options.dims or dims) * np.dtype(options.dtype).itemsize)


def make_part(
    part: BulkPart, options: Options, out: str, encoder: Encoder, progress: Advance = lambda rows: None
) -> Done:
    """Encode *part* and write its file into the folder *out*, whole or not at all.

    Raises:
        SpaceMismatch: the encoder is of another space than the job; nothing was encoded.
        DataInvalid: a row cannot be used, with its file and number.
        VectorsDisagree: the encoder became another one meanwhile; the part was not written.
    """
    if encoder.space_id != options.space_id:
        raise SpaceMismatch(expected=options.space_id, found=encoder.space_id, where=f"the encoder of {part.file}")
    target = place_of(out) / part.file
    work = partial_beside(target)
    digest = hashlib.sha256()
    rows = texts = tokens = long_texts = skipped = 0
    writer: Any = None
    try:
        for chunk in read_chunks(part, options.columns, skip_empty=options.skip_empty):
            chunk.digest_into(digest)
            encoded = _encode(part, chunk, options, encoder)
            table = table_of(chunk, encoded, options)
            if writer is None:
                writer = open_writer(str(work), table.schema)
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            rows += table.num_rows
            texts += len(chunk.texts)
            tokens += sum(encoded.tokens)
            long_texts += sum(count > 1 for count in encoded.windows)
            skipped += chunk.skipped
            progress(chunk.read)
        encoder.confirm()
        done = Done(rows, texts, tokens, long_texts, skipped, digest.hexdigest())
        writer.add_key_value_metadata(done_metadata(done))
        writer.close()
        writer = None
        publish(work, target)
        return done
    finally:
        if writer is not None:
            with suppress(OSError):  # something else went wrong, and is raised
                writer.close()
        work.unlink(missing_ok=True)


def _encode(part: BulkPart, chunk: Chunk, options: Options, encoder: Encoder) -> Encoded:
    if not chunk.texts:
        nothing = np.empty((0, options.dims or encoder.dims), dtype=np.float32)
        return Encoded(Vectors(nothing, options.space_id), (), (), ())
    try:
        return encoder.encode_detailed(chunk.texts, options.role, long_texts=options.long_texts, dims=options.dims)
    except TextTooLong as error:
        raise DataInvalid(
            path=part.where(chunk.numbers[error.index]),
            reason=f"{error.tokens} tokens, the token limit is {error.limit}; --long-texts pool or windows takes it",
        ) from error
