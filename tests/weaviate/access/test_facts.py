"""What Weaviate does by itself, fact by fact as docs/reference/weaviate-facts.md numbers them.

A version that behaves differently is noticed here. Two versions were seen; where they differ, every version from
`NEWER` on is expected to do as 1.40.0-dev did.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest

from fakes.server.recorder import Recorded, Recorder, Reply, embeds, recording, refuses, vector
from fakes.weaviate.go_json import REPLIES, VECTORS, Seen
from fakes.weaviate.plain_weaviate import VECTOR, Plain, cohere, no_module, plain, transformers
from samespace_weaviate import Store

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

NEWER = (1, 35)
"""Between the two versions that were seen; which release began with what the newer one does is not known."""
ROUTES = pytest.mark.parametrize(
    ("route", "words"),
    [(transformers, "fail with status {}: {}"), (cohere, "connection to Cohere failed with status: {} error: {}")],
    ids=["transformers", "cohere"],
)


@pytest.fixture(scope="module")
def weaviate(store: Store) -> Iterator[Plain]:
    with plain(store) as opened:
        if "text2vec-cohere" not in opened.rest.get("/v1/meta").json()["modules"]:
            pytest.skip("this Weaviate has no text2vec-cohere")
        yield opened


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as running:
        yield running


# -- the schema: facts 1 to 3


def test_extra_keys_are_kept(weaviate: Plain) -> None:
    """Fact 1: those of a module and those of `none` come back as they were sent."""
    name = weaviate.create({"a": transformers("http://here:1", samespaceSpace="A"), "b": no_module(samespaceSpace="B")})
    found = weaviate.config(name)
    assert found["a"]["vectorizer"]["text2vec-transformers"]["samespaceSpace"] == "A"
    assert found["b"]["vectorizer"]["none"] == {"samespaceSpace": "B"}


@pytest.mark.parametrize("key", ["inferenceUrl", "samespaceSpace", "properties", "added"])
def test_a_change_of_settings_is_refused_and_newer_versions_make_it_all_the_same(weaviate: Plain, key: str) -> None:
    """Fact 2: 422 on both; 1.40.0-dev has the new value nevertheless, and takes the same request a second time."""
    name = weaviate.create({VECTOR: transformers("http://here:1", samespaceSpace="A")})
    before = weaviate.config(name)
    wanted = transformers("http://here:1", samespaceSpace="A")
    wanted["vectorizer"]["text2vec-transformers"][key] = ["text", "x"] if key == "properties" else "http://there:2"
    replies = [weaviate.put(name, {VECTOR: {**before[VECTOR], **wanted}}) for _ in range(2)]
    assert replies[0].status_code == 422
    assert f'vectorizer config of vector "{VECTOR}" is immutable' in replies[0].text.replace("\\", "")
    if weaviate.version < NEWER:
        assert replies[1].status_code == 422
        assert weaviate.config(name) == before
    else:
        assert replies[1].status_code == 200
        assert weaviate.config(name) != before


def test_the_name_of_a_vector_and_its_module_cannot_be_changed(weaviate: Plain) -> None:
    """Fact 2: what the pin stands on. A second attempt changes nothing either."""
    name = weaviate.create({VECTOR: transformers("http://here:1")})
    before = weaviate.config(name)
    for vectors in ({"other": before[VECTOR]}, {}, {VECTOR: {**before[VECTOR], "vectorizer": {"none": {}}}}):
        for _ in range(2):
            assert weaviate.put(name, vectors).status_code == 422
    assert weaviate.config(name) == before


@pytest.mark.parametrize("key", ["baseURL", "model"])
def test_coheres_address_and_model_can_be_changed_on_newer_versions(weaviate: Plain, key: str) -> None:
    """Fact 3: refused by 1.34.2, done at once by 1.40.0-dev."""
    name = weaviate.create({VECTOR: cohere("http://here:1")})
    before = weaviate.config(name)
    settings = {**before[VECTOR]["vectorizer"]["text2vec-cohere"], key: "http://there:2"}
    reply = weaviate.put(name, {VECTOR: {**before[VECTOR], "vectorizer": {"text2vec-cohere": settings}}})
    assert (reply.status_code == 200, weaviate.config(name) != before) == (weaviate.version >= NEWER,) * 2


def test_descriptions_can_be_changed(weaviate: Plain) -> None:
    """Fact 2: so nothing that has to hold is kept in one."""
    name = weaviate.create({VECTOR: no_module()})
    schema = weaviate.rest.get(f"/v1/schema/{name}").json()
    assert weaviate.rest.put(f"/v1/schema/{name}", json={**schema, "description": "another"}).status_code == 200
    assert weaviate.rest.get(f"/v1/schema/{name}").json()["description"] == "another"


# -- names: facts 4 and 5


def test_a_vector_of_an_unknown_name_is_refused_also_in_a_batch(weaviate: Plain) -> None:
    """Fact 4: whoever names vectors after their space cannot mix."""
    name = weaviate.create({VECTOR: no_module()})
    told = f"collection {name} does not have configuration for vector other"
    reply = weaviate.insert(name, "a", vectors={"other": [1.0] * 3})
    assert (reply.status_code, told in reply.text) == (422, True)
    objects = [{"class": name, "properties": {"text": "a"}, "vectors": {key: [1.0] * 3}} for key in (VECTOR, "other")]
    results = weaviate.rest.post("/v1/batch/objects", json={"objects": objects}).json()
    assert [told in str(each["result"]) for each in results] == [False, True]
    assert [sorted(each) for each in weaviate.vectors(name)] == [[VECTOR]]


def test_what_has_no_name_goes_to_the_only_vector(weaviate: Plain, recorder: Recorder) -> None:
    """Fact 5: an insert and a query; where there are two vectors, both are refused."""
    name = weaviate.create({VECTOR: transformers(recorder.url)})
    assert weaviate.insert(name, "a", vector=vector("b")).status_code == 200
    assert recorder.take() == []
    assert weaviate.vectors(name)[0][VECTOR] == pytest.approx(vector("b"), abs=1e-6)
    assert weaviate.near_text(name, "q") == ""
    two = weaviate.create({VECTOR: transformers(recorder.url), "w": transformers(recorder.url)})
    assert weaviate.insert(two, "a", vector=vector("b")).status_code != 200
    assert "please specify target vector name" in weaviate.near_text(two, "q")


def test_a_vector_that_is_brought_is_not_encoded_and_one_that_is_missing_is(
    weaviate: Plain, recorder: Recorder
) -> None:
    """Fact 9: while a collection has two spaces, the encoders of both have to be there."""
    name = weaviate.create({VECTOR: transformers(recorder.url), "w": transformers(f"{recorder.url}/w")})
    assert weaviate.insert(name, "a", vectors={VECTOR: vector("b")}).status_code == 200
    assert [request.path for request in recorder.take()] == ["/w/vectors"]
    recorder.answer = refuses(409, "not here")
    assert "not here" in weaviate.insert(name, "a", vectors={VECTOR: vector("b")}).text


# -- lengths: fact 6


def test_lengths_are_compared_within_a_tenant_alone(weaviate: Plain) -> None:
    """Fact 6: each tenant takes the length that comes first, and then no other."""
    tenants = {"enabled": True, "autoTenantCreation": True}
    name = weaviate.create({VECTOR: no_module()}, multiTenancyConfig=tenants)
    statuses = [
        weaviate.insert(name, "a", vectors={VECTOR: [1.0] * dims}, tenant=tenant).status_code
        for tenant, dims in (("one", 8), ("two", 3), ("one", 3))
    ]
    assert statuses == [200, 200, 500]


def test_lengths_are_compared_within_a_shard_alone(weaviate: Plain) -> None:
    """Fact 6: vectors of two lengths stand side by side in one collection, and searches for either fail."""
    name = weaviate.create({VECTOR: no_module()}, shardingConfig={"desiredCount": 2})
    assert weaviate.insert(name, "a", vectors={VECTOR: [1.0] * 8}).status_code == 200
    # An object's id is random and chooses its shard: one in two comes to the shard that is still empty.
    statuses = (weaviate.insert(name, "b", vectors={VECTOR: [1.0] * 3}).status_code for _ in range(64))
    assert 200 in statuses
    assert {len(each[VECTOR]) for each in weaviate.vectors(name)} == {3, 8}
    for dims in (3, 8):
        near = f'nearVector:{{vector:{[1.0] * dims},targetVectors:["{VECTOR}"]}}'
        reply = weaviate.rest.post("/v1/graphql", json={"query": f"{{Get{{{name}({near}){{text}}}}}}"}).json()
        assert "vector lengths don't match" in str(reply["errors"])


# -- what the encoder says: facts 7 and 8


@ROUTES
@pytest.mark.parametrize("status", [400, 409, 429, 503])
def test_the_encoders_words_reach_the_client(
    weaviate: Plain, recorder: Recorder, route: Any, words: str, status: int
) -> None:
    """Fact 7: a single insert is a 500 whatever the encoder's status was; in a batch only what failed is not stored."""
    name = weaviate.create({VECTOR: route(recorder.url)})
    recorder.answer = refuses(status, "the words")
    told = words.format(status, "the words")
    single = weaviate.insert(name, "a")
    assert (single.status_code, single.json()["error"][0]["message"]) == (
        500, f"vectorize target vector {VECTOR}: update vector: {told}",
    )  # fmt: skip
    assert weaviate.batch(name, ["a", "b"]) == [told, told]
    assert weaviate.near_text(name, "q").endswith(f"remote client vectorize: {told}")
    assert weaviate.vectors(name) == []


