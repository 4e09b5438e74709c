"""A stand-in for the Hugging Face hub: what huggingface_hub's own client says to it when something is pushed.

Repositories, branches of commits, preupload, LFS batch with upload and verify, commits as lines of JSON, and files by
commit. Source: https://huggingface.co/docs/hub/api and git-lfs on its batch API. It can refuse, lose and lie.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_stand_in"
LFS = (".safetensors", ".onnx", ".npz")


@dataclass
class Repository:
    """Branches as lists of commits; a commit is its id and its files."""

    private: bool
    branches: dict[str, list[tuple[str, dict[str, bytes]]]]

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit of a branch or of an id."""
        if revision in self.branches:
            return self.branches[revision][-1]
        return next((each for commits in self.branches.values() for each in commits if each[0] == revision), None)


@dataclass
class Hub:
    """What it holds, what it was asked, and how it fails.

    Attributes:
        refusals: a part of a path -> status and message of each request to such a path.
        cuts: a part of a path; the connection is closed in the middle of the answer, after the request took effect.
        loses: names that a commit leaves out without a word, as a .gitignore of the repository does.
        spoils: names of which other bytes are given back than were sent.
        overtaken: whether somebody else commits after each commit.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    cuts: str = ""
    loses: tuple[str, ...] = ()
    spoils: tuple[str, ...] = ()
    overtaken: bool = False
    url: str = ""

    def add(self, name: str, files: dict[str, bytes], *, private: bool = True) -> None:
        """A repository that is there before anybody pushes."""
        self.repositories[name] = Repository(private, {"main": [(_oid(name, files), files)]})


def _oid(*parts: Any) -> str:
    return hashlib.sha1(repr(parts).encode()).hexdigest()


class _Refused(Exception):
    pass


@contextmanager
def hub() -> Iterator[Hub]:
    """Serve one on a free port of this machine."""
    state = Hub()

    class Handler(_Handler):
        hub = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._go()

    def do_HEAD(self) -> None:
        self._go()

    def do_POST(self) -> None:
        self._go()

    def do_PUT(self) -> None:
        self._go()

    def _go(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        self.headers_of_file: dict[str, str] = {}
        try:
            for part, (status, message) in self.hub.refusals.items():
                if part in path:
                    raise _Refused(status, message)
            if not path.startswith("/stored/") and self.headers.get("authorization") != f"Bearer {TOKEN}":
                raise _Refused(401, "Invalid credentials in Authorization header")
            answer = self._answer(path, body)
        except _Refused as refused:
            status, message, *more = refused.args
            body = json.dumps({"error": message, **(more[0] if more else {})}).encode()
            self._send(status, body, {"X-Error-Message": message})
            return
        if self.hub.cuts and self.hub.cuts in path:
            self.close_connection = True
            return
        if isinstance(answer, bytes):
            self._send(200, answer, self.headers_of_file)
        else:
            self._send(200, json.dumps(answer).encode(), {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer(self, path: str, body: bytes) -> Any:
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if parts[0] == "stored":
            return self._store(parts[1:], body)
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        if parts[0] == "api":
            what, revision = (parts[4], "/".join(parts[5:])) if len(parts) > 5 else ("revision", "main")
            return self._api("/".join(parts[2:4]), what, revision, body)
        return self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))

    def _create(self, asked: dict[str, Any]) -> Any:
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.hub.repositories:
            raise _Refused(409, "You already created this model repo", {"url": f"{self.hub.url}/{name}"})
        self.hub.add(name, {".gitattributes": b"*.safetensors filter=lfs\n"}, private=asked["visibility"] == "private")
        return {"url": f"{self.hub.url}/{name}"}

    def _store(self, parts: list[str], body: bytes) -> Any:
        if parts[0] == "verify":
            asked = json.loads(body)
            if len(self.hub.stored.get(asked["oid"], b"")) != asked["size"]:
                raise _Refused(422, "not stored")
            return {}
        self.hub.stored[parts[0]] = body
        return b""

    def _batch(self, asked: dict[str, Any]) -> Any:
        objects = []
        for each in asked["objects"]:
            links = {"upload": {"href": f"{self.hub.url}/stored/{each['oid']}"},
                     "verify": {"href": f"{self.hub.url}/stored/verify"}}  # fmt: skip
            objects.append(each | ({} if each["oid"] in self.hub.stored else {"actions": links}))
        return {"transfer": "basic", "objects": objects}

    def _api(self, name: str, what: str, revision: str, body: bytes) -> Any:
        repository = self.hub.repositories.get(name)
        if repository is None:
            raise _Refused(404, "Repository not found")
        if what == "branch":
            repository.branches.setdefault(revision, list(repository.branches["main"]))
            return {}
        commit = repository.at(revision)
        if commit is None:
            raise _Refused(404, "Invalid rev id")
        if what == "preupload":
            modes = ("lfs" if each["path"].endswith(LFS) else "regular" for each in json.loads(body)["files"])
            return {"files": [
                {"path": each["path"], "uploadMode": mode, "shouldIgnore": each["path"] in self.hub.loses, "oid": None}
                for each, mode in zip(json.loads(body)["files"], modes, strict=True)
            ]}  # fmt: skip
        if what == "commit":
            return self._commit(name, repository, revision, [json.loads(line) for line in body.splitlines()])
        if what == "tree":
            return [{"type": "file", "path": path, "size": len(data), "oid": _oid(data)} for path, data in
                    commit[1].items()]  # fmt: skip
        siblings = [{"rfilename": path} for path in commit[1]]
        return {"id": name, "sha": commit[0], "private": repository.private, "siblings": siblings}

    def _commit(self, name: str, repository: Repository, branch: str, lines: list[dict[str, Any]]) -> Any:
        commits = repository.branches[branch]
        if lines[0]["value"].get("parentCommit") not in (None, commits[-1][0]):
            raise _Refused(412, "A commit has happened since. Please refresh and try again.")
        files = dict(commits[-1][1])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
            else:
                del files[value["path"]]
        commits.append((_oid(len(commits), sorted(files.items())), files))
        oid = commits[-1][0]
        if self.hub.overtaken:
            commits.append((_oid(oid), files))
        return {"commitUrl": f"{self.hub.url}/{name}/commit/{oid}", "commitOid": oid, "pullRequestUrl": None}

    def _file(self, name: str, revision: str, path: str) -> bytes:
        commit = self.hub.repositories[name].at(revision)
        if commit is None or path not in commit[1]:
            raise _Refused(404, "Entry not found")
        data = commit[1][path]
        if path in self.hub.spoils:
            data = data[:-1] + bytes([data[-1] ^ 1])
        self.headers_of_file = {"X-Repo-Commit": commit[0], "ETag": f'"{_oid(data)}"'}
        return data
