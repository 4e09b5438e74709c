"""Names that can be taken for each other: of spaces, collections and aliases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from .pin import Finding, Severity, read_pins


def colliding_spaces(schemas: Sequence[Mapping[str, Any]]) -> dict[str, Finding]:
    """Spaces whose first 12 digits are the same and whose ids are not: by collection, what was found there.

    A vector of that name then stands for two spaces, and Weaviate, which compares names, takes one for the other.
    """
    ids: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for schema in schemas:
        for pin in read_pins(schema):
            if len(pin.key_space) == 64 and pin.key_space.startswith(pin.name_space):
                ids[pin.vector][pin.key_space].add(str(schema.get("class", "?")))
    found = {}
    for vector, spaces in ids.items():
        if len(spaces) > 1:
            told = "; ".join(f"{space} in {', '.join(sorted(names))}" for space, names in sorted(spaces.items()))
            message = f"{vector}: stands for {len(spaces)} spaces, whose ids begin alike: {told}"
            found.update({name: Finding(Severity.UNSAFE, message) for names in spaces.values() for name in names})
    return found


def colliding_names(collections: Sequence[str], aliases: Mapping[str, str]) -> dict[str, Finding]:
    """Names that differ in capitals alone, and aliases of nothing: by name, what was found.

    Weaviate refuses two collections whose names differ so, but takes an alias PN1 beside a collection Pn1.

    Args:
        aliases: from alias to collection.
    """
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in (*collections, *aliases):
        alike[name.casefold()].append(name)
    found = {
        name: Finding(Severity.UNSAFE, f"the names {', '.join(sorted(names))} differ in capitals alone")
        for names in alike.values()
        if len(names) > 1
        for name in names
    }
    for alias, target in aliases.items():
        if target not in collections:
            found[alias] = Finding(
                Severity.BROKEN, f"alias of {target}, which does not exist: writes and queries through it fail"
            )
    return found
