"""One tenant, or a collection without tenants: sample, read, encode again, compare, explain."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final
from uuid import UUID

import numpy as np

from samespace.vectors import Float32, normalise

from ..access.database import Database
from ..access.values import StoredObject
from .coarse import CoarseBuilds
from .compare import Checked, RightVectors, SuspectVectors, distance, fault, off_unit
from .explain import Explanation, Texts, explain, right_rows
from .findings import Kind, Offender, TenantAudit
from .sampling import reservoir
from .searchable import LIMITS, index_doors, is_compressed, search_each, unfiltered
from .tolerance import Bound, Tolerance, apart, infer

PAGE: Final = 128
"""Objects of one read, with texts and vectors; a few megabytes, below gRPC's limit."""
MOST_SUSPECTS: Final = 1000
"""Wrong objects of a tenant that are examined closer; of further ones only the distance is told."""
MOST_COARSE: Final = 64
"""The same for those that a coarse build would explain; all objects are such where int8 wrote them."""
MOST_REFERENCES: Final = 512
"""Right vectors that are kept to compare suspects with."""
IDS_A_STEP: Final = 1000

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Audited:
    """What is the same for all tenants of one audit.

    Attributes:
        name, vector: of the collection and its pinned vector.
        texts: how its objects become vectors.
        properties: that have to be read for it.
        reader: the build that encodes again.
        writers: the builds that may have written, from tight to loose.
        coarse: those of them that are asked themselves where no other one can have written.
        claimed: the largest 1 - cos that a vector may be off with nobody asked.
        progress: gets "ids" or "objects" and how many more are done.
    """

    name: str
    vector: str
    texts: Texts
    properties: tuple[str, ...]
    reader: Bound
    writers: tuple[Bound, ...]
    coarse: CoarseBuilds
    claimed: float
    progress: Progress

    @property
    def tight(self) -> float:
        """The largest 1 - cos of a right vector that the most exact build wrote."""
        return apart(self.reader.worst, self.writers[0].worst)

    @property
    def loose(self) -> float:
        """The same for the coarsest build."""
        return apart(self.reader.worst, self.writers[-1].worst)


@dataclass(slots=True)
class _Seen:
    """What was compared so far."""

    checked: list[Checked] = field(default_factory=list)
    suspects: int = 0
    coarse: int = 0
    right: list[tuple[UUID, Float32]] = field(default_factory=list)
    unsearchable: dict[UUID, tuple[str, ...]] = field(default_factory=dict)
    unfiltered: set[UUID] = field(default_factory=set)
    tied: int = 0
    behind: int = 0


def audit_tenant(
    database: Database, tenant: str, audited: Audited, size: int | None, chance: random.Random
) -> TenantAudit:
    """Compare *size* objects of a tenant (None: all) with what the encoder gives for their texts."""
    chosen, population = reservoir(_counted(database.ids(audited.name), audited.progress), size, chance)
    seen = _Seen()
    source = iter(chosen)
    while page := list(islice(source, PAGE)):
        objects = database.read(audited.name, audited.vector, page, audited.properties)
        _compare(objects, audited, seen)
        _search(database, objects, audited, seen)
        audited.progress("objects", len(page))
    distances = [each.distance for each in seen.checked if each.distance is not None and not each.disowned]
    disowned = [each.distance for each in seen.checked if each.distance is not None and each.disowned]
    tolerance = infer(audited.reader, audited.writers, np.asarray(distances, dtype=np.float64))
    offenders = _offenders(seen, audited, tenant, tolerance)
    named = {each.uuid for each in offenders}
    coarse = sum(
        each.distance is not None and each.distance > tolerance.allowed and each.uuid not in named
        for each in seen.checked
    )
    return TenantAudit(
        tenant, population, len(seen.checked), offenders, coarse, tolerance, tuple(distances), seen.tied, seen.behind,
        tuple(disowned),
    )  # fmt: skip


def _search(database: Database, objects: Sequence[StoredObject], audited: Audited, seen: _Seen) -> None:
    """Note which of the objects their own vectors, or a filter on their ids, do not find."""

    doors = index_doors(database, audited.name, audited.vector)
    compressed = is_compressed(database, audited.name, audited.vector)

    def missing(these: Sequence[StoredObject]) -> Mapping[UUID, tuple[str, ...]]:
        searched = [(each.uuid, _query(each.vector, audited)) for each in these if _is_searchable(each, audited)]
        answers = search_each(doors, searched, compressed=compressed)
        seen.tied += answers.tied
        seen.behind += answers.behind
        return answers.missing

    if first := missing(objects):
        # What was deleted or written again meanwhile is no finding: it is read again, and searched as it is now.
        again = database.read(audited.name, audited.vector, list(first), audited.properties)
        seen.unsearchable |= missing(again)
    if hidden := unfiltered(database, audited.name, [each.uuid for each in objects]):
        there = database.read(audited.name, audited.vector, list(hidden), ())
        seen.unfiltered |= unfiltered(database, audited.name, [each.uuid for each in there])


def _is_searchable(each: StoredObject, audited: Audited) -> bool:
    """Whether the object has a vector that its index can hold; others are told of as what they are."""
    vectors = each.vector
    dims = audited.texts.encoder.dims
    return vectors is not None and vectors.shape[1:] == (dims,) and bool(np.isfinite(vectors).all() and vectors.any())


