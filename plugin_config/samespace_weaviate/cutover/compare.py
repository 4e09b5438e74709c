"""Ask two collections the same queries, in turns, and hold their answers against each other."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import numpy as np

from samespace.encoder import Encoder
from samespace.errors import RequestInvalid, WeaviateError
from samespace.evaluation import metrics
from samespace.evaluation.dataset import Dataset

from ..access.database import Database, ways_to
from ..access.values import Hit
from ..adoption.sample import spots
from ..migration.plan import filled_vectors
from ..pinning.pin import read_pins, require_pin
from ..pinning.spec import DOCUMENT_PROPERTY, collection_name
from .verdict import MARGIN, CutoverVerdict, Decision, average_overlap, decide, decide_unjudged

DEPTH: Final = 10
ALIKE: Final = 0.99
"""Share of the old collection's objects that the new one has at least: clients write to one of them meanwhile."""
_LOOKED_AT: Final = 200
"""Objects of each collection that are looked at for whether they have the vector that is asked."""
_EXTREMES: Final = 5
_CHARS: Final = 300
_OVERSAMPLE: Final = 4
_MOST_HITS: Final = 1000
"""Times more hits than documents that are asked for where documents have several objects."""


@dataclass(frozen=True, slots=True)
class CutoverAnswer:
    """One document that was found.

    Attributes:
        document: its id in the data set.
        text: the beginning of its text.
    """

    document: str
    text: str


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """One query and what both gave.

    Attributes:
        old, new: answers, best first, 10 at most.
        old_score, new_score: nDCG@10; NaN without judgements.
        overlap: share of the answers that both give, 0 to 1; 0 where neither gives any.
        order: `average_overlap` of both.
    """

    query: str
    old: tuple[CutoverAnswer, ...]
    new: tuple[CutoverAnswer, ...]
    old_score: float
    new_score: float
    overlap: float
    order: float

    @property
    def change(self) -> float:
        """New less old."""
        return self.new_score - self.old_score


@dataclass(frozen=True, slots=True)
class CutoverComparison:
    """Two collections, compared.

    Attributes:
        old, new: their names.
        asked: every query.
        verdict: what follows.
        old_ms, new_ms: (median, 95th percentile) of a query in milliseconds, encoding included; asked in turns.
        old_bytes, new_bytes: of the vectors as float32, from dimensions and the number of objects.
        margin: of the verdict.
        old_objects, new_objects: how many each has.
        left_out: live queries that came faster than both answered, and were not asked.
        tenant: the only one that was asked; "" where there are none.
    """

    old: str
    new: str
    asked: tuple[AskedQuery, ...]
    verdict: CutoverVerdict
    old_ms: tuple[float, float]
    new_ms: tuple[float, float]
    old_bytes: int
    new_bytes: int
    margin: float
    old_objects: int = 0
    new_objects: int = 0
    left_out: int = 0
    tenant: str = ""

    @property
    def overlap(self) -> float:
        """Mean share of answers that both give."""
        return float(np.mean([each.overlap for each in self.asked]))

    @property
    def losses(self) -> tuple[AskedQuery, ...]:
        """Queries that lose most, worst first."""
        worse = [each for each in self.asked if each.change < 0]
        return tuple(sorted(worse, key=lambda each: each.change)[:_EXTREMES])

    @property
    def wins(self) -> tuple[AskedQuery, ...]:
        """Queries that gain most, best first."""
        better = [each for each in self.asked if each.change > 0]
        return tuple(sorted(better, key=lambda each: -each.change)[:_EXTREMES])


