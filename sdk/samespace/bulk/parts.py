"""What a part looks like on disk: Parquet, with what it was made of in its footer.

Columns: `id`, `text` (unless left out), those that were kept, `vector` (fixed-size list), `tokens` and `windows` of the
text; and where each window or slice has a row, `window` (its number), `start` and `end` (its characters of the text).
The space id is in the schema's metadata, as in every file of vectors; so `Vectors.load` reads a part too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..encoder import Encoded
from ..errors import DataInvalid, SpaceMismatch
from ..text import BY_WINDOW
from ..vector_files import SPACE_KEY, VECTOR_COLUMN
from .files import Place
from .plan import Options
from .rows import Chunk

OPTIONS_KEY: Final = "samespace.embed"
DONE_KEY: Final = "samespace.part"


@dataclass(frozen=True, slots=True)
class Done:
    """What a finished part says of itself in its footer, written last.

    Attributes:
        rows: of the output.
        texts: that were encoded.
        tokens: of all texts, each in one piece.
        long_texts: of more than one window.
        skipped: rows of the input without a text.
        input_sha256: of all that was read.
    """

    rows: int
    texts: int
    tokens: int
    long_texts: int
    skipped: int
    input_sha256: str


def table_of(chunk: Chunk, encoded: Encoded, options: Options) -> Any:
    """The rows of one chunk, as a `pyarrow.Table`."""
    import pyarrow

    encoded.vectors.require(options.space_id, where="samespace embed")
    owners = [text for text, _, _ in encoded.spans]
    windows = options.long_texts in BY_WINDOW
    columns: dict[str, Any] = {"id": pyarrow.array([chunk.ids[text] for text in owners], pyarrow.string())}
    if options.with_text:
        texts = [chunk.texts[text][start:end] if windows else chunk.texts[text] for text, start, end in encoded.spans]
        columns["text"] = pyarrow.array(texts, pyarrow.string())
    for name, values in chunk.kept.items():
        column = pyarrow.array(values, pyarrow.string()) if isinstance(values, list) else values
        columns[name] = column.take(pyarrow.array(owners, pyarrow.int64()))
    numbers = np.asarray(encoded.vectors).astype(options.dtype).reshape(-1)
    columns[VECTOR_COLUMN] = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(numbers), encoded.vectors.dims)
    columns["tokens"] = pyarrow.array([encoded.tokens[text] for text in owners], pyarrow.int32())
    columns["windows"] = pyarrow.array([encoded.windows[text] for text in owners], pyarrow.int32())
    if windows:
        firsts = np.cumsum([0, *encoded.windows])
        columns["window"] = pyarrow.array([row - firsts[text] for row, text in enumerate(owners)], pyarrow.int32())
        columns["start"] = pyarrow.array([start for _, start, _ in encoded.spans], pyarrow.int32())
        columns["end"] = pyarrow.array([end for _, _, end in encoded.spans], pyarrow.int32())
    metadata = {SPACE_KEY: options.space_id, OPTIONS_KEY: options.to_json()}
    return pyarrow.table(columns).replace_schema_metadata(metadata)


def open_writer(path: str, schema: Any) -> Any:
    """A `pyarrow.parquet.ParquetWriter`. Vectors are not packed: they hardly get smaller, and every reader would wait.

    Pages carry checksums, so that a damaged file is found when it is read.
    """
    import pyarrow.parquet

    plain = [name for name in schema.names if name != VECTOR_COLUMN]
    leaves = {f"{VECTOR_COLUMN}.list.element": "NONE", **dict.fromkeys(plain, "ZSTD")}
    return pyarrow.parquet.ParquetWriter(
        path,
        schema,
        compression=leaves,
        use_dictionary=[name for name in plain if name not in ("id", "text")],
        write_statistics=["id"],
        write_page_checksum=True,
    )


def done_metadata(done: Done) -> dict[str, str]:
    """For the writer's `add_key_value_metadata`, before it is closed."""
    return {DONE_KEY: json.dumps({name: getattr(done, name) for name in Done.__slots__})}


def read_done(place: Place, options: Options) -> Done | None:
    """What the part at *place* says of itself; None where there is none that is whole and made with *options*.

    Raises:
        SpaceMismatch: it is whole, and of another space.
    """
    import pyarrow
    import pyarrow.parquet

    if not place.size():
        return None
    try:
        with place.open() as stream:
            metadata = dict(pyarrow.parquet.read_metadata(stream).metadata or {})
    except (pyarrow.ArrowException, OSError):
        return None  # cut off: made again
    space = metadata.get(SPACE_KEY.encode(), b"").decode("ascii", "replace")
    if space != options.space_id:
        raise SpaceMismatch(expected=options.space_id, found=space or "(none)", where=place.uri)
    if metadata.get(OPTIONS_KEY.encode(), b"").decode("utf-8", "replace") != options.to_json():
        return None
    try:
        return done_of(json.loads(metadata[DONE_KEY.encode()]))
    except (KeyError, ValueError, TypeError):
        return None


def done_of(plain: Mapping[str, Any]) -> Done:
    """From the footer's or the summary's JSON.

    Raises:
        KeyError, TypeError: something is missing.
    """
    return Done(**{name: plain[name] for name in Done.__slots__})


def check_whole(place: Place) -> None:
    """Read every page of a part against its checksum.

    Raises:
        DataInvalid: one differs.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with (
            place.open() as stream,
            pyarrow.parquet.ParquetFile(stream, page_checksum_verification=True) as parquet,
        ):
            for _ in parquet.iter_batches():
                continue
    except (pyarrow.ArrowException, OSError) as error:
        raise DataInvalid(path=place.uri, reason=f"is damaged: {error}; delete it and run the command again") from error
