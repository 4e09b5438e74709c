"""Which objects differ between two collections: both are read in order of their ids and held against each other. Pure.

One comparison serves everything: the first copy (the target is empty), a copy that goes on after a crash (it is not),
catching up with writes and deletions that came meanwhile, and the way back. It needs no timestamps and no memory: what
is in the source and not, or otherwise, in the target is written; what is in the target alone is deleted.

Once the alias has moved, clients write to the target. From then on a `WriteWindow` says whose word counts: the source's
for what was last written there before the move and may have been missed by the last round, else the target's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from uuid import UUID

import numpy as np

from ..access.values import StoredObject


@dataclass(frozen=True, slots=True)
class WriteWindow:
    """The time around the move of the alias, by Weaviate's clock.

    Attributes:
        since_ms: the last complete round began then: what the source got before it, the target has got.
        moved_ms: the alias had not moved yet: what the target got before it, it got from us.
        young: objects of the source that were written since and that the last round saw: the target had them, so
            one that it lacks now was deleted there.
        carried: objects that the target had got since, and had when the last round ended.
    """

    since_ms: int
    moved_ms: int
    young: frozenset[UUID] = frozenset()
    carried: frozenset[UUID] = frozenset()

    def lacks(self, left: StoredObject) -> bool:
        """Whether the target, which has not got *left*, never had it."""
        return left.updated_ms >= self.since_ms and left.uuid not in self.young

    def is_ours(self, right: StoredObject) -> bool:
        """Whether *right*, which the source has not got, is what we carried, so that it was deleted there since.

        By its time alone only where that is long before the move: clients may write by a node whose clock is behind.
        """
        return right.updated_ms < self.since_ms or (right.uuid in self.carried and right.updated_ms < self.moved_ms)

    def is_behind(self, left: StoredObject, right: StoredObject) -> bool:
        """Whether the target's *right* is older than what the source has; the last word counts."""
        return left.updated_ms >= self.since_ms and right.updated_ms < max(self.moved_ms, left.updated_ms)


@dataclass(frozen=True, slots=True)
class Write:
    """An object of the source that the target lacks, or has otherwise."""

    record: StoredObject

    @property
    def uuid(self) -> UUID:
        """Of the object."""
        return self.record.uuid


@dataclass(frozen=True, slots=True)
class Delete:
    """An object that the target alone has."""

    uuid: UUID


Change: TypeAlias = Write | Delete


@dataclass(frozen=True, slots=True)
class Moved:
    """What one pass did.

    Attributes:
        since_ms: Weaviate's clock at its beginning, with a margin.
        written, deleted: objects in the target.
        latest_ms: when the youngest object of the source was last written.
        newest: (when it was written, id) of the object of either side that was written last.
        young: of each tenant, the objects of the source that were written since `since_ms`; the target has them now.
        carried: of each tenant, the objects that the target has got since `since_ms`, and has now.
    """

    since_ms: int = 0
    written: int = 0
    deleted: int = 0
    latest_ms: int = 0
    newest: tuple[int, UUID] = (0, UUID(int=0))
    young: Mapping[str, frozenset[UUID]] = field(default_factory=dict)
    carried: Mapping[str, frozenset[UUID]] = field(default_factory=dict)

    def __add__(self, other: Moved) -> Moved:
        return Moved(
            self.since_ms,
            self.written + other.written,
            self.deleted + other.deleted,
            max(self.latest_ms, other.latest_ms),
            max(self.newest, other.newest),
            {**self.young, **other.young},
            {**self.carried, **other.carried},
        )

    @property
    def changed(self) -> int:
        """Objects that were written or deleted."""
        return self.written + self.deleted


Same: TypeAlias = Callable[[StoredObject, StoredObject], bool]


def same_with_vectors(left: StoredObject, right: StoredObject) -> bool:
    """Whether content is equal, and *right* has every vector of *left*, number by number."""
    return left.same_content(right) and all(
        name in right.vectors and np.array_equal(rows, right.vectors[name]) for name, rows in left.vectors.items()
    )


def changes(
    source: Iterable[StoredObject],
    target: Iterable[StoredObject],
    window: WriteWindow | None = None,
    same: Same = StoredObject.same_content,
    again: Callable[[UUID], bool] = lambda uuid: False,
) -> Iterator[Change]:
    """What has to be done to *target*, in order of the ids; both sides have to be in that order, too.

    Args:
        source: where objects come from, as they shall be in the target.
        target: where they go.
        window: None before the alias has moved: the source is right about everything.
        same: whether an object of the source and one of the target need nothing done.
        again: whether an object is written although they need nothing done; what is otherwise there is not touched.
    """
    for left, right in paired(source, target):
        if right is None:
            if left is not None and (window is None or window.lacks(left)):
                yield Write(left)
        elif left is None:
            if window is None or window.is_ours(right):
                yield Delete(right.uuid)
        elif again(left.uuid) if same(left, right) else (window is None or window.is_behind(left, right)):
            yield Write(left)


