"""Which text was encoded: the one that the schema declares, and the ones that mistakes make of an object. Pure.

Weaviate makes its input of an object so: the collection's name in words, if `vectorizeClassName` is on, then the values
of the source properties in alphabetical order, each behind its property's name if that is on, joined by blanks; all
in lower case, if the environment variable LOWERCASE_VECTORIZATION_INPUT is set on the node that did it (seen in its
source, usecases/modulecomponents/vectorizer/object_texts.go). A vector that fits the text so made, and not the text
that the pin declares, tells what went wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from samespace.text import Role

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class InputRecipe:
    """How an object becomes the text that is encoded.

    Attributes:
        properties: whose values are taken, in alphabetical order.
        collection: put in front, in words; "" for nothing.
        names: whether each value has its property's name in front.
        lower: whether all is in lower case.
        role: as what it is encoded.
        cut: whether only what fits the token limit is encoded.
    """

    properties: tuple[str, ...]
    collection: str = ""
    names: bool = False
    lower: bool = False
    role: Role = "passage"
    cut: bool = False

    def text(self, properties: Mapping[str, Any]) -> str:
        """The text of an object with these properties; "" where it has none of them."""
        parts = [separate_words(self.collection)] if self.collection else []
        found = False
        for name in sorted(self.properties):
            value = properties.get(name)
            for each in value if isinstance(value, list | tuple) else (value,):
                if each is None:
                    continue
                found = True
                parts.append(f"{separate_words(name)} {each}" if self.names else str(each))
        text = " ".join(parts) if found else ""
        return text.lower() if self.lower else text

    def differs_from(self, declared: InputRecipe) -> str:
        """In words, what this recipe does that *declared* does not."""
        said = []
        if self.lower and not declared.lower:
            said.append("in lower case")
        if self.properties != declared.properties:
            said.append(f"made of the properties {', '.join(sorted(self.properties))}")
        if self.collection and not declared.collection:
            said.append("with the collection's name in front")
        if declared.collection and not self.collection:
            said.append("without the collection's name in front")
        if self.names and not declared.names:
            said.append("with the properties' names in it")
        if self.cut:
            said.append("cut at the token limit")
        if self.role != declared.role:
            said.append(f"encoded as a {self.role}")
        return ", ".join(said)


def separate_words(name: str) -> str:
    """A name in camel case as Weaviate writes it into texts: "MyPDFFiles" becomes "My PDF Files"."""
    return " ".join(part for part in _WORDS.findall(name) if part != " ")


def text_properties(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The properties of a collection that hold text, sorted."""
    entries = schema.get("properties") or ()
    return tuple(sorted(str(entry["name"]) for entry in entries if entry["dataType"] in (["text"], ["text[]"])))


def declared(schema: Mapping[str, Any], settings: Mapping[str, Any]) -> InputRecipe:
    """What the *settings* of a vectorizer in *schema* say; for one source property, that property's text."""
    sources = tuple(settings.get("properties") or ()) or text_properties(schema)
    # Without a vectorizer there is nothing that would put the collection's name in front.
    named = bool(settings.get("vectorizeClassName", "inferenceUrl" in settings))
    return InputRecipe(tuple(sorted(sources)), collection=str(schema["class"]) if named else "")


def mistakes(schema: Mapping[str, Any], right: InputRecipe) -> tuple[InputRecipe, ...]:
    """What else an object may have been encoded as, from likely to unlikely; *right* itself is not among them."""
    everything = text_properties(schema)
    name = str(schema["class"])
    found = [
        InputRecipe(sources, collection=collection, names=names, lower=lower)
        for names in (False, True)
        for sources in dict.fromkeys((right.properties, everything))
        for collection in ("", name)
        for lower in (False, True)
    ]
    found += [
        InputRecipe(right.properties, right.collection, cut=True),
        InputRecipe(right.properties, right.collection, role="query"),
    ]
    return tuple(each for each in found if each != right)