@ROUTES
def test_one_bad_text_costs_cohere_its_whole_request(
    weaviate: Plain, recorder: Recorder, route: Any, words: str
) -> None:
    """Fact 7: on the transformers route it costs itself alone."""
    name = weaviate.create({VECTOR: route(recorder.url)})
    recorder.answer = lambda request: (refuses(400, "bad") if "bad" in request.texts else embeds)(request)
    told = words.format(400, "bad")
    alone = route is transformers
    assert weaviate.batch(name, ["good", "bad", "fine"]) == (["", told, ""] if alone else [told] * 3)


@ROUTES
@pytest.mark.filterwarnings("ignore:Dep020")  # weaviate-client warns of what it does itself
@pytest.mark.parametrize(
    ("status", "words_sent", "again"),
    [(503, "busy", "cohere"), (503, "failed with status: 503 error: busy", "both"), (429, "busy", "none")],
)
def test_what_weaviate_client_tries_again(
    weaviate: Plain, recorder: Recorder, route: Any, words: str, status: int, words_sent: str, again: str
) -> None:
    """Fact 7: `failed with status: 503 error` anywhere in the message, and nothing else; 429 never."""
    name = weaviate.create({VECTOR: route(recorder.url)})
    requests: list[Recorded] = []

    def busy_once(request: Recorded) -> Reply:
        requests.append(request)
        return embeds(request) if len(requests) > 1 else refuses(status, words_sent)(request)

    recorder.answer = busy_once
    tried = again == "both" or (again == "cohere" and route is cohere)
    collection = weaviate.client.collections.use(name)
    with (
        pytest.warns(UserWarning, match="Bat005") if tried else nullcontext(),
        collection.batch.fixed_size(10) as batch,
    ):
        batch.add_object({"text": "a"})
    assert (len(requests), len(collection.batch.failed_objects)) == ((2, 0) if tried else (1, 1))


