"""Requests and replies as values, and the check that a reply is an answer to its request.

A reply is refused when it is of another space than the one asked for, when it has another number of vectors than
it has to have, or when a number in it is not finite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import RequestInvalid, SamespaceError, SpaceMismatch
from ..text import LONG_TEXTS, ROLES, LongTexts, Role, check_text
from ..vectors import Vectors, WireType
from .v1 import encoder_pb2 as pb

ROLE_CODES: Final[Mapping[str, pb.Role]] = {"query": pb.ROLE_QUERY, "passage": pb.ROLE_PASSAGE}
LONG_TEXTS_CODES: Final[Mapping[str, pb.LongTexts]] = {
    "pool": pb.LONG_TEXTS_POOL,
    "windows": pb.LONG_TEXTS_WINDOWS,
    "slices": pb.LONG_TEXTS_SLICES,
    "reject": pb.LONG_TEXTS_REJECT,
}
WIRE_TYPE_CODES: Final[Mapping[WireType, pb.VectorType]] = {
    "float32": pb.VECTOR_TYPE_FLOAT32,
    "float16": pb.VECTOR_TYPE_FLOAT16,
}


@dataclass(frozen=True, slots=True)
class SpaceInfo:
    """A space as a server runs it.

    Attributes:
        dims: length of a vector.
        matryoshka_dims: the fewer dims that it offers besides.
        token_limit: longer texts are windowed.
        window_overlap: tokens that neighbouring windows share at least.
        prompts: what is put in front of a text, by role.
        build, runtime, precision: what computes the vectors there.
        probe_worst: largest 1 - cos over the probes on the server's machine, at load.
        probe_bound: what it was allowed to be.
    """

    space_id: str
    name: str
    dims: int
    matryoshka_dims: tuple[int, ...]
    token_limit: int
    window_overlap: int
    prompts: Mapping[str, str]
    build: str
    runtime: str
    precision: str
    probe_worst: float
    probe_bound: float


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a request went on the server, in microseconds."""

    tokenize_us: int
    queue_us: int
    run_us: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one list of texts.

    Attributes:
        vectors: one row a text, or one a window where windows or slices were asked for.
        tokens: tokens of each text in one piece.
        windows: how many windows each text had.
        spans: one (text, first character, one past the last) a row.
        timings: where the time went.
    """

    vectors: Vectors
    tokens: tuple[int, ...]
    windows: tuple[int, ...]
    spans: tuple[tuple[int, int, int], ...]
    timings: Timings


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked about a list of texts; raises `RequestInvalid` for what cannot be right.

    Attributes:
        space_id: full id, or at least 12 leading hex digits.
        dims: fewer dims, where the encoder offers them; None for all.
        wire_type: how vectors travel.
    """

    space_id: str
    role: Role
    long_texts: LongTexts = "pool"
    dims: int | None = None
    wire_type: WireType = "float32"

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise RequestInvalid(field="role", reason=f"{self.role!r}; expected one of {', '.join(ROLES)}")
        if self.long_texts not in LONG_TEXTS:
            expected = ", ".join(LONG_TEXTS)
            raise RequestInvalid(field="long_texts", reason=f"{self.long_texts!r}; expected one of {expected}")
        if self.wire_type not in WIRE_TYPE_CODES:
            raise RequestInvalid(field="wire_type", reason=f"{self.wire_type!r}; expected float32 or float16")
        if self.dims is not None and self.dims < 1:
            raise RequestInvalid(field="dims", reason=f"{self.dims}; expected 1 or more")

    def request(self, texts: Sequence[str], sequence: int = 0) -> pb.EmbedRequest:
        """The message about *texts*; raises `RequestInvalid` where they are not strings that UTF-8 can carry."""
        if isinstance(texts, str):
            raise RequestInvalid(field="texts", reason="expected a list of strings, got one string")
        try:
            return pb.EmbedRequest(
                space_id=self.space_id,
                role=ROLE_CODES[self.role],
                texts=texts,
                long_texts=LONG_TEXTS_CODES[self.long_texts],
                vector_type=WIRE_TYPE_CODES[self.wire_type],
                dims=self.dims or 0,
                sequence=sequence,
            )
        except (TypeError, ValueError) as error:  # not a string; or a lone surrogate, which UTF-8 cannot carry
            for index, text in enumerate(texts):
                check_text(text, index)
            raise RequestInvalid(field="texts", reason=str(error)) from error


def read_reply(request: pb.EmbedRequest, reply: pb.EmbedReply, server: str) -> Reply:
    """*reply* as values, after it was held against the *request* that it answers.

    Raises:
        SpaceMismatch: it is of another space.
        SamespaceError: it does not fit the request; *server* is named.
    """
    check_space(request.space_id, reply.space_id, server)
    tokens = tuple(info.tokens for info in reply.texts)
    windows = tuple(info.windows for info in reply.texts)
    by_window = request.long_texts in (pb.LONG_TEXTS_WINDOWS, pb.LONG_TEXTS_SLICES)
    rows = sum(windows) if by_window else len(request.texts)
    wrong = [
        what
        for what, expected, found in (
            ("sequence", request.sequence, reply.sequence),
            ("texts", len(request.texts), len(tokens)),
            ("rows", rows, reply.rows),
            ("spans", rows if by_window else 0, len(reply.spans)),
            ("vector type", request.vector_type, reply.vector_type),
            ("dims", request.dims or reply.dims, reply.dims),
        )
        if expected != found
    ]
    if wrong:
        raise SamespaceError(f"server {server}: its answer does not fit the request: {', '.join(wrong)}")
    wire_type: WireType = "float16" if reply.vector_type == pb.VECTOR_TYPE_FLOAT16 else "float32"
    vectors = Vectors.from_bytes(reply.vectors, dims=reply.dims, space_id=reply.space_id, wire_type=wire_type)
    if len(vectors) != rows:
        raise SamespaceError(f"server {server}: {len(vectors)} vectors where {rows} were announced")
    if by_window:
        spans = tuple((span.text, span.start, span.end) for span in reply.spans)
    else:
        spans = tuple((index, 0, len(text)) for index, text in enumerate(request.texts))
    timings = Timings(reply.timings.tokenize_us, reply.timings.queue_us, reply.timings.run_us)
    return Reply(vectors, tokens, windows, spans, timings)


def read_space(space: pb.Space) -> SpaceInfo:
    """A space's description as values."""
    return SpaceInfo(
        space_id=space.space_id,
        name=space.name,
        dims=space.dims,
        matryoshka_dims=tuple(space.matryoshka_dims),
        token_limit=space.token_limit,
        window_overlap=space.window_overlap,
        prompts=dict(space.prompts),
        build=space.build,
        runtime=space.runtime,
        precision=space.precision,
        probe_worst=space.probe_worst,
        probe_bound=space.probe_bound,
    )


def check_space(asked: str, found: str, server: str) -> None:
    """Raise `SpaceMismatch` unless *found* is a full id that begins with what was *asked*."""
    if len(found) != 64 or not found.startswith(asked.lower()):
        raise SpaceMismatch(expected=asked, found=found, where=f"answer of server {server}")
