"""samespace_weaviate.pinning.diff and samespace_weaviate.pinning.plan"""

from __future__ import annotations

from dataclasses import replace

from fakes.weaviate.database import OTHER_SPACE, SPACE
from samespace_weaviate import CollectionSpec, Index, plan
from samespace_weaviate.pinning.diff import differences
from samespace_weaviate.pinning.plan import AddGuard, AddProperty, AddVector, CreateCollection
from samespace_weaviate.pinning.spec import GUARD_VECTOR

SPEC = CollectionSpec("Article", SPACE, "http://encoder:8080", also_properties=("title",))


def test_a_missing_collection_is_created_with_exactly_the_specs_schema() -> None:
    """What the plan prints is what will be sent."""
    todo = plan(SPEC, None)
    assert todo.actions == (CreateCollection(SPEC.schema()),)
    assert SPEC.inference_url in str(todo)
    assert not todo.cannot_be_undone


def test_a_token_in_the_servers_url_is_sent_and_not_printed() -> None:
    """A plan is printed before it is carried out: user and password are in the schema alone."""
    spec = CollectionSpec("Article", SPACE, "https://weaviate:a-token-of-enough-length@encoder:8080")
    other = CollectionSpec("Article", OTHER_SPACE, "https://encoder:8080")
    for todo in (plan(spec, None), plan(spec, other.schema())):
        assert "//***@encoder:8080" in str(todo)
        assert "a-token" not in str(todo)
    assert (
        "a-token"
        in spec.schema()["vectorConfig"][spec.vector_name]["vectorizer"]["text2vec-transformers"]["inferenceUrl"]
    )


def test_a_collection_that_is_as_wanted_needs_nothing() -> None:
    """Creating twice is the same as creating once."""
    assert differences(SPEC, SPEC.schema()) == ()
    assert str(plan(SPEC, SPEC.schema())) == "nothing to do"


def test_what_the_server_adds_is_not_a_difference() -> None:
    """Weaviate fills in defaults, and weaviate-client renames the distance."""
    schema = SPEC.schema()
    config = schema["vectorConfig"][SPEC.vector_name]
    config["vectorIndexConfig"] = {"distanceMetric": "cosine", "ef": -1}
    config["vectorizer"]["text2vec-transformers"]["poolingStrategy"] = "masked_mean"
    schema["properties"][0]["indexFilterable"] = True
    assert differences(SPEC, schema) == ()


def test_missing_properties_are_added_before_the_missing_vector() -> None:
    """An existing collection gets what it lacks; its objects and other vectors are left alone."""
    schema = CollectionSpec("Article", OTHER_SPACE, "http://encoder:8080").schema()
    todo = plan(SPEC, schema)
    assert [type(action) for action in todo.actions] == [AddProperty, AddVector]
    assert todo.cannot_be_undone
    assert not todo.conflicts
    assert [difference.path for difference in todo.drift] == ["description"]
    assert "import" in str(todo.actions[1])


def test_a_vector_with_other_settings_is_a_conflict_and_never_an_action() -> None:
    """The settings of a vector that exists are not to be changed, whatever they are."""
    schema = CollectionSpec("Article", SPACE, "http://elsewhere:8080", also_properties=("title",)).schema()
    todo = plan(SPEC, schema)
    assert todo.actions == ()
    assert [difference.path for difference in todo.conflicts] == [
        f"vectorConfig.{SPEC.vector_name}.text2vec-transformers.inferenceUrl"
    ]
    assert "elsewhere" in str(todo)


def test_a_property_of_another_type_and_another_distance_are_conflicts() -> None:
    """Both would make the collection something else than what was asked for."""
    schema = SPEC.schema()
    schema["properties"][0]["dataType"] = ["int"]
    schema["vectorConfig"][SPEC.vector_name]["vectorIndexConfig"] = {"distance": "l2-squared"}
    assert len(plan(SPEC, schema).conflicts) == 2


def test_a_vector_of_another_module_is_a_conflict() -> None:
    """A vector of the right name whose vectorizer is another one is not ours to touch."""
    schema = SPEC.schema()
    schema["vectorConfig"][SPEC.vector_name]["vectorizer"] = {"none": {}}
    assert [difference.found for difference in plan(SPEC, schema).conflicts] == ["none"]


def test_multi_vectors_are_not_added_to_a_collection_that_exists() -> None:
    """Its index has to be made for them from the start: a conflict, and nothing is done."""
    schema = CollectionSpec("Article", OTHER_SPACE, "http://encoder:8080").schema()
    todo = plan(CollectionSpec("Article", SPACE, "http://encoder:8080", long_texts="multivector"), schema)
    assert todo.actions == ()
    assert [difference.path for difference in todo.conflicts] == [f"vectorConfig.{SPEC.vector_name}"]


def test_how_objects_are_kept_is_left_alone_and_tenants_are_a_conflict() -> None:
    """Index, quantizer and replicas do not change what vectors mean; tenants change where objects are."""
    wanted = replace(SPEC, index=Index("flat", "bq"), replicas=3)
    schema = {**SPEC.schema(), "replicationConfig": {"factor": 1}}
    todo = plan(wanted, schema)
    assert (todo.actions, todo.conflicts) == ((), ())
    assert len(todo.drift) == 3
    assert [each.path for each in plan(replace(SPEC, multi_tenant=True), schema).conflicts] == [
        "multiTenancyConfig.enabled"
    ]


def test_a_vector_is_added_with_its_module_and_index() -> None:
    """A second space may come by another route than the first."""
    wanted = CollectionSpec("Article", OTHER_SPACE, route="none", index=Index("flat"))
    (action,) = (each for each in plan(wanted, SPEC.schema()).actions if isinstance(each, AddVector))
    assert (action.module, action.index.kind) == ("none", "flat")


def test_a_missing_guard_is_added_and_another_vector_does_as_well() -> None:
    """Beside a second named vector Weaviate asks for names already."""
    schema = SPEC.schema()
    del schema["vectorConfig"][GUARD_VECTOR]
    todo = plan(SPEC, schema)
    assert todo.actions == (AddGuard("Article"),) and todo.cannot_be_undone
    assert plan(replace(SPEC, guard=False), schema).actions == ()
    schema["vectorConfig"]["e_0123456789ab"] = {"vectorizer": {"none": {}}}
    assert plan(SPEC, schema).actions == ()


def test_a_property_whose_name_is_encoded_is_a_conflict() -> None:
    """Weaviate would encode "text Hello", and such a setting cannot be changed: another collection is needed."""
    schema = SPEC.schema()
    schema["properties"][0]["moduleConfig"] = {"text2vec-transformers": {"vectorizePropertyName": True}}
    (conflict,) = plan(SPEC, schema).conflicts
    assert "vectorizePropertyName" in conflict.path
