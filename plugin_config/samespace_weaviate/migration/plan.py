"""What a migration will do, from the schemas alone. Pure.

A collection that clients reach by an alias gets a twin, made for the new space, and the alias is moved to it. The twin
keeps what the old schema says about properties, tenants, shards, replicas and the index; what belongs to the old
encoder is left behind. Collections without any pin can be migrated too: that is how they get one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from samespace.errors import MigrationBlocked, short

from ..pinning.pin import find_pin, read_pins
from ..pinning.spec import GUARD_VECTOR, CollectionSpec, collection_name
from .compare import ENCODING_MODULES, settings_of

MARK: Final = "Copied by samespace, migration "
_OLD_ENCODER: Final = ("vectorizer", "vectorIndexType", "vectorIndexConfig", "vectorConfig")
_READ_ONLY_SHARDING: Final = ("actualCount", "actualVirtualCount")


@dataclass(frozen=True, slots=True)
class Migration:
    """One collection on its way to another space.

    Attributes:
        id: of this migration; in the new collection's description, so that no other collection is taken for it.
        alias: what clients call the collection.
        makes_alias: whether the alias has yet to be made.
        old, new: the collections.
        old_vector, new_vector: names of the vectors; old "" for a collection without named vectors.
        from_space: full id, or "" where the old collection has no pin.
        to_space: full id.
        text_property: what is encoded.
        tenants: whether the collection has tenants.
        guard: whether the new collection rejects vectors and queries that name no vector.
        carries: whether objects keep their vectors: nothing is encoded, both spaces are the same.
        recipe: how objects became texts, where their vector gets its space's name by this (an adoption); {} elsewhere.
        settings: of the old collection when this was planned: see `compare.settings_of`.
    """

    id: str
    alias: str
    makes_alias: bool
    old: str
    new: str
    old_vector: str
    new_vector: str
    from_space: str
    to_space: str
    text_property: str
    tenants: bool
    guard: bool = False
    carries: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        return asdict(self)

    @property
    def renamed(self) -> tuple[str, str] | None:
        """(old, new) name of a vector that is carried under another one."""
        differs = self.carries and self.old_vector != self.new_vector
        return (self.old_vector, self.new_vector) if differs else None

    @property
    def mark(self) -> str:
        """The sentence in the new collection's description that says whose it is."""
        return f"{MARK}{self.id}, from {self.old}."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for.

    Attributes:
        name: an alias, or a collection.
        space_id: of the new encoder, full.
        alias: the alias to make, where *name* is a collection.
        text_property: what is encoded; "" for what the old pin says.
        guard: whether the new collection rejects vectors and queries that name no vector.
    """

    name: str
    space_id: str
    alias: str = ""
    text_property: str = ""
    guard: bool = True


def plan_migration(
    wanted: Wanted, migration_id: str, schemas: Mapping[str, Mapping[str, Any]], aliases: Mapping[str, str]
) -> Migration:
    """Which collection is copied where.

    Args:
        wanted: by the user.
        migration_id: one that no other migration has.
        schemas: of all collections, by name.
        aliases: alias to collection.

    Raises:
        MigrationBlocked: it cannot be done, or not like this.
    """
    name = collection_name(wanted.name)
    alias, old = resolved(name, collection_name(wanted.alias), schemas, aliases)
    schema = schemas[old]
    new = f"{alias}_{short(wanted.space_id)}"
    if find_pin(schema, wanted.space_id) is not None:
        raise MigrationBlocked(
            collection=old,
            reason=f"it is pinned to space {wanted.space_id} already",
            remedy="there is nothing to encode; another address of that encoder is `samespace weaviate move`",
        )
    if new in schemas or new in aliases:
        raise MigrationBlocked(
            collection=new,
            reason="the new collection would have this name, and there is one already",
            remedy="go on with the journal that made it (--journal), or delete it if nobody needs it",
        )
    vectors = list(filled_vectors(schema))
    if len(vectors) > 1:
        raise MigrationBlocked(
            collection=old,
            reason=f"it has {len(vectors)} vectors ({', '.join(vectors)}); an alias moves all of them at once",
            remedy="use --strategy named-vector, which adds a vector and leaves the others alone",
        )
    index = _old_index(schema, vectors)
    if (index.get("multivector") or {}).get("enabled"):
        raise MigrationBlocked(
            collection=old,
            reason="its objects hold one vector for each window of a text",
            remedy="windows differ between encoders: create a new collection and import the documents again",
        )
    pins = read_pins(schema)
    return Migration(
        id=migration_id,
        alias=alias,
        makes_alias=alias not in aliases,
        old=old,
        new=new,
        old_vector=vectors[0] if vectors else "",
        new_vector=f"e_{short(wanted.space_id)}",
        from_space=pins[0].space if pins else "",
        to_space=wanted.space_id,
        text_property=text_property_of(wanted.text_property, old, schema),
        tenants=bool((schema.get("multiTenancyConfig") or {}).get("enabled")),
        guard=wanted.guard,
        settings=settings_of(schema, vectors[0] if vectors else ""),
    )


def target_schema(old: Mapping[str, Any], migration: Migration, spec: CollectionSpec) -> dict[str, Any]:
    """The schema of the new collection.

    Args:
        old: schema of the old one, as REST gives it.
        migration: the plan.
        spec: the pin of the new space, for the collection `migration.new`.
    """
    schema = {key: value for key, value in copied_schema(old, migration).items() if key not in _OLD_ENCODER}
    modules = {
        name: settings
        for name, settings in (schema.pop("moduleConfig", None) or {}).items()
        if not name.startswith(ENCODING_MODULES)
    }
    if modules:
        schema["moduleConfig"] = modules
    for entry in schema.get("properties") or ():
        entry.pop("moduleConfig", None)
    vectors = filled_vectors(old)
    index = {**_old_index(old, list(vectors)), "distance": "cosine"}
    index.pop("multivector", None)
    kind = next(iter(vectors.values()))["vectorIndexType"] if vectors else old.get("vectorIndexType", "hnsw")
    schema["description"] = f"{spec.description} {migration.mark}"
    schema["vectorConfig"] = {
        **spec.vectors(),
        spec.vector_name: {**spec.vector_config(), "vectorIndexType": kind, "vectorIndexConfig": index},
    }
    return schema


def copied_schema(old: Mapping[str, Any], migration: Migration) -> dict[str, Any]:
    """The old schema under the new name, as it can be sent; references to itself are to the new collection."""
    schema = copy.deepcopy(dict(old))
    schema["class"] = migration.new
    for key in _READ_ONLY_SHARDING:
        (schema.get("shardingConfig") or {}).pop(key, None)
    if migration.tenants:
        schema.pop("shardingConfig", None)  # a tenant is a shard; Weaviate takes no other settings beside that
    for entry in schema.get("properties") or ():
        entry["dataType"] = [migration.new if kind == migration.old else kind for kind in entry["dataType"]]
    return schema


def new_schema(old: Mapping[str, Any], migration: Migration, server: str, encoder_name: str) -> dict[str, Any]:
    """`target_schema`, with the pin that is wanted: a window stays a window, and other texts have one vector.

    Args:
        server: "" for an encoder that no module of Weaviate asks, as a hosted one: clients bring vectors.
    """
    pins = read_pins(old)
    spec = CollectionSpec(
        migration.new,
        migration.to_space,
        server,
        text_property=migration.text_property,
        encoder_name=encoder_name,
        long_texts=pins[0].long_texts if pins else "pool",
        route="transformers" if server else "none",
        guard=migration.guard,
    )
    return target_schema(old, migration, spec)


def references_from_others(migration: Migration, schemas: Mapping[str, Mapping[str, Any]], to: str = "") -> list[str]:
    """Properties of other collections that refer to one of both, the old one by default, as "Collection.property"."""
    return sorted(
        f"{name}.{entry['name']}"
        for name, schema in schemas.items()
        if name not in (migration.old, migration.new)
        for entry in schema.get("properties") or ()
        if (to or migration.old) in entry["dataType"]
    )


def sentences(migration: Migration, referring: Sequence[str], old: Mapping[str, Any]) -> list[str]:
    """The plan for people; *old* is the schema of the old collection, *referring* what refers to it."""
    return [*_copied(migration, old), *_switched(migration), *_given_up(migration, referring)]


def _copied(migration: Migration, old: Mapping[str, Any]) -> list[str]:
    source = f"space {short(migration.from_space)}" if migration.from_space else "no pin"
    vectors = (
        "and vectors as they are: nothing is encoded"
        if migration.carries
        else f"and a new vector of {migration.text_property!r}. Weaviate calls no vectorizer for it"
    )
    lines = [
        f"{migration.old} ({source}) is copied to {migration.new} (space {short(migration.to_space)}, vector "
        f"{migration.new_vector}): every object with its id, properties and references, {vectors}.",
        "Creation and update times of objects start anew: Weaviate takes none from clients.",
    ]
    lifetime = old.get("objectTtlConfig") or {}
    if lifetime.get("enabled") and str(lifetime.get("deleteOn", "")).startswith("_"):
        lines.append(
            f"Objects expire {lifetime.get('defaultTtl')} s after {lifetime['deleteOn']}, which starts anew with the "
            "copy: they live longer than they would have. Let them expire by a date property where that matters."
        )
    return lines


def _switched(migration: Migration) -> list[str]:
    if not migration.makes_alias:
        return [f"Then the alias {migration.alias} is moved from {migration.old} to {migration.new}, in one step."]
    return [
        f"Clients address {migration.old} by its own name, and an alias cannot have the name of a collection. So "
        f"the alias {migration.alias} is made first, pointing to {migration.old}: let all clients use "
        f"{migration.alias} before the switch, the writing ones above all. With --finish, {migration.old} is "
        "deleted and becomes an alias too.",
        "By an alias, objects are read, written and searched; GraphQL queries with a filter (where) fail by it on some "
        "versions, those over gRPC do not. Tenants, properties and settings are changed by the "
        f"collection's own name, {migration.new}. Where clients change those as {migration.old}, --finish --keep-name "
        "copies everything once more, back to that name.",
    ]


def _given_up(migration: Migration, referring: Sequence[str]) -> list[str]:
    renamed = migration.renamed is not None
    lines = [_what_clients_see(migration)] if renamed or not migration.carries else []
    if migration.recipe and dict(migration.recipe) != {"properties": [migration.text_property]}:
        lines.append(
            "Its vectors are of texts that Weaviate's module does not make, so the copy has no module: --server is "
            "unused; clients bring vectors of the encoder with each object and query, as samespace's do. Queries by "
            "text fail, and objects without a vector stay without."
        )
    if referring:
        lines.append(
            f"References from {', '.join(referring)} keep pointing to {migration.old}: Weaviate cannot refer to an "
            "alias. They have to be moved before --finish."
        )
    return lines


def _what_clients_see(migration: Migration) -> str:
    name = migration.old_vector or "(none)"
    old = f"Queries that name the vector {name} fail after the switch: that is the pin's work."
    if migration.guard:
        return (
            f"{old} Vectors and queries that name no vector are rejected too, by the guard: writers that bring vectors "
            "of the old encoder cannot mix them in. Clients follow without failing if they use samespace's "
            "AliasedCollection; for readers that name no vector there is --no-guard."
        )
    return (
        f"{old} Clients follow without failing if they name no vector and let Weaviate encode (near_text, hybrid), or "
        "use samespace's AliasedCollection. Without the guard, a client that names no vector can still mix in vectors "
        "of another encoder."
    )


def resolved(
    name: str, alias: str, schemas: Mapping[str, Mapping[str, Any]], aliases: Mapping[str, str]
) -> tuple[str, str]:
    """(alias, collection) of a name, which may be either; *alias* is the one to make, where it is a collection's.

    Raises:
        MigrationBlocked: there is no such name, or no alias that can be moved.
    """
    if name in aliases:
        if alias and alias != name:
            raise MigrationBlocked(
                collection=name, reason=f"it is an alias itself, and --alias is {alias}", remedy="leave --alias out"
            )
        return name, aliases[name]
    if name not in schemas:
        raise MigrationBlocked(collection=name, reason="no such collection or alias", remedy="check the name")
    have = sorted(other for other, target in aliases.items() if target == name)
    if alias in schemas:
        raise MigrationBlocked(
            collection=name,
            reason=f"--alias {alias} is the name of a collection, and aliases share their names",
            remedy="take another name for the alias",
        )
    if alias and aliases.get(alias, name) != name:
        raise MigrationBlocked(
            collection=name, reason=f"the alias {alias} points to {aliases[alias]}", remedy="take another alias"
        )
    if alias:
        return alias, name
    remedy = (
        f"migrate the alias: `samespace weaviate migrate {have[0]}`"
        if have
        else "give a name for one with --alias, and let clients use it from then on; an alias cannot have the name of "
        "a collection"
    )
    raise MigrationBlocked(
        collection=name, reason="it is a collection, and only an alias can be moved without a gap", remedy=remedy
    )


def text_property_of(wanted: str, old: str, schema: Mapping[str, Any]) -> str:
    """What is encoded: the property that is *wanted*, else the old pin's, else the only text there is.

    Raises:
        MigrationBlocked: that is not one text property.
    """
    texts = [entry["name"] for entry in schema.get("properties") or () if entry["dataType"] == ["text"]]
    pins = read_pins(schema)
    pinned = list(pins[0].sources) if pins else []
    found = [wanted] if wanted else (pinned or texts)
    if len(found) != 1 or found[0] not in texts:
        raise MigrationBlocked(
            collection=old,
            reason=f"which property is to be encoded is not clear: {', '.join(found) or 'none'} "
            f"{'was asked for' if wanted else 'would do'}, expected one of the text properties "
            f"({', '.join(texts) or 'there are none'})",
            remedy="name it with --property",
        )
    return str(found[0])


def filled_vectors(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The named vectors that objects have: all but the guard."""
    return {name: config for name, config in (schema.get("vectorConfig") or {}).items() if name != GUARD_VECTOR}


def _old_index(schema: Mapping[str, Any], vectors: Sequence[str]) -> dict[str, Any]:
    """The settings of the old vector's index."""
    found = schema["vectorConfig"][vectors[0]] if vectors else schema
    return dict(found.get("vectorIndexConfig") or {})
