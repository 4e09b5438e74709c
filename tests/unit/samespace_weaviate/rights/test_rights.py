"""samespace_weaviate.rights.needed and roles: what is missing is said before anything is done."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from samespace_weaviate.rights.needed import RightsMissing, missing_rights, require_rights
from samespace_weaviate.rights.roles import ROLES, render_roles

ROLE = {role.name: role for role in ROLES}


class Answers:
    """A Weaviate's REST side that answers what it was given, by path."""

    def __init__(self, own: tuple[int, Any], schema: int = 404) -> None:
        self.own, self.schema, self.asked = own, schema, list[str]()

    def send(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        self.asked.append(path)
        return self.own if path == "/users/own-info" else (self.schema, {})


def own(*roles: str, collection: str = "*") -> tuple[int, Any]:
    return 200, {"username": "ann", "roles": [ROLE[name].to_json(collection) for name in roles] or None}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_each_role_may_do_what_its_commands_need(role: Any) -> None:
    """And not what the commands of larger roles need."""
    for other in ROLES:
        for command in other.commands:
            answers = Answers(own(role.name))
            least = next(each for each in ROLES if command in each.commands)
            assert command not in role.commands or set(least.actions) <= set(role.actions)
            if set(least.actions) <= set(role.actions):
                require_rights(answers, command, ["Article"])  # type: ignore[arg-type]
            else:
                with pytest.raises(RightsMissing, match=f"what {command} needs.*--for rbac"):
                    require_rights(answers, command, ["Article"])  # type: ignore[arg-type]


def test_the_documented_permissions_are_those_that_are_asked_for() -> None:
    """Each row of the table adds to the one above it."""
    page = Path(__file__).resolve().parents[4] / "docs" / "how-to" / "limit-rights.md"
    table = page.read_text(encoding="utf-8").partition("## What each command needs")[2].partition("\n## ")[0]
    documented: dict[str, set[str]] = {}
    so_far: set[str] = set()
    for line in table.splitlines():
        commands, _, needs = line.strip("| ").partition(" | ")
        so_far = so_far | set(re.findall(r"`(\w+_\w+)`", needs))
        documented |= {command: so_far for command in re.findall(r"`(\w+)`", commands) if line.startswith("| `")}
    needed = {command: set(role.actions) for role in reversed(ROLES) for command in role.commands}
    assert documented == needed


def test_a_pattern_covers_what_it_matches() -> None:
    """A role for Article* does not do for Ticket; what is missing is named with its collection."""
    granted = own("importer", collection="Article*")[1]["roles"]
    assert missing_rights(granted, ROLE["importer"].actions, ["Article_0f16"]) == ()
    assert "create_data on Ticket" in missing_rights(granted, ROLE["importer"].actions, ["Article", "Ticket"])


def limited(role: str, **filters: str) -> Any:
    """The role with other filters than * where it has such."""
    body = ROLE[role].to_json("*")
    for entry in body["permissions"]:
        for value in entry.values():
            if isinstance(value, dict):
                value |= {key: pattern for key, pattern in filters.items() if key in value}
    return body


@pytest.mark.parametrize("filters", [{"tenant": "a*"}, {"object": "0*"}, {"alias": "A*"}, {"verbosity": "minimal"}])
def test_a_role_that_is_limited_to_a_part_does_not_do_for_the_whole(filters: dict[str, str]) -> None:
    """Lists would leave out the rest: a migration would delete it, an audit would call it fine."""
    missing = missing_rights([limited("migrator", **filters)], ROLE["migrator"].actions, ["Article"])
    (key, pattern), *_ = filters.items()
    assert missing and all(f"(it is limited to {key} {pattern})" in sentence for sentence in missing)


def test_a_limited_role_does_for_a_command_that_keeps_to_its_part() -> None:
    """One tenant of those that the role may read; each tenant has to be covered."""
    roles = [limited("auditor", tenant="a*"), limited("auditor", tenant="b1")]
    assert missing_rights(roles, ROLE["auditor"].actions, ["Article"], ["a1", "b1"]) == ()
    missing = missing_rights(roles, ROLE["auditor"].actions, ["Article"], ["a1", "b2"])
    assert {sentence.partition(" (")[0] for sentence in missing} == {
        "read_data on Article of tenant b2", "read_tenants on Article of tenant b2",
    }  # fmt: skip
    assert missing_rights([limited("auditor", alias="A*")], ROLE["auditor"].actions, ["Article"]) == ()


def test_only_the_migrator_may_change_a_schema() -> None:
    """On some versions whoever may can send a vectorizer elsewhere."""
    assert [role.name for role in ROLES if "update_collections" in role.actions] == ["migrator"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_where_weaviate_does_not_tell_nothing_is_missing(status: int) -> None:
    """No authentication, or an old version: the calls themselves will be refused where they have to be."""
    require_rights(Answers((status, {})), "migrate", ["A"])  # type: ignore[arg-type]


def test_no_roles_are_no_rights_unless_access_is_not_role_based() -> None:
    """A user without roles looks the same in both cases; a collection that nobody has tells them apart."""
    require_rights(Answers(own(), schema=404), "import", ["A"])  # type: ignore[arg-type]
    with pytest.raises(RightsMissing, match="read_collections on A"):
        require_rights(Answers(own(), schema=403), "import", ["A"])  # type: ignore[arg-type]


def test_root_may_do_everything() -> None:
    """Weaviate's own role is not looked into."""
    answer = (200, {"username": "root", "roles": [{"name": "root", "permissions": []}]})
    require_rights(Answers(answer), "migrate", ["A"])  # type: ignore[arg-type]


def test_what_is_printed_are_bodies_that_rest_takes() -> None:
    """One JSON object a role, each action with the filter that it needs."""
    bodies = [json.loads(line) for line in render_roles("Article*").splitlines() if line.startswith("{")]
    assert [body["name"] for body in bodies] == [f"samespace_{role.name}" for role in ROLES]
    for body in bodies:
        for entry in body["permissions"]:
            if entry == {"action": "read_cluster"}:
                continue  # is of the whole Weaviate
            (filters,) = (value for key, value in entry.items() if key != "action")
            assert filters["collection"] == "Article*"
