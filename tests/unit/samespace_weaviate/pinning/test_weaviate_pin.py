"""samespace_weaviate.pinning.pin"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fakes.weaviate.database import OTHER_SPACE, SPACE
from samespace.errors import PinBroken, SpaceMismatch
from samespace_weaviate import CollectionSpec, Severity, check_pin
from samespace_weaviate.pinning.diff import differences
from samespace_weaviate.pinning.pin import read_pins, require_pin
from samespace_weaviate.pinning.routes import RULES, address_of
from samespace_weaviate.pinning.spec import GUARD_VECTOR

NAME = "e_" + SPACE[:12]
Settings = dict[str, Any]


def pinned(change: Callable[[Settings], object] = lambda settings: None) -> dict[str, Any]:
    """The schema of a pinned collection, its vectorizer settings changed."""
    schema = CollectionSpec("Article", SPACE, "http://encoder:8080").schema()
    change(schema["vectorConfig"][NAME]["vectorizer"]["text2vec-transformers"])
    return schema


def split(settings: Settings, objects: str, queries: str | None) -> None:
    """Other addresses for objects and for queries, as the module takes them."""
    del settings["inferenceUrl"]
    settings["passageInferenceUrl"] = f"http://a:1/e/{objects}"
    if queries:
        settings["queryInferenceUrl"] = f"http://b:1/e/{queries}"


def test_what_the_spec_writes_is_fine() -> None:
    """A schema as samespace makes it has nothing but fine findings, with and without an expected space."""
    assert check_pin(pinned()).worst is Severity.FINE
    assert check_pin(pinned(), SPACE).worst is Severity.FINE
    assert require_pin(pinned(), SPACE).space == SPACE


@pytest.mark.parametrize(
    ("change", "worst", "says"),
    [
        (lambda s: s.update(inferenceUrl=f"http://encoder:8080/e/{OTHER_SPACE}"), Severity.BROKEN, OTHER_SPACE),
        (lambda s: s.update(samespaceSpace=OTHER_SPACE), Severity.BROKEN, OTHER_SPACE),
        (lambda s: s.update(inferenceUrl="http://encoder:8080"), Severity.UNSAFE, "names no space"),
        (lambda s: s.pop("inferenceUrl"), Severity.UNSAFE, "environment"),
        (lambda s: s.update(vectorizeClassName=True), Severity.UNSAFE, "vectorizeClassName"),
        (lambda s: s.pop("vectorizeClassName"), Severity.UNSAFE, "vectorizeClassName"),
        (lambda s: s.pop("properties"), Severity.UNSAFE, "every text property"),
        (lambda s: s.update(properties=["text", "passageId"]), Severity.UNSAFE, "text, passageId"),
        (lambda s: s.pop("samespaceSpace"), Severity.DRIFT, "samespaceSpace is missing"),
        (lambda s: s.update(inferenceUrl=f"http://elsewhere:1/e/{SPACE}"), Severity.FINE, "pinned to"),
        (lambda s: s.update(properties=["body"]), Severity.BROKEN, "source property body does not exist"),
        (lambda s: split(s, SPACE, OTHER_SPACE), Severity.BROKEN, "queries are encoded at http://b:1/e/" + OTHER_SPACE),
        (lambda s: split(s, OTHER_SPACE, SPACE), Severity.BROKEN, "objects are encoded at http://a:1/e/" + OTHER_SPACE),
        (lambda s: split(s, SPACE, SPACE), Severity.DRIFT, "two addresses"),
        (lambda s: split(s, SPACE, None), Severity.UNSAFE, "no inferenceUrl: queries are encoded by what TRANSFORMERS"),
        (lambda s: s.update(baseURL=s.pop("inferenceUrl")), Severity.UNSAFE, "objects and queries are encoded by what"),
        (lambda s: s.update(baseURL=f"http://c:1/e/{OTHER_SPACE}"), Severity.DRIFT, "does not read it"),
    ],
)
def test_each_weakness_of_a_pin_is_found_and_graded(
    change: Callable[[Settings], object], worst: Severity, says: str
) -> None:
    """What points elsewhere is broken, what could point elsewhere unsafe, what only misses a note drift."""
    check = check_pin(pinned(change))
    assert check.worst is worst
    assert any(says in finding.message for finding in check.findings if finding.severity is worst)


def test_a_token_in_the_url_is_not_told() -> None:
    """A URL with a user and a token is pinned like any other; findings and differences leave both out."""
    spec = CollectionSpec("Article", SPACE, "http://weaviate:a-token-of-enough-length@encoder:8080")
    schema = spec.schema()
    assert require_pin(schema, SPACE).space == SPACE
    settings = schema["vectorConfig"][NAME]["vectorizer"]["text2vec-transformers"]
    settings["inferenceUrl"] = settings["inferenceUrl"].replace(SPACE, OTHER_SPACE)
    told = [finding.message for finding in check_pin(schema).findings]
    told += [str(each) for each in differences(spec, schema)]
    assert sum("//***@encoder:8080" in each for each in told) >= 2
    assert not any("a-token" in each for each in told)


def test_a_mutable_module_is_unsafe_even_if_everything_else_is_right() -> None:
    """text2vec-cohere lets its base URL be changed, so the best that it gets is unsafe."""
    schema = pinned()
    settings = schema["vectorConfig"][NAME]["vectorizer"].pop("text2vec-transformers")
    settings["baseURL"] = settings.pop("inferenceUrl")
    schema["vectorConfig"][NAME]["vectorizer"]["text2vec-cohere"] = settings
    check = check_pin(schema)
    assert check.worst is Severity.UNSAFE
    assert [finding.message for finding in check.findings if "cohere" in finding.message]


def test_a_vector_without_vectorizer_is_fine_as_long_as_its_key_agrees() -> None:
    """With module none, Weaviate encodes nothing: name and key are the whole pin."""
    schema = pinned()
    schema["vectorConfig"][NAME]["vectorizer"] = {"none": {"samespaceSpace": SPACE}}
    assert check_pin(schema).worst is Severity.FINE
    schema["vectorConfig"][NAME]["vectorizer"] = {"none": {"samespaceSpace": OTHER_SPACE}}
    assert check_pin(schema).worst is Severity.BROKEN


@pytest.mark.parametrize("schema", [{"class": "Old"}, {"class": "Old", "vectorConfig": {"default": {}}}])
def test_a_collection_without_a_pin_is_unsafe_and_broken_for_whoever_expects_one(schema: dict[str, Any]) -> None:
    """No pin mixes nothing by itself; but it is not what somebody with a space wants to use."""
    assert check_pin(schema).worst is Severity.UNSAFE
    assert check_pin(schema, SPACE).worst is Severity.BROKEN
    with pytest.raises(PinBroken, match="Old"):
        require_pin(schema, SPACE)


def test_an_unpinned_vector_beside_the_pinned_one_is_unsafe() -> None:
    """Nothing tells whose vectors it holds."""
    schema = pinned()
    schema["vectorConfig"]["default"] = {"vectorizer": {"none": {}}}
    assert check_pin(schema, SPACE).worst is Severity.UNSAFE


def test_another_encoder_is_told_both_ids() -> None:
    """Whoever opens the collection with another space is refused with the pinned and its own id."""
    with pytest.raises(SpaceMismatch) as caught:
        require_pin(pinned(), OTHER_SPACE)
    assert (caught.value.expected, caught.value.found) == (SPACE, OTHER_SPACE)
    assert check_pin(pinned(), OTHER_SPACE).worst is Severity.BROKEN


def test_a_pin_that_was_changed_is_refused_with_both_ids() -> None:
    """A right vector name with a foreign URL is a broken pin, for either encoder."""
    schema = pinned(lambda s: s.update(inferenceUrl=f"http://encoder:8080/e/{OTHER_SPACE}"))
    with pytest.raises(PinBroken) as caught:
        require_pin(schema, SPACE)
    assert SPACE in str(caught.value)
    assert OTHER_SPACE in str(caught.value)


def test_two_pinned_vectors_are_checked_each_against_itself() -> None:
    """During a migration a collection has two spaces, and both pins hold."""
    schema = pinned()
    other = CollectionSpec("Article", OTHER_SPACE, "http://encoder:8080")
    schema["vectorConfig"][other.vector_name] = other.vector_config()
    assert [pin.space for pin in read_pins(schema)] == [SPACE, OTHER_SPACE]
    assert check_pin(schema).worst is Severity.FINE
    assert require_pin(schema, OTHER_SPACE).space == OTHER_SPACE


def test_the_form_of_long_texts_is_read_from_the_settings() -> None:
    """Nothing said is "pool", which is what such collections hold; a word that means nothing is broken."""
    schema = CollectionSpec("Article", SPACE, "http://encoder:8080").schema()
    settings = schema["vectorConfig"][NAME]["vectorizer"]["text2vec-transformers"]
    assert require_pin(schema, SPACE).long_texts == "windows"
    del settings["samespaceLongTexts"]
    assert require_pin(schema, SPACE).long_texts == "pool"
    settings["samespaceLongTexts"] = "cut"
    with pytest.raises(PinBroken, match="samespaceLongTexts is 'cut'"):
        require_pin(schema, SPACE)


def _named(schema: dict[str, Any], **more: Any) -> None:
    """A setting of the module on the source property."""
    schema["properties"][0]["moduleConfig"] = {"text2vec-transformers": more}


@pytest.mark.parametrize(
    ("change", "worst", "says"),
    [
        (lambda s: _named(s, vectorizePropertyName=True), Severity.UNSAFE, "vectorizePropertyName"),
        (lambda s: _named(s, vectorizePropertyName=False, skip=False), Severity.FINE, "pinned to"),
        (lambda s: s["properties"][0].update(tokenization="field"), Severity.DRIFT, "not indexed by word"),
        (lambda s: s["properties"][0].update(indexSearchable=False), Severity.DRIFT, "not indexed by word"),
        (lambda s: _distance(s, "dot"), Severity.DRIFT, "distance is dot"),
        (lambda s: _index(s, skip=True), Severity.BROKEN, "it has no index"),
        (lambda s: _index(s, hnsw={"skip": True}), Severity.BROKEN, "it has no index"),
        (lambda s: s["vectorConfig"][NAME].update(vectorIndexType="none"), Severity.BROKEN, "it has no index"),
        (lambda s: _distance(s, "l2-squared"), Severity.DRIFT, "distance is l2-squared"),
        (lambda s: _distance(s, "manhattan"), Severity.UNSAFE, "another order of results"),
        (lambda s: _distance(s, "hamming"), Severity.UNSAFE, "another order of results"),
        (lambda s: s["vectorConfig"].pop(GUARD_VECTOR), Severity.UNSAFE, "no guard"),
    ],
)
def test_what_the_collection_does_to_texts_and_order_is_found(
    change: Callable[[dict[str, Any]], object], worst: Severity, says: str
) -> None:
    """A pin with the right address is not fine where Weaviate changes its texts or the order of its results."""
    schema = pinned()
    change(schema)
    check = check_pin(schema, SPACE)
    assert check.worst is worst
    assert any(says in finding.message for finding in check.findings if finding.severity is worst)


def _index(schema: dict[str, Any], **settings: Any) -> None:
    schema["vectorConfig"][NAME]["vectorIndexConfig"].update(settings)


def _distance(schema: dict[str, Any], distance: str) -> None:
    schema["vectorConfig"][NAME]["vectorIndexConfig"]["distance"] = distance


def test_a_second_named_vector_guards_as_well() -> None:
    """Weaviate asks for a name as soon as there are two."""
    schema = CollectionSpec("Article", SPACE, "http://encoder:8080", guard=False).schema()
    other = CollectionSpec("Article", OTHER_SPACE, "http://encoder:8080", guard=False)
    assert check_pin(schema).worst is Severity.UNSAFE
    schema["vectorConfig"].update(other.vectors())
    assert check_pin(schema).worst is Severity.FINE


@pytest.mark.parametrize("module", sorted(RULES))
def test_every_module_that_is_known_names_its_settings(module: str) -> None:
    """For each, an address in the setting that it reads is found for objects and queries, and in another is not."""
    rule = RULES[module]
    for use, keys in (("objects", rule.objects), ("queries", rule.queries)):
        assert address_of(module, {keys[0]: "http://a"}, use) == "http://a"  # type: ignore[arg-type]
    assert address_of(module, {"someOtherUrl": "http://a"}) == ""
