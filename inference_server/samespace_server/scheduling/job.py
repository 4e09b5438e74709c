"""A request on its way through the server: what was asked, what it became, and what still has to come back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from samespace.embed import reject_long
from samespace.errors import RequestInvalid, SamespaceError
from samespace.slices import slice_texts
from samespace.text import LongTexts, Role, TextEncoder, TokenizedText, Window
from samespace.vectors import Float32

from .batching import Item, Lane

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Job:
    """One request; changed by one thread at a time: event loop, then whoever tokenises it, then the event loop.

    Attributes:
        client: who sent it, as `Guard.client` names them; clients share the model alike. "" for nobody known.
        stream: the number of the bulk stream that it is part of; 0 for none.
        deadline_us: when its caller stops waiting; None for never.
        done: set by the event loop once every vector is there; with the error where one will never be.
        reserved: tokens that count for it in the queue: a guess, then the exact number.
        gone: nobody waits any more.
        waits: it waits for room in the queue, and is not refused for want of it.
        admitted_us, estimate_us, slept_us: what `Admission.promise` noted.
    """

    texts: Sequence[str]
    role: Role
    long_texts: LongTexts
    lane: Lane
    stream: int
    deadline_us: int | None
    done: asyncio.Future[None]
    arrived_us: int
    client: str = ""
    waits: bool = False
    admitted_us: int = 0
    estimate_us: int = 0
    slept_us: int = 0
    reserved: int = 0
    gone: bool = False
    tokenized: list[TokenizedText] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    vectors: Float32 | None = None  # (windows, dim), filled row by row
    missing: int = 0
    tokenize_us: int = 0
    started_us: int = 0
    ended_us: int = 0
    batch_rows: int = 0  # of the largest run that it was part of

    @property
    def sliced(self) -> bool:
        """Whether long texts become slices, which takes the tokenizer a second round."""
        return self.long_texts == "slices"

    def put(self, row: int, rows: Float32, index: int) -> None:
        """Row *index* of what a run gave is the vector of window *row*."""
        if len(self.windows) == 1:
            self.vectors = rows[index : index + 1]  # a view: nothing else to copy it to
        else:
            if self.vectors is None:
                self.vectors = np.empty((len(self.windows), rows.shape[1]), dtype=np.float32)
            self.vectors[row] = rows[index]
        self.batch_rows = max(self.batch_rows, len(rows))
        self.missing -= 1


def tokenize(batch: Sequence[Job], text_encoder: TextEncoder, *, max_windows: int) -> list[tuple[Job, SamespaceError]]:
    """Tokenise all texts of *batch* at once; the requests that cannot be answered, and why."""
    refused: list[tuple[Job, SamespaceError]] = []
    for role, sliced in dict.fromkeys((job.role, job.sliced) for job in batch):
        alike = [job for job in batch if (job.role, job.sliced) == (role, sliced)]
        texts = [text for job in alike for text in job.texts]
        try:
            tokenized = slice_texts(text_encoder, texts, role) if sliced else text_encoder.tokenize(texts, role)
        except BaseException as error:  # noqa: BLE001 - a panic in Rust is no Exception, and must not end a worker
            if len(alike) > 1:  # the one that is to blame must not spoil the others, and its index has to be right
                for job in alike:
                    refused += tokenize([job], text_encoder, max_windows=max_windows)
            elif isinstance(error, SamespaceError):
                refused.append((alike[0], error))
            else:
                log.error(
                    "the tokenizer failed on a request of %d texts: %s", len(alike[0].texts), type(error).__name__
                )
                refused.append((alike[0], SamespaceError("the tokenizer failed on this request")))
            continue
        first = 0
        for job in alike:
            job.tokenized = tokenized[first : first + len(job.texts)]
            first += len(job.texts)
            try:
                _check(job, text_encoder.recipe.token_limit, max_windows)
            except RequestInvalid as error:
                refused.append((job, error))
            else:
                job.windows = [window for text in job.tokenized for window in text.windows]
                job.missing = len(job.windows)
    return refused


def _check(job: Job, token_limit: int, max_windows: int) -> None:
    if job.long_texts == "reject":
        reject_long(job.tokenized, token_limit)
    for index, text in enumerate(job.tokenized):
        if len(text.windows) > max_windows:
            told = f"{len(text.windows)} windows, at most {max_windows} are taken"
            reason = f"{told}; split it, or raise the server's --max-windows"
            raise RequestInvalid(field=f"texts[{index}]", reason=reason)
