"""`samespace serve` as a real process, talked to over gRPC and HTTP."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from fakes.server.process import Running, serving
from samespace import Encoder
from samespace.artifact import open_artifact
from samespace.errors import RequestInvalid, TextTooLong, UnknownSpace
from samespace.rpc.client import Client
from samespace.rpc.v1 import encoder_pb2 as pb
from samespace.rpc.v1.encoder_pb2_grpc import EncoderStub
from samespace.vectors import cosine_distance

pytestmark = pytest.mark.integration

FP32_CPU = 1e-6  # 1 - cosine: what batch shapes may change in float32
TEXTS = ["how do i reset the password", "a list", "the encoder is in the space of the vector", "", "error code 7"]
LONG = "the value of the index is in the file " * 20  # 182 tokens where 32 are the limit


@pytest.fixture(scope="module")
def server(tiny_artifact: Path, other_artifact: Path) -> Iterator[Running]:
    with serving(tiny_artifact, other_artifact) as running:
        yield running


def weaviate_body(text: str, task_type: str | None = "passage") -> dict[str, Any]:
    """What Weaviate sends, with the reply's fields in it."""
    config = {"pooling_strategy": "masked_mean"} | ({} if task_type is None else {"task_type": task_type})
    return {"text": text, "dims": 0, "vector": None, "error": "", "config": config}


def poll_until(running: Running, metric: str, wanted: float) -> None:
    """Return when the server's metric is at least (0: exactly) *wanted*."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        value = running.metric(metric)
        if value == wanted or 0 < wanted < value:
            return
    raise AssertionError(f"{metric} is {value}, expected {wanted}")


# -- vectors


def test_both_wires_give_the_vectors_of_the_artifact(server: Running, tiny_artifact: Path) -> None:
    """gRPC, its stream and Weaviate's HTTP route answer with what the artifact computes in this process."""
    texts = [*TEXTS, LONG]
    with Encoder.load(tiny_artifact, runtime="onnxruntime") as local:
        expected = local.encode_detailed(texts, "passage")
    space = server.space_ids[0]
    with Encoder.connect(server.grpc, space=space) as remote, Client(server.grpc) as client:
        streamed = remote.encode_detailed(texts, "passage")
        unary = client.embed(space, "passage", texts)
        half = client.embed(space, "passage", texts, wire_type="float16")
    replies = [httpx.post(f"{server.http}/e/{space}/vectors", json=weaviate_body(text)).json() for text in texts]
    for found in (streamed.vectors, unary.vectors, [reply["vector"] for reply in replies]):
        assert cosine_distance(np.asarray(found), np.asarray(expected.vectors)).max() <= FP32_CPU
    assert cosine_distance(np.asarray(half.vectors), np.asarray(expected.vectors)).max() <= FP32_CPU
    assert streamed.vectors.space_id == unary.vectors.space_id == expected.vectors.space_id
    assert streamed.tokens == unary.tokens == expected.tokens
    assert [reply["text"] for reply in replies] == texts
    assert {reply["dim"] for reply in replies} == {32}


def test_long_texts_are_windowed_and_counted(server: Running, tiny_artifact: Path) -> None:
    """No silent cut: every reply says tokens and windows; windows and spans come on request, or a refusal."""
    space = server.space_ids[0]
    with Encoder.load(tiny_artifact, runtime="onnxruntime") as local, Client(server.grpc) as client:
        expected = local.encode_detailed([LONG, "a list"], "passage", long_texts="windows")
        found = client.embed(space, "passage", [LONG, "a list"], long_texts="windows")
        pooled = client.embed(space, "passage", [LONG])
        with pytest.raises(TextTooLong) as caught:
            client.embed(space, "passage", ["a list", LONG], long_texts="reject")
    assert found.windows == expected.windows
    assert found.windows[0] > 5
    assert found.spans == expected.spans
    assert cosine_distance(np.asarray(found.vectors), np.asarray(expected.vectors)).max() <= FP32_CPU
    assert pooled.windows == found.windows[:1]
    assert pooled.vectors.shape == (1, 32)
    assert (caught.value.index, caught.value.limit) == (1, 32)
    reply = httpx.post(f"{server.http}/e/{space}/vectors", json=weaviate_body(LONG)).json()
    assert (reply["tokens"], reply["windows"]) == (pooled.tokens[0], pooled.windows[0])


