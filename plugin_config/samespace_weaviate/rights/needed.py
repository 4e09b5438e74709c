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
_ALL: Final = "*"


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


def require_rights(rest: Rest, command: str, collections: Iterable[str], tenants: Sequence[str] = ()) -> None:
    """Return if the key in use may do what *command* needs with each of *collections*.

    A role may be limited to some tenants, objects or aliases. Lists leave out what it may not see without a word, so
    what is counted, copied or deleted by them has to be covered whole.

    Args:
        tenants: that the command keeps to; () where it works on all.

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
    missing = missing_rights(roles, needed, tuple(collections), tuple(tenants))
    if missing:
        raise RightsMissing(command=command, missing=missing, user=str(answer.get("username") or ""))


def missing_rights(
    roles: Sequence[Mapping[str, Any]], needed: Sequence[str], collections: Sequence[str], tenants: Sequence[str] = ()
) -> tuple[str, ...]:
    """The actions that no role allows, each with the collection (and tenant) that it is missing for. Pure."""
    if any(role.get("name") in _ALL_POWERFUL for role in roles):
        return ()
    permissions = [entry for role in roles for entry in role.get("permissions") or ()]
    # Who changes aliases has to see all of them: one that is hidden would be left to point at what is gone.
    subjects = {"object": _ALL, "verbosity": "verbose"} | ({"alias": _ALL} if "update_aliases" in needed else {})
    wanted = [
        (action, subjects | {"collection": collection, "tenant": tenant})
        for action in needed
        for collection in collections or (_ALL,)
        for tenant in (tenants if tenants and action.partition("_")[2] in ("data", "tenants") else (_ALL,))
    ]
    return tuple(
        _sentence(action, subject, permissions)
        for action, subject in wanted
        if not any(_allows(entry, action, subject) for entry in permissions)
    )


def _allows(permission: Mapping[str, Any], action: str, subject: Mapping[str, str]) -> bool:
    """Whether the filters of a permission cover *subject*: each a name, or * for every one."""
    if permission.get("action") != action:
        return False
    filters = [each for each in permission.values() if isinstance(each, Mapping)]
    return all(
        fnmatchcase(subject[key], str(each.get(key) or _ALL)) for each in filters for key in subject if key in each
    )


def _sentence(action: str, subject: Mapping[str, str], permissions: Sequence[Mapping[str, Any]]) -> str:
    collection, tenant = subject["collection"], subject["tenant"]
    narrower = [
        f"{key} {each[key]}"
        for entry in permissions
        if _allows(entry, action, {"collection": collection})
        for each in entry.values()
        if isinstance(each, Mapping)
        for key in ("tenant", "object", "alias", "verbosity")
        if str(each.get(key) or _ALL) not in (_ALL, "verbose")
    ]
    of = f" of tenant {tenant}" if tenant != _ALL else ""
    return f"{action} on {collection}{of}" + (f" (it is limited to {', '.join(narrower)})" if narrower else "")