@pytest.mark.parametrize("seen", REPLIES, ids=lambda seen: seen.name)
def test_odd_replies_are_taken_as_the_contract_says(weaviate: Plain, recorder: Recorder, seen: Seen) -> None:
    """Fact 8: a reply of status 200 without a vector stores the object without one, and says nothing."""
    name = weaviate.create({VECTOR: (transformers if seen.spec is VECTORS else cohere)(recorder.url)})
    recorder.answer = lambda request: Reply(200, seen.body)
    status = weaviate.insert(name, "a").status_code
    kept = weaviate.vectors(name)
    outcome = "refused" if status != 200 else "stored" if kept[0].get(VECTOR) else "empty"
    assert (outcome, len(kept)) == (seen.outcome, 0 if seen.outcome == "refused" else 1)


def test_only_status_200_is_a_success(weaviate: Plain, recorder: Recorder) -> None:
    """Fact 8: 201 with a vector is an error."""
    name = weaviate.create({VECTOR: transformers(recorder.url)})
    recorder.answer = lambda request: Reply(201, {"vector": vector("a")})
    assert "fail with status 201" in weaviate.insert(name, "a").text


def test_fewer_vectors_than_texts(weaviate: Plain, recorder: Recorder) -> None:
    """Fact 8: 1.34.2 stores the object that got none, without a word; 1.40.0-dev reports the last one."""
    name = weaviate.create({VECTOR: cohere(recorder.url)})
    recorder.answer = lambda request: Reply(body={"embeddings": {"float": [vector("a")] * (len(request.texts) - 1)}})
    errors = weaviate.batch(name, ["a", "b", "c"])
    if weaviate.version < NEWER:
        assert (errors, len(weaviate.vectors(name))) == ([""] * 3, 3)
        assert sorted(len(each) for each in weaviate.vectors(name)) == [0, 1, 1]
    else:
        assert errors == ["", "", "vectorizer returned fewer vectors than requested"]