def test_slices_are_texts_of_their_own(server: Running, tiny_artifact: Path) -> None:
    """Encoding a slice's characters again gives its vector; the server cuts where the SDK does."""
    space = server.space_ids[0]
    with Encoder.load(tiny_artifact, runtime="onnxruntime") as local, Client(server.grpc) as client:
        found = client.embed(space, "passage", [LONG, "a list"], long_texts="slices")
        assert found.spans == local.encode_detailed([LONG, "a list"], "passage", long_texts="slices").spans
        texts = (LONG, "a list")
        again = client.embed(space, "passage", [texts[text][start:end] for text, start, end in found.spans])
    assert set(again.windows) == {1}
    assert cosine_distance(np.asarray(found.vectors), np.asarray(again.vectors)).max() <= FP32_CPU


def test_a_text_alone_is_as_among_many(server: Running) -> None:
    """The batch that a text happens to be in does not move its vector."""
    texts = [f"{text} {index}" for index in range(40) for text in TEXTS]
    with Client(server.grpc) as client:
        together = client.embed(server.space_ids[0], "query", texts).vectors
        alone = [np.asarray(client.embed(server.space_ids[0], "query", [text]).vectors)[0] for text in texts[:20]]
    assert cosine_distance(np.asarray(together)[:20], np.asarray(alone)).max() <= FP32_CPU


def test_single_requests_at_the_same_time_share_runs(server: Running) -> None:
    """Many single-text requests at once take fewer runs of the model than there are requests."""
    before = server.metric("samespace_batch_rows_count"), server.metric("samespace_windows_total")
    url = f"{server.http}/e/{server.space_ids[0]}/vectors"

    async def scenario() -> list[httpx.Response]:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=64), timeout=60) as client:
            return await asyncio.gather(*[client.post(url, json=weaviate_body(f"{TEXTS[0]} {i}")) for i in range(300)])

    assert {response.status_code for response in asyncio.run(scenario())} == {200}
    runs, windows = (
        server.metric(name) - was
        for name, was in zip(("samespace_batch_rows_count", "samespace_windows_total"), before, strict=True)
    )
    assert windows == 300
    assert runs < 250


# -- refusals


def test_another_space_is_refused_with_both_ids(server: Running) -> None:
    """An id that is not served is refused by gRPC, by its stream and by HTTP; each names what was asked and served."""
    wrong = "0" * 64
    with Client(server.grpc) as client:
        for call in (
            lambda: client.embed(wrong, "query", ["a"]),
            lambda: list(client.embed_stream(wrong, "query", [["a"]])),
            lambda: client.get_space(wrong),
        ):
            with pytest.raises(UnknownSpace) as caught:
                call()
            assert caught.value.requested == wrong
            assert set(caught.value.served) == set(server.space_ids)
    for route, body in (
        ("vectors", weaviate_body("a")),
        ("v2/embed", {"texts": ["a"], "input_type": "search_query"}),
        ("v1/embeddings", {"input": "a"}),
    ):
        response = httpx.post(f"{server.http}/e/{wrong}/{route}", json=body)
        assert response.status_code == (409 if route == "vectors" else 404)
        for key in ("error", "message", "detail"):
            told = str(response.json()[key])
            assert wrong in told
            assert all(each in told for each in server.space_ids)
        assert response.json()["fields"] == {"requested": wrong, "served": server.space_ids}


def test_two_encoders_of_equal_dims_do_not_answer_for_each_other(server: Running) -> None:
    """The same text has another vector in each space, and each reply names its own."""
    first, second = (
        httpx.post(f"{server.http}/e/{each}/vectors", json=weaviate_body("a list")).json() for each in server.space_ids
    )
    assert [first["space_id"], second["space_id"]] == server.space_ids
    assert cosine_distance(np.asarray(first["vector"]), np.asarray(second["vector"])) > 0.01


@pytest.mark.parametrize("route", ["vectors", "v2/embed", "/v2/embed", "v1/embeddings"])
def test_a_path_without_a_space_is_refused_with_the_ids(server: Running, route: str) -> None:
    """There is no "whatever is loaded" without --default-space."""
    response = httpx.post(f"{server.http}/{route}", json={})
    assert response.status_code == (409 if route == "vectors" else 404)
    assert all(each in response.text for each in server.space_ids)


