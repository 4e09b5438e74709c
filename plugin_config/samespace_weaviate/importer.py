"""Bulk import: encode over one connection while Weaviate writes over the other.

A thread encodes batches and puts them into a queue of two; the caller's thread takes them out and writes. Whichever is
slower sets the pace, and nothing piles up. Vector and object are written together, so Weaviate calls no vectorizer.
Ids come from the passages, so importing again changes nothing.

What it gives up: a journal (an interrupted import is simply run again). One object a passage: `objects_of` is the only
place that knows.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from samespace.encoder import Encoded, Encoder
from samespace.errors import DataInvalid, Overloaded, SpaceMismatch

from .objects import Database, Failure, Passage, StoredObject, object_uuid

BATCH: Final = 256
"""Objects of one write; a few megabytes, well below gRPC's limit."""
RETRIES: Final = 3
_AHEAD: Final = 2
_TRANSIENT: Final = re.compile(
    r"\b50[23]\b|timed? ?out|deadline|unavailable|connection (refused|reset)|context canceled|too many requests", re.I
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where passages go: a collection whose pin was checked.

    Attributes:
        collection, vector, space_id: of the pin.
        text_property, id_property: where text and id are stored.
        properties: what else the collection stores; other properties of a passage are left out.
    """

    collection: str
    vector: str
    space_id: str
    text_property: str
    id_property: str
    properties: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of the passages.

    Attributes:
        written: objects that Weaviate took.
        failed: those that it did not take, each with its reason, after retries.
        long_texts: passages beyond the token limit; their vectors are pooled windows.
        token_limit: of the encoder.
        left_out: names of properties that the collection does not have, with how many passages had them.
        seconds: from the first text to the last answer.
    """

    written: int
    failed: tuple[Failure, ...]
    long_texts: int
    token_limit: int
    left_out: tuple[tuple[str, int], ...]
    seconds: float

    def sentences(self) -> list[str]:
        """For people."""
        rate = self.written / self.seconds if self.seconds else 0.0
        lines = [f"{self.written} objects written in {self.seconds:.1f} s ({rate:.0f} a second)."]
        if self.long_texts:
            lines.append(
                f"{self.long_texts} passages are longer than the token limit ({self.token_limit}); their vectors are "
                "pooled windows, which find less than one object a window would."
            )
        lines += [
            f"Property {name} of {count} passages was not stored by itself: the collection has no such property "
            f"(`create` with --also-property {name} makes one)."
            for name, count in self.left_out
        ]
        if self.failed:
            lines.append(f"{len(self.failed)} objects were NOT written:")
            lines += [f"  {failure.passage}: {failure.reason}" for failure in self.failed[:10]]
        return lines


def import_passages(
    database: Database,
    target: Target,
    encoder: Encoder,
    passages: Iterable[Passage],
    *,
    batch: int = BATCH,
    progress: Callable[[int], None] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> ImportReport:
    """Encode *passages* and write them into *target*.

    Raises:
        SpaceMismatch: the encoder is of another space; nothing was encoded or sent.
        DataInvalid: an id is there twice, or a text is empty.
    """
    if encoder.space_id != target.space_id:
        raise SpaceMismatch(
            expected=target.space_id, found=encoder.space_id, where=f"import into collection {target.collection}"
        )
    start = time.monotonic()
    written, long_texts = 0, 0
    failed: list[Failure] = []
    left_out: dict[str, int] = {}
    for chunk, encoded in _ahead(_encoded(encoder, passages, batch, pause)):
        objects = objects_of(target, chunk, encoded, left_out)
        refused = _insert(database, target, objects, pause)
        names = {entry.uuid: str(entry.properties[target.id_property]) for entry in objects}
        failed += [replace(failure, passage=names[failure.uuid]) for failure in refused]
        written += len(objects) - len(refused)
        long_texts += sum(windows > 1 for windows in encoded.windows)
        if progress is not None:
            progress(len(chunk))
    return ImportReport(
        written=written,
        failed=tuple(failed),
        long_texts=long_texts,
        token_limit=encoder.token_limit,
        left_out=tuple(sorted(left_out.items())),
        seconds=time.monotonic() - start,
    )


def objects_of(
    target: Target, passages: Sequence[Passage], encoded: Encoded, left_out: dict[str, int]
) -> list[StoredObject]:
    """The objects of some passages: one each, with the pooled vector. *left_out* counts dropped properties."""
    encoded.vectors.require(target.space_id, where=f"import into collection {target.collection}")
    rows = encoded.vectors.__array__()
    objects = []
    for row, passage in enumerate(passages):
        properties: dict[str, Any] = {target.text_property: passage.text, target.id_property: passage.id}
        for name, value in passage.properties.items():
            if name in target.properties:
                properties.setdefault(name, value)
            else:
                left_out[name] = left_out.get(name, 0) + 1
        objects.append(StoredObject(object_uuid(target.collection, passage.id), properties, rows[row]))
    return objects


def _insert(
    database: Database, target: Target, objects: Sequence[StoredObject], pause: Callable[[float], None]
) -> list[Failure]:
    """Write, and write again what failed for a reason that may pass."""
    refused = database.insert(target.collection, target.vector, objects)
    final = [failure for failure in refused if not _TRANSIENT.search(failure.reason)]
    for attempt in range(RETRIES):
        again = {failure.uuid for failure in refused} - {failure.uuid for failure in final}
        if not again:
            return final
        pause(2.0**attempt)
        refused = database.insert(target.collection, target.vector, [entry for entry in objects if entry.uuid in again])
        final += [failure for failure in refused if not _TRANSIENT.search(failure.reason)]
    return final + [failure for failure in refused if _TRANSIENT.search(failure.reason)]


def _encoded(
    encoder: Encoder, passages: Iterable[Passage], batch: int, pause: Callable[[float], None]
) -> Iterator[tuple[list[Passage], Encoded]]:
    source, seen = iter(passages), set[str]()
    while chunk := list(islice(source, batch)):
        for passage in chunk:
            if passage.id in seen:
                raise DataInvalid(path=f"passage {passage.id!r}", reason="the id is there twice; ids name objects")
            if not passage.text.strip():
                raise DataInvalid(path=f"passage {passage.id!r}", reason="the text is empty")
            seen.add(passage.id)
        yield chunk, _encode(encoder, [passage.text for passage in chunk], pause)


def _encode(encoder: Encoder, texts: list[str], pause: Callable[[float], None]) -> Encoded:
    """Encode, and wait as long as the server says where it has too much to do."""
    for _ in range(RETRIES):
        try:
            return encoder.encode_detailed(texts, "passage")
        except Overloaded as error:
            pause(error.retry_after_ms / 1000)
    return encoder.encode_detailed(texts, "passage")


def _ahead(
    batches: Iterator[tuple[list[Passage], Encoded]],
) -> Iterator[tuple[list[Passage], Encoded]]:
    """*batches*, computed up to two ahead in a thread; what goes wrong there is raised here."""
    done: Final = object()
    ready: queue.Queue[Any] = queue.Queue(maxsize=_AHEAD)
    stopped = threading.Event()

    def put(value: Any) -> None:
        while not stopped.is_set():
            try:
                ready.put(value, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for entry in batches:
                if stopped.is_set():
                    return
                put(entry)
            put(done)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits for it
            put(error)

    thread = threading.Thread(target=work, name="samespace-import", daemon=True)
    thread.start()
    try:
        while (entry := ready.get()) is not done:
            if isinstance(entry, BaseException):
                raise entry
            yield entry
    finally:
        stopped.set()
        thread.join()
