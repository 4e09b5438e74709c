"""A token of the encoder server in `inferenceUrl`: what Weaviate sends, and what it tells."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from fakes.server.serving import serving
from samespace import Encoder
from samespace.errors import WeaviateError
from samespace.rpc.access import Access
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, create

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

TOKEN = "the-token-of-this-test"


def test_a_token_in_inference_url_is_sent_as_basic_auth(store: Store, tiny_artifact: Path) -> None:
    """Queries go through; without the token they are refused. The schema shows it to whoever may read schemas."""
    with (
        serving(tiny_artifact, token=TOKEN) as server,
        Encoder.connect(server.grpc, access=Access(token=TOKEN)) as encoder,
    ):
        bare = server.http.removeprefix("http://")
        for host, is_let_in in ((f"weaviate:{TOKEN}@{bare}", True), (bare, False)):
            spec = CollectionSpec(f"Test{uuid4().hex[:12]}", server.space_id, f"http://{host}")
            try:
                create(store, spec)
                assert (TOKEN in str(store.schema(spec.name))) is is_let_in
                collection = PinnedCollection.open(store, spec.name, encoder)
                collection.import_passages([Passage("1", "red is passage 1")])
                if is_let_in:
                    assert collection.search("red is passage 1", limit=1)[0].properties["passageId"] == "1"
                else:
                    with pytest.raises(WeaviateError, match="401"):
                        collection.search("red is passage 1", limit=1)
            finally:
                store.delete_collection(spec.name)