class CutoverSide:
    """One of the two collections, as it is asked.

    Args:
        database: of the tenant, where there are tenants.
        name: of the collection, or an alias.
        encoder: of its pin, that encodes queries here; None lets Weaviate's module do so.
        id_property: holds the id that a document has in its data set.

    Raises:
        PinBroken, SpaceMismatch: the encoder is not of its pin.
        RequestInvalid: there is no such collection, or it has not one vector that Weaviate could encode for.
    """

    def __init__(self, database: Database, name: str, encoder: Encoder | None, id_property: str) -> None:
        self.database, self.encoder = database, encoder
        schema = database.schema(collection_name(name))
        if schema is None:
            raise RequestInvalid(field="NAME", reason=f"no collection {name}; there are: {', '.join(database.names())}")
        self.name, self._id = str(schema["class"]), id_property
        self.vector = require_pin(schema, encoder.space_id).vector if encoder else _only_vector(schema)
        self._text = _text_property(schema)
        names = {str(each["name"]) for each in schema.get("properties") or ()}
        self.windows = DOCUMENT_PROPERTY in names
        self._by_uuid = id_property == "uuid" and "uuid" not in names
        self.unnamed: set[UUID] = set()
        """Answers without a value in *id_property*: their own ids stand for them, which no judgement knows."""
        self._nodes = list(ways_to(database))
        if not self.windows and id_property not in names and not self._by_uuid:
            have = ", ".join(sorted(names))
            raise RequestInvalid(
                field="--id-property",
                reason=f"{id_property!r}; {self.name} has {have}. Name the one with the documents' ids, or uuid for "
                "the objects' own",
            )

    def answers(self, query: str, *, turn: int = 0, by_name: bool = False) -> tuple[CutoverAnswer, ...]:
        """The first documents, best first; of one with several windows, or several objects, the best counts.

        Args:
            turn: queries before this one; each known node, with its own index and its own way to the encoder, is asked
                in turn.
            by_name: whether the answers of two collections are told apart by their names alone.

        Raises:
            RequestInvalid: *by_name*, and two objects have one name.
        """
        limit = DEPTH * (_OVERSAMPLE if self.windows else 1)
        while True:
            hits = self._hits(self.database.through(self._nodes[turn % len(self._nodes)]), query, limit)
            found: dict[str, CutoverAnswer] = {}
            for hit in hits:
                document = hit.properties.get(DOCUMENT_PROPERTY) if self.windows else None
                own = None if self._by_uuid else hit.properties.get(self._id)
                if not (document or own or self._by_uuid):
                    self.unnamed.add(hit.uuid)
                key = str(document or own or hit.uuid)
                if by_name and key in found and not document:
                    raise RequestInvalid(
                        field="--id-property",
                        reason=f"{self._id!r}; two objects of {self.name} have the same {self._id}: without judged "
                        "queries it has to tell objects apart; uuid takes the objects' own ids",
                    )
                found.setdefault(key, CutoverAnswer(key, _beginning(str(hit.properties.get(self._text) or ""))))
            if len(found) >= DEPTH or len(hits) < limit or limit >= _MOST_HITS or not self.windows:
                return tuple(found.values())[:DEPTH]
            limit = min(_MOST_HITS, 4 * limit)  # a few long documents took all places

    def _hits(self, node: Database, query: str, limit: int) -> list[Hit]:
        if self.encoder is None:
            return node.near_text(self.name, self.vector, query, limit)
        row = np.asarray(self.encoder.encode([query], "query").__array__())[0]
        return node.near_vector(self.name, self.vector, row, limit)

    def missed(self) -> str:
        """Why searches miss objects that are there; "" where they were not seen to."""
        if queued := sum(each.queued for each in self.database.shards(self.name)):
            return f"{queued:,} vectors of {self.name} wait to be indexed (asynchronous indexing): searches miss them"
        read = self.database.page(self.name, "", _LOOKED_AT, vectors=True)
        if len(read) == _LOOKED_AT:  # there are more, and the first ones may be of one kind
            read = spots(self.database, self.name, _LOOKED_AT, random.Random(0))
        texts = [each for each in read if str(each.properties.get(self._text) or "").strip()]
        without = sum(1 for each in texts if self.vector not in each.vectors)
        if without <= (1 - ALIKE) * len(texts):
            return ""
        return (
            f"{without} of {len(texts)} objects of {self.name} that were looked at have no vector: searches miss them"
        )

    def vector_bytes(self) -> int:
        """Of all vectors as float32; 0 where there is no object."""
        page = self.database.page(self.name, "", 1, vectors=True)
        rows = page[0].vectors.get(self.vector) if page else None
        return 0 if rows is None else int(rows.size) * 4 * self.database.count(self.name)


def compare_collections(
    old: CutoverSide,
    new: CutoverSide,
    queries: Iterable[str],
    judged: Dataset | None = None,
    *,
    margin: float = MARGIN,
    progress: Callable[[int], None] = lambda count: None,
    clock: Callable[[], float] = time.perf_counter,
) -> CutoverComparison:
    """Ask both in turns.

    Args:
        queries: texts, also as they come (`live.LiveQueries`); of *judged* its own, in order. Without judgements a
            query that comes again is not asked again.
        judged: whose judgements count; None where there are none.
        margin: of nDCG@10, by which the new one may be worse.

    Raises:
        RequestInvalid: no query was given, or both sides are the same vectors.
        WeaviateError: one cannot be asked, or a known node is away.
    """
    if (old.name, old.vector) == (new.name, new.vector) and old.database is new.database:
        raise RequestInvalid(
            field="OLD and NEW", reason=f"both lead to {old.name}; give two collections, by their own names"
        )
    asked, times = list[AskedQuery](), {"old": list[float](), "new": list[float]()}
    for place, query in enumerate(queries if judged is not None else _distinct(queries)):
        found: dict[str, tuple[CutoverAnswer, ...]] = {}
        order = (("old", old), ("new", new)) if place % 2 == 0 else (("new", new), ("old", old))
        for which, side in order:
            began = clock()
            try:
                found[which] = side.answers(query, turn=place, by_name=judged is None)
            except WeaviateError as error:
                raise WeaviateError(f"{side.name} cannot be asked: {error}") from error
            times[which].append(1000 * (clock() - began))
        grades = None if judged is None else judged.qrels[judged.query_ids[place]]
        asked.append(_asked(query, found["old"], found["new"], grades))
        progress(1)
    if not asked:
        raise RequestInvalid(field="queries", reason="are missing; expected at least one")
    for side in (old, new):
        if side.encoder is not None:
            side.encoder.confirm()
    objects = old.database.count(old.name), new.database.count(new.name)
    verdict = _unjudged(asked, min(objects)) if judged is None else _judged(asked, margin, min(objects))
    return CutoverComparison(
        old.name,
        new.name,
        tuple(asked),
        _with_doubts(verdict, old, new, objects),
        _percentiles(times["old"]),
        _percentiles(times["new"]),
        old.vector_bytes(),
        new.vector_bytes(),
        margin,
        *objects,
    )


