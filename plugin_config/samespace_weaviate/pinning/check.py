"""Checks collections together: each pin, the server behind it, and names that can be taken for each other.

`pin.check_pin` judges one schema by itself; here is what needs more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .collisions import colliding_names, colliding_spaces
from .pin import Finding, Pin, PinCheck, Severity, check_pin, read_pins
from .served import Servers
from .spec import collection_name, vector_name
from .views import SchemaViews


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a Weaviate has.

    Attributes:
        schemas: of all collections.
        aliases: from alias to collection.
        views: how each node sees a collection, by its name.
        whole: whether these are all; False where the key in use may not see some.
    """

    schemas: tuple[Mapping[str, Any], ...]
    aliases: Mapping[str, str]
    views: Mapping[str, SchemaViews] = field(default_factory=dict)
    whole: bool = True


def check_all(
    inventory: Inventory,
    names: Sequence[str] = (),
    *,
    space_id: str | None = None,
    servers: Servers | None = None,
    encoding: Callable[[str, Pin], Sequence[Finding]] | None = None,
) -> tuple[PinCheck, ...]:
    """Judge the collections called *names* (or aliases), or all of them.

    Args:
        space_id: what they have to be pinned to; each is held against itself where it is not given.
        servers: asks the servers behind the pins; None asks nobody.
        encoding: asks Weaviate to have a text encoded for a collection's pin; None asks nothing.
    """
    schemas = {str(schema["class"]): schema for schema in inventory.schemas}
    spaces = colliding_spaces(inventory.schemas)
    alike = colliding_names(tuple(schemas), inventory.aliases)
    checks = []
    for name in names or (*schemas, *sorted(set(inventory.aliases) & set(alike))):
        target = _target(name, schemas, inventory.aliases)
        extra = [each for each in (spaces.get(target), alike.get(collection_name(name))) if each is not None]
        schema = schemas.get(target)
        if schema is None:
            have = ", ".join(schemas) or "none"
            missing = Finding(
                Severity.BROKEN,
                f"no such collection; there are: {have}"
                if inventory.whole
                else f"no such collection, or the key in use may not see it or its alias; it may see: {have}",
            )
            checks.append(PinCheck(name, "", tuple(extra or [missing])))
            continue
        found = check_pin(schema, space_id)
        if target in inventory.views:
            extra += inventory.views[target].findings()
        for pin in read_pins(schema):
            if space_id is None or pin.vector == vector_name(space_id):
                extra += servers.judge(pin) if servers is not None else []
                extra += encoding(target, pin) if encoding is not None else []
        label = found.collection if collection_name(name) == target else f"{name} (alias of {target})"
        checks.append(replace(found, collection=label, findings=(*found.findings, *extra)))
    return tuple(checks)


def _target(name: str, schemas: Mapping[str, Any], aliases: Mapping[str, str]) -> str:
    name = collection_name(name)
    return name if name in schemas else aliases.get(name, name)