def _query(vectors: Float32 | None, audited: Audited) -> Float32:
    assert vectors is not None
    return vectors if audited.texts.windows else vectors[0]


def _compare(objects: Sequence[StoredObject], audited: Audited, seen: _Seen) -> None:
    """Encode the texts of some objects and add what was seen."""
    texts = [audited.texts.declared.text(each.properties) for each in objects]
    there = [text for text in texts if text]
    encoded = right_rows(audited.texts.encoder, there, audited.texts.declared, windows=audited.texts.windows)
    rows = iter(encoded)
    made = [next(rows) if text else (None, 0) for text in texts]
    compared = [_compared(each.vector, right, audited.loose) for each, (right, _) in zip(objects, made, strict=True)]
    disowned = _disowned(objects, texts, [right for right, _ in made], [far for _, far in compared], audited)
    for index, (each, text) in enumerate(zip(objects, texts, strict=True)):
        (right, windows), (wrong, far) = made[index], compared[index]
        evidence = None
        if right is not None:
            if len(seen.right) < MOST_REFERENCES:
                seen.right.append((each.uuid, right[0]))
            if each.vector is not None and _worth_keeping(wrong, far, index in disowned, audited, seen):
                evidence = SuspectVectors(each.properties, text, windows, each.vector, right)
        kind, reason = wrong or (None, "")
        seen.checked.append(Checked(each.uuid, kind, reason, far, evidence, index in disowned))


def _compared(stored: Float32 | None, right: Float32 | None, loose: float) -> tuple[Explanation | None, float | None]:
    """(what is wrong with the vector by itself, 1 - cos to the right one); None where nothing is, or cannot be told."""
    wrong = fault(stored, right)
    if wrong is not None or right is None or stored is None:
        return wrong, None
    far = distance(stored, right)
    return (off_unit(stored) if far <= loose else None), far


def _disowned(
    objects: Sequence[StoredObject],
    texts: Sequence[str],
    right: Sequence[Float32 | None],
    far: Sequence[float | None],
    audited: Audited,
) -> set[int]:
    """Indices of vectors that only a coarse build can have written, and none of these did."""
    asked: list[tuple[int, Float32, Float32]] = []
    for index, (each, exact, apart_by) in enumerate(zip(objects, right, far, strict=True)):
        if each.vector is None or exact is None or apart_by is None:
            continue
        if apart(audited.reader.worst, audited.claimed) < apart_by <= audited.loose:
            asked.append((index, each.vector, exact))
    if not asked or not audited.coarse.ways or not audited.coarse.all_run:
        return set()
    wrote = audited.coarse.wrote(
        [stored for _, stored, _ in asked],
        [exact for _, _, exact in asked],
        [texts[index] for index, _, _ in asked],
        audited.texts.declared,
        windows=audited.texts.windows,
    )
    return {index for (index, _, _), one in zip(asked, wrote, strict=True) if not one}


def _worth_keeping(wrong: Explanation | None, far: float | None, disowned: bool, audited: Audited, seen: _Seen) -> bool:
    """Whether the object needs an explanation, and there is still room for it."""
    if (
        disowned
        or (wrong is not None and wrong[0] in (Kind.WRONG_LENGTH, Kind.WINDOWS))
        or (far is not None and far > audited.loose)
    ):
        seen.suspects += 1
        return seen.suspects <= MOST_SUSPECTS
    if wrong is None and far is not None and far > audited.tight:
        seen.coarse += 1
        return seen.coarse <= MOST_COARSE
    return False


def _offenders(seen: _Seen, audited: Audited, tenant: str, tolerance: Tolerance) -> tuple[Offender, ...]:
    suspects = [each for each in seen.checked if each.evidence is not None]
    reference = RightVectors(
        tuple(uuid for uuid, _ in seen.right),
        normalise(np.stack([row for _, row in seen.right])) if seen.right else np.empty((0, 0), np.float32),
    )
    found = explain(suspects, audited.texts, reference, tight=audited.tight, loose=audited.loose)
    explained = {suspects[index].uuid: explanation for index, explanation in found.items()}
    offenders = []
    for each in sorted(seen.checked, key=lambda each: each.uuid):
        kind, reason = explained.get(each.uuid, (each.kind, each.reason))
        if kind is None and each.distance is not None and each.distance > tolerance.allowed_coarse:
            kind, reason = Kind.DIFFERS, "of no text or encoder that was tried"
        if kind is None and each.disowned:
            kind, reason = Kind.DIFFERS, f"near the exact vector, and not what {audited.coarse.said} makes of its text"
        if kind is None and each.uuid in seen.unsearchable:
            nodes = ", ".join(filter(None, seen.unsearchable[each.uuid]))
            where = f" on node {nodes}" if nodes else ""
            kind, reason = Kind.UNSEARCHABLE, f"its own vector does not find it among the {LIMITS[-1]} nearest{where}"
        if kind is None and each.uuid in seen.unfiltered:
            kind, reason = Kind.UNFILTERED, "a filter on its id does not find it"
        if kind is not None:
            offenders.append(Offender(each.uuid, tenant, kind, reason, each.distance))
    return tuple(offenders)


def _counted(ids: Iterable[UUID], progress: Progress) -> Iterator[UUID]:
    number = 0
    for number, uuid in enumerate(ids, start=1):
        if number % IDS_A_STEP == 0:
            progress("ids", IDS_A_STEP)
        yield uuid
    progress("ids", number % IDS_A_STEP)
