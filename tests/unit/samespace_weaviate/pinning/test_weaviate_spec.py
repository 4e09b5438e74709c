"""samespace_weaviate.pinning.spec"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fakes.weaviate.database import OTHER_SPACE, SPACE
from samespace.errors import RequestInvalid
from samespace_weaviate import CollectionSpec, Index, vector_name
from samespace_weaviate.pinning.spec import GUARD_VECTOR

SERVER = "http://encoder:8080"


def test_a_spec_writes_the_space_into_name_url_key_and_description() -> None:
    """The vector's name has 12 digits of the id; the URL, the extra key and the description have all 64."""
    schema = CollectionSpec("Article", SPACE, SERVER).schema()
    (name, config), settings = next(iter(schema["vectorConfig"].items())), {}
    settings = config["vectorizer"]["text2vec-transformers"]
    assert name == vector_name(SPACE) == "e_" + "a" * 12
    assert settings["inferenceUrl"] == f"http://encoder:8080/e/{SPACE}"
    assert settings["samespaceSpace"] == SPACE
    assert SPACE in schema["description"]


def test_only_the_text_property_is_encoded_and_never_the_collections_name() -> None:
    """Other properties are stored; the source is one property, and the class name is kept out of the text."""
    spec = CollectionSpec("Article", SPACE, SERVER, text_property="body", also_properties=("title",), long_texts="pool")
    assert spec.vectorizer_settings["properties"] == ["body"]
    assert spec.vectorizer_settings["vectorizeClassName"] is False
    assert [entry["name"] for entry in spec.properties()] == ["body", "passageId", "title"]


def test_long_texts_are_windows_unless_told_otherwise_and_the_schema_says_so() -> None:
    """Windows need properties that tell which part of which document an object is; the other forms do not."""
    spec = CollectionSpec("Article", SPACE, SERVER)
    assert spec.vectorizer_settings["samespaceLongTexts"] == "windows"
    windows = {entry["name"]: entry["dataType"] for entry in spec.properties()[2:]}
    assert windows == {"documentId": ["text"], "windowNumber": ["int"], "spanStart": ["int"], "spanEnd": ["int"]}
    pool = CollectionSpec("Article", SPACE, SERVER, long_texts="pool")
    assert pool.vectorizer_settings["samespaceLongTexts"] == "pool"
    assert [entry["name"] for entry in pool.properties()] == ["text", "passageId"]


def test_a_collection_of_multi_vectors_has_no_vectorizer() -> None:
    """Weaviate's module makes one vector a text, so queries are encoded by clients; the pin stays in the settings."""
    spec = CollectionSpec("Article", SPACE, SERVER, long_texts="multivector")
    config = spec.schema()["vectorConfig"][spec.vector_name]
    assert config["vectorizer"] == {
        "none": {"properties": ["text"], "samespaceSpace": SPACE, "samespaceLongTexts": "multivector"}
    }
    assert config["vectorIndexConfig"]["multivector"] == {"enabled": True}


def test_the_collections_name_is_what_weaviate_will_call_it() -> None:
    """Weaviate makes the first letter a capital, so the spec does it at once."""
    assert CollectionSpec("article", SPACE, f"{SERVER}/").name == "Article"


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("name", {"name": "my article"}),
        ("name", {"name": ""}),
        ("space_id", {"space_id": SPACE[:12]}),
        ("space_id", {"space_id": SPACE.upper()}),
        ("server", {"server": "encoder:8080"}),
        ("server", {"server": f"{SERVER}/e/{OTHER_SPACE}"}),
        ("properties", {"also_properties": ("id",)}),
        ("properties", {"also_properties": ("Text",)}),
        ("properties", {"text_property": "a b"}),
        ("properties", {"also_properties": ("documentId",)}),
        ("long_texts", {"long_texts": "cut"}),
    ],
)
def test_a_spec_that_cannot_be_is_refused_with_its_field(field: str, change: dict[str, object]) -> None:
    """A malformed spec does not come into being; the error names the field."""
    arguments: dict[str, object] = {"name": "Article", "space_id": SPACE, "server": SERVER, **change}
    with pytest.raises(RequestInvalid) as caught:
        CollectionSpec(**arguments)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_route_none_pins_by_name_and_key_alone() -> None:
    """Nobody encodes for Weaviate, so there is no address and no server to name."""
    spec = CollectionSpec("Article", SPACE, route="none")
    vectorizer = spec.schema()["vectorConfig"][spec.vector_name]["vectorizer"]
    assert set(vectorizer) == {"none"}
    assert vectorizer["none"]["samespaceSpace"] == SPACE
    assert spec.warnings() == []


