"""Spaces loaded, reloaded and unloaded in a running server, as an operator does it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from click.testing import CliRunner

from fakes.server.process import Running, serving
from samespace.artifact import open_artifact
from samespace.artifact.certificate import certify, new_key
from samespace.cli import cli
from samespace.errors import ArtifactDamaged, ConfigInvalid, RequestInvalid, SamespaceError, SpaceMismatch, UnknownSpace
from samespace.rpc.admin import AdminClient
from samespace.rpc.client import Client
from samespace.rpc.v1 import admin_pb2 as pb
from samespace.rpc.v1.admin_pb2_grpc import AdminStub
from samespace_server.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_artifact: Path, other_artifact: Path) -> Path:
    """A folder with the two artifacts, and one that is damaged."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(tiny_artifact, root / "tiny")
    shutil.copytree(other_artifact, root / "other")
    shutil.copytree(other_artifact, root / "damaged")
    tokenizer = root / "damaged" / "tokenizer.json"
    data = bytearray(tokenizer.read_bytes())
    data[len(data) // 2] ^= 1
    tokenizer.write_bytes(data)
    return root


@pytest.fixture
def server(root: Path) -> Iterator[Running]:
    """Serves `tiny`; may load what is below `root`."""
    with serving(
        root / "tiny", options=("--admin-port", "0", "--admin-root", str(root), "--max-queue-ms", "100000")
    ) as running:
        yield running


def body(text: str) -> dict[str, Any]:
    return {"text": text, "config": {"task_type": "passage"}}


def samespace(*arguments: str) -> str:
    """What a command that works prints on stdout."""
    result = CliRunner().invoke(cli, ["spaces", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_a_migration_step_by_step(server: Running, root: Path) -> None:
    """Beside the old space a new one is loaded, made the default, and the old one is unloaded; nothing restarts."""
    old, new = server.space_ids[0], open_artifact(root / "other").space_id
    assert samespace("load", "other", "--space", new[:12], "--admin", server.admin) == new
    for space in (old, new):
        assert httpx.post(f"{server.http}/e/{space}/vectors", json=body("a")).json()["space_id"] == space
        assert httpx.get(f"{server.http}/e/{space}/.well-known/ready").status_code == 204
    samespace("default", new[:12], "--admin", server.admin)
    assert httpx.post(f"{server.http}/vectors", json=body("a")).json()["space_id"] == new
    listed = samespace("list", "--admin", server.admin)
    assert f"{new[:12]} (default)" in listed and old[:12] in listed
    samespace("unload", old, "--admin", server.admin)
    refused = httpx.post(f"{server.http}/e/{old}/vectors", json=body("a"))
    assert refused.status_code == 409 and old in refused.text and new in refused.text
    with Client(server.grpc) as client:
        assert [each.space_id for each in client.list_spaces()] == [new]
        with pytest.raises(UnknownSpace):
            client.embed(old, "query", ["a"])
        assert len(client.embed(new, "query", ["a"]).vectors) == 1
    page = httpx.get(f"{server.http}/metrics").text
    assert old not in page and new in page


def test_a_reload_under_load_loses_no_request(server: Running) -> None:
    """While requests never stop, over HTTP and over one gRPC stream, the space is reloaded; all answers are alike."""
    space = server.space_ids[0]
    url = f"{server.http}/e/{space}/vectors"

    async def scenario() -> list[Any]:
        reloading = asyncio.create_task(asyncio.to_thread(reload_twice))
        vectors: list[Any] = []

        async def client_of(http: httpx.AsyncClient) -> None:
            while not reloading.done():
                response = await http.post(url, json=body("reset the password"))
                assert response.status_code == 200, response.text
                vectors.append(tuple(response.json()["vector"]))

        async with httpx.AsyncClient(timeout=60) as http:
            streaming = asyncio.create_task(asyncio.to_thread(stream, reloading))
            await asyncio.gather(*[client_of(http) for _ in range(8)])
            await reloading
            assert await streaming > 0
        return vectors

    def stream(reloading: asyncio.Task[Any]) -> int:
        def batches() -> Iterator[list[str]]:
            while not reloading.done():
                yield ["a list"] * 4

        with Client(server.grpc) as client:
            return sum(len(reply.vectors) for reply in client.embed_stream(space, "passage", batches()))

    def reload_twice() -> None:
        with AdminClient(server.admin) as admin:
            for _ in range(2):
                assert admin.load("tiny", replace=True).info.space_id == space

    vectors = asyncio.run(scenario())
    assert len(vectors) > 8
    assert len({tuple(round(number, 5) for number in vector) for vector in vectors}) == 1
    assert server.log.read_text().count(" unloaded ") == 2
    assert server.metric("samespace_queued_tokens") == 0


def test_unloading_under_load_answers_what_was_accepted(server: Running, root: Path) -> None:
    """Every request gets its vectors or a refusal that names the space; none is dropped in between."""
    space = server.space_ids[0]
    url = f"{server.http}/e/{space}/v2/embed"
    texts = ["the value of the index is in the file " * 20] * 100

    async def scenario() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60) as http:
            ask = {"texts": texts, "input_type": "search_document"}
            work = [asyncio.create_task(http.post(url, json=ask)) for _ in range(4)]
            while server.metric("samespace_requests_at_work") == 0:
                await asyncio.sleep(0)
            with AdminClient(server.admin) as admin:
                unanswered = await asyncio.to_thread(admin.unload, space)
            assert unanswered == 0
            return [*await asyncio.gather(*work), await http.post(url, json=ask)]

    responses = asyncio.run(scenario())
    assert {response.status_code for response in responses} <= {200, 404, 409}
    assert responses[-1].status_code in (404, 409)
    answered = [each.json() for each in responses if each.status_code == 200]
    assert answered and all(len(each["embeddings"]["float"]) == 100 for each in answered)
    assert httpx.get(f"{server.http}/.well-known/ready").status_code == 503  # it was the only one
    assert httpx.get(f"{server.http}/.well-known/live").status_code == 204


def test_what_cannot_be_loaded_changes_nothing(server: Running, root: Path) -> None:
    """Damaged, of another space, served already, outside of the root: refused by class, and the rest goes on."""
    space = server.space_ids[0]
    with AdminClient(server.admin) as admin:
        with pytest.raises(ArtifactDamaged) as damaged:
            admin.load("damaged")
        assert "tokenizer.json" in damaged.value.file
        with pytest.raises(SpaceMismatch) as mismatch:
            admin.load("other", space=space)
        assert (mismatch.value.expected, mismatch.value.found) == (space, open_artifact(root / "other").space_id)
        for folder in ("tiny", "../", "/etc", "nowhere", ""):
            with pytest.raises(RequestInvalid if folder else ArtifactDamaged):
                admin.load(folder)
        with pytest.raises(UnknownSpace):
            admin.unload("0" * 64)
        (served,) = admin.list_served()
    assert served.info.space_id == space and served.ready and served.broken is None and not served.is_default
    assert httpx.post(f"{server.http}/e/{space}/vectors", json=body("a")).status_code == 200


def test_the_default_is_not_unloaded(root: Path) -> None:
    """Bare paths would change their meaning: another default, or none, has to be chosen first."""
    with (
        serving(root / "tiny", options=("--admin-port", "0", "--default-space", open_artifact(root / "tiny").space_id))
        as server, AdminClient(server.admin) as admin
    ):  # fmt: skip
        space = server.space_ids[0]
        with pytest.raises(RequestInvalid):
            admin.unload(space)
        with pytest.raises(RequestInvalid, match="--admin-root"):
            admin.load("tiny", replace=True)
        assert admin.set_default(None) is None
        assert httpx.post(f"{server.http}/vectors", json=body("a")).status_code == 409
        assert admin.unload(space) == 0


def test_only_signed_artifacts_are_served(root: Path, tmp_path: Path) -> None:
    """Where keys are trusted: at the start, and of those that are loaded later; the manifest is what was signed."""
    key, stranger = tmp_path / "team.key", tmp_path / "stranger.key"
    new_key(key)
    new_key(stranger)
    signed = tmp_path / "signed"
    for name in ("tiny", "other"):
        shutil.copytree(root / name, signed / name)
    options = ("--admin-port", "0", "--admin-root", str(signed), "--trusted-keys", f"{key}.pub")
    command = [sys.executable, "-m", "samespace", "serve", str(signed / "tiny"), "--http-port", "0", "--grpc-port", "0"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "has no certificate.json" in done.stderr and "Traceback" not in done.stderr
    certify(signed / "tiny", key)
    certify(signed / "other", stranger)
    with serving(signed / "tiny", options=options) as server, AdminClient(server.admin) as admin:
        space = server.space_ids[0]
        with pytest.raises(SamespaceError, match="no valid signature of a trusted key"):
            admin.load("other")
        certify(signed / "other", key)
        admin.load("other")
        manifest = signed / "tiny" / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"name": "tiny"', '"name": "tony"'))
        with pytest.raises(SamespaceError, match="another manifest"):
            admin.load("tiny", replace=True)
        assert httpx.get(f"{server.http}/e/{space}/.well-known/ready").status_code == 204  # the old one goes on


def test_the_public_ports_have_no_admin_service(server: Running) -> None:
    """Whoever may embed may not change what is served."""
    with grpc.insecure_channel(server.grpc) as channel:
        for call in (
            lambda stub: stub.LoadSpace(pb.LoadSpaceRequest(folder="other")),
            lambda stub: stub.UnloadSpace(pb.UnloadSpaceRequest(space_id=server.space_ids[0])),
            lambda stub: stub.ListServed(pb.ListServedRequest()),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(AdminStub(channel))
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_admin_settings_go_together(tmp_path: Path) -> None:
    """A root without a port, and one port for two things, are mistakes that are told at once."""
    for settings in (
        {"admin_root": tmp_path},
        {"admin_port": 8081},
        {"admin_port": 8080},
        {"admin_port": 70_000},
    ):
        with pytest.raises(ConfigInvalid):
            Settings(artifacts=(tmp_path,), **settings)
