"""The least rights that each kind of user of a pinned collection needs, as Weaviate's RBAC takes them.

`samespace weaviate config --for rbac` prints them. A right to update a schema is in none of them but the migrator's:
with it, some versions of Weaviate let a vectorizer be sent elsewhere (docs/reference/weaviate-facts.md, fact 2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

PREFIX: Final = "samespace_"

_FILTERS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    # The second half of an action -> the key of its filter, and what the filter names beside the collection; "cluster"
    # has none.
    "collections": ("collections", {}),
    "data": ("data", {"tenant": "*", "object": "*"}),
    "tenants": ("tenants", {"tenant": "*"}),
    "aliases": ("aliases", {"alias": "*"}),
    "nodes": ("nodes", {"verbosity": "verbose"}),
}


@dataclass(frozen=True, slots=True)
class WeaviateRole:
    """One kind of user.

    Attributes:
        name: of the role, without `PREFIX`.
        purpose: what it is for, as a sentence.
        commands: of `samespace weaviate` that work with it.
        actions: what it may do.
    """

    name: str
    purpose: str
    commands: tuple[str, ...]
    actions: tuple[str, ...]

    def permissions(self, collection: str) -> list[dict[str, Any]]:
        """As REST takes them; *collection* is a name or a pattern such as "Article*"."""
        return [_permission(action, collection) for action in self.actions]

    def to_json(self, collection: str) -> dict[str, Any]:
        """The body of `POST /v1/authz/roles`."""
        return {"name": f"{PREFIX}{self.name}", "permissions": self.permissions(collection)}


# read_cluster lists all nodes, also one that is away: without it nobody can tell that a node was not looked at.
_READ: Final = ("read_collections", "read_data", "read_aliases", "read_tenants", "read_cluster")
_AUDIT: Final = (*_READ, "read_nodes")
_IMPORT: Final = (*_AUDIT, "create_data", "update_data", "delete_data", "create_tenants", "update_tenants")

_LOOK: Final = ("check", "search")
_JUDGE: Final = (*_LOOK, "audit", "compare")

ROLES: Final = (
    WeaviateRole("reader", "Searches and checks pins.", _LOOK, _READ),
    WeaviateRole("application", "Reads and writes objects; cannot change a schema.", _LOOK,
        (*_READ, "create_data", "update_data", "delete_data")),
    WeaviateRole("auditor", "Audits, also how indexes and replicas stand.", _JUDGE, _AUDIT),
    WeaviateRole("importer", "Imports into collections that exist, and repairs them.",
        (*_JUDGE, "import", "repair"), _IMPORT),
    WeaviateRole("migrator", "Creates and migrates collections; the only one that may change a schema.",
        (*_JUDGE, "import", "repair", "create", "adopt", "apply", "migrate", "move", "bridge"),
        (*_IMPORT, "create_collections", "update_collections", "delete_collections", "delete_tenants",
         "create_aliases", "update_aliases", "delete_aliases")),
)  # fmt: skip


def render_roles(collection: str = "*", names: Sequence[str] = ()) -> str:
    """The roles as JSON, one object a role with its purpose, and as calls of weaviate-client; ends with a newline."""
    chosen = [role for role in ROLES if not names or role.name in names]
    blocks = [
        "# Roles for Weaviate's RBAC (AUTHORIZATION_RBAC_ENABLED=true), with the least rights. Each JSON body is for",
        "# POST /v1/authz/roles; the Python below makes the same with weaviate-client, for a client with a root key.",
    ]
    for role in chosen:
        blocks += ["", f"# {role.purpose} Commands: {', '.join(role.commands)}.", json.dumps(role.to_json(collection))]
    return "\n".join([*blocks, "", _python(chosen, collection)])


def _python(roles: Sequence[WeaviateRole], collection: str) -> str:
    lines = ["# from weaviate.classes.rbac import Permissions", f"# C = {collection!r}"]
    for role in roles:
        have = set(role.actions)
        lines += [
            f"# client.roles.create(role_name={PREFIX + role.name!r}, permissions=[",
            f"#     Permissions.collections(collection=C, {_flags(have, 'collections', ('config',))}),",
            f"#     Permissions.data(collection=C, {_flags(have, 'data')}),",
            f"#     Permissions.tenants(collection=C, tenant='*', {_flags(have, 'tenants')}),",
            f"#     Permissions.alias(alias='*', collection=C, {_flags(have, 'aliases')}),",
        ]
        if "read_nodes" in have:
            lines.append("#     Permissions.Nodes.verbose(collection=C, read=True),")
        if "read_cluster" in have:
            lines.append("#     Permissions.cluster(read=True),")
        lines.append("# ])")
    return "\n".join(lines) + "\n"


def _flags(actions: set[str], kind: str, suffixed: Sequence[str] = ()) -> str:
    verbs = ("create", "read", "update", "delete")
    ends = {verb: "_config" if suffixed and verb in ("read", "update") else "" for verb in verbs}
    if suffixed:
        ends |= {"create": "_collection", "delete": "_collection"}
    return ", ".join(f"{verb}{ends[verb]}=True" for verb in verbs if f"{verb}_{kind}" in actions)


def _permission(action: str, collection: str) -> dict[str, Any]:
    subject = action.partition("_")[2]
    if subject not in _FILTERS:
        return {"action": action}
    key, more = _FILTERS[subject]
    return {"action": action, key: {"collection": collection, **more}}
