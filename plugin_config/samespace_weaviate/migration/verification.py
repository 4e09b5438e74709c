"""What a collection holds before, and whether the new one is what it has to be: counts, a sample encoded again.

Answers of two encoders differ, or nobody would migrate; their overlap is told, not judged.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Final
from uuid import UUID, uuid5

import numpy as np

from samespace.encoder import Encoder
from samespace.errors import MigrationBlocked, WeaviateError, WeaviateUnavailable
from samespace.providers.encoder import ProviderEncoder
from samespace.vectors import Float32, cosine_distance

from ..access.database import Database, ways_to
from ..access.values import PAGE, Hit, StoredObject
from ..audit.coarse import CoarseBuilds
from ..audit.recipes import InputRecipe
from ..audit.searchable import SearchCheck, check_searchable, index_again, remarks, wait_for_index
from ..audit.tolerance import apart
from ..pinning.routes import vectorizer_of
from ..replicas.alike import factor
from .copying.transfer import Transfer, text_of
from .cost import Cost, EncodingTrial, estimate
from .plan import Migration, filled_vectors

BOUND: Final = 2e-3
"""1 - cos between a stored vector and the same text encoded again: twice what two builds of one space may differ, and
int8 differs a little with its batch. Vectors of another encoder are hundreds of times as far."""
_SPOT: Final = 8
_MODULE_SPOTS: Final = 12
_MOST_TENANTS: Final = 32
LIMIT: Final = 10
_INDEX_ROUNDS: Final = 3
INDEX_WAIT_S: Final = 600.0
TRIAL_TEXTS: Final = 64


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        old, new: numbers of objects.
        sampled: objects of the new collection that were encoded again.
        worst: the largest 1 - cos among them.
        wrong: ids of those beyond `BOUND` (of a hosted encoder its own noise), or without the new vector.
        queries: how many were asked of both collections.
        overlap: mean share of the first 10 answers that both give, 0 to 1; None where none could be asked.
        queued: vectors of the new collection that are still waiting to be indexed.
        searched: objects of the new collection that were searched for by their own vector.
        lost: objects of the new collection that are stored and that no search finds.
        tied: those of which it cannot be told, because too many have the same vector.
        behind: those that only the largest query finds, because the index is compressed.
        mended: of which so many were brought into the index.
        unasked: why the old collection could not be asked; "" where it could.
        carried: whether the vectors of both were compared instead, of all objects.
    """

    old: int
    new: int
    sampled: int
    worst: float
    wrong: tuple[str, ...]
    queries: int = 0
    overlap: float | None = None
    unasked: str = ""
    queued: int = 0
    searched: int = 0
    mended: int = 0
    lost: tuple[str, ...] = ()
    tied: int = 0
    behind: int = 0
    carried: bool = False

    def sentences(self) -> list[str]:
        """For people."""
        wrong = f"{len(self.wrong)} {'differ' if self.carried else 'are wrong'}"
        compared = (
            f"All objects and vectors of both compared: {wrong}."
            if self.carried
            else f"{self.sampled} of them encoded again: 1 - cos is at most {self.worst:.2g}; {wrong}."
        )
        lines = [
            f"{self.new:,} objects in the new collection, {self.old:,} in the old one.",
            compared,
        ]
        if self.mended:
            lines.append(f"{self.mended} were stored and in no index (Weaviate was restarted?); they are indexed now.")
        found = self.searched - len(self.lost) - self.tied - self.behind
        lines += [f"{found:,} of {self.searched:,} are found by their own vector.", *remarks(self.tied, self.behind)]
        if self.overlap is not None:
            lines.append(
                f"Of the first {LIMIT} answers to {self.queries} queries, {self.overlap:.0%} are the same, old and new."
            )
        if self.unasked:
            lines.append(f"The old collection could not be asked: {self.unasked}")
        return lines


