"""Whether the key in use may do what a command needs, asked before the command starts.

Weaviate tells a user of its own roles (`/users/own-info`). Where role-based access is off, or the version cannot tell,
nothing is missing. A list of collections is filtered by what the key may read, so an empty one proves nothing:
`access.schemas.sees_all` tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from samespace.errors import WeaviateError

from ..access.rest import GOOD, Rest
from ..access.schemas import sees_all
from .roles import PREFIX, ROLES

_ALL_POWERFUL: Final = frozenset({"root", "admin"})
"""Weaviate's own roles, which may do everything."""


class RightsMissing(WeaviateError):
    """The key in use may not do what a command needs; nothing was done."""

    def __init__(self, *, command: str, missing: Sequence[str], user: str) -> None:
        self.command, self.missing, self.user = command, tuple(missing), user
        roles = " or ".join(f"{PREFIX}{role.name}" for role in ROLES if command in role.commands)
        super().__init__(
            f"user {user or 'of this key'} may not do what {command} needs: {'; '.join(missing)} is missing. Nothing "
            f"was done; set WEAVIATE_API_KEY to a key with the role {roles}, which `samespace weaviate config --for "
            "rbac` prints"
        )


def require_rights(rest: Rest, command: str, collections: Iterable[str]) -> None:
    """Return if the key in use may do what *command* needs with each of *collections*.

    Raises:
        RightsMissing: it may not.
    """
    needed = next((role.actions for role in ROLES if command in role.commands), ())
    status, answer = rest.send("GET", "/users/own-info", allowed=(*GOOD, 401, 403, 404))
    if status not in GOOD or not isinstance(answer, Mapping):
        return  # no authentication, or a version that does not tell
    roles = answer.get("roles") or ()
    if not roles and sees_all(rest):
        return  # role-based access is off
    missing = missing_rights(roles, needed, tuple(collections))
    if missing:
        raise RightsMissing(command=command, missing=missing, user=str(answer.get("username") or ""))


def missing_rights(
    roles: Sequence[Mapping[str, Any]], needed: Sequence[str], collections: Sequence[str]
) -> tuple[str, ...]:
    """The actions that no role allows, each with the collection that it is missing for. Pure."""
    if any(role.get("name") in _ALL_POWERFUL for role in roles):
        return ()
    permissions = [entry for role in roles for entry in role.get("permissions") or ()]
    return tuple(
        f"{action} on {collection}"
        for action in needed
        for collection in collections or ("*",)
        if not any(_allows(entry, action, collection) for entry in permissions)
    )


def _allows(permission: Mapping[str, Any], action: str, collection: str) -> bool:
    if permission.get("action") != action:
        return False
    filters = [each for each in permission.values() if isinstance(each, Mapping) and "collection" in each]
    return not filters or any(fnmatchcase(collection, str(each["collection"])) for each in filters)