def test_a_default_space_answers_paths_without_one(tiny_artifact: Path, other_artifact: Path) -> None:
    """With --default-space (12 digits are enough) the bare paths work, and are of that space."""
    chosen = open_artifact(other_artifact).space_id
    with serving(tiny_artifact, other_artifact, options=("--default-space", chosen[:12])) as running:
        reply = httpx.post(f"{running.http}/vectors", json=weaviate_body("a list"))
        assert reply.json()["space_id"] == chosen


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 5000, b"{}", b'{"text": 3}', b'{"text": null}', b'{"text": ["a"]}',
        b'{"text": "\\ud800"}', b'{"text": "a", "config": 3}', b'{"text": "a", "config": {"task_type": "clustering"}}',
        b'{"text": "a", "config": {"task_type": 3}}', b'{"text": "a", "config": {"task_type": ["query"]}}',
        b'{"text": "a", "config": {"dimensions": -1}}', b'{"text": "a", "config": {"dimensions": 7}}',
        b'{"text": "a", "config": {"dimensions": "32"}}',
    ],
)  # fmt: skip
def test_malformed_bodies_are_400(server: Running, body: bytes) -> None:
    """Whatever comes in, bad input is the caller's error with three readable keys, never a 500."""
    response = httpx.post(f"{server.http}/e/{server.space_ids[0]}/vectors", content=body)
    assert response.status_code == 400, response.text
    assert response.json().keys() >= {"error", "message", "detail"}


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("v2/embed", {"texts": ["a"]}),
        ("v2/embed", {"texts": [], "input_type": "search_query"}),
        ("v2/embed", {"texts": "a", "input_type": "search_query"}),
        ("v2/embed", {"texts": ["a"], "input_type": "search_query", "embedding_types": ["int4"]}),
        ("v2/embed", {"texts": ["a"], "input_type": "search_query", "truncate": "MIDDLE"}),
        ("v2/embed", {"texts": [LONG], "input_type": "search_query", "truncate": "NONE"}),
        ("v1/embeddings", {"input": []}),
        ("v1/embeddings", {"input": [1, 2]}),
        ("v1/embeddings", {"input": "a", "encoding_format": "hex"}),
        ("v1/embeddings", {"input": "a", "dimensions": 5}),
    ],
)
def test_malformed_bodies_of_the_other_dialects_are_400(server: Running, route: str, body: dict[str, Any]) -> None:
    """The same for Cohere's and OpenAI's formats."""
    assert httpx.post(f"{server.http}/e/{server.space_ids[0]}/{route}", json=body).status_code == 400


def test_a_body_above_the_limit_is_refused(tiny_artifact: Path) -> None:
    """Bodies are bounded, with a declared length and without; gRPC messages too."""
    with serving(tiny_artifact, options=("--max-request-bytes", "5000")) as running:
        url = f"{running.http}/e/{running.space_ids[0]}/vectors"
        body = b'{"text": "' + b"a " * 4000 + b'"}'
        for content in (body, iter([body])):
            assert httpx.post(url, content=content).status_code == 413
        with Client(running.grpc) as client, pytest.raises(RequestInvalid):
            client.embed(running.space_ids[0], "query", ["a " * 4000])
        assert httpx.post(url, json=weaviate_body("a")).status_code == 200


def test_a_role_has_to_be_told(server: Running) -> None:
    """gRPC refuses an unspecified role, and codes that no role has."""
    with grpc.insecure_channel(server.grpc) as channel:
        stub = EncoderStub(channel)
        for role in (pb.ROLE_UNSPECIFIED, 7):
            with pytest.raises(grpc.RpcError) as caught:
                stub.Embed(pb.EmbedRequest(space_id=server.space_ids[0], role=role, texts=["a"]))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_weaviate_before_1_31_is_served_where_roles_are_alike(server: Running) -> None:
    """Without task_type, an encoder that treats both roles alike answers; the tiny one does."""
    url = f"{server.http}/e/{server.space_ids[0]}/vectors"
    told = httpx.post(url, json=weaviate_body("a list")).json()["vector"]
    untold = httpx.post(url, json=weaviate_body("a list", None)).json()["vector"]
    assert cosine_distance(np.asarray(told), np.asarray(untold)) <= FP32_CPU


# -- the other dialects