def verify(
    transfer: Transfer, migration: Migration, encoder: Encoder, *, sample: int, queries: Sequence[str], seed: str
) -> Verification:
    """Count both collections, and encode a sample of the new one again.

    Args:
        transfer: the route from old to new; its tenants are woken as in a round.
        migration: the plan.
        encoder: of the new space.
        sample: how many objects to encode again, spread over the ids and at most 32 tenants.
        queries: texts to ask both collections; of collections with tenants the first tenant is asked.
        seed: of the random places in the ids.
    """
    database, tenants, chance = transfer.database, transfer.tenants(), random.Random(seed)
    chosen = set(chance.sample(tenants, min(_MOST_TENANTS, len(tenants))))
    allowed = apart(encoder.bound, encoder.bound) if isinstance(encoder, ProviderEncoder) else BOUND
    counts, sampled, worst, wrong = np.zeros(2, dtype=int), 0, 0.0, list[str]()
    searched, mended, coarse = SearchCheck(), 0, CoarseBuilds(encoder, BOUND)
    queued = wait_for_index(database, migration.new, INDEX_WAIT_S)
    several = {name: replicated(database, name) for name in (migration.old, migration.new)}
    for tenant in tenants:
        with transfer.awake(tenant):
            own = database.of_tenant(tenant)
            counts += [count_of(own, name, several[name]) for name in (migration.old, migration.new)]
            found_now, indexed = made_searchable(own, migration)
            searched, mended = searched + found_now, mended + indexed
            if tenant in chosen:
                records = spread(own, migration.new, -(-sample // len(chosen)), chance)
                distances = distances_of(records, migration.new_vector, migration.text_property, encoder, coarse)
                wrong += [
                    str(record.uuid) for record, far in zip(records, distances, strict=True) if not far <= allowed
                ]
                sampled, worst = sampled + len(records), max([worst, *distances])
    encoder.confirm()  # what a provider gave that drifted would be the same as what it gives now
    found = Verification(
        queued=queued,
        old=int(counts[0]),
        new=int(counts[1]),
        sampled=sampled,
        worst=worst,
        wrong=tuple(wrong),
        searched=searched.searched,
        mended=mended,
        lost=tuple(map(str, searched.lost)),
        tied=searched.tied,
        behind=searched.behind,
    )
    return _with_overlap(found, transfer, migration, encoder, queries, tenants)


def made_searchable(own: Database, migration: Migration, *, served: bool = False) -> tuple[SearchCheck, int]:
    """(what searching for every object of the new collection found, how many were brought into the index for it).

    Each vector that was carried has an index of its own, and all of them are searched.

    Args:
        served: whether clients write to the new collection. What its encoder made of their texts is left to `repair`
            then, which encodes a text again that is edited in that moment.
    """
    found, indexed = SearchCheck(), 0
    carried = filled_vectors(own.schema(migration.new) or {}) if migration.carries else ()
    for vector in dict.fromkeys((migration.new_vector, *carried)):
        rounds = 0 if served and vector == migration.new_vector else _INDEX_ROUNDS
        searched, again = _made_searchable(own, migration.new, vector, rounds)
        found, indexed = found + searched, indexed + again
    return found, indexed


def _made_searchable(own: Database, name: str, vector: str, rounds: int) -> tuple[SearchCheck, int]:
    found, indexed = check_searchable(own, name, vector, own.ids(name)), 0
    changed: set[UUID] = set()
    for _ in range(rounds):
        if not found.lost:
            break
        changed |= set(index_again(own, name, vector, found.lost))
        again = check_searchable(own, name, vector, found.lost)
        indexed += len(found.lost) - len(again.lost)
        found = replace(found, lost=again.lost)
    return replace(found, lost=tuple(sorted({*found.lost, *changed}))), indexed


def module_distances(transfer: Transfer, migration: Migration) -> list[float]:
    """1 - cos between stored vectors of the new collection and what Weaviate's module makes of the same objects.

    Some objects, from everywhere, are written once more, under an id of ours and without that vector, read, and
    deleted; through every known node in turn, for each encodes by a way of its own. A server that says the right space
    and answers other vectors is seen by nothing else before clients write through it.

    Returns:
        [] where there is no module, no active tenant, or no object with a text and one vector of it.

    Raises:
        MigrationBlocked: the module encodes nothing.
    """
    module, _ = vectorizer_of(transfer.database.schema(migration.new) or {}, migration.new_vector)
    states = transfer.database.tenant_states(migration.new) if migration.tenants else {"": "HOT"}
    for tenant in sorted(tenant for tenant, state in states.items() if state == "HOT" and module != "none"):
        own, chance = transfer.database.of_tenant(tenant), random.Random(migration.id)
        spots = [str(UUID(int=chance.getrandbits(128))) for _ in range(_MODULE_SPOTS)]
        first = own.page(migration.new, "", PAGE, vectors=True)
        some = chance.sample(first, min(_MODULE_SPOTS, len(first)))
        some += [each for spot in spots for each in own.page(migration.new, spot, 1, vectors=True)]
        have = {
            each.uuid: each
            for each in some
            if text_of(each, migration.text_property)
            and np.ndim(each.vectors.get(migration.new_vector, ())) == 1
            and each.uuid != transfer.mark
        }
        if have:
            doors = ways_to(own)
            turns = islice(zip(cycle(have.items()), cycle(doors.items()), strict=False), max(len(have), len(doors)))
            found = [
                _encoded_again(own, node, door, migration, each, uuid5(transfer.mark, str(key)))
                for (key, each), (node, door) in turns
            ]
            return [far for far in found if far is not None]
    return []


def _encoded_again(
    own: Database, node: str, door: Database, migration: Migration, each: StoredObject, key: UUID
) -> float | None:
    """1 - cos; None where the node is away, and encodes for nobody."""
    others = {name: rows for name, rows in each.vectors.items() if name != migration.new_vector}
    try:
        refused = door.write(migration.new, [StoredObject(key, each.properties, vectors=others)])
        again = None if refused else own.get(migration.new, key, vectors=True)
    except WeaviateUnavailable:
        if not node:
            raise
        return None
    finally:
        own.delete(migration.new, [key])
    if again is None:
        reason = refused[0].reason if refused else "it was not there afterwards"
        raise MigrationBlocked(
            collection=migration.new,
            reason=f"its server does not encode a text that is stored{node and f', through node {node}'}: {reason}",
            remedy="let the server at its address answer, then run the same command again. --force goes on without it",
        )
    return _apart(each.vectors[migration.new_vector], again.vectors.get(migration.new_vector))


def counted(transfer: Transfer) -> tuple[int, int]:
    """How many objects source and target have; tenants are woken as in a round."""
    counts, database = [0, 0], transfer.database
    names = (transfer.route.source, transfer.route.target)
    several = [replicated(database, name) for name in names]
    for tenant in transfer.tenants():
        with transfer.awake(tenant):
            own = database.of_tenant(tenant)
            for place, name in enumerate(names):
                counts[place] += count_of(own, name, several[place])
    return counts[0], counts[1]


def replicated(database: Database, name: str) -> bool:
    """Whether a count has to see several replicas; asked once, because all nodes tell of all shards for it."""
    return database.levels.decide != "ONE" and factor(database, name) > 1


def count_of(own: Database, name: str, several: bool) -> int:
    """How many objects a tenant has; of *several* replicas those that any lists, for Weaviate counts those of one."""
    return sum(1 for _ in own.ids(name)) if several else own.count(name)


def distances_of(
    records: Sequence[StoredObject], vector: str, text_property: str, encoder: Encoder, coarse: CoarseBuilds
) -> list[float]:
    """1 - cos of each record's stored vector to its text encoded again; infinite where one of the two is missing.

    `BOUND` for what a coarse build of the encoder wrote: the server at the new address may run another one.
    """
    texts = {record.uuid: text for record in records if (text := text_of(record, text_property))}
    rows = np.asarray(encoder.encode(list(texts.values()), "passage").__array__()) if texts else ()
    again = dict(zip(texts, rows, strict=True))
    stored = {record.uuid: record.vectors.get(vector) for record in records}
    far = {uuid: _apart(row, again.get(uuid)) for uuid, row in stored.items()}
    beyond = [uuid for uuid, apart_by in far.items() if BOUND < apart_by < float("inf")] if coarse.ways else []
    if beyond:
        wrote = coarse.wrote(
            [np.atleast_2d(np.asarray(stored[uuid])) for uuid in beyond],
            [again[uuid][None] for uuid in beyond],
            [texts[uuid] for uuid in beyond],
            InputRecipe((text_property,)),
        )
        far |= dict.fromkeys((uuid for uuid, own in zip(beyond, wrote, strict=True) if own), BOUND)
    return list(far.values())


def _apart(stored: Float32 | None, right: Float32 | None) -> float:
    if stored is None or right is None:
        return 0.0 if stored is None and right is None else float("inf")
    return float(cosine_distance(stored, right)) if stored.shape == right.shape else float("inf")


def spread(database: Database, name: str, count: int, chance: random.Random) -> list[StoredObject]:
    """About *count* objects from random places among the ids, with their vectors; all of them where there are few."""
    found: dict[UUID, StoredObject] = {}
    spots = [""] + [str(UUID(int=chance.getrandbits(128))) for _ in range(-(-count // _SPOT) - 1)]
    for spot in spots if count else ():
        found |= {record.uuid: record for record in database.page(name, spot, min(count, _SPOT), vectors=True)}
    return list(found.values())


def _with_overlap(
    found: Verification,
    transfer: Transfer,
    migration: Migration,
    encoder: Encoder,
    queries: Sequence[str],
    tenants: Sequence[str],
) -> Verification:
    if not queries or not tenants:
        return found
    tenant, shares = tenants[0], list[float]()
    database = transfer.database.of_tenant(tenant)
    rows = np.asarray(encoder.encode(list(queries), "query").__array__())
    with transfer.awake(tenant):
        for text, row in zip(queries, rows, strict=True):
            try:
                before = _nearest(database.near_text(migration.old, migration.old_vector, text, LIMIT))
            except WeaviateError as error:
                return replace(found, unasked=str(error))
            after = _nearest(database.near_vector(migration.new, migration.new_vector, row, LIMIT))
            shares.append(len(before & after) / max(1, min(LIMIT, len(before))))
    return replace(found, queries=len(shares), overlap=float(np.mean(shares)))


def _nearest(hits: Sequence[Hit]) -> set[UUID]:
    return {hit.uuid for hit in hits}


def survey(
    database: Database,
    migration: Migration,
    encoder: Encoder,
    *,
    max_objects_per_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> Cost:
    """Count the active tenants' objects, and encode some texts of one of them; nothing is written or woken."""
    status = database.tenant_states(migration.old) if migration.tenants else {"": "HOT"}
    awake = sorted(tenant for tenant, found in status.items() if found == "HOT")
    counts = {tenant: database.of_tenant(tenant).count(migration.old) for tenant in awake}
    texts: list[str] = []
    if any(counts.values()):
        fullest = max(awake, key=lambda tenant: counts[tenant])
        chance = random.Random(migration.id)
        texts = [
            text_of(record, migration.text_property)
            for record in spread(database.of_tenant(fullest), migration.old, TRIAL_TEXTS, chance)
        ]
    trial = EncodingTrial((), (), 0.0)
    if texts:
        encoder.encode(texts[:1], "passage")  # whatever is done once is not part of the speed
        start = clock()
        encoded = encoder.encode_detailed(texts, "passage")
        trial = EncodingTrial(encoded.tokens, encoded.windows, clock() - start)
    return estimate(sum(counts.values()), len(status) - len(awake), encoder.dims, trial, max_objects_per_s)
