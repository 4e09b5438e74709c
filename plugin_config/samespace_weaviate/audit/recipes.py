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
from dataclasses import dataclass, fields, replace
from typing import Any

from samespace.errors import DataInvalid, PinBroken
from samespace.text import Role

from ..pinning.pin import Pin

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class InputRecipe:
    """How an object becomes the text that is encoded.

    Attributes:
        properties: whose values are taken, in alphabetical order.
        collection: put in front, in words; "" for nothing.
        names: properties whose values have the property's name in front, in words.
        lower: whether all is in lower case.
        role: as what it is encoded.
        cut: whether only what fits the token limit is encoded.
        ordered: whether the properties are in this order, and not in the alphabet's; what a client of its own does.
        separator: what stands between two values.
        prefix: put in front of all.
    """

    properties: tuple[str, ...]
    collection: str = ""
    names: tuple[str, ...] = ()
    lower: bool = False
    role: Role = "passage"
    cut: bool = False
    ordered: bool = False
    separator: str = " "
    prefix: str = ""

    def text(self, properties: Mapping[str, Any]) -> str:
        """The text of an object with these properties; "" where it has none of them."""
        parts = [separate_words(self.collection)] if self.collection else []
        found = False
        for name in self.properties if self.ordered else sorted(self.properties):
            value = properties.get(name)
            for each in value if isinstance(value, list | tuple) else (value,):
                if each is None:
                    continue
                found = True
                parts.append(f"{separate_words(name)} {each}" if name in self.names else str(each))
        text = self.separator.join(parts) if found else ""
        text = text.lower() if self.lower else text
        return self.prefix + text if text else ""

    def to_json(self) -> dict[str, Any]:
        """The plain form, without what is as it mostly is."""
        plain: dict[str, Any] = {"properties": list(self.properties)}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name != "properties" and value != each.default:
                plain[each.name] = list(value) if isinstance(value, tuple) else value
        return plain

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> InputRecipe:
        """The recipe of `to_json`.

        Raises:
            DataInvalid: it has a key that this version does not know.
        """
        known = {each.name for each in fields(InputRecipe)}
        if strange := set(plain) - known:
            raise DataInvalid(
                path="the record of the adoption",
                reason=f"has {', '.join(sorted(map(repr, strange)))}; this version knows {', '.join(sorted(known))}",
            )
        values: dict[str, Any] = {key: tuple(each) if isinstance(each, list) else each for key, each in plain.items()}
        return InputRecipe(**values)

    def differs_from(self, declared: InputRecipe) -> str:
        """In words, what this recipe does that *declared* does not."""
        said = []
        if self.lower and not declared.lower:
            said.append("in lower case")
        if self.properties != declared.properties:
            names = self.properties if self.ordered else sorted(self.properties)
            said.append(f"made of the properties {', '.join(names)}")
        if self.separator != declared.separator:
            said.append(f"joined by {self.separator!r}")
        if self.prefix != declared.prefix:
            said.append(f"with {self.prefix!r} in front" if self.prefix else f"without {declared.prefix!r} in front")
        if self.collection and not declared.collection:
            said.append("with the collection's name in front")
        if declared.collection and not self.collection:
            said.append("without the collection's name in front")
        if set(self.names) - set(declared.names):
            said.append("with the properties' names in it")
        if set(declared.names) - set(self.names):
            said.append("without the properties' names in it")
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


def declared(schema: Mapping[str, Any], pin: Pin) -> InputRecipe:
    """What *schema* says that the module of *pin* does; for one source property, mostly that property's text.

    Without source properties it is all texts but those with `skip`; a module puts the collection's name in front unless
    it is told not to, and a property's name where it is told to (`vectorizePropertyName`). Of an adopted vector it is
    what its record says.
    """
    if pin.recipe:
        return InputRecipe.from_json(pin.recipe)
    by_name = {
        str(entry["name"]): (entry.get("moduleConfig") or {}).get(pin.module) or {}
        for entry in schema.get("properties") or ()
    }
    sources = pin.sources or tuple(name for name in text_properties(schema) if by_name[name].get("skip") is not True)
    # Without a vectorizer there is nothing that would put a name in front.
    with_class = pin.module != "none" and pin.settings.get("vectorizeClassName") is not False
    names = tuple(sorted(name for name in sources if by_name.get(name, {}).get("vectorizePropertyName") is True))
    return InputRecipe(tuple(sorted(sources)), collection=str(schema["class"]) if with_class else "", names=names)


def require_text_alone(schema: Mapping[str, Any], pin: Pin, text_property: str) -> None:
    """Return if Weaviate's module encodes just the text of *text_property*, as an import does.

    Raises:
        PinBroken: it encodes another text, so that objects of an import and of other clients would not compare.
    """
    recipe = declared(schema, pin)
    if said := recipe.differs_from(InputRecipe((text_property,))):
        raise PinBroken(
            collection=str(schema["class"]),
            expected=f"a vectorizer that encodes the text of {text_property!r} alone",
            found=f"one that encodes a text {said}",
            remedy="nothing was sent. Migrate to a collection without that (`samespace weaviate migrate`)",
        )


def mistakes(schema: Mapping[str, Any], right: InputRecipe) -> tuple[InputRecipe, ...]:
    """What else an object may have been encoded as, from likely to unlikely; *right* itself is not among them."""
    everything = text_properties(schema)
    name = str(schema["class"])
    found = [
        InputRecipe(sources, collection=collection, names=names, lower=lower)
        for with_names in (False, True)
        for sources in dict.fromkeys((right.properties, everything))
        for names in (sources if with_names else (),)
        for collection in ("", name)
        for lower in (False, True)
    ]
    found += [
        replace(right, cut=True),
        replace(right, role="query"),
    ]
    return tuple(each for each in found if each != right)
