"""Two collections asked the same queries on a real Weaviate: a bad encoder is refused, an equal one is not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.models.encoders import WORDS
from fakes.server.serving import Server
from samespace import Encoder
from samespace.cli.weaviate import weaviate
from samespace.errors import RequestInvalid
from samespace_weaviate import CollectionSpec, Store, StoredObject, create
from samespace_weaviate.access.values import object_uuid

DOCUMENTS, QUERIES = 80, 40


def text(number: int) -> str:
    chance = np.random.default_rng(number)
    return " ".join([*chance.choice(sorted(set(WORDS)), size=8), str(number)])


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each query is its document without the last word."""
    folder = tmp_path_factory.mktemp("judged")
    rows = [{"_id": f"d{n}", "title": "", "text": text(n)} for n in range(DOCUMENTS)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"_id": f"q{n}", "text": text(n).rsplit(" ", 1)[0]} for n in range(QUERIES)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    (folder / "qrels").mkdir()
    lines = ["query-id\tcorpus-id\tscore", *(f"q{n}\td{n}\t1" for n in range(QUERIES))]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def collections(
    store: Store, server: Server, other_server: Server, encoder: Encoder, other: Encoder
) -> Iterator[dict[str, str]]:
    """Right vectors by two spaces; and one with vectors of shuffled texts, as a bad encoder would give."""
    names = {key: f"Compare{key.title()}{uuid4().hex[:6]}" for key in ("old", "equal", "other", "bad")}
    try:
        for key, name in names.items():
            running, encodes = (other_server, other) if key == "other" else (server, encoder)
            spec = CollectionSpec(name, running.space_id, running.http, long_texts="pool")
            create(store, spec)
            numbers = [(n * 37 + 11) % DOCUMENTS if key == "bad" else n for n in range(DOCUMENTS)]
            rows = np.asarray(encodes.encode([text(n) for n in numbers], "passage"))
            objects = [
                StoredObject(
                    object_uuid(name, str(n)),
                    {"text": text(n), "passageId": f"d{n}"},
                    vectors={spec.vector_name: row},
                )
                for n, row in enumerate(rows)
            ]
            assert store.write(name, objects) == []
        yield names
    finally:
        for name in names.values():
            store.delete_collection(name)


def run(store: Store, *arguments: str):  # type: ignore[no-untyped-def]
    where = ["--url", store.address, "--grpc-port", str(store.grpc_port)]
    return CliRunner().invoke(weaviate, ["compare", *arguments, *where])


def test_an_equal_one_is_a_go_and_a_bad_one_is_not(
    store: Store, collections: dict[str, str], judged: Path, tmp_path: Path
) -> None:
    """With judgements, through Weaviate's own module; the page opens offline and shows what is lost."""
    same = run(store, collections["old"], collections["equal"], "--judged", str(judged), "--require", "GO")
    assert same.exit_code == 0 and same.stdout.startswith("GO: Both give the same answers in the same order"), (
        same.output
    )
    page = tmp_path / "page.html"
    asked = ("--judged", str(judged), "--require", "GO", "--html", str(page))
    bad = run(store, collections["old"], collections["bad"], *asked)
    assert bad.exit_code == 1 and bad.stdout.startswith("NO-GO: The new one is worse"), bad.output
    html = page.read_text()
    assert "What is lost" in html and "src=" not in html and "href=" not in html
    back = run(store, collections["bad"], collections["old"], "--judged", str(judged), "--json")
    said = json.loads(back.stdout)
    assert back.exit_code == 0 and said["decision"] == "GO" and said["comparison"]["mean"] > 0.3
    assert said["vector_bytes"] == {"old": 32 * 4 * DOCUMENTS, "new": 32 * 4 * DOCUMENTS}


def test_without_judgements_it_does_not_pretend(
    store: Store, collections: dict[str, str], tmp_path: Path, tiny_artifact: Path, other_artifact: Path
) -> None:
    """Other answers are not better or worse by themselves; encoders here ask as Weaviate's module does."""
    queries = tmp_path / "queries.txt"
    queries.write_text("\n".join(text(n) for n in range(30)))
    asked = ("--queries", str(queries))
    encoders = ("--old-encoder", str(tiny_artifact), "--new-encoder", str(other_artifact))
    other = run(store, collections["old"], collections["other"], *asked, *encoders)
    assert other.exit_code == 0 and other.stdout.startswith("CANNOT TELL"), other.output
    required = run(store, collections["old"], collections["other"], *asked, "--require", "GO")
    assert required.exit_code == 1
    equal = run(store, collections["old"], collections["equal"], *asked, "--old-encoder", str(tiny_artifact))
    assert equal.stdout.startswith("GO: Both give the same answers"), equal.output


def test_what_cannot_be_compared_is_said(store: Store, collections: dict[str, str], judged: Path) -> None:
    """Ids of another property, no such collection, no queries."""
    asked = ("--judged", str(judged))
    wrong = run(store, collections["old"], collections["equal"], *asked, "--id-property", "text")
    assert wrong.stdout.startswith("CANNOT TELL") and "ids" in wrong.stdout, wrong.output
    for arguments in (
        (collections["old"], "Nobody", *asked),
        (collections["old"], collections["equal"]),
        (collections["old"], collections["equal"], *asked, "--id-property", "nothing"),
    ):
        assert isinstance(run(store, *arguments).exception, RequestInvalid), arguments


def test_objects_without_a_vector_are_not_held_to_be_there(
    store: Store, tiny_artifact: Path, encoder: Encoder, collections: dict[str, str], judged: Path
) -> None:
    """Half of the new one has none: they count as objects, no search finds them, and the others score better."""
    name = f"CompareBare{uuid4().hex[:6]}"
    spec = CollectionSpec(name, encoder.space_id, route="none", long_texts="pool")
    try:
        create(store, spec)
        rows = np.asarray(encoder.encode([text(n) for n in range(DOCUMENTS)], "passage"))
        for n, row in enumerate(rows):
            vectors = {spec.vector_name: row} if n < QUERIES else {}
            properties = {"text": text(n), "passageId": f"d{n}"}
            assert store.write(name, [StoredObject(object_uuid(name, str(n)), properties, vectors=vectors)]) == []
        asked = ("--judged", str(judged), "--new-encoder", str(tiny_artifact), "--require", "GO")
        found = run(store, collections["old"], name, *asked)
        assert found.exit_code == 1 and found.stdout.startswith("CANNOT TELL"), found.output
        assert f"{DOCUMENTS - QUERIES} of {DOCUMENTS} objects of {name}" in found.stdout
    finally:
        store.delete_collection(name)


def test_live_queries_come_through_a_pipe(store: Store, collections: dict[str, str]) -> None:
    """From a program that goes on writing, until the time is over."""
    where = ["--url", store.address, "--grpc-port", str(store.grpc_port)]
    asked = ["compare", collections["old"], collections["equal"], "--queries", "-", "--for", "10s", "--json"]
    command = [sys.executable, "-m", "samespace", "weaviate", *asked, *where]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin and child.stdout and child.stderr
        for n in range(30):
            child.stdin.write(f"{text(n)}\n".encode())
        child.stdin.flush()
        said = child.stdout.read()
        assert child.wait(120) == 0, child.stderr.read().decode()
    found = json.loads(said)
    assert (found["decision"], len(found["queries"]), found["left_out"]) == ("GO", 30, 0)
