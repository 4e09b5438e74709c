"""The same space at another address, or under another name: a copy with the vectors as they are; nothing is encoded.

It is a migration in all but the encoding: journalled, compared, switched by an alias, with a way back. What is verified
is more: every vector of both collections is held against each other, and Weaviate is asked to encode a text at the new
address, whose server refuses every other space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from samespace.errors import MigrationBlocked, RequestInvalid, short

from ..access.database import Database
from ..audit.searchable import wait_for_index
from ..pinning.adopted import Adoption
from ..pinning.encoding import CannotEncode, has_encoded
from ..pinning.pin import Pin, read_pins
from ..pinning.routes import USES, address_key, ignored_addresses, vectorizer_of
from ..pinning.spec import (
    BRIDGE_KEY,
    GUARD_VECTOR,
    RECIPE_KEY,
    ROUTES,
    CollectionSpec,
    collection_name,
    shown,
    vector_name,
)
from .compare import settings_of
from .copying.transfer import Transfer
from .plan import MARK, Migration, copied_schema, filled_vectors, resolved, target_schema
from .verification import INDEX_WAIT_S, Verification, count_of, made_searchable, replicated


def plan_move(
    name: str,
    migration_id: str,
    schemas: Mapping[str, Mapping[str, Any]],
    aliases: Mapping[str, str],
    *,
    alias: str = "",
    space_id: str = "",
    found: Adoption | None = None,
    guard: bool | None = None,
) -> Migration:
    """Which collection is copied where, so that its pin can have another address. Pure.

    Args:
        name: an alias, or a collection.
        migration_id: one that no other migration has.
        schemas: of all collections, by name.
        aliases: alias to collection.
        alias: to make, where *name* is a collection.
        space_id: whose address changes, where the collection is pinned to several.
        found: what was found out about a vector that nobody pinned.
        guard: whether the copy of such a vector has the guard; None for yes.

    Raises:
        MigrationBlocked: it cannot be done.
        RequestInvalid: *guard* is given for a pinned vector, whose copy is as it is.
    """
    alias, old = resolved(collection_name(name), collection_name(alias), schemas, aliases)
    schema = schemas[old]
    pin = _moved_pin(old, schema, space_id) if found is None else adopted_pin(schema, found)
    if guard is not None and not pin.adopted:
        raise RequestInvalid(field="--guard", reason="is for a vector that nobody pinned; another copy is as it is")
    base = f"{alias}_{short(pin.space)}"
    names = [base, *(f"{base}_{number}" for number in range(2, len(schemas) + len(aliases) + 3))]
    return Migration(
        id=migration_id,
        alias=alias,
        makes_alias=alias not in aliases,
        old=old,
        new=next(each for each in names if each not in schemas and each not in aliases),
        old_vector=pin.vector,
        new_vector=vector_name(pin.space) if pin.adopted else pin.vector,
        from_space=pin.space,
        to_space=pin.space,
        text_property=next(iter(pin.sources), ""),
        tenants=bool((schema.get("multiTenancyConfig") or {}).get("enabled")),
        guard=guard is not False if pin.adopted else GUARD_VECTOR in (schema.get("vectorConfig") or {}),
        carries=True,
        recipe=dict(pin.recipe) if pin.adopted else {},
        settings=settings_of(schema, pin.vector),
    )


def plan_return(done: Migration, migration_id: str, schema: Mapping[str, Any]) -> Migration:
    """Back to the old name, once the old collection is deleted: the second copy of `--keep-name`. Pure.

    Args:
        schema: of the collection that was new.
    """
    return replace(
        done,
        id=migration_id,
        old=done.new,
        new=done.old,
        old_vector=done.new_vector,
        makes_alias=False,
        carries=True,
        from_space=done.to_space,
        settings=settings_of(schema, done.new_vector),
    )


def moved_schema(old: Mapping[str, Any], migration: Migration, server: str) -> dict[str, Any]:
    """The old schema under the new name, its pin at *server*; all else, other vectors too, as it is.

    Raises:
        RequestInvalid: *server* is no address.
        MigrationBlocked: the pin is there already.
    """
    if migration.renamed is not None:
        return _named_schema(old, migration, server)
    schema = renamed_schema(old, migration)
    vectorizer = schema["vectorConfig"][migration.new_vector]["vectorizer"]
    module, settings = next(iter(vectorizer.items()))
    route = next(route for route, name in ROUTES.items() if name == module)
    spec = CollectionSpec(migration.new, migration.to_space, server, route=route)
    addresses = {key: value for key, value in spec.vectorizer_settings.items() if value == spec.inference_url}
    before = {*ignored_addresses(module, settings), *(address_key(module, settings, use) for use in USES)}
    kept = {key: value for key, value in settings.items() if key not in before}
    if {key: settings[key] for key in before if key in settings} == addresses:
        raise MigrationBlocked(
            collection=migration.old,
            reason=f"its address is {shown(spec.inference_url)} already",
            remedy="there is nothing to move",
        )
    vectorizer[module] = {**kept, **addresses}
    return schema


def _named_schema(old: Mapping[str, Any], migration: Migration, server: str) -> dict[str, Any]:
    """The old schema with its one vector named after its space. Weaviate's module encodes where it makes the same
    texts, which are those of one property alone; else objects bring their vectors, and the recipe is noted."""
    if len(others := [name for name in filled_vectors(old) if name != migration.old_vector]) > 0:
        raise MigrationBlocked(
            collection=migration.old,
            reason=f"it has other vectors too: {', '.join(others)}",
            remedy="only a collection with one vector is copied like this",
        )
    plain = dict(migration.recipe) == {"properties": [migration.text_property]}
    spec = CollectionSpec(
        migration.new,
        migration.to_space,
        server,
        text_property=migration.text_property,
        long_texts="pool",
        route="transformers" if plain else "none",
        guard=migration.guard,
    )
    schema = target_schema(old, migration, spec)
    if not plain:
        settings = schema["vectorConfig"][migration.new_vector]["vectorizer"][spec.module]
        settings[RECIPE_KEY] = dict(migration.recipe)
        settings["properties"] = list(migration.recipe["properties"])
    return schema


def adopted_pin(schema: Mapping[str, Any], found: Adoption) -> Pin:
    """A vector that nobody pinned, as what was found out about it makes it one."""
    module, settings = vectorizer_of(schema, found.vector)
    return Pin(found.vector, module, settings, short(found.space), "", found.space, found.recipe, adopted=True)


def renamed_schema(old: Mapping[str, Any], migration: Migration) -> dict[str, Any]:
    """The old schema under the new name, with the sentence that says whose it is."""
    schema = copied_schema(old, migration)
    schema["description"] = f"{str(old.get('description') or '').partition(MARK)[0].rstrip()} {migration.mark}"
    return schema


def require_encoding(database: Database, migration: Migration) -> bool:
    """Whether Weaviate's module encoded for the new collection; False where it has no module, or no tenant is active.

    Raises:
        MigrationBlocked: it did not: the server is away, or serves another space.
    """
    config = (database.schema(migration.new) or {})["vectorConfig"][migration.new_vector]
    if "none" in config["vectorizer"]:
        return False
    try:
        return has_encoded(database, migration.new, migration.new_vector)
    except CannotEncode as error:
        raise MigrationBlocked(
            collection=migration.new,
            reason=f"Weaviate cannot have a text encoded at the new address: {error.reason}",
            remedy=f"let the server there serve space {migration.to_space}, where Weaviate reaches it; then run the "
            "same command again. Nothing was switched. --force switches all the same: queries by text fail then",
        ) from error


def verify_moved(transfer: Transfer, migration: Migration) -> Verification:
    """Hold every object and vector of both collections against each other, and search for each.

    What differs is carried over once more; what differs after that too is wrong.
    """
    database = transfer.database
    if differing := _differing(transfer):
        transfer.round()
        differing &= _differing(transfer)
    queued = wait_for_index(database, migration.new, INDEX_WAIT_S)
    found = Verification(0, 0, 0, 0.0, tuple(map(str, sorted(differing))), queued=queued, carried=True)
    several = {name: replicated(database, name) for name in (migration.old, migration.new)}
    for tenant in transfer.tenants():
        with transfer.awake(tenant):
            own = database.of_tenant(tenant)
            searched, mended = made_searchable(own, migration)
            new = count_of(own, migration.new, several[migration.new])
            found = replace(
                found,
                old=found.old + count_of(own, migration.old, several[migration.old]),
                new=found.new + new,
                sampled=found.sampled + new,
                searched=found.searched + searched.searched,
                lost=(*found.lost, *map(str, searched.lost)),
                mended=found.mended + mended,
                tied=found.tied + searched.tied,
                behind=found.behind + searched.behind,
            )
    return found


def _differing(transfer: Transfer) -> set[UUID]:
    found: set[UUID] = set()
    for tenant in transfer.tenants():
        with transfer.awake(tenant):
            found |= {change.uuid for change in transfer.differences(tenant)}
    return found


def _moved_pin(name: str, schema: Mapping[str, Any], space_id: str) -> Pin:
    pins = [pin for pin in read_pins(schema) if BRIDGE_KEY not in pin.settings]
    encoding = [pin for pin in pins if pin.adopted or (pin.module in ROUTES.values() and pin.module != "none")]
    chosen = [pin for pin in encoding if not space_id or pin.space == space_id]
    if len(chosen) == 1:
        return chosen[0]
    if len(chosen) > 1:
        raise MigrationBlocked(
            collection=name,
            reason=f"it is pinned to {len(chosen)} spaces, {', '.join(pin.space for pin in chosen)}",
            remedy="say whose address changes with --encoder",
        )
    have = ", ".join(f"{pin.vector} ({pin.module})" for pin in pins) or "none"
    raise MigrationBlocked(
        collection=name,
        reason=f"no pin{f' of space {space_id}' if space_id else ''} has an address; pinned vectors: {have}",
        remedy="only a module of Weaviate has an address; where nobody pinned it, say with --encoder who may have "
        "written it; see `samespace weaviate check`",
    )