def test_cohere_and_openai_dialects_give_the_same_vectors(server: Running) -> None:
    """A list of texts comes back in order in either format, as numbers or base64."""
    space = server.space_ids[0]
    with Client(server.grpc) as client:
        expected = np.asarray(client.embed(space, "passage", TEXTS).vectors)
    cohere = httpx.post(
        f"{server.http}/e/{space}/v2/embed",
        json={"texts": TEXTS, "model": "x", "input_type": "search_document", "embedding_types": ["float"]},
    ).json()["embeddings"]["float"]
    url = f"{server.http}/e/{space}/v1/embeddings"
    openai = httpx.post(url, json={"input": TEXTS, "model": "x"}).json()
    packed = httpx.post(url, json={"input": TEXTS, "model": "x", "encoding_format": "base64"}).json()
    unpacked = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in packed["data"]]
    for found in (cohere, [each["embedding"] for each in openai["data"]], unpacked):
        assert cosine_distance(np.asarray(found), expected).max() <= FP32_CPU
    assert openai["model"] == space


# -- probes and metrics


def test_health_of_both_wires(server: Running) -> None:
    """Live and ready are 204 with and without a prefix; a space that is not served is not ready; gRPC agrees."""
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    for prefix in ("", f"/e/{server.space_ids[1]}", f"/e/{server.space_ids[1][:12]}"):
        for probe in ("live", "ready"):
            assert httpx.get(f"{server.http}{prefix}/.well-known/{probe}").status_code == 204
        assert httpx.get(f"{server.http}{prefix}/meta").json()["spaces"][-1]["space_id"] == server.space_ids[1]
    assert httpx.get(f"{server.http}/e/{'0' * 64}/.well-known/ready").status_code == 409
    with grpc.insecure_channel(server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "samespace.v1.Encoder"):
            reply = stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_spaces_are_listed_with_what_runs_them(server: Running) -> None:
    """A client sees each space's recipe, build and how far its probes are off on this machine."""
    with Client(server.grpc) as client:
        spaces = client.list_spaces()
        assert client.get_space(server.space_ids[0][:12]) == spaces[0]
    assert [space.space_id for space in spaces] == server.space_ids
    assert (spaces[0].dims, spaces[0].token_limit, spaces[0].precision) == (32, 32, "fp32")
    assert spaces[0].probe_worst <= spaces[0].probe_bound


def test_texts_are_in_no_log_and_no_metric(server: Running) -> None:
    """What was embedded or refused appears nowhere but in the answer."""
    secret = "hunter2secret"
    url = f"{server.http}/e/{server.space_ids[0]}/vectors"
    httpx.post(url, json=weaviate_body(secret))
    httpx.post(url, json={"text": [secret]})
    httpx.post(url, content=f'{{"text": {secret}}}'.encode())
    httpx.post(f"{server.http}/e/{'0' * 64}/vectors", json=weaviate_body(secret))
    assert secret not in httpx.get(f"{server.http}/metrics").text
    assert secret not in server.log.read_text()


# -- load, cancellation, shutdown


def test_overload_is_refused_in_words_that_weaviate_tries_again(tiny_artifact: Path) -> None:
    """Under too much at once every answer is a whole 200 or a 503 with the words that Weaviate's client looks for."""
    with serving(tiny_artifact, options=("--max-queued-tokens", "60")) as running:
        url = f"{running.http}/e/{running.space_ids[0]}/vectors"

        async def scenario() -> list[httpx.Response]:
            async with httpx.AsyncClient(limits=httpx.Limits(max_connections=100), timeout=60) as client:
                return await asyncio.gather(*[client.post(url, json=weaviate_body(TEXTS[0])) for _ in range(200)])

        responses = asyncio.run(scenario())
        assert {response.status_code for response in responses} == {200, 503}
        for response in responses:
            if response.status_code == 200:
                assert len(response.json()["vector"]) == 32
            else:
                assert "failed with status: 503 error" in response.json()["error"]
                assert int(response.headers["retry-after"]) >= 1
        assert running.metric("samespace_refused_total") > 0
        poll_until(running, "samespace_queued_tokens", 0)


def test_a_caller_that_goes_away_leaves_nothing_behind(tiny_artifact: Path) -> None:
    """A stream that is given up and an HTTP client that hangs up free their place in the queue."""
    with serving(tiny_artifact, options=("--max-queued-tokens", "10000000")) as running:
        space = running.space_ids[0]
        with Client(running.grpc) as client:
            replies = client.embed_stream(space, "passage", ([LONG] * 500 for _ in range(1000)))
            next(replies)
            replies.close()
        body = {"texts": [LONG] * 2000, "input_type": "search_document"}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{running.http}/e/{space}/v2/embed", json=body, timeout=httpx.Timeout(30, read=0.05))
        poll_until(running, "samespace_queued_tokens", 0)
        assert running.metric("samespace_texts_total") < 1000 * 500


