"""samespace_weaviate.pinning.check, with unpinned, collisions and served"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest

from fakes.weaviate.database import OTHER_SPACE, SPACE
from samespace.errors import ConfigInvalid
from samespace_weaviate import CollectionSpec, PinCheck, Severity
from samespace_weaviate.pinning import served as served_module
from samespace_weaviate.pinning.check import Inventory, check_all
from samespace_weaviate.pinning.collisions import colliding_names
from samespace_weaviate.pinning.sameness import SpaceSide
from samespace_weaviate.pinning.served import ASKED, Servers
from samespace_weaviate.pinning.unpinned import unpinned_vectors

SERVER = "http://encoder:8080"
TWIN_SPACE = SPACE[:12] + "c" * 52  # the same first 12 digits


def inventory(*specs: CollectionSpec, **aliases: str) -> Inventory:
    """A Weaviate that has just these collections."""
    return Inventory(tuple(spec.schema() for spec in specs), aliases)


def says(check: PinCheck, severity: Severity) -> str:
    """All that was found of one severity."""
    return "\n".join(finding.message for finding in check.findings if finding.severity is severity)


@contextmanager
def serving(space: str, rows: Callable[[int], list[float]], **about: Any) -> Iterator[str]:
    """A server of *space* whose text number i has the vector rows(i); yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send({"server": "samespace", "spaces": [{"space_id": space, **about}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == f"/e/{space}/v1/embeddings" and asked["input_type"] in ("query", "passage")
            self._send({"data": [{"embedding": rows(place)} for place in range(len(asked["input"]))]})

        def _send(self, value: Any) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def meta(status: int, body: Any) -> Iterator[tuple[str, list[str | None]]]:
    """A server whose /meta answers this; yields its address and what was sent as authorization."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("authorization"))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status if self.path == "/meta" else 404)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


def served(*spaces: str) -> dict[str, Any]:
    """The /meta of a server with these spaces."""
    return {"server": "samespace", "spaces": [{"space_id": space} for space in spaces]}


@pytest.mark.parametrize(
    ("status", "body", "worst", "expected"),
    [
        (200, served(OTHER_SPACE, SPACE), Severity.FINE, "serves it"),
        (200, served(OTHER_SPACE), Severity.BROKEN, OTHER_SPACE),
        (200, served(), Severity.BROKEN, "nothing"),
        (200, {"model": "t2v"}, Severity.UNSAFE, "not a samespace server"),
        (200, b"<html>", Severity.UNSAFE, "not a samespace server"),
        (404, {}, Severity.UNSAFE, "not a samespace server"),
        (401, {}, Severity.FINE, "NOT asked"),
        (503, {}, Severity.FINE, "NOT asked"),
    ],
)
def test_the_server_behind_the_url_is_asked(status: int, body: Any, worst: Severity, expected: str) -> None:
    """A right schema in front of the wrong server is broken; one that cannot be asked is said to be unasked."""
    with meta(status, body) as (address, _):
        (found,) = check_all(inventory(CollectionSpec("A", SPACE, address)), servers=Servers())
    assert found.worst is worst
    assert expected in says(found, worst)


def test_several_servers_behind_one_address_are_seen() -> None:
    """A load balancer in the middle of a deployment: every other connection leads to a server of another space."""
    with meta(200, served(SPACE)) as (right, _), meta(200, served(OTHER_SPACE)) as (wrong, _):
        turns = itertools.cycle((right, wrong))
        ask = served_module._ask
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(served_module, "_ask", lambda base, ca, timeout_s: ask(next(turns), ca, timeout_s))
            (found,) = check_all(inventory(CollectionSpec("A", SPACE, right)), servers=Servers())
    assert found.worst is Severity.BROKEN
    assert "several servers are behind it, and they differ" in says(found, Severity.UNSAFE)


def one(place: int) -> list[float]:
    return [1.0, 0.0, float(place)]


def other(place: int) -> list[float]:
    return [1.0, 0.3, float(place)]


@pytest.mark.parametrize(
    ("rows", "bound", "worst", "expected"),
    [
        (one, 1e-6, Severity.FINE, "gives the vectors of artifacts/mine"),
        (other, 1e-6, Severity.BROKEN, "gives other vectors than artifacts/mine, and both say this space"),
        (other, 0.02, Severity.FINE, "gives the vectors of artifacts/mine"),
        (lambda place: [1.0], 1e-6, Severity.BROKEN, "gives other vectors"),
        (lambda place: ["x"], 1e-6, Severity.FINE, "NOT compared"),
    ],
)
def test_a_servers_vectors_are_held_against_the_encoder(
    rows: Any, bound: float, worst: Severity, expected: str
) -> None:
    """Whatever the ids say: what it gives for texts made now has to be what the named encoder gives."""
    right = SpaceSide(
        SPACE, "artifacts/mine", 1e-6, lambda texts, _: np.array([one(place) for place in range(len(texts))], "f4")
    )
    with serving(SPACE, rows, bound=bound) as address:
        (found,) = check_all(inventory(CollectionSpec("A", SPACE, address)), servers=Servers(right=right))
    assert found.worst is worst
    assert expected in says(found, worst)


def test_two_servers_of_one_space_are_held_against_each_other() -> None:
    """Without an encoder too: two collections whose servers say one id and give two kinds of vectors."""
    with serving(SPACE, one, bound=1e-6) as first, serving(SPACE, other, bound=1e-6) as second:
        specs = CollectionSpec("A", SPACE, first), CollectionSpec("B", SPACE, second)
        a, b = check_all(inventory(*specs), servers=Servers())
        same = check_all(inventory(specs[0], CollectionSpec("C", SPACE, first)), servers=Servers())
    assert a.worst is Severity.FINE and b.worst is Severity.BROKEN
    assert f"{second} gives other vectors than {first}" in says(b, Severity.BROKEN)
    assert all(each.worst is Severity.FINE for each in same)


def test_the_server_that_queries_go_to_is_asked_too() -> None:
    """Objects and queries of one collection can be sent to two servers."""
    with meta(200, served(SPACE)) as (objects, _), meta(200, served(OTHER_SPACE)) as (queries, _):
        schema = CollectionSpec("A", SPACE, objects).schema()
        settings = schema["vectorConfig"][f"e_{SPACE[:12]}"]["vectorizer"]["text2vec-transformers"]
        url = settings.pop("inferenceUrl")
        settings |= {"passageInferenceUrl": url, "queryInferenceUrl": url.replace(objects, queries)}
        (found,) = check_all(Inventory((schema,), {}), servers=Servers())
    assert f"{queries} does not serve space" in says(found, Severity.BROKEN)


def test_a_server_is_asked_for_all_its_collections_and_with_the_token_of_the_url() -> None:
    """Two collections of one server cost no more than one; the token is sent and not printed."""
    with meta(200, served(SPACE)) as (address, seen):
        url = address.replace("//", "//weaviate:a%2Ftoken@")
        found = check_all(
            inventory(CollectionSpec("A", SPACE, url), CollectionSpec("B", SPACE, url)), servers=Servers()
        )
    assert seen == ["Basic d2VhdmlhdGU6YS90b2tlbg=="] * ASKED
    assert "token" not in "".join(says(each, Severity.FINE) for each in found)


def test_a_server_may_be_reached_elsewhere_than_by_weaviate() -> None:
    """Names of a container network mean nothing here; an address that does not answer is no finding against the pin."""
    spec = CollectionSpec("A", SPACE, "http://127.0.0.1:9")
    with meta(200, served(OTHER_SPACE)) as (address, _):
        (elsewhere,) = check_all(inventory(spec), servers=Servers(address))
    (unreachable,) = check_all(inventory(spec), servers=Servers())
    (offline,) = check_all(inventory(spec))
    assert (elsewhere.worst, unreachable.worst, offline.worst) == (Severity.BROKEN, Severity.FINE, Severity.FINE)
    assert "NOT asked" in says(unreachable, Severity.FINE)
    with pytest.raises(ConfigInvalid, match="expected http"):
        Servers("localhost:8080")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"baseURL": f"{SERVER}/e/{OTHER_SPACE}"}, OTHER_SPACE),
        ({"baseURL": "https://api.cohere.ai"}, "names no space"),
        ({"model": OTHER_SPACE}, OTHER_SPACE),
        ({"model": "embed-v4.0"}, "embed-v4.0"),
    ],
)
def test_a_changed_cohere_route_is_broken(change: dict[str, str], expected: str) -> None:
    """Unchanged it is unsafe, because it can be changed and redirected."""
    schema = CollectionSpec("A", SPACE, SERVER, route="cohere").schema()
    (found,) = check_all(Inventory((schema,), {}))
    assert found.worst is Severity.UNSAFE
    assert "X-Cohere-Baseurl" in says(found, Severity.UNSAFE)
    schema["vectorConfig"]["e_" + SPACE[:12]]["vectorizer"]["text2vec-cohere"].update(change)
    (found,) = check_all(Inventory((schema,), {}))
    assert found.worst is Severity.BROKEN
    assert expected in says(found, Severity.BROKEN)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"vectorizer": "text2vec-transformers"}, "TRANSFORMERS_INFERENCE_API"),
        (
            {"vectorConfig": {"v": {"vectorizer": {"text2vec-transformers": {}}}}},
            "vector v .*TRANSFORMERS_INFERENCE_API",
        ),
        (
            {"vectorConfig": {"v": {"vectorizer": {"text2vec-transformers": {"inferenceUrl": "http://x"}}}}},
            "at http://x",
        ),
        ({"vectorConfig": {"v": {"vectorizer": {"text2vec-openai": {"model": "m"}}}}}, "model m.*X-Openai-Baseurl"),
        ({"vectorConfig": {"v": {"vectorizer": {"text2vec-jinaai": {}}}}}, "update of the schema"),
        ({"vectorConfig": {"v": {"vectorizer": {"none": {}}}}}, "any encoder"),
        ({"vectorizer": "none"}, "without a name.*any encoder"),
    ],
)
def test_an_unpinned_vector_is_told_how_its_encoder_can_change(schema: dict[str, Any], expected: str) -> None:
    """Each module has its own hole; a vector without a name has one too."""
    (sentence,) = unpinned_vectors(schema, frozenset())
    assert re.search(expected, sentence)


def test_a_vector_without_a_name_beside_named_ones_is_seen() -> None:
    """A collection of before named vectors keeps its old vector when a pinned one is added."""
    schema = {**CollectionSpec("A", SPACE, SERVER).schema(), "vectorizer": "text2vec-transformers"}
    (found,) = check_all(Inventory((schema,), {}))
    assert found.worst is Severity.UNSAFE
    assert "vector without a name" in says(found, Severity.UNSAFE)


def test_spaces_that_begin_alike_are_found_in_both_collections() -> None:
    """Their vectors have one name; nothing but the full ids tells them apart."""
    found = check_all(inventory(CollectionSpec("A", SPACE, SERVER), CollectionSpec("B", TWIN_SPACE, SERVER)))
    for check in found:
        assert check.worst is Severity.UNSAFE
        assert SPACE in says(check, Severity.UNSAFE)
        assert TWIN_SPACE in says(check, Severity.UNSAFE)
    alone = check_all(inventory(CollectionSpec("A", SPACE, SERVER), CollectionSpec("B", OTHER_SPACE, SERVER)))
    assert {check.worst for check in alone} == {Severity.FINE}


def test_an_alias_leads_to_its_collection_and_dangling_ones_are_broken() -> None:
    """Whoever checks by the alias that programs use is told of the collection behind it."""
    has = inventory(CollectionSpec("Article_v2", SPACE, SERVER), Article="Article_v2", Gone="Article_v1")
    (found,) = check_all(has, ["article"], space_id=SPACE)
    assert (found.collection, found.worst) == ("article (alias of Article_v2)", Severity.FINE)
    assert [(each.collection, each.worst) for each in check_all(has)] == [
        ("Article_v2", Severity.FINE), ("Gone", Severity.BROKEN),
    ]  # fmt: skip
    (missing,) = check_all(has, ["Nothing"])
    assert "Article_v2" in says(missing, Severity.BROKEN)


def test_names_that_differ_in_capitals_alone_are_unsafe() -> None:
    """Weaviate takes an alias ARTICLE beside a collection Article."""
    found = colliding_names(["Article", "Other"], {"ARTICLE": "Other"})
    assert set(found) == {"Article", "ARTICLE"}
    assert {finding.severity for finding in found.values()} == {Severity.UNSAFE}
