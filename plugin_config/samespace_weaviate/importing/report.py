"""What became of an import, as a value and in sentences."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from ..access.values import Failure
from ..audit.searchable import SearchCheck, remarks
from ..pinning.spec import LongTextForm

_SHOWN_FAILURES = 10


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of the passages.

    Attributes:
        written: objects that Weaviate took.
        failed: passages that were not written, or not whole, each with its reason, after retries.
        long_texts: passages beyond the token limit.
        token_limit: of the encoder.
        left_out: names of properties that the collection does not have, with how many passages had them.
        seconds: from the first text to the last answer.
        passages: that were worked on now.
        skipped: passages that an earlier, interrupted run had finished.
        removed: windows of documents that have become shorter, taken away.
        form: how long texts are stored.
        searched: objects of which it was tried whether their own vector finds them.
        lost: those that are stored and that no search finds.
        tied: those of which it cannot be told, because too many have the same vector.
        behind: those that only the largest query finds, because the index is compressed.
        unasked: nodes whose index was not searched for them, because they were away or are not known.
    """

    written: int
    failed: tuple[Failure, ...]
    long_texts: int
    token_limit: int
    left_out: tuple[tuple[str, int], ...]
    seconds: float
    passages: int = 0
    skipped: int = 0
    removed: int = 0
    form: LongTextForm = "pool"
    searched: int = 0
    lost: tuple[UUID, ...] = ()
    unasked: tuple[str, ...] = ()
    tied: int = 0
    behind: int = 0

    @property
    def clean(self) -> bool:
        """Whether all passages were written, and no search missed one of them."""
        return not self.failed and not self.lost

    def sentences(self) -> list[str]:
        """For people."""
        rate = self.written / self.seconds if self.seconds else 0.0
        lines = [f"{self.written} objects written in {self.seconds:.1f} s ({rate:.1f} a second)."]
        if self.skipped:
            lines.append(f"{self.skipped} passages had been imported by an earlier run, and were left as they are.")
        if self.removed:
            lines.append(f"{self.removed} windows that documents no longer have were removed.")
        if self.long_texts:
            lines.append(
                f"{self.long_texts} passages are longer than the token limit ({self.token_limit}); {self._told()}."
            )
        lines += [
            f"Property {name} of {count} passages was not stored by itself: the collection has no such property "
            f"(`create` with --also-property {name} makes one)."
            for name, count in self.left_out
        ]
        if self.lost:
            lines.append(
                f"{len(self.lost)} of {self.searched} objects are stored and NO search finds them, the first "
                f"{self.lost[0]}: `samespace weaviate repair` brings them into the index."
            )
        elif self.searched:
            other = self.tied + self.behind
            lines.append(
                f"{self.searched} objects were searched for by their own vector, and "
                + ("found." if not other else f"{self.searched - other} of them found.")
            )
        lines += remarks(self.tied, self.behind)
        if self.unasked:
            lines.append(
                f"The index was NOT searched on {', '.join(self.unasked)}: `samespace weaviate audit` searches on all "
                "nodes when they are back."
            )
        if self.failed:
            lines.append(f"{len(self.failed)} passages were NOT written:")
            lines += [f"  {failure.passage}: {failure.reason}" for failure in self.failed[:_SHOWN_FAILURES]]
        return lines

    def _told(self) -> str:
        if self.form == "windows":
            return "each has an object for every window; group answers by documentId"
        if self.form == "multivector":
            return "each has a vector for every window"
        return "their vectors are pooled windows, which find less than one object a window would"


@dataclass(slots=True)
class Tally:
    """The sums of an import that runs; for one thread."""

    written: int = 0
    long_texts: int = 0
    passages: int = 0
    skipped: int = 0
    removed: int = 0
    failed: list[Failure] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def report(self, found: SearchCheck, *, token_limit: int, form: LongTextForm, seconds: float) -> ImportReport:
        """The report of what was counted, and of what searching for it found."""
        return ImportReport(
            written=self.written,
            failed=tuple(self.failed),
            long_texts=self.long_texts,
            token_limit=token_limit,
            left_out=tuple(sorted(self.left_out.items())),
            seconds=seconds,
            passages=self.passages,
            skipped=self.skipped,
            removed=self.removed,
            form=form,
            searched=found.searched,
            lost=found.lost,
            unasked=found.unasked,
            tied=found.tied,
            behind=found.behind,
        )