def _with_doubts(
    verdict: CutoverVerdict, old: CutoverSide, new: CutoverSide, objects: tuple[int, int]
) -> CutoverVerdict:
    """*verdict*, unless what was asked cannot bear it: objects that are not there, or that no search finds, or answers
    that no judgement knows."""
    why = ""
    if verdict.decision is Decision.GO and not (old.windows or new.windows) and objects[1] < ALIKE * objects[0]:
        fewer = "fewer make any encoder look better"
        why = f"{new.name} has {objects[1]:,} objects, {old.name} {objects[0]:,}: {fewer}"
    for side in (old, new):
        if missed := side.missed():
            why = missed
        elif side.unnamed:
            why = f"{len(side.unnamed)} objects of {side.name} that were found have no value in --id-property"
    if not why or verdict.decision is Decision.CANNOT_TELL:
        return verdict
    return CutoverVerdict(Decision.CANNOT_TELL, f"{why} (else {verdict.why})", verdict.comparison)


def _distinct(queries: Iterable[str]) -> Iterator[str]:
    """Each once: one that comes thirty times is one."""
    seen = set[str]()
    for query in queries:
        if query not in seen:
            seen.add(query)
            yield query


def _asked(
    query: str, old: tuple[CutoverAnswer, ...], new: tuple[CutoverAnswer, ...], grades: Mapping[str, float] | None
) -> AskedQuery:
    before, after = {each.document for each in old}, {each.document for each in new}
    shared = len(before & after) / max(len(before), len(after), 1)
    order = average_overlap([each.document for each in old], [each.document for each in new])
    return AskedQuery(query, old, new, _ndcg(old, grades), _ndcg(new, grades), shared, order)


def _judged(asked: Sequence[AskedQuery], margin: float, objects: int) -> CutoverVerdict:
    old, new = ([each.old_score for each in asked], [each.new_score for each in asked])
    unjudged = _unjudged(asked, objects)
    return decide(
        np.array(old),
        np.array(new),
        margin=margin,
        texts=[each.query for each in asked],
        same=unjudged.decision is Decision.GO,
    )


def _unjudged(asked: Sequence[AskedQuery], objects: int) -> CutoverVerdict:
    answered = [each for each in asked if each.old or each.new]
    return decide_unjudged([each.overlap for each in answered], [each.order for each in answered], objects)


def _ndcg(answers: Sequence[CutoverAnswer], grades: Mapping[str, float] | None) -> float:
    if grades is None:
        return float("nan")
    found = np.array([[grades.get(each.document, 0.0) for each in answers] + [0.0] * (DEPTH - len(answers))])
    return float(metrics.ndcg(found, [list(grades.values())], DEPTH)[0])


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    return float(np.median(values)), float(np.percentile(values, 95))


def _only_vector(schema: Mapping[str, Any]) -> str:
    filled = list(filled_vectors(schema))
    if len(filled) != 1:
        raise RequestInvalid(
            field="NAME",
            reason=f"{schema['class']} has {len(filled)} named vectors; give the encoder of the one that is meant",
        )
    return filled[0]


def _beginning(text: str) -> str:
    """At most `_CHARS` characters of *text*, up to the end of a word."""
    if len(text) <= _CHARS:
        return text
    words, blank, _ = text[: _CHARS + 1].rpartition(" ")
    return f"{(words if blank else text[:_CHARS]).rstrip()} ..."


def _text_property(schema: Mapping[str, Any]) -> str:
    pinned = [name for pin in read_pins(schema) for name in pin.sources]
    texts = [str(each["name"]) for each in schema.get("properties") or () if each["dataType"] == ["text"]]
    return next(iter([*pinned, *texts]), "text")
