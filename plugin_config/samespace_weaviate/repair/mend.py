"""The repair itself: bring replicas together, audit, mend what it named, audit again.

Only vectors are written, each by itself (PATCH), so properties, references and all other vectors of an object stay,
and objects that were not named stay byte for byte. A wrong or missing vector becomes what the encoder gives for the
object's text now. An unsearchable one is right already, but Weaviate does not index the same vector again: it is scaled
by a hair, which changes no cosine, and so goes into the index.

What cannot be mended is left alone and told: a vector without a text, and objects that are wrong again afterwards.
Weaviate merges a patch into the object as it read it: where a client edits a text in that very moment, vectors of
*other* encoders can stay those of the text before. That is told, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from typing import Any, Final
from uuid import UUID

from samespace.encoder import Encoder
from samespace.providers.withheld import Withheld
from samespace.vectors import Float32

from ..access.database import Database
from ..access.values import StoredObject
from ..audit.explain import right_rows
from ..audit.findings import AuditReport, Kind
from ..audit.recipes import InputRecipe, declared
from ..audit.run import AuditOptions, audit
from ..audit.searchable import HAIR
from ..pinning.pin import Pin, require_pin
from ..pinning.routes import vectorizer_of
from ..pinning.spec import collection_name
from ..replicas.alike import factor
from ..replicas.reconcile import Reconciled, reconcile
from .journal import Mend, RepairJournal

PAGE: Final = 64
TRIES: Final = 3
"""Of a page whose texts change while it is mended."""
NOT_MENDABLE: Final = frozenset({Kind.NO_TEXT})

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair did.

    Attributes:
        collection: its name.
        named: how many objects the audit named, by kind.
        mended: how many were written.
        gone: how many were deleted meanwhile, or have no text any more.
        stale: objects whose text was edited at that moment, and of which another encoder's vector is as it was before.
        after: the audit that proves it; the only one, for a dry run; None where replicas differ.
        reconciled: what was done to bring replicas together; None for a collection without replicas.
    """

    collection: str
    named: Mapping[Kind, int]
    mended: int = 0
    gone: int = 0
    after: AuditReport | None = None
    reconciled: Reconciled | None = None
    stale: tuple[UUID, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether the audit afterwards found nothing, all replicas hold the same, and no other vector was harmed."""
        alike = self.reconciled is None or self.reconciled.alike
        return alike and self.after is not None and self.after.clean and not self.stale


def repair(
    database: Database,
    name: str,
    encoder: Encoder,
    journal: RepairJournal,
    options: AuditOptions | None = None,
    *,
    dry_run: bool = False,
    progress: Progress = lambda what, count: None,
) -> RepairReport:
    """Mend what an audit of the collection names; goes on where its *journal* ends.

    Args:
        encoder: of the pinned space.
        options: of both audits; all objects unless given, because what a sample does not see stays wrong.
        dry_run: compare replicas and audit, and write nothing; what a journal says is not asked.
        progress: gets "ids", "objects" or "mended" and how many more.

    Raises:
        SpaceMismatch, PinBroken: the encoder is not of the pin; nothing was written.
        WeaviateError: Weaviate refused a vector; run it again to go on.
        VectorsDisagree: a hosted encoder became another one; what it gave since it was last asked is mended again.
    """
    options = options or AuditOptions(sample=None)
    name = collection_name(name)
    schema = database.schema(name) or {}
    pin = require_pin(schema, encoder.space_id)
    reconciled = None
    if factor(database, name) > 1:
        # First, because an audit of replicas that differ would be one of whichever answers.
        reconciled = reconcile(database, name, options.tenants or None, dry_run=dry_run)
        if not reconciled.alike:
            return RepairReport(name, {}, reconciled=reconciled)
    if dry_run:
        seen = audit(database, name, encoder, options, progress=progress)
        return RepairReport(name, Counter(each.kind for each in seen.offenders), after=seen, reconciled=reconciled)
    if not journal.left:  # nothing is planned, or the run that planned it was killed when it was done
        journal.plan(audit(database, name, encoder, options, progress=progress).offenders)
    named = Counter(each.kind for each in journal.mends or ())
    work = _Work(database, name, pin, encoder, declared(schema, pin), progress, _encoded_beside(schema, pin))
    done = Withheld[list[Mend]](encoder, journal.mended)
    mended, gone = 0, 0
    for page in _pages([each for each in journal.left if each.kind not in NOT_MENDABLE]):
        written = work.mend(page)
        done.add(page)
        mended, gone = mended + written, gone + len(page) - written
    done.confirm()
    after = audit(database, name, encoder, replace(options, seed=None), progress=progress)
    return RepairReport(name, named, mended, gone, after, reconciled, tuple(work.stale))


@dataclass(frozen=True, slots=True)
class _Work:
    """What is the same for all pages of one repair."""

    database: Database
    name: str
    pin: Pin
    encoder: Encoder
    recipe: InputRecipe
    progress: Progress
    others: tuple[str, ...] = ()
    stale: list[UUID] = field(default_factory=list)

    def mend(self, page: Sequence[Mend]) -> int:
        """Write the vectors of some objects of one tenant; how many of them are there and have a text.

        Each is read again afterwards: a text that a client changed meanwhile gets the vector of the new text.
        """
        database = self.database.of_tenant(page[0].tenant) if page[0].tenant else self.database
        kinds = {each.uuid: each.kind for each in page}
        todo, written = self._read(database, list(kinds)), set()
        for attempt in range(TRIES):
            texts = {each.uuid: self.recipe.text(each.properties) for each in todo}
            before = self._whole(database, texts) if self.others else {}
            todo = [each for each in todo if texts[each.uuid]]
            for each, right in zip(todo, self._encoded([texts[each.uuid] for each in todo]), strict=True):
                # A text that was edited meanwhile needs its own vector, whatever was wrong with the one before.
                row = self._row(each, right, None if attempt else kinds[each.uuid])
                database.patch_vector(self.name, each.uuid, self.pin.vector, row)
                written.add(each.uuid)
            again = self._read(database, [each.uuid for each in todo])
            todo = [each for each in again if self.recipe.text(each.properties) != texts[each.uuid]]
            now = self._whole(database, [each.uuid for each in todo]) if self.others else {}
            self.stale.extend(key for key, one in now.items() if one.same_vectors(before.get(key, one), self.others))
            if not todo:
                break
        self.progress("mended", len(written))
        return len(written)

    def _read(self, database: Database, uuids: Sequence[UUID]) -> list[StoredObject]:
        return database.read(self.name, self.pin.vector, uuids, self.recipe.properties) if uuids else []

    def _whole(self, database: Database, uuids: Iterable[UUID]) -> dict[UUID, StoredObject]:
        found = (database.get(self.name, uuid, vectors=True) for uuid in uuids)
        return {each.uuid: each for each in found if each is not None}

    def _encoded(self, texts: Sequence[str]) -> Iterator[Float32]:
        windows = self.pin.long_texts == "multivector"
        yield from (rows for rows, _ in right_rows(self.encoder, texts, self.recipe, windows=windows))

    def _row(self, each: StoredObject, right: Float32, kind: Kind | None) -> Float32:
        """The vector to write, (dim,), or (windows, dim) for a multi-vector."""
        rows = right
        if (
            kind in (Kind.UNSEARCHABLE, Kind.UNFILTERED)
            and each.vector is not None
            and each.vector.shape == right.shape
        ):
            rows = each.vector * HAIR
        return rows if self.pin.long_texts == "multivector" else rows[0]


def _pages(mends: Sequence[Mend]) -> Iterator[list[Mend]]:
    """Some objects of one tenant at a time."""
    for _, group in groupby(sorted(mends, key=lambda each: (each.tenant, each.uuid)), key=lambda each: each.tenant):
        while page := list(islice(group, PAGE)):
            yield page


def _encoded_beside(schema: Mapping[str, Any], pin: Pin) -> tuple[str, ...]:
    """The other vectors that a module encodes."""
    named = schema.get("vectorConfig") or {}
    return tuple(name for name in named if name != pin.vector and vectorizer_of(schema, name)[0] != "none")