def paired(
    source: Iterable[StoredObject], target: Iterable[StoredObject]
) -> Iterator[tuple[StoredObject | None, StoredObject | None]]:
    """Both sides side by side; None where only the other one has the id."""
    lefts, rights = iter(source), iter(target)
    left, right = next(lefts, None), next(rights, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left.uuid < right.uuid):
            yield left, None
            left = next(lefts, None)
        elif left is None or right.uuid < left.uuid:
            yield None, right
            right = next(rights, None)
        else:
            yield left, right
            left, right = next(lefts, None), next(rights, None)


_DEFINITION: Final = (
    "tokenization",
    "indexFilterable",
    "indexSearchable",
    "indexRangeFilters",
    "nestedProperties",
)


def new_properties(source: Mapping[str, Any], target: Mapping[str, Any], *, modules: bool) -> list[dict[str, Any]]:
    """The properties of one schema that the other lacks, as they have to be added there. Pure.

    Left to Weaviate, it would guess them from the first value: text for keywords, numbers for whole ones.

    Args:
        modules: whether they keep what vectorizers read; not where the encoder is another one.
    """
    there = {entry["name"] for entry in target.get("properties") or ()}
    return [
        {
            **{key: value for key, value in entry.items() if modules or key != "moduleConfig"},
            "dataType": _types(entry, source, target),
        }
        for entry in source.get("properties") or ()
        if entry["name"] not in there
    ]


def unlike_properties(source: Mapping[str, Any], target: Mapping[str, Any]) -> list[str]:
    """Where a property of both schemas is defined in two ways, a sentence for each. Pure."""
    there = {entry["name"]: entry for entry in target.get("properties") or ()}
    found = []
    for entry in source.get("properties") or ():
        other = there.get(entry["name"])
        if other is None:
            continue
        if (types := _types(entry, source, target)) != other["dataType"]:
            found.append(f"{entry['name']} is {', '.join(other['dataType'])}, not {', '.join(types)}")
        found += [
            f"{entry['name']} has {key} {other.get(key)!r}, not {entry.get(key)!r}"
            for key in _DEFINITION
            if _undescribed(entry.get(key)) != _undescribed(other.get(key))
        ]
    return found


def _undescribed(value: Any) -> Any:
    """Nested properties without their descriptions, which are settings."""
    if isinstance(value, Mapping):
        return {key: _undescribed(inner) for key, inner in value.items() if key != "description"}
    return [_undescribed(each) for each in value] if isinstance(value, list) else value


def _descriptions(properties: Sequence[Mapping[str, Any]], within: str) -> Iterator[tuple[str, str]]:
    for entry in properties:
        name = f"{within}{entry['name']}"
        yield f"{_DESCRIPTION}{name}", str(entry.get("description") or "")
        yield from _descriptions(entry.get("nestedProperties") or (), f"{name}.")


def _types(entry: Mapping[str, Any], source: Mapping[str, Any], target: Mapping[str, Any]) -> list[str]:
    """References to the collection itself are to the other one there."""
    return [target["class"] if kind == source["class"] else kind for kind in entry["dataType"]]


_SETTINGS: Final = (
    "invertedIndexConfig",
    "replicationConfig",
    "multiTenancyConfig",
    "shardingConfig",
    "objectTtlConfig",
)
ENCODING_MODULES: Final = ("text2vec-", "multi2vec-", "img2vec-", "ref2vec-")
"""Beginnings of the names of modules that belong to an encoder, and stay behind."""
_DESCRIPTION: Final = "the description of "
_MEASURED: Final = ("shardingConfig.actualCount", "shardingConfig.actualVirtualCount")


def settings_of(schema: Mapping[str, Any], vector: str) -> dict[str, Any]:
    """What a copy takes over of a schema beside how properties are indexed: each setting by its path. Pure.

    Args:
        vector: the one that is migrated; its settings have the same path in both collections.
    """
    found = {path: value for key in _SETTINGS for path, value in _leaves(key, schema.get(key))}
    found |= dict(_descriptions(schema.get("properties") or (), ""))
    for module, settings in (schema.get("moduleConfig") or {}).items():
        if not module.startswith(ENCODING_MODULES):
            found |= dict(_leaves(f"moduleConfig.{module}", settings))
    named = schema.get("vectorConfig") or {}
    for name, config in (named or {vector: schema}).items():
        path = "the vector's index" if name == vector else f"the index of {name}"
        found[f"{path}: kind"] = config.get("vectorIndexType")
        found |= dict(_leaves(path, config.get("vectorIndexConfig")))
    return {path: value for path, value in found.items() if path not in _MEASURED}


def changed_settings(planned: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Settings that *old* has got since they were *planned*, and *new* has not, a few words for each. Pure."""
    return [
        f"{path} is {old.get(path)!r}, was {planned.get(path)!r}, and is {new.get(path)!r} there"
        for path in sorted({*planned, *old})
        if planned
        and old.get(path) != planned.get(path)
        and old.get(path) != new.get(path)
        # A property that is in one alone comes with the objects that have it, with its description.
        and (path in new or not path.startswith(_DESCRIPTION))
    ]


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    elif value is not None:
        yield path, value
