"""One id over everything that decides an order of answers: encoder, reranker, way of searching, depth. Pure.

    pipeline id = sha256(canonical JSON of `Pipeline.to_dict`), 64 lower-case hex digits

The space id covers the encoder's windows and prompts, the reranker's id its own; so a change of any of them is another
pipeline. Two runs of one pipeline over the same objects give the same order, but for an approximate index.

What it leaves out: the index's settings and Weaviate's words (BM25, stop words), which belong to a collection.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

from ..artifact.fingerprint import canonical_json
from ..errors import RequestInvalid

SCHEME: Final = 1
WAYS: Final = ("vector", "words", "hybrid")
_ID: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What searches, and what puts the answers in order.

    Attributes:
        space: full space id of the encoder; also of a search by words, whose vectors it does not use.
        reranker: full id of the reranker, or None.
        by: "vector", "words" or "hybrid".
        depth: answers that the reranker reads; 0 without one.
    """

    space: str
    reranker: str | None = None
    by: str = "vector"
    depth: int = 0

    def __post_init__(self) -> None:
        for field, value in (("space", self.space), ("reranker", self.reranker)):
            if value is not None and not _ID.fullmatch(value):
                raise RequestInvalid(field=field, reason=f"{value!r}; expected a full id, 64 hex digits")
        if self.by not in WAYS:
            raise RequestInvalid(field="by", reason=f"{self.by!r}; expected {', '.join(WAYS)}")
        if self.depth < 0 or (self.depth > 0) != (self.reranker is not None):
            raise RequestInvalid(field="depth", reason=f"{self.depth}; expected 1 or more with a reranker, else 0")

    def to_dict(self) -> dict[str, Any]:
        """The plain form that is digested."""
        return {
            "scheme": SCHEME,
            "kind": "pipeline",
            "space": self.space,
            "reranker": self.reranker,
            "sparse": None,  # no learned sparse encoder is served; its id would stand here
            "by": self.by,
            "depth": self.depth,
        }

    @property
    def pipeline_id(self) -> str:
        """sha256 over the canonical JSON of `to_dict()`."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()
