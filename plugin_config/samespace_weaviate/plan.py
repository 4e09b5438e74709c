"""From differences to ordered actions. What cannot be done without changing a pin is a conflict, not an action.

A plan is a value: it can be printed (`--dry-run`) and it can be carried out (`collection.create`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .diff import Difference, differences
from .index import Index
from .spec import CollectionSpec, collection_name, shown


@dataclass(frozen=True, slots=True)
class CreateCollection:
    """Make the collection, pinned from the start."""

    schema: Mapping[str, Any]

    def __str__(self) -> str:
        return f"create collection {self.schema['class']}:\n{shown(json.dumps(self.schema, indent=2))}"


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
        settings = shown(json.dumps({self.module: dict(self.settings)}, indent=2))
        return (
            f"add vector {self.vector} to collection {self.collection}, in an index of type {self.index.kind}:\n"
            f"{settings}\n"
            "(cannot be undone; objects that are already there have to be imported again to get this vector)"
        )


_LEFT_ALONE: Final = ("description", ".vectorIndexType", "vectorIndexConfig.quantizer", "replicationConfig.factor")
"""Where a collection may be other than what was asked for: none of it changes what the vectors mean."""

Action: TypeAlias = CreateCollection | AddProperty | AddVector


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
        return any(isinstance(action, AddVector | AddProperty) for action in self.actions)

    def __str__(self) -> str:
        lines = [f"conflict: {difference}" for difference in self.conflicts]
        lines += [str(action) for action in self.actions]
        lines += [f"left alone: {difference}" for difference in self.drift]
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
        elif difference.found is None and difference.path in entries:
            actions.append(AddProperty(collection_name(spec.name), entries[difference.path]))
        elif difference.found is None and difference.path == vector_path and spec.long_texts != "multivector":
            actions.append(_add_vector(spec))
        else:
            conflicts.append(difference)
    return Plan(tuple(actions), tuple(conflicts), tuple(drift))


def _add_vector(spec: CollectionSpec) -> AddVector:
    return AddVector(spec.name, spec.vector_name, spec.module, spec.vectorizer_settings, spec.index)
