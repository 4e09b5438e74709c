"""Role-based access on a real Weaviate: each command works with its role, and says at once what is missing without."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from fakes.weaviate.nodes import Node, weaviate_nodes
from samespace.cli.weaviate import weaviate
from samespace.errors import MigrationBlocked, WeaviateError
from samespace_weaviate import Store
from samespace_weaviate.access.address import Address
from samespace_weaviate.rights.needed import RightsMissing
from samespace_weaviate.rights.roles import ROLES

LIMITED = {"tenant": "a*", "alias": "A*"}
"""Filters that some users' roles have in place of *, one each."""
USERS = ("root", *(role.name for role in ROLES), *(f"one-{key}" for key in LIMITED), "nobody")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A Weaviate with roles, each given to the user of its name, and without GraphQL."""
    binary = os.environ.get("WEAVIATE_BINARY")
    if not binary:
        pytest.skip("WEAVIATE_BINARY does not name a Weaviate that tests may start")
    settings = {
        "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
        "AUTHENTICATION_APIKEY_ENABLED": "true",
        "AUTHENTICATION_APIKEY_ALLOWED_KEYS": ",".join(f"{user}-key" for user in USERS),
        "AUTHENTICATION_APIKEY_USERS": ",".join(USERS),
        "AUTHORIZATION_RBAC_ENABLED": "true",
        "AUTHORIZATION_RBAC_ROOT_USERS": "root",
        "DISABLE_GRAPHQL": "true",
    }
    with weaviate_nodes(Path(binary), tmp_path_factory.mktemp("rbac"), environment=settings) as nodes:
        with httpx.Client(base_url=f"{nodes[0].url}/v1", headers=nodes[0].headers) as root:
            for role in ROLES:
                root.post("/authz/roles", json=role.to_json("Rights*")).raise_for_status()
                body = {"roles": [f"samespace_{role.name}"], "userType": "db"}
                root.post(f"/authz/users/{role.name}/assign", json=body).raise_for_status()
            migrator = next(role for role in ROLES if role.name == "migrator")
            for key, pattern in LIMITED.items():
                body = migrator.to_json("Rights*") | {"name": f"one-{key}"}
                for entry in body["permissions"]:
                    for filters in entry.values():
                        if isinstance(filters, dict) and key in filters:
                            filters[key] = pattern
                root.post("/authz/roles", json=body).raise_for_status()
                assigned = {"roles": [f"one-{key}"], "userType": "db"}
                root.post(f"/authz/users/one-{key}/assign", json=assigned).raise_for_status()
        yield nodes[0]


@pytest.fixture
def run(node: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Run a command as a user; its result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEAVIATE_URL", node.url)
    monkeypatch.setenv("WEAVIATE_GRPC_PORT", str(node.grpc_port))

    def as_user(user: str, *command: str):  # type: ignore[no-untyped-def]
        monkeypatch.setenv("WEAVIATE_API_KEY", f"{user}-key")
        return CliRunner().invoke(weaviate, list(command))

    return as_user


def test_each_command_works_with_its_role_and_says_what_is_missing(  # type: ignore[no-untyped-def]
    run, tiny_artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    """From an empty Weaviate to a finished migration, each step by the user with the least rights for it."""
    encoder, new = str(tiny_artifact), str(other_artifact)
    (tmp_path / "docs.jsonl").write_text(
        "".join(json.dumps({"id": str(n), "text": f"text {n}"}) + "\n" for n in range(20))
    )
    create = ("create", "Rights", "--encoder", encoder, "--route", "none", "--long-texts", "pool")
    fill = ("import", "Rights", "docs.jsonl", "--encoder", encoder)
    audit = ("audit", "Rights", "--encoder", encoder)
    to_new = ("migrate", "Rights", "--alias", "RightsAlias", "--to", new, "--server", "http://127.0.0.1:9", "--yes")
    to_new = (*to_new, "--force")  # no encoder listens there

    def refused(user: str, command: tuple[str, ...], missing: str) -> None:
        result = run(user, *command)
        assert isinstance(result.exception, RightsMissing), (user, command, result.output)
        assert missing in str(result.exception)

    refused("importer", create, "create_collections on Rights")
    assert run("migrator", *create).exit_code == 0
    refused("reader", fill, "create_data on Rights")
    assert run("importer", *fill).exit_code == 0
    for user in ("application", "reader"):
        assert "text 3" in run(user, "search", "Rights", "text 3", "--encoder", encoder).output
    refused("reader", audit, "read_nodes on Rights")
    assert run("auditor", *audit).exit_code == 0
    assert run("importer", "repair", "Rights", "--encoder", encoder).exit_code == 0
    refused("importer", to_new, "create_collections on Rights")
    assert not (tmp_path / "Rights.migration").exists()
    assert run("migrator", *to_new).exit_code == 0
    finish = ("migrate", "Rights", "--finish", "--yes")
    blocked = run("migrator", *finish).exception
    assert isinstance(blocked, MigrationBlocked) and "its server does not encode a text" in str(blocked)
    assert run("migrator", *finish, "--force").exit_code == 0


def test_each_role_may_look_at_every_node(run, node: Node, tiny_artifact: Path) -> None:  # type: ignore[no-untyped-def]
    """With --node, commands ask who the members are and for each node's own schema; without read_cluster none may."""
    encoder = str(tiny_artifact)
    create = ("create", "RightsNodes", "--encoder", encoder, "--route", "none", "--long-texts", "pool")
    assert run("migrator", *create).exit_code == 0
    for user in (role.name for role in ROLES):
        checked = run(user, "check", "RightsNodes", "--offline", "--node", node.url)
        assert checked.exit_code == 0, (user, checked.output, checked.exception)
        found = run(user, "search", "RightsNodes", "x", "--encoder", encoder, "--node", node.url)
        assert found.exit_code == 0, (user, found.output, found.exception)
    assert run("auditor", "audit", "RightsNodes", "--encoder", encoder, "--node", node.url).exit_code == 0
    assert "read_cluster" in str(run("nobody", "audit", "RightsNodes", "--encoder", encoder).exception)