def test_route_cohere_pins_by_base_url_and_model_and_warns() -> None:
    """The batched route: both settings name the space, and nothing in the schema says api.cohere.ai."""
    spec = CollectionSpec("Article", SPACE, SERVER, route="cohere")
    settings = spec.schema()["vectorConfig"][spec.vector_name]["vectorizer"]["text2vec-cohere"]
    assert settings["baseURL"] == settings["baseUrl"] == f"{SERVER}/e/{SPACE}"
    assert settings["model"] == SPACE
    assert "X-Cohere-Baseurl" in spec.warnings()[0]


def test_tenants_and_replicas_are_written_only_where_they_are_wanted() -> None:
    """Otherwise it is Weaviate's own default."""
    plain = CollectionSpec("Article", SPACE, SERVER).schema()
    assert "multiTenancyConfig" not in plain
    assert "replicationConfig" not in plain
    schema = CollectionSpec("Article", SPACE, SERVER, multi_tenant=True, replicas=3).schema()
    assert schema["multiTenancyConfig"]["enabled"] is True
    assert schema["replicationConfig"] == {"factor": 3}


@pytest.mark.parametrize(
    ("index", "config"),
    [
        (Index(), {"distance": "cosine"}),
        (Index("hnsw", "none"), {"distance": "cosine", "skipDefaultQuantization": True}),
        (Index("flat", "bq"), {"distance": "cosine", "bq": {"enabled": True}}),
        (
            Index("dynamic", "sq"),
            {
                "distance": "cosine",
                "hnsw": {"distance": "cosine", "sq": {"enabled": True}},
                "flat": {"distance": "cosine"},
            },
        ),
    ],
)
def test_an_index_is_written_where_weaviate_reads_it(index: Index, config: dict[str, object]) -> None:
    """A dynamic index keeps its quantizer in its halves; the flat half takes no sq."""
    spec = CollectionSpec("Article", SPACE, SERVER, index=index)
    entry = spec.vector_config()
    assert (entry["vectorIndexType"], entry["vectorIndexConfig"]) == (index.kind, config)


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("quantizer", lambda: Index("flat", "sq")),
        ("quantizer", lambda: Index("hnsw", "pq")),  # type: ignore[arg-type]
        ("index", lambda: Index("tree")),  # type: ignore[arg-type]
        ("route", lambda: CollectionSpec("A", SPACE, SERVER, route="openai")),  # type: ignore[arg-type]
        ("server", lambda: CollectionSpec("A", SPACE)),
        ("long_texts", lambda: CollectionSpec("A", SPACE, SERVER, route="cohere", long_texts="multivector")),
        ("replicas", lambda: CollectionSpec("A", SPACE, SERVER, replicas=-1)),
    ],
)
def test_what_weaviate_would_refuse_is_refused_before(field: str, make: Callable[[], object]) -> None:
    """The error names the setting; Weaviate would name its own."""
    with pytest.raises(RequestInvalid) as caught:
        make()
    assert caught.value.field == field


def test_a_guard_stands_beside_the_pinned_vector_unless_it_is_left_out() -> None:
    """An empty vector of no module; leaving it out is said to be a hole."""
    guarded = CollectionSpec("Article", SPACE, SERVER)
    assert guarded.schema()["vectorConfig"][GUARD_VECTOR]["vectorizer"] == {"none": {}}
    assert guarded.warnings() == []
    bare = CollectionSpec("Article", SPACE, SERVER, guard=False)
    assert list(bare.schema()["vectorConfig"]) == [bare.vector_name]
    assert any("--no-guard" in warning for warning in bare.warnings())
