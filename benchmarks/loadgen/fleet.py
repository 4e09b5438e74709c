"""What a fleet costs, and what limits a large import. Every price and rate that nobody here measured is an assumption
with a name, and stands in the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What was not measured. Prices are of the order that large clouds ask on demand; put yours in.

    Attributes:
        cpu_core_usd_per_h: one core of a general-purpose machine.
        gpu_usd_per_h: one GPU of the inference class, with its machine.
        gpu_texts_per_s: passages of 128 tokens that such a GPU embeds. NOT MEASURED.
        weaviate_objects_per_s_per_node: objects with their vectors that one node takes and indexes. NOT MEASURED.
        weaviate_nodes: of the cluster that is imported into.
        weaviate_node_usd_per_h: each.
        network_bit_per_s: between the workers and Weaviate, all together.
        text_bytes_per_token: of UTF-8.
        vector_dims: float32 on the wire.
        object_bytes: what an object has beside text and vector.
    """

    cpu_core_usd_per_h: float = 0.05
    gpu_usd_per_h: float = 1.0
    gpu_texts_per_s: float = 4000.0
    weaviate_objects_per_s_per_node: float = 2000.0
    weaviate_nodes: int = 12
    weaviate_node_usd_per_h: float = 1.0
    network_bit_per_s: float = 10e9
    text_bytes_per_token: float = 4.5
    vector_dims: int = 384
    object_bytes: int = 200


def usd_per_million(texts_per_s: float, usd_per_h: float) -> float:
    """What a million texts cost on something that does so many a second and costs so much an hour."""
    return 1e6 / texts_per_s / 3600 * usd_per_h


def import_of(texts: int, tokens: int, encoder_texts_per_s: float, encoder_usd_per_h: float, given: Assumptions) -> Any:
    """How long an import of *texts* takes where encoders, network and Weaviate work at the same time, and why.

    The slowest of the three sets the pace. The encoders are paid until the import ends, idle or not, and Weaviate too.
    """
    object_bytes = tokens * given.text_bytes_per_token + given.vector_dims * 4 + given.object_bytes
    rates = {
        "encoder": encoder_texts_per_s,
        "network": given.network_bit_per_s / 8 / object_bytes,
        "Weaviate's indexing": given.weaviate_objects_per_s_per_node * given.weaviate_nodes,
    }
    bottleneck = min(rates, key=lambda each: rates[each])
    hours = texts / rates[bottleneck] / 3600
    return {
        "hours": hours,
        "bottleneck": bottleneck,
        "texts_per_s": rates[bottleneck],
        "rates_texts_per_s": rates,
        "encoder_usd": hours * encoder_usd_per_h,
        "weaviate_usd": hours * given.weaviate_nodes * given.weaviate_node_usd_per_h,
        "bytes": texts * object_bytes,
        "vector_bytes_in_memory": texts * given.vector_dims * 4,
    }


def listed(given: Assumptions) -> dict[str, Any]:
    """For the result's file."""
    return asdict(given)