def test_an_empty_answer_is_not_allowed_to_see(run, node: Node) -> None:  # type: ignore[no-untyped-def]
    """A key without rights is told so, and never that there are no collections."""
    result = run("nobody", "check")
    assert result.exit_code == 1 and "not allowed to see" in str(result.exception)
    assert "There are no collections" not in result.output
    assert run("migrator", "create", "RightsHidden", "--encoder", "a" * 64, "--route", "none").exit_code == 0
    with Store.connect(Address("127.0.0.1", node.rest_port, False, node.grpc_port, api_key="root-key")) as root:
        root.point_alias("RightsHiddenAlias", "RightsHidden")
        assert root.sees_all() and root.alias_target("RightsHiddenAlias") == "RightsHidden"
    with Store.connect(Address("127.0.0.1", node.rest_port, False, node.grpc_port, api_key="nobody-key")) as store:
        assert store.aliases() == {} and not store.sees_all()
        with pytest.raises(WeaviateError, match="403"):  # not "": a migration would take it for gone
            store.alias_target("RightsHiddenAlias")
    partly = run("reader", "check", "--offline")
    assert "only those that it may see are checked" in partly.output or "not allowed to see" in str(partly.exception)


def test_a_role_for_a_part_does_not_migrate_or_audit_the_whole(  # type: ignore[no-untyped-def]
    run, node: Node, tiny_artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    """Weaviate leaves other tenants and aliases out of its lists, so they would be lost and nobody would say so."""
    encoder = str(tiny_artifact)
    create = (
        "create",
        "RightsParts",
        "--encoder",
        encoder,
        "--route",
        "none",
        "--long-texts",
        "pool",
        "--multi-tenant",
    )
    assert run("migrator", *create).exit_code == 0
    rows = [json.dumps({"id": str(n), "text": f"text {n}", "who": f"{'ab'[n % 2]}1"}) for n in range(20)]
    (tmp_path / "parts.jsonl").write_text("\n".join(rows) + "\n")
    fill = ("import", "RightsParts", "parts.jsonl", "--encoder", encoder, "--tenant-property", "who")
    assert run("importer", *fill).exit_code == 0
    to_new = ("migrate", "RightsParts", "--alias", "RightsPartsAlias", "--to", str(other_artifact))
    to_new = (*to_new, "--server", "http://127.0.0.1:9", "--yes")
    for user, command in (
        ("one-tenant", to_new),
        ("one-alias", to_new),
        ("one-tenant", ("audit", "RightsParts", "--encoder", encoder)),
    ):
        key = user.removeprefix("one-")
        result = run(user, *command)
        assert isinstance(result.exception, RightsMissing), result.output
        assert f"limited to {key} {LIMITED[key]}" in str(result.exception)
    address = Address("127.0.0.1", node.rest_port, False, node.grpc_port, api_key="one-tenant-key")
    with Store.connect(address) as store:  # where rights are taken away in the middle, Weaviate only lists less
        assert store.tenants("RightsParts", ["a1"]) == {"a1": True}
        with pytest.raises(WeaviateError, match="may not see every tenant of RightsParts"):
            store.tenant_states("RightsParts")
    own = run("one-tenant", "audit", "RightsParts", "--encoder", encoder, "--tenant", "a1")
    assert own.exit_code == 0, own.output
    assert isinstance(
        run("one-tenant", "audit", "RightsParts", "--encoder", encoder, "--tenant", "b1").exception, RightsMissing
    )
