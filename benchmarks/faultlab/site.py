"""Nodes, encoder servers that can be killed, clients that write, and what they were told is stored."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx

from fakes.weaviate.nodes import Nodes, free_ports
from samespace import Encoder
from samespace.errors import SamespaceError
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, create
from samespace_weaviate.access.address import Address
from samespace_weaviate.access.patience import Patience
from samespace_weaviate.access.values import object_uuid
from samespace_weaviate.audit import AuditOptions, audit
from samespace_weaviate.repair.journal import RepairJournal
from samespace_weaviate.repair.mend import RepairReport, repair

from .count import Damage, Encode, NodeDoor, damage

WORDS: Final = ("red", "green", "blue", "fast", "slow", "north", "south", "early", "late", "open")
TRIES: Final = 14
"""Times that a command is run again after it stopped or was killed."""


def text_of(number: int) -> str:
    """A text that the tiny encoder tells from every other."""
    return f"{WORDS[number % 10]} {WORDS[number // 10 % 10]} is text {number}"


class EncoderProcess:
    """`samespace serve` on ports of its own, which stay the same when it is started again."""

    def __init__(self, artifact: Path, folder: Path) -> None:
        self.artifact, self.port = artifact, free_ports(2)
        self.log = folder / f"encoder-{self.port}.log"
        self.process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def http(self) -> str:
        """For Weaviate."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc(self) -> str:
        """For samespace."""
        return f"127.0.0.1:{self.port + 1}"

    def start(self, artifact: Path | None = None) -> None:
        """Serve its artifact, or another in its place; returns when it is ready."""
        ports = ("--http-port", str(self.port), "--grpc-port", str(self.port + 1))
        command = [sys.executable, "-m", "samespace", "serve", str(artifact or self.artifact), *ports, "--threads", "1"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        assert ready, f"no encoder: {self.log.read_text()[-500:]}"

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()


@dataclass
class Site:
    """One collection on one Weaviate, of one row.

    Attributes:
        nodes: that run.
        old, new: encoder servers.
        encoders: for `reference`, by space id.
        folder: for journals.
        key: of the API; "" for none.
        child_key: of what is injured; "" for the same.
        truth: passage id to the text that was acknowledged last; what was deleted is not in it.
        events: what was done to it.
        stopped: how the command stopped, each time.
        waiting: what is still to be done.
        starting: held while something is started.
        damaged: what was wrong when an import first said that something is; None where it never did.
    """

    nodes: Nodes
    old: EncoderProcess
    new: EncoderProcess
    encoders: Mapping[str, Encode]
    folder: Path
    key: str = ""
    child_key: str = ""
    name: str = field(default_factory=lambda: f"Fault{uuid4().hex[:8]}")
    truth: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    waiting: list[threading.Thread] = field(default_factory=list)
    damaged: Damage | None = None
    starting: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.encoder() as encoder, self.store() as store:
            self.space = encoder.space_id
            replicas = len(self.nodes) if len(self.nodes) > 1 else 0
            spec = CollectionSpec(self.name, self.space, self.old.http, long_texts="pool", replicas=replicas)
            create(store, spec)
            store.point_alias(f"{self.name}Alias", self.name)

    @property
    def urls(self) -> list[str]:
        """Of the nodes, with their gRPC ports."""
        return [f"{node.url}#{node.grpc_port}" for node in self.nodes.all]

    @contextmanager
    def store(self) -> Iterator[Store]:
        """A connection that knows every node."""
        members = [Address.parse(url, api_key=self.key) for url in self.urls]
        with Store.connect(members[0], members=tuple(members) if len(members) > 1 else ()) as opened:
            yield opened.patient(Patience(60))

    def encoder(self, which: EncoderProcess | None = None) -> Encoder:
        """A connection to the old encoder, or another."""
        return Encoder.connect((which or self.old).grpc, timeout_ms=30_000)

    def fill(self, first: int, last: int) -> None:
        """Import without a fault."""
        new = {str(number): text_of(number) for number in range(first, last)}
        with self.encoder() as encoder, self.store() as store:
            passages = [Passage(key, text) for key, text in new.items()]
            report = PinnedCollection.open(store, self.name, encoder).import_passages(passages, batch=100)
            assert not report.failed, report.sentences()
        self.truth |= new

    # -- clients

    def client(self, number: int, place: int = 0) -> None:
        """As an application: edits, adds and deletes some objects by the alias; what is refused is not believed."""
        base = 10_000_000 + 100 * number
        for step in range(5):
            keys = sorted(key for key in self.truth if int(key) < 10_000_000)
            self.put(keys[(97 * number + 13 * step) % len(keys)], f"edited {number} {step} {text_of(step)}", place)
            self.put(str(base + step), f"added {number} {step} {text_of(number)}", place)
            self.delete(keys[(89 * number + 17 * step + 5) % len(keys)], place)

    def put(self, key: str, text: str, place: int = 0) -> None:
        """Write an object without a vector, so that Weaviate's module encodes it."""
        uuid = str(object_uuid(self.name, key))
        body = {"class": self._target(), "id": uuid, "properties": {"text": text, "passageId": key}}
        if self._sent("POST", "/v1/batch/objects", place, {"objects": [body]}):
            self.truth[key] = text

    def delete(self, key: str, place: int = 0) -> None:
        """Delete an object."""
        if self._sent("DELETE", f"/v1/objects/{self._target()}/{object_uuid(self.name, key)}", place, None):
            self.truth.pop(key, None)

    def _target(self) -> str:
        return f"{self.name}Alias"

    def _sent(self, method: str, path: str, place: int, body: Any) -> bool:
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        for _ in range(60):
            with contextlib.suppress(httpx.HTTPError):
                url = f"{self.nodes[place].url}{path}"
                answer = httpx.request(
                    method, url, params={"consistency_level": "QUORUM"}, json=body, headers=headers, timeout=60
                )
                failed = answer.status_code == 200 and "FAILED" in answer.text
                if answer.status_code < 300 and not failed:
                    return True
                if answer.status_code == 404 and method == "DELETE":
                    return True
            time.sleep(0.5)
        return False

    # -- what is killed

    def drive(
        self, job: Mapping[str, Any], on_event: Callable[[str, subprocess.Popen[str]], None], tries: int = TRIES
    ) -> bool:
        """Run an import or a migration, again after whatever stopped it; whether it came to a good end.

        Args:
            job: for `child`.
            on_event: called while the child waits; it may kill it, or whatever else there is.
            tries: how often at most.
        """
        key = {"key": self.child_key or self.key, "nodes": self.urls, **job}
        for _ in range(tries):
            told = self._once(key, on_event)
            if told.get("ok"):
                return True
            if told:
                self.stopped.append(f"{told['error']}: {told['message'][:160]}")
                if told["error"] in ("ReplicasDiffer", "not clean", "MigrationBlocked"):
                    if self.damaged is None and job["work"] == "import":
                        self.wait()
                        self.restart()
                        self.damaged = self.counted()
                    self.mend(job)
                else:
                    time.sleep(3)
        return False

    def _once(self, job: Mapping[str, Any], on_event: Callable[[str, subprocess.Popen[str]], None]) -> dict[str, Any]:
        here = Path(__file__).resolve().parents[1]
        paths = [str(here), str(here.parent / "tests"), *filter(None, sys.path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-m", "faultlab.child", json.dumps(job)]
        with (self.folder / "child.log").open("ab") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        told: dict[str, Any] = {}
        assert child.stdin is not None and child.stdout is not None
        for line in child.stdout:
            if line.startswith("at "):
                on_event(line[3:].strip(), child)
                with contextlib.suppress(OSError):
                    child.stdin.write("\n")
                    child.stdin.flush()
            elif line.startswith("{"):
                told = json.loads(line)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        return told

    def import_job(self, first: int, last: int, parts: int = 4) -> dict[str, Any]:
        """An import with stops after each part but the last."""
        new = {str(number): text_of(number) for number in range(first, last)}
        file = self.folder / "passages.json"
        file.write_text(json.dumps(new))
        self.truth |= new
        stops = [(last - first) * part // parts for part in range(1, parts)]
        state = str(self.folder / "import")
        return {
            "work": "import", "name": self.name, "passages": str(file), "state": state, "stops": stops,
            "encoder": self.old.grpc,
        }  # fmt: skip

    def migrate_job(self) -> dict[str, Any]:
        """A migration to the new encoder, with a stop at each state."""
        state = str(self.folder / "migration")
        return {
            "work": "migrate", "alias": self._target(), "state": state, "server": self.new.http,
            "encoder": self.new.grpc,
        }  # fmt: skip

    def restart(self) -> None:
        """Start whatever does not run."""
        with self.starting:
            for each in (self.old, self.new):
                if each.process is None or each.process.poll() is not None:
                    each.start()
            self.nodes.start()

    def restart_soon(self, delay_s: float = 1.0) -> threading.Timer:
        """The same a little later, while the command goes on."""
        return self.later(delay_s, self.restart)

    def later(self, delay_s: float, what: Callable[[], None]) -> threading.Timer:
        """Do something after so many seconds."""
        timer = threading.Timer(delay_s, what)
        timer.start()
        self.waiting.append(timer)
        return timer

    def wait(self) -> None:
        """Return when all that was to be done later is done."""
        for each in self.waiting:
            each.join()
        self.waiting.clear()

    # -- verdicts

    def collection(self) -> tuple[str, EncoderProcess]:
        """What the alias points to, and the encoder of its pin."""
        with self.store() as store:
            real = store.aliases()[self._target()]
            config = (store.schema(real) or {})["vectorConfig"]
        with self.encoder(self.new) as encoder:
            is_new = f"e_{encoder.space_id[:12]}" in config
        return real, self.new if is_new else self.old

    def counted(self) -> Damage:
        """What is wrong, by plain means."""
        real, which = self.collection()
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        doors = [NodeDoor(node.url, node.grpc_port, headers) for node in self.nodes.all]
        with self.encoder(which) as encoder:
            space = encoder.space_id
        return damage(doors, real, f"e_{space[:12]}", self.truth, self.encoders[space])

    def verdict(self) -> str:
        """What samespace says of all objects: "clean", how many are wrong, or why it does not say."""
        real, which = self.collection()
        try:
            with self.encoder(which) as encoder, self.store() as store:
                PinnedCollection.open(store, real, encoder)
                report = audit(store, real, encoder, AuditOptions(sample=None))
        except SamespaceError as error:
            return type(error).__name__
        return "clean" if report.clean else f"{report.wrong} wrong"

    def mend(self, job: Mapping[str, Any] | None = None) -> str:
        """`repair`, of what the alias points to, and of the new collection of a migration under way."""
        real, which = self.collection()
        targets = [(real, which)]
        with self.encoder(self.new) as encoder, self.store() as store:
            new = f"{self._target()}_{encoder.space_id[:12]}"
            if job is not None and job["work"] == "migrate" and new in store.names() and new != real:
                targets.append((new, self.new))
        told = "clean"
        for name, each in targets:
            journal = self.folder / f"{uuid4().hex[:8]}.repair"
            try:
                with self.encoder(each) as encoder, self.store() as store:
                    with RepairJournal(journal, name, encoder.space_id) as noted:
                        done = repair(store, name, encoder, noted)
                    told = told if done.clean else f"not clean: {' '.join(_sentences(done))[:300]}"
            except SamespaceError as error:
                told = f"{type(error).__name__}: {str(error)[:160]}"
            if told != "clean":
                self.stopped.append(f"repair of {name}: {told}")
        return told


def _sentences(done: RepairReport) -> list[str]:
    """Why a repair is not clean."""
    replicas = [] if done.reconciled is None or done.reconciled.alike else done.reconciled.sentences()
    wrong = [] if done.after is None else [f"{each.uuid}: {each.reason}" for each in done.after.offenders[:2]]
    return [*replicas, *wrong]
