"""Each route and each way of keeping vectors, made, filled, asked and checked on a real Weaviate."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner

from fakes.server.serving import Server
from samespace import Encoder
from samespace.cli.weaviate import weaviate
from samespace.errors import WeaviateError
from samespace_weaviate import CollectionSpec, Index, Passage, PinnedCollection, Severity, Store, check_pin, create
from samespace_weaviate.pinning.index import Quantizer

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

PASSAGES = [Passage(str(number), f"{word} is passage {number}") for number, word in enumerate(("red", "green", "blue"))]


@pytest.mark.parametrize(
    ("route", "index", "worst"),
    [
        ("cohere", Index(), Severity.UNSAFE),
        ("none", Index("flat", "bq"), Severity.FINE),
        ("transformers", Index("hnsw", "rq"), Severity.FINE),
        ("transformers", Index("hnsw", "none"), Severity.FINE),
    ],
)
def test_a_route_is_made_once_and_answers(
    store: Store, server: Server, encoder: Encoder, route: str, index: Index, worst: Severity
) -> None:
    """What was made is what was wanted; queries find their passage, whoever encodes them."""
    spec = CollectionSpec(f"Test{uuid4().hex[:12]}", server.space_id, server.http, route=route, index=index)  # type: ignore[arg-type]
    try:
        try:
            create(store, spec)
        except WeaviateError as error:
            if "cohere" in str(error):
                pytest.skip(f"this Weaviate has no text2vec-cohere: {error}")
            raise
        again = create(store, spec)
        assert (again.actions, again.drift) == ((), ())
        collection = PinnedCollection.open(store, spec.name, encoder)
        assert collection.import_passages(PASSAGES).failed == ()
        assert collection.search(PASSAGES[1].text, 1)[0].properties["passageId"] == "1"
        assert collection.search_hybrid(PASSAGES[2].text, 1)[0].properties["passageId"] == "2"
        schema = store.schema(spec.name)
        assert schema is not None
        assert check_pin(schema, spec.space_id).worst is worst
    finally:
        store.delete_collection(spec.name)


@pytest.mark.parametrize("quantizer", ["", "none", "rq", "bq"])
def test_a_second_space_is_added_by_another_route(
    store: Store, spec: CollectionSpec, other: Encoder, quantizer: Quantizer
) -> None:
    """A vector that is added is the same as one that was there from the start."""
    create(store, spec)
    second = CollectionSpec(spec.name, other.space_id, route="none", index=Index("flat", quantizer))
    assert len(create(store, second).actions) == 1
    again = create(store, second)
    assert (again.actions, [each.path for each in again.drift]) == ((), ["description"])


def test_an_old_collection_takes_a_pinned_vector_and_stays_unsafe(store: Store, spec: CollectionSpec) -> None:
    """The vector without a name is kept by Weaviate, and told of by the check."""
    store.create({"class": spec.name, "vectorizer": "text2vec-transformers"})
    assert create(store, spec).cannot_be_undone
    schema = store.schema(spec.name)
    assert schema is not None
    found = check_pin(schema, spec.space_id)
    assert found.worst is Severity.UNSAFE
    assert any("vector without a name" in finding.message for finding in found.findings)


def test_a_file_is_applied_and_checked_by_command(
    store: Store, server: Server, tiny_artifact: Path, tmp_path: Path
) -> None:
    """`apply` twice, then `check` asks the very server that the pins name."""
    names = [f"Test{uuid4().hex[:12]}" for _ in range(2)]
    file = tmp_path / "collections.json"
    file.write_text(
        json.dumps(
            {
                "encoder": str(tiny_artifact),
                "server": server.http,
                "collections": [{"name": names[0]}, {"name": names[1], "property": "body", "multi_tenant": True}],
            }
        ),
        encoding="utf-8",
    )
    address = ["--url", store.address, "--grpc-port", str(store.grpc_port)]
    try:
        for _ in range(2):
            applied = CliRunner().invoke(weaviate, ["apply", str(file), *address])
            assert applied.exit_code == 0, applied.output
        assert f"{names[1]}: nothing to do" in applied.output
        checked = CliRunner().invoke(weaviate, ["check", *names, "--json", *address])
        assert checked.exit_code == 0, checked.output
        found = json.loads(checked.output)
        assert [(each["collection"], each["space"], each["worst"]) for each in found] == [
            (name, server.space_id, "fine") for name in names
        ]
        said = [" ".join(finding["message"] for finding in each["findings"]) for each in found]
        assert all("serves it" in each for each in said)
        assert "had a text encoded" in said[0] and "no tenant is active" in said[1]
    finally:
        for name in names:
            store.delete_collection(name)