def test_an_empty_text_is_stored_without_a_vector(weaviate: Plain, recorder: Recorder) -> None:
    """Fact 8: the encoder is not asked, and nobody is told."""
    name = weaviate.create({VECTOR: transformers(recorder.url)})
    assert weaviate.batch(name, ["", "a"]) == ["", ""]
    assert [request.texts for request in recorder.take()] == [["a"]]
    assert sorted(len(each) for each in weaviate.vectors(name)) == [0, 1]


# -- writing again: fact 10


def test_an_unchanged_text_is_never_encoded_again(weaviate: Plain, recorder: Recorder) -> None:
    """Fact 10: not after the encoder was swapped, and not for a vector that was added meanwhile."""
    name = weaviate.create({VECTOR: transformers(recorder.url)})
    identity = str(uuid4())
    assert weaviate.insert(name, "a", id=identity).status_code == 200
    first = weaviate.vectors(name)
    recorder.answer = lambda request: Reply(body={"vector": vector("another encoder")})
    body = {"class": name, "id": identity, "properties": {"text": "a"}}

    def again() -> None:
        for reply in (
            weaviate.rest.put(f"/v1/objects/{name}/{identity}", json=body),
            weaviate.rest.patch(f"/v1/objects/{name}/{identity}", json=body),
            weaviate.rest.post("/v1/batch/objects", json={"objects": [body]}),
        ):
            assert reply.status_code in (200, 204), reply.text

    recorder.take()
    again()
    assert (recorder.take(), weaviate.vectors(name)) == ([], first)
    added = {**weaviate.config(name), "w": transformers(f"{recorder.url}/w")}
    assert weaviate.put(name, added).status_code == 200
    again()
    assert (recorder.take(), weaviate.vectors(name)) == ([], first)
    body["properties"] = {"text": "b"}
    assert weaviate.rest.put(f"/v1/objects/{name}/{identity}", json=body).status_code == 200
    assert sorted(request.path for request in recorder.take()) == ["/vectors", "/w/vectors"]


# -- connections: fact 11