def test_sigterm_drains(tiny_artifact: Path) -> None:
    """After SIGTERM every accepted request is answered in full, new ones are refused, and the exit code is 0."""
    with serving(tiny_artifact, options=("--max-queued-tokens", "10000000")) as running:
        space = running.space_ids[0]
        url = f"{running.http}/e/{space}/v2/embed"
        body = {"texts": [LONG] * 600, "input_type": "search_document"}

        async def scenario() -> None:
            async with httpx.AsyncClient(timeout=120) as client:
                # A connection from before, for after.
                assert (await client.get(f"{running.http}/.well-known/ready")).status_code == 204
                work = [asyncio.create_task(client.post(url, json=body)) for _ in range(4)]
                while await _accepted(client, running) < 4:
                    pass
                for _ in range(2):  # supervisors send it twice
                    running.process.terminate()
                while (ready := await client.get(f"{running.http}/.well-known/ready")).status_code == 204:
                    pass
                late = await client.post(f"{running.http}/e/{space}/vectors", json=weaviate_body("a"))
                assert ready.status_code == 503
                assert late.status_code == 503
                assert "failed with status: 503 error" in late.json()["error"]
                for response in await asyncio.gather(*work):
                    assert response.status_code == 200, response.text[:300]
                    assert len(response.json()["embeddings"]["float"]) == 600

        asyncio.run(scenario())
        assert running.process.wait(timeout=60) == 0
        assert "drained" in running.log.read_text()


async def _accepted(client: httpx.AsyncClient, running: Running) -> int:
    page = (await client.get(f"{running.http}/metrics")).text
    (line,) = [each for each in page.splitlines() if each.startswith("samespace_requests_at_work ")]
    return int(float(line.split()[-1]))


def test_an_idle_server_stops_at_once_on_sigterm(tiny_artifact: Path) -> None:
    """With clients connected but nothing at work, SIGTERM ends with 0 well within the drain timeout."""
    with serving(tiny_artifact) as running, Client(running.grpc) as client, httpx.Client() as http:
        client.list_spaces()
        http.get(f"{running.http}/meta")
        before = time.monotonic()
        assert running.terminate() == 0
        assert time.monotonic() - before < 10


# -- starting


def start_fails(*arguments: str) -> str:
    """Run `samespace serve`, which has to fail; its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "samespace", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_two_artifacts_of_one_space_are_refused(tiny_artifact: Path) -> None:
    """The same space twice is a mistake in the command, and both folders are named."""
    line = start_fails(str(tiny_artifact), str(tiny_artifact), "--http-port", "0", "--grpc-port", "0")
    assert line.count(str(tiny_artifact)) == 2


def test_a_default_space_has_to_be_served(tiny_artifact: Path) -> None:
    """--default-space with another id does not start a server that answers with the wrong space."""
    line = start_fails(str(tiny_artifact), "--default-space", "0" * 64, "--http-port", "0", "--grpc-port", "0")
    assert "0" * 64 in line
    assert open_artifact(tiny_artifact).space_id in line


def test_a_taken_port_is_named(server: Running, tiny_artifact: Path) -> None:
    """A port that another server has is an error with its number, for either wire."""
    for option, port in (("--http-port", server.told["http_port"]), ("--grpc-port", server.told["grpc_port"])):
        other = "--grpc-port" if option == "--http-port" else "--http-port"
        assert str(port) in start_fails(str(tiny_artifact), option, str(port), other, "0")


def test_a_damaged_artifact_is_not_served(tiny_artifact: Path, tmp_path: Path) -> None:
    """One flipped byte in a model file: the server names the file and does not start."""
    import shutil

    folder = tmp_path / "damaged"
    shutil.copytree(tiny_artifact, folder)
    model = folder / "model.fp32.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    assert "model.fp32.onnx" in start_fails(str(folder), "--http-port", "0", "--grpc-port", "0")


def test_the_server_never_imports_torch() -> None:
    """Importing everything that serving needs brings in neither torch nor transformers."""
    code = (
        "import sys, samespace_server.app, samespace.cli.serving.serve, samespace.runtime;"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
