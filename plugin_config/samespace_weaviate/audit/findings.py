"""What an audit can find, and the report of it. Texts are never in it: an object is named by its id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from ..access.values import Shard
from .bounds import overall_at_most, share_at_most
from .tolerance import Tolerance


class Kind(StrEnum):
    """What is wrong with an object; the value is what JSON says."""

    MISSING = "missing"
    NO_TEXT = "no_text"
    WRONG_LENGTH = "wrong_length"
    WINDOWS = "windows"
    NOT_FINITE = "not_finite"
    ZERO = "zero"
    NOT_UNIT = "not_unit"
    SHARED = "shared"
    RECIPE = "recipe"
    OTHER_TEXT = "other_text"
    KNOWN_SPACE = "known_space"
    OTHER_SPACE = "other_space"
    STALE = "stale"
    DIFFERS = "differs"
    UNSEARCHABLE = "unsearchable"
    UNFILTERED = "unfiltered"

    @property
    def words(self) -> str:
        """For people, of one or more objects."""
        return _WORDS[self]


_WORDS: Mapping[Kind, str] = {
    Kind.MISSING: "have a text and no vector",
    Kind.NO_TEXT: "have a vector and no text that it could be of",
    Kind.WRONG_LENGTH: "have a vector of another length",
    Kind.WINDOWS: "have another number of window vectors",
    Kind.NOT_FINITE: "have a vector with NaN or infinity",
    Kind.ZERO: "have a vector of zeros",
    Kind.NOT_UNIT: "have a vector of the right direction that is not of length 1: no encoder of samespace wrote it",
    Kind.SHARED: "have the very vector of another object, whose text is different",
    Kind.RECIPE: "were encoded from another text than the pin declares",
    Kind.OTHER_TEXT: "have the vector of another object's text",
    Kind.KNOWN_SPACE: "have a vector of another space that is known",
    Kind.OTHER_SPACE: "have a vector that is unrelated to this space: another encoder's",
    Kind.STALE: "have a vector of another text, such as an older one, or of a related encoder",
    Kind.DIFFERS: "have a vector that is not this encoder's for their text",
    Kind.UNFILTERED: "are stored and found by no filter: they are missing in the inverted index",
    Kind.UNSEARCHABLE: "have a right vector that no search finds: it is stored and missing in the index",
}


@dataclass(frozen=True, slots=True)
class Offender:
    """An object whose vector is wrong.

    Attributes:
        uuid: of the object.
        tenant: whose it is; "" for none.
        kind: what is wrong.
        reason: the same with its details, never with the text.
        distance: 1 - cos to the right vector; None where there is none.
    """

    uuid: UUID
    tenant: str
    kind: Kind
    reason: str
    distance: float | None


@dataclass(frozen=True, slots=True)
class TenantAudit:
    """What was found in one tenant, or in a collection without tenants.

    Attributes:
        tenant: "" for none.
        population: objects when the ids were read.
        sampled: objects that were looked at.
        offenders: those that are wrong.
        coarse: those that only a coarser build of the same encoder explains; not counted as wrong.
        tied: those of which it cannot be told whether searches find them, because too many have the same vector.
        behind: those that only the largest query finds, because the index is compressed.
        tolerance: what was held against.
        distances: 1 - cos to the right vector, of each that could be compared; for pictures.
        disowned: the same of those that only a coarse build could have written, and did not; they count as wrong.
    """

    tenant: str
    population: int
    sampled: int
    offenders: tuple[Offender, ...]
    coarse: int
    tolerance: Tolerance
    distances: tuple[float, ...]
    tied: int = 0
    behind: int = 0
    disowned: tuple[float, ...] = ()

    def at_most(self, confidence: float) -> float:
        """The largest share of wrong objects that the sample does not rule out."""
        return share_at_most(len(self.offenders), self.sampled, self.population, confidence)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found.

    Attributes:
        collection, vector, space_id: of the pin.
        encoder: name and build of what re-encoded.
        confidence: of the bounds.
        seed: the same seed draws the same sample from the same objects.
        tenants: one for each tenant that was read; a single one for a collection without tenants.
        unread: tenants that could not be read, because they are not active.
        shards: as Weaviate tells of them.
        pin_findings: what `check` would say against the pin, in words.
        as_read: "" where all replicas were compared, or there is one; else what the verdict has to add.
        witnesses: coarse builds that were asked for what only they can have written; "" where none was.
    """

    collection: str
    vector: str
    space_id: str
    encoder: str
    confidence: float
    seed: int
    tenants: tuple[TenantAudit, ...]
    unread: tuple[str, ...] = ()
    shards: tuple[Shard, ...] = ()
    pin_findings: tuple[str, ...] = ()
    as_read: str = ""
    witnesses: str = ""

    @property
    def clean(self) -> bool:
        """Whether nothing wrong was found and nothing waits to be indexed; how much that says, `at_most` says.

        Not where every tenant is inactive: nothing was looked at then.
        """
        return not self.wrong and not self.queued and bool(self.tenants or not self.unread)

    @property
    def population(self) -> int:
        """Objects of all tenants that were read."""
        return sum(each.population for each in self.tenants)

    @property
    def sampled(self) -> int:
        """Objects that were looked at."""
        return sum(each.sampled for each in self.tenants)

    @property
    def wrong(self) -> int:
        """Objects that were looked at and are wrong."""
        return sum(len(each.offenders) for each in self.tenants)

    @property
    def coarse(self) -> int:
        """Objects that only a coarser build of the same encoder explains."""
        return sum(each.coarse for each in self.tenants)

    @property
    def unsearchable(self) -> int:
        """Objects that are stored and that no search finds."""
        return sum(offender.kind is Kind.UNSEARCHABLE for offender in self.offenders)

    @property
    def queued(self) -> int:
        """Vectors that are stored and were not indexed yet when the audit ended."""
        return sum(each.queued for each in self.shards)

    @property
    def offenders(self) -> tuple[Offender, ...]:
        """All that are wrong."""
        return tuple(offender for each in self.tenants for offender in each.offenders)

    @property
    def at_most(self) -> float:
        """The largest share of wrong objects, in all tenants that were read, that the samples do not rule out."""
        return overall_at_most([(len(t.offenders), t.sampled, t.population) for t in self.tenants], self.confidence)

    def kinds(self) -> dict[Kind, int]:
        """How many objects are wrong in which way, the most frequent first."""
        return dict(Counter(offender.kind for offender in self.offenders).most_common())

    def to_dict(self) -> dict[str, Any]:
        """For programs; ids and reasons, no texts, no vectors."""
        return {
            "collection": self.collection,
            "vector": self.vector,
            "space_id": self.space_id,
            "encoder": self.encoder,
            "clean": self.clean,
            "objects": self.population,
            "sampled": self.sampled,
            "wrong": self.wrong,
            "coarse": self.coarse,
            "unsearchable": self.unsearchable,
            "queued": self.queued,
            "share_at_most": self.at_most,
            "confidence": self.confidence,
            "seed": self.seed,
            "kinds": {kind.value: count for kind, count in self.kinds().items()},
            "tenants": [self._tenant(each) for each in self.tenants],
            "unread_tenants": list(self.unread),
            "shards": [{"name": each.name, "node": each.node, "objects": each.objects} for each in self.shards],
            "pin_findings": list(self.pin_findings),
            "as_read": self.as_read,
            "witnesses": self.witnesses,
            "offenders": [
                {
                    "id": str(each.uuid),
                    "tenant": each.tenant,
                    "kind": each.kind.value,
                    "reason": each.reason,
                    "distance": each.distance,
                }
                for each in self.offenders
            ],
        }

    def _tenant(self, each: TenantAudit) -> dict[str, Any]:
        return {
            "tenant": each.tenant,
            "objects": each.population,
            "sampled": each.sampled,
            "wrong": len(each.offenders),
            "coarse": each.coarse,
            "disowned": len(each.disowned),
            "tied": each.tied,
            "behind": each.behind,
            "share_at_most": each.at_most(self.confidence),
            "tolerance": each.tolerance.allowed,
            "reader": each.tolerance.reader.build,
            "writer": each.tolerance.writer.build,
            "worst_right": max((d for d in each.distances if d <= each.tolerance.allowed), default=None),
        }
