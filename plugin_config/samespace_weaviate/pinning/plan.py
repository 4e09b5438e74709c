"""From differences to ordered actions. What cannot be done without changing a pin is a conflict, not an action.

A plan is a value: it can be printed (`--dry-run`), without the user and password of a URL, and it can be carried out
(`collection.create`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import indent
from typing import Any, Final, TypeAlias

from .diff import Difference, differences
from .index import Index
from .spec import GUARD_VECTOR, CollectionSpec, collection_name, shown

_KEEPING: Final = ("multiTenancyConfig", "replicationConfig")


@dataclass(frozen=True, slots=True)
class CreateCollection:
    """Make the collection, pinned from the start."""

    schema: Mapping[str, Any]

    def __str__(self) -> str:
        lines = [f"create collection {self.schema['class']}"]
        lines += [
            f"  property {entry['name']} ({entry['dataType'][0]})"
            + (f": {entry['description']}" if entry.get("description") else "")
            for entry in self.schema["properties"]
        ]
        for name, config in self.schema["vectorConfig"].items():
            if name == GUARD_VECTOR:
                lines.append(f"  vector {name}: stays empty; vectors and queries that name no vector are rejected")
                continue
            lines.append(
                f"  vector {name}, index {config['vectorIndexType']} {json.dumps(config['vectorIndexConfig'])}:"
            )
            lines.append(indent(json.dumps(config["vectorizer"], indent=2), "    "))
        lines += [f"  {key}: {json.dumps(self.schema[key])}" for key in _KEEPING if key in self.schema]
        return shown("\n".join(lines))


@dataclass(frozen=True, slots=True)
class AddProperty:
    """Add a property that an existing collection lacks."""

    collection: str
    entry: Mapping[str, Any]

    def __str__(self) -> str:
        return f"add property {self.entry['name']} ({self.entry['dataType'][0]}) to collection {self.collection}"


@dataclass(frozen=True, slots=True)
class AddVector:
    """Add the named vector to an existing collection; its objects get no vector by that alone."""

    collection: str
    vector: str
    module: str
    settings: Mapping[str, Any]
    index: Index

    def __str__(self) -> str:
        settings = indent(shown(json.dumps({self.module: dict(self.settings)}, indent=2)), "    ")
        return (
            f"add vector {self.vector} to collection {self.collection}, index {self.index.kind}:\n{settings}\n"
            "  It cannot be removed. Objects that are there get no vector by it: import them again."
        )


@dataclass(frozen=True, slots=True)
class AddGuard:
    """Add the vector that is never filled, so that Weaviate rejects whatever names no vector."""

    collection: str

    def __str__(self) -> str:
        return (
            f"add vector {GUARD_VECTOR} to collection {self.collection}: it stays empty, and Weaviate then rejects "
            "vectors and queries that name no vector.\n  It cannot be removed."
        )


_LEFT_ALONE: Final = ("description", ".vectorIndexType", "vectorIndexConfig.quantizer", "replicationConfig.factor")
"""Where a collection may be other than what was asked for: none of it changes what the vectors mean."""

Action: TypeAlias = CreateCollection | AddProperty | AddVector | AddGuard


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done, in order.

    Attributes:
        actions: empty where nothing has to be done.
        conflicts: what would have to be changed and cannot be; a plan with conflicts is not carried out.
        drift: harmless differences that are left alone.
    """

    actions: tuple[Action, ...]
    conflicts: tuple[Difference, ...] = ()
    drift: tuple[Difference, ...] = ()

    @property
    def cannot_be_undone(self) -> bool:
        """Whether an action changes a collection that is there for good."""
        return any(isinstance(action, AddVector | AddProperty | AddGuard) for action in self.actions)

    def __str__(self) -> str:
        lines = [f"conflict: {difference}" for difference in self.conflicts]
        lines += [str(action) for action in self.actions]
        lines += [
            "left alone: the description, which is another one" if each.path == "description" else f"left alone: {each}"
            for each in self.drift
        ]
        return "\n".join(lines) if lines else "nothing to do"


def plan(spec: CollectionSpec, schema: Mapping[str, Any] | None) -> Plan:
    """How to get from *schema* (None: no such collection) to *spec*."""
    if schema is None:
        return Plan((CreateCollection(spec.schema()),))
    actions: list[Action] = []
    conflicts: list[Difference] = []
    drift: list[Difference] = []
    entries = {f"properties.{entry['name']}": entry for entry in spec.properties()}
    vector_path = f"vectorConfig.{spec.vector_name}"
    for difference in differences(spec, schema):
        if difference.path.endswith(_LEFT_ALONE):
            drift.append(difference)
        elif difference.path == f"vectorConfig.{GUARD_VECTOR}":
            actions.append(AddGuard(spec.name))
        elif difference.found is None and difference.path in entries:
            actions.append(AddProperty(collection_name(spec.name), entries[difference.path]))
        elif difference.found is None and difference.path == vector_path and spec.long_texts != "multivector":
            actions.append(_add_vector(spec))
        else:
            conflicts.append(difference)
    return Plan(tuple(actions), tuple(conflicts), tuple(drift))


def _add_vector(spec: CollectionSpec) -> AddVector:
    return AddVector(spec.name, spec.vector_name, spec.module, spec.vectorizer_settings, spec.index)
