"""What Weaviate sends to an encoder, provoked over its REST interface; and the files that keep it (`tests/contract`).

A case is the requests that one thing done with Weaviate causes. The texts are always the same, so a case that was
captured twice from one version of Weaviate is the same bytes, but for the address that they were sent to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx

from ..server.recorder import Recorded, Recorder

SPACE: Final = "0" * 64
"""Stands for the id of the space in paths and models; as long as a real one, so that lengths stay true."""
HOST: Final = "encoder:8080"
KEY: Final = "key-of-the-contract"
PREFIX: Final = f"/e/{SPACE}"

PASSAGE: Final = 'Zürich – "naïve" <b>café</b> & 東京 😀\nsecond line\tand a backslash \\'
PASSAGES: Final = tuple(f"passage {number}" for number in range(100))
"""More than the 96 that Weaviate sends to text2vec-cohere at once."""
QUERY: Final = "where is the café?"

Case = list[dict[str, Any]]
Cases = dict[str, Case]

_MODULES: Final[Mapping[str, dict[str, Any]]] = {
    "text2vec-transformers": {},
    "text2vec-cohere": {"model": SPACE},
    "text2vec-openai": {"model": SPACE},
}
_HEADERS: Final = {"X-Cohere-Api-Key": KEY, "X-Openai-Api-Key": KEY}


def drive(weaviate: httpx.Client, recorder: Recorder) -> Cases:
    """Import, query and batch with each module that this Weaviate has."""
    modules = weaviate.get("/v1/meta").json()["modules"]
    cases: Cases = {}
    for module, settings in _MODULES.items():
        if module not in modules:
            continue
        name = module.removeprefix("text2vec-")
        key = "inferenceUrl" if name == "transformers" else "baseURL"
        batch = {"transformers": PASSAGES[:3], "cohere": PASSAGES, "openai": ()}[name]
        cases |= _drive(weaviate, recorder, name, {module: {**settings, key: recorder.url + PREFIX}}, batch)
        if name == "transformers":
            url = recorder.url.replace("://", "://weaviate:token-of-the-contract@") + PREFIX
            cases |= _drive(weaviate, recorder, "transformers-token", {module: {"inferenceUrl": url}}, ())
    return cases


def _drive(
    weaviate: httpx.Client, recorder: Recorder, name: str, vectorizer: dict[str, Any], batch: Sequence[str]
) -> Cases:
    collection = f"Contract{uuid4().hex[:12]}"
    for settings in vectorizer.values():
        settings |= {"properties": ["text"], "vectorizeClassName": False}
    schema = {
        "class": collection,
        "properties": [{"name": "text", "dataType": ["text"]}],
        "vectorConfig": {"v": {"vectorizer": vectorizer, "vectorIndexType": "flat"}},
    }
    ask = f"{{Get{{{collection}(nearText:{{concepts:[{json.dumps(QUERY)}]}}){{text}}}}}}"
    made = [{"class": collection, "properties": {"text": text}} for text in (PASSAGE, *batch)]
    cases: Cases = {}
    try:
        _sent(weaviate, "/v1/schema", schema)
        recorder.take()
        _sent(weaviate, "/v1/objects", made[0])
        cases[f"{name}-single"] = [kept(each) for each in recorder.take()]
        if batch:
            _sent(weaviate, "/v1/batch/objects", {"objects": made[1:]})
            cases[f"{name}-batch"] = [kept(each) for each in recorder.take()]
        _sent(weaviate, "/v1/graphql", {"query": ask})
        cases[f"{name}-query"] = [kept(each) for each in recorder.take()]
    finally:
        weaviate.delete(f"/v1/schema/{collection}")
    return cases


def _sent(weaviate: httpx.Client, path: str, body: Any) -> None:
    reply = weaviate.post(path, json=body, headers=_HEADERS)
    assert reply.status_code == 200, reply.text
    assert "errors" not in reply.json(), reply.text


def kept(request: Recorded) -> dict[str, Any]:
    """A request as it is written to a file, without the address of this machine."""
    headers = [f"{name}: {HOST if name == 'Host' else value}" for name, value in request.headers]
    body = request.body.decode()
    return {
        "method": request.method,
        "path": request.path,
        "version": request.version,
        "headers": headers,
        "body": body,
    }


def raw(request: Mapping[str, Any], space_id: str) -> bytes:
    """The request's bytes, for the space of that id."""
    lines = [f"{request['method']} {request['path']} {request['version']}", *request["headers"], "", ""]
    return ("\r\n".join(lines) + request["body"]).replace(SPACE, space_id).encode()


def read(folder: Path) -> dict[str, Cases]:
    """All kept cases, by version of Weaviate, the newest last."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("weaviate-*.json")]
    return {file["weaviate"]: file["cases"] for file in sorted(files, key=lambda file: release(file["weaviate"]))}


def write(folder: Path, version: str, cases: Cases) -> Path:
    """Keep the cases of one version of Weaviate."""
    path = folder / f"weaviate-{version}.json"
    text = json.dumps({"weaviate": version, "cases": cases}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def release(version: str) -> tuple[int, ...]:
    """A version's numbers, without what comes behind a hyphen."""
    return tuple(int(number) for number in version.partition("-")[0].split("."))
