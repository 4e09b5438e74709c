"""A concatenation as the vectorizer of a collection: pinned like any encoder, and its parts are strangers to it."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from fakes.server.serving import serving
from samespace import Encoder
from samespace.artifact import open_artifact
from samespace.errors import SpaceMismatch
from samespace.exporting.composites.concatenate import combine
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, create

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

PASSAGES = [Passage(str(number), f"{word} is passage {number}") for number, word in enumerate(("red", "green", "blue"))]


def test_a_concatenation_is_pinned(store: Store, tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> None:
    """Import and `near_text` use the composite's vectors; a part, whose vectors it contains, is refused."""
    both = combine([open_artifact(tiny_artifact), open_artifact(other_artifact)], tmp_path / "both")
    with serving(both.folder) as server, Encoder.connect(server.grpc) as encoder:
        spec = CollectionSpec(f"Test{uuid4().hex[:12]}", both.space_id, server.http)
        try:
            create(store, spec)
            collection = PinnedCollection.open(store, spec.name, encoder)
            assert collection.import_passages(PASSAGES).written == len(PASSAGES)
            hit = collection.search(PASSAGES[1].text, limit=1)[0]
            assert hit.properties["passageId"] == "1"
            assert hit.distance == pytest.approx(0.0, abs=1e-2)
            stored = dict(store.vectors(spec.name, collection.pin.vector))
            assert {len(vector) for vector in stored.values() if vector is not None} == {64}
            with Encoder.load(tiny_artifact) as part, pytest.raises(SpaceMismatch):
                PinnedCollection.open(store, spec.name, part)
        finally:
            store.delete_collection(spec.name)
