"""One id over everything that decides an order of answers."""

from __future__ import annotations

import hashlib
import json

import pytest

from samespace.errors import RequestInvalid
from samespace.reranking.pipeline import Pipeline

SPACE, RERANKER = "a" * 64, "b" * 64


def test_the_id_is_what_its_documentation_says() -> None:
    """sha256 over sorted JSON without white space, written out here once more."""
    said = {
        "by": "hybrid", "depth": 50, "kind": "pipeline", "reranker": RERANKER, "scheme": 1, "space": SPACE,
        "sparse": None,
    }  # fmt: skip
    data = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    assert Pipeline(SPACE, RERANKER, "hybrid", 50).pipeline_id == hashlib.sha256(data).hexdigest()


def test_a_change_of_any_part_is_another_pipeline() -> None:
    """Encoder, reranker, none at all, way of searching, depth."""
    others = [
        Pipeline("c" * 64, RERANKER, "vector", 50),
        Pipeline(SPACE, "c" * 64, "vector", 50),
        Pipeline(SPACE),
        Pipeline(SPACE, RERANKER, "hybrid", 50),
        Pipeline(SPACE, RERANKER, "words", 50),
        Pipeline(SPACE, RERANKER, "vector", 51),
    ]
    ids = [each.pipeline_id for each in (Pipeline(SPACE, RERANKER, "vector", 50), *others)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "wrong",
    [
        {"space": SPACE[:12]},
        {"space": SPACE, "reranker": "b" * 63, "depth": 50},
        {"space": SPACE, "by": "both"},
        {"space": SPACE, "depth": 5},
        {"space": SPACE, "reranker": RERANKER},
        {"space": SPACE, "reranker": RERANKER, "depth": -1},
    ],
)
def test_half_a_pipeline_has_no_id(wrong: dict[str, object]) -> None:
    """A shortened id names several, and a reranker without a depth orders nobody knows how many."""
    with pytest.raises(RequestInvalid):
        Pipeline(**wrong)  # type: ignore[arg-type]
