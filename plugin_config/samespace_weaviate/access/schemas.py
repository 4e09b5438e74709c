"""Collections, aliases, tenants and nodes, over REST.

Not through weaviate-client: what it makes of a schema leaves out settings, and it fails on a collection that has both a
vector without a name and named ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from samespace.errors import WeaviateError, WeaviateUnavailable

from ..pinning.index import HNSW, Index
from ..pinning.spec import MODULE
from .rest import GOOD, Rest, class_path
from .values import Node, Shard

_STATES: Final = {"HOT": "HOT", "ACTIVE": "HOT", "COLD": "COLD", "INACTIVE": "COLD"}
_OWN_VIEW: Final = {"consistency": "false"}
"""A node that is asked with this header answers by itself; else it asks the leader."""


def sees_all(rest: Rest) -> bool:
    """Whether the key in use may see every collection and alias: what lists leave out is not told otherwise.

    A collection that nobody has is 404 for who may see everything, and 403 for who may not.
    """
    nobody = f"Samespace{uuid4().hex}"
    return rest.send("GET", f"/schema/{class_path(nobody)}", allowed=(*GOOD, 403, 404))[0] != 403


class SchemaCalls:
    """The `SchemaDatabase` of one Weaviate."""

    rest: Rest

    def names(self) -> list[str]:
        """The collections, sorted, without aliases."""
        return sorted(entry["class"] for entry in self.rest.ask("GET", "/schema")["classes"])

    def schema(self, name: str) -> dict[str, Any] | None:
        """The schema of a collection (or of an alias's), as the leader has it; None where there is none."""
        return _schema(self.rest, name, {})

    def own_schema(self, name: str) -> dict[str, Any] | None:
        """The same as the node has it that answers here, by which it encodes and searches."""
        return _schema(self.rest, name, _OWN_VIEW)

    def create(self, schema: Mapping[str, Any]) -> None:
        """Make a collection of exactly this schema."""
        self.rest.ask("POST", "/schema", schema)

    def add_property(self, name: str, entry: Mapping[str, Any]) -> None:
        """Add a property, given as REST takes it."""
        self.rest.ask("POST", f"/schema/{class_path(name)}/properties", entry)

    def add_vector(
        self, name: str, vector: str, settings: Mapping[str, Any], *, module: str = MODULE, index: Index = HNSW
    ) -> None:
        """Add a named vector. The caller makes sure that there is none of that name: it would be sent anew."""
        schema = self.schema(name)
        if schema is None:
            raise WeaviateError(f"{self.rest.address}: no collection {name}, which should have got vector {vector}")
        config = {
            "vectorizer": {module: dict(settings)},
            "vectorIndexType": index.kind,
            "vectorIndexConfig": index.config(),
        }
        schema["vectorConfig"] = {**(schema.get("vectorConfig") or {}), vector: config}
        self.rest.ask("PUT", f"/schema/{class_path(name)}", schema)

    def drop_vector(self, name: str, vector: str) -> str:
        """Drop a vector's index; "" if Weaviate did, else why it cannot."""
        path = f"/schema/{class_path(name)}/vectors/{quote(vector, safe='')}/index"
        try:
            status, _ = self.rest.send("DELETE", path, allowed=(*GOOD, 404, 405))
        except WeaviateUnavailable:
            raise
        except WeaviateError as error:
            return str(error)
        return "" if status in GOOD else "this version cannot drop a vector; 1.37 and later can"

    def delete_collection(self, name: str) -> None:
        """Delete a collection and all its objects; no error where there is none."""
        self.rest.ask("DELETE", f"/schema/{class_path(name)}")

    def sees_all(self) -> bool:
        """Whether `names` and `aliases` are all that there are; else those that the key may see."""
        return sees_all(self.rest)

    def has_aliases(self) -> bool:
        """Whether this Weaviate knows aliases at all; they came with version 1.32."""
        return self.rest.send("GET", "/aliases", allowed=(*GOOD, 404))[0] != 404

    def aliases(self) -> dict[str, str]:
        """From each alias that the key may see to its collection; none where this Weaviate knows no aliases."""
        _, answer = self.rest.send("GET", "/aliases", allowed=(*GOOD, 404))
        found = answer.get("aliases") if isinstance(answer, Mapping) else None
        return {entry["alias"]: entry["class"] for entry in found or ()}

    def alias_target(self, alias: str) -> str:
        """The collection that *alias* points to; "" where there is no such alias.

        Raises:
            WeaviateError: the key in use may not see it, which a list of aliases does not tell from absence.
        """
        status, answer = self.rest.send("GET", f"/aliases/{class_path(alias)}", allowed=(*GOOD, 404))
        return str(answer["class"]) if status in GOOD else ""

    def make_alias(self, alias: str, name: str) -> None:
        """Make an alias; refused where there is one of that name."""
        self.rest.ask("POST", "/aliases", {"alias": alias, "class": name})

    def point_alias(self, alias: str, name: str) -> None:
        """Make *alias* point to the collection *name*, in one atomic step; it is made if it is not there."""
        if self.alias_target(alias):
            self.rest.ask("PUT", f"/aliases/{class_path(alias)}", {"class": name})
        else:
            self.make_alias(alias, name)

    def delete_alias(self, alias: str) -> None:
        """Delete an alias; no error where there is none."""
        self.rest.send("DELETE", f"/aliases/{class_path(alias)}", allowed=(*GOOD, 404))

    def tenants(self, name: str, some: Sequence[str] = ()) -> dict[str, bool]:
        """Tenant to whether its objects can be read now; empty for a collection without tenants.

        Args:
            some: those that are asked for, () for all.

        Raises:
            WeaviateError: the key in use may not see all of them.
        """
        schema = self.schema(name) or {}
        if not (schema.get("multiTenancyConfig") or {}).get("enabled"):
            return {}
        states = {tenant: self.tenant_state(name, tenant) for tenant in some} if some else self.tenant_states(name)
        return {tenant: state == "HOT" for tenant, state in states.items() if state}

    def tenant_states(self, name: str) -> dict[str, str]:
        """Tenant to its state: HOT, COLD or anything else that cannot be read at once.

        Raises:
            WeaviateError: the key in use may not see every tenant, which the list does not tell from absence.
        """
        path = f"/schema/{class_path(name)}/tenants"
        found = self.rest.ask("GET", path)
        nobody = f"samespace{uuid4().hex}"  # as for `sees_all`
        if self.rest.send("GET", f"{path}/{nobody}", allowed=(*GOOD, 403, 404))[0] == 403:
            raise WeaviateError(
                f"{self.rest.address}: the key in use may not see every tenant of {name}, and the list leaves out the "
                "others: read_tenants on all of them is missing"
            )
        return {entry["name"]: _STATES.get(entry["activityStatus"], entry["activityStatus"]) for entry in found}

    def tenant_state(self, name: str, tenant: str) -> str:
        """The state of one tenant; "" where there is none."""
        path = f"/schema/{class_path(name)}/tenants/{quote(tenant, safe='')}"
        status, answer = self.rest.send("GET", path, allowed=(*GOOD, 404))
        return "" if status == 404 else _STATES.get(answer["activityStatus"], answer["activityStatus"])

    def set_tenant_state(self, name: str, tenant: str, state: str) -> None:
        """Give a tenant a state; it is made if it is not there."""
        found = self.tenant_state(name, tenant)
        if found != state:
            body = [{"name": tenant, "activityStatus": state}]
            self.rest.ask("PUT" if found else "POST", f"/schema/{class_path(name)}/tenants", body)

    def add_tenant(self, name: str, tenant: str) -> None:
        """Make a tenant."""
        self.rest.ask("POST", f"/schema/{class_path(name)}/tenants", [{"name": tenant}])

    def remove_tenant(self, name: str, tenant: str) -> None:
        """Delete a tenant with its objects."""
        self.rest.ask("DELETE", f"/schema/{class_path(name)}/tenants", [tenant])

    def nodes(self) -> list[Node]:
        """The nodes, each with the replicas that it holds; their objects are counted now and then."""
        found = self.rest.ask("GET", "/nodes", query={"output": "verbose"})["nodes"]
        return [_node(entry) for entry in found or ()]

    def node_names(self) -> frozenset[str]:
        """The names of all nodes, also of those that are away at the moment.

        `nodes` leaves out a node that has been away for some seconds; the members of the schema's consensus stay.

        Raises:
            WeaviateError: the key in use may read neither.
        """
        status, answer = self.rest.send("GET", "/cluster/statistics", allowed=(*GOOD, 401, 403, 404))
        members = {
            str(member["id"])
            for entry in (answer.get("statistics") if status in GOOD else None) or ()
            for member in (entry.get("raft") or {}).get("latestConfiguration") or ()
        }
        status, answer = self.rest.send("GET", "/nodes", allowed=(*GOOD, 401, 403) if members else GOOD)
        there = {str(entry["name"]) for entry in (answer.get("nodes") if status in GOOD else None) or ()}
        return frozenset(members | there)

    def shards(self, name: str) -> list[Shard]:
        """The replicas of a collection's shards; of one with tenants, those that are loaded."""
        return self.rest.patience.ask(lambda: self._shards(name), is_back=self.rest.is_ready)

    def _shards(self, name: str) -> list[Shard]:
        path = f"/nodes/{class_path(name)}"
        status, answer = self.rest.send("GET", path, query={"output": "verbose"}, allowed=(*GOOD, 404))
        if status == 404:
            schema = self.schema(name)
            if schema is None:
                raise WeaviateError(f"{self.rest.address}: no collection {name}")
            if schema["class"] != name:  # an alias, which this call does not know on every version
                return self._shards(str(schema["class"]))
            # Right after a restart a node does not know yet what the leader has.
            raise WeaviateUnavailable(address=str(self.rest.address), reason=f"it does not know {name} yet")
        return [shard for entry in answer["nodes"] or () for shard in _node(entry).shards]

    def now_ms(self) -> int:
        """Weaviate's clock, cut to the whole second."""
        reply = self.rest.patience.ask(
            lambda: self.rest.exchange("GET", "/.well-known/live"), is_back=self.rest.is_ready
        )
        return int(parsedate_to_datetime(reply.headers["date"]).timestamp()) * 1000


def _schema(rest: Rest, name: str, headers: Mapping[str, str]) -> dict[str, Any] | None:
    status, answer = rest.send("GET", f"/schema/{class_path(name)}", headers=headers, allowed=(200, 404))
    return dict(answer) if status == 200 else None


def _node(entry: Mapping[str, Any]) -> Node:
    name = str(entry["name"])
    shards = tuple(
        Shard(
            name=str(shard["name"]),
            node=name,
            objects=int(shard.get("objectCount") or 0),
            indexing=str(shard.get("vectorIndexingStatus") or ""),
            collection=str(shard.get("class") or ""),
            queued=int(shard.get("vectorQueueLength") or 0),
        )
        for shard in entry.get("shards") or ()
    )
    return Node(name, str(entry.get("status") or ""), str(entry.get("version") or ""), shards)
