"""samespace_weaviate.audit.recipes: the texts that Weaviate makes of objects, and what an import needs of them."""

from __future__ import annotations

from typing import Any

import pytest

from samespace.errors import PinBroken
from samespace_weaviate.audit.recipes import InputRecipe, declared, require_text_alone, separate_words
from samespace_weaviate.pinning.pin import Pin, read_pins


def test_names_become_words_as_weaviate_has_it() -> None:
    """Its own function for class and property names."""
    assert separate_words("MyPDFFiles2") == "My PDF Files 2"
    assert separate_words("passageId") == "passage Id"


def test_a_recipe_makes_the_text() -> None:
    """Alphabetical order, lists in their own order, names in front; nothing of what is not there."""
    stored = {"title": "T", "text": "Some Text", "tags": ["b", "a"], "gone": None}
    recipe = InputRecipe(("title", "text", "tags", "gone"), collection="MyDocs")
    assert recipe.text(stored) == "My Docs b a Some Text T"
    assert InputRecipe(("text",), names=("text",), lower=True).text(stored) == "text some text"
    assert InputRecipe(("gone",), collection="MyDocs").text(stored) == ""


def named(module: str, **settings: Any) -> tuple[dict[str, Any], Pin]:
    """A schema whose property "bodyText" has its name in the text, and "note" is skipped; and its pin."""
    config = {"vectorizer": {module: {"samespaceSpace": "a" * 64, **settings}}}
    of = {module: {"vectorizePropertyName": True}}
    properties = [
        {"name": "bodyText", "dataType": ["text"], "moduleConfig": of},
        {"name": "note", "dataType": ["text"], "moduleConfig": {module: {"skip": True}}},
    ]
    schema = {"class": "MyDocs", "properties": properties, "vectorConfig": {"e_" + "a" * 12: config}}
    return schema, read_pins(schema)[0]


def test_what_is_declared_is_what_weaviate_would_encode() -> None:
    """Names of properties and of the collection, and what is skipped, as usecases/modulecomponents has it."""
    stored = {"bodyText": "Hello", "note": "x"}
    for module in ("text2vec-transformers", "text2vec-cohere"):
        assert declared(*named(module)).text(stored) == "My Docs body Text Hello"
        off = named(module, vectorizeClassName=False, properties=["bodyText"])
        assert declared(*off).text(stored) == "body Text Hello"
        assert declared(*named(module, vectorizeClassName=False, properties=["note"])).text(stored) == "x"
    assert declared(*named("none", properties=["note"])).text(stored) == "x"


def test_an_import_needs_the_text_alone() -> None:
    """A vectorizer that adds a name, or takes further properties, encodes another text than an import does."""
    module = "text2vec-transformers"
    require_text_alone(*named(module, vectorizeClassName=False, properties=["note"]), "note")
    for more in (
        {"vectorizeClassName": False, "properties": ["bodyText"]},
        {"properties": ["note"]},
        {"vectorizeClassName": False, "properties": ["note", "bodyText"]},
    ):
        with pytest.raises(PinBroken, match="encodes a text"):
            require_text_alone(*named(module, **more), "note")
