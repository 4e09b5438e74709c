"""How Weaviate keeps the vectors of a collection: the kind of index, and whether it makes them smaller.

The choice is not part of the pin: it changes what a search finds and costs, not what vectors mean. What two versions
of Weaviate accept is in docs/reference/weaviate-facts.md, fact 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from samespace.errors import RequestInvalid

IndexKind = Literal["hnsw", "flat", "dynamic"]
Quantizer = Literal["", "none", "rq", "bq", "sq"]
INDEX_KINDS: Final[tuple[IndexKind, ...]] = ("hnsw", "flat", "dynamic")
QUANTIZERS: Final[tuple[Quantizer, ...]] = ("none", "rq", "bq", "sq")
_COMPRESSED: Final = ("rq", "bq", "sq", "pq")


@dataclass(frozen=True, slots=True)
class Index:
    """The index of a named vector; always by cosine.

    Attributes:
        kind: hnsw, a graph in memory, the default; flat, which compares with every vector: for many small tenants,
            slow beyond some ten thousand objects; dynamic, flat at first and hnsw from 10,000 objects: needs
            ASYNC_INDEXING=true on Weaviate, with which objects are found a little after they were written.
        quantizer: "" is what Weaviate's environment says; none keeps the vectors as they are, whatever the
            environment says; rq (8 bits a number) and sq (8 bits, learnt from the data) save memory and lose little;
            bq (1 bit) saves most and needs vectors of many dimensions. Only after measuring on your own queries.
    """

    kind: IndexKind = "hnsw"
    quantizer: Quantizer = ""

    def __post_init__(self) -> None:
        if self.kind not in INDEX_KINDS:
            raise RequestInvalid(field="index", reason=f"{self.kind!r}; expected one of {', '.join(INDEX_KINDS)}")
        if self.quantizer and self.quantizer not in QUANTIZERS:
            raise RequestInvalid(
                field="quantizer", reason=f"{self.quantizer!r}; expected one of {', '.join(QUANTIZERS)}"
            )
        if (self.kind, self.quantizer) == ("flat", "sq"):
            raise RequestInvalid(field="quantizer", reason="'sq'; a flat index takes rq, bq or none")

    def config(self) -> dict[str, Any]:
        """The vector's `vectorIndexConfig`, as REST takes it."""
        whole: dict[str, Any] = {"distance": "cosine"}
        if self.kind != "dynamic":
            return {**whole, **self._compression()}
        # Above the two halves Weaviate takes a quantizer and drops it without a word.
        flat = {} if self.quantizer == "sq" else self._compression()
        return {**whole, "hnsw": {**whole, **self._compression()}, "flat": {**whole, **flat}}

    def _compression(self) -> dict[str, Any]:
        match self.quantizer:
            case "":
                return {}
            case "none":
                return {"skipDefaultQuantization": True}
        return {self.quantizer: {"enabled": True}}


HNSW: Final = Index()


def read_quantizer(kind: str, config: Mapping[str, Any]) -> str:
    """The quantizer that an existing index uses; "none" for none."""
    half = config.get("hnsw") or {} if kind == "dynamic" else config
    return next((name for name in _COMPRESSED if (half.get(name) or {}).get("enabled")), "none")