def test_connections_are_kept_and_a_broken_one_is_an_error_on_older_versions(
    weaviate: Plain, recorder: Recorder
) -> None:
    """Fact 11: requests share a connection; where it breaks, 1.40.0-dev sends again on a new one, once or twice."""
    name = weaviate.create({VECTOR: transformers(recorder.url)})
    assert weaviate.batch(name, ["a", "b", "c"]) == [""] * 3
    assert [(each.connection, each.turn) for each in recorder.take()] == [(0, 0), (0, 1), (0, 2)]
    recorder.answer = lambda request: Reply(hang_up=True) if request.turn else embeds(request)
    reply = weaviate.insert(name, "d")
    assert reply.status_code == (500 if weaviate.version < NEWER else 200)
    assert ("EOF" in reply.text) is (weaviate.version < NEWER)


def test_redirects_are_followed_by_older_versions(weaviate: Plain, recorder: Recorder) -> None:
    """Fact 11: with the text, to wherever the reply says; 1.40.0-dev takes it for an error."""
    name = weaviate.create({VECTOR: transformers(recorder.url)})
    with recording() as elsewhere:
        recorder.answer = lambda request: Reply(307, {"error": "moved"}, {"Location": f"{elsewhere.url}/vectors"})
        reply = weaviate.insert(name, "a")
        followed = [request.texts for request in elsewhere.take()]
    older = weaviate.version < NEWER
    assert (reply.status_code, followed) == ((200, [["a"]]) if older else (500, []))


def test_a_user_in_the_address_is_sent_as_basic_auth(weaviate: Plain, recorder: Recorder) -> None:
    """Fact 12: percent-encoding is undone first."""
    name = weaviate.create({VECTOR: transformers(recorder.url.replace("://", "://weaviate:to%2Fken@"))})
    weaviate.insert(name, "a")
    weaviate.near_text(name, "q")
    sent = [request.header("Authorization") for request in recorder.take()]
    assert sent == ["Basic d2VhdmlhdGU6dG8va2Vu"] * 2  # weaviate:to/ken


def test_a_header_sends_coheres_texts_elsewhere(weaviate: Plain, recorder: Recorder) -> None:
    """Fact 14: queries, single inserts and batches; the transformers route has no such header."""
    with recording() as elsewhere:
        headers = {**weaviate.rest.headers, "X-Cohere-Api-Key": "x", "X-Cohere-Baseurl": elsewhere.url}
        for route, redirected in ((cohere, True), (transformers, False)):
            name = weaviate.create({VECTOR: route(recorder.url)})
            assert weaviate.insert(name, "a", headers).status_code == 200
            assert weaviate.near_text(name, "q", headers) == ""
            counts = (len(recorder.take()), len(elsewhere.take()))
            assert counts == ((0, 2) if redirected else (2, 0))


# -- server-side batches: fact 20


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_server_side_batches_blame_the_wrong_objects(weaviate: Plain, recorder: Recorder) -> None:
    """Fact 20: as many errors as failures, but for other objects; `fixed_size` names the right ones."""
    if weaviate.version < (1, 36):
        pytest.skip("server-side batches came with 1.36")
    bad = {f"bad {number}" for number in (5, 42, 77)}
    texts = [f"bad {number}" if f"bad {number}" in bad else f"good {number}" for number in range(100)]
    recorder.answer = lambda request: (refuses(400, "bad") if bad & set(request.texts) else embeds)(request)
    blamed = {}
    for kind in ("stream", "fixed_size"):
        name = weaviate.create({VECTOR: transformers(recorder.url)})
        collection = weaviate.client.collections.use(name)
        with collection.batch.stream() if kind == "stream" else collection.batch.fixed_size(100) as batch:
            for text in texts:
                batch.add_object({"text": text})
        blamed[kind] = {failed.object_.properties["text"] for failed in collection.batch.failed_objects}
        assert set(texts) - weaviate.texts(name) == bad
    assert blamed["fixed_size"] == bad
    assert (len(blamed["stream"]), blamed["stream"] != bad) == (len(bad), True)
