"""The audit on a real Weaviate: contamination is planted by the clients and the module that could really do it."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.server.serving import Server
from fakes.weaviate.audited import WordEncoder
from samespace import Encoder
from samespace.cli.weaviate import weaviate
from samespace.errors import PinBroken, SpaceMismatch
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, StoredObject, create
from samespace_weaviate.access.values import object_uuid
from samespace_weaviate.audit import AuditOptions, AuditReport, Kind, audit
from samespace_weaviate.pinning.spec import LongTextForm

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

WORDS = ("red", "green", "blue", "fast", "slow", "north", "south", "early", "late", "open", "closed", "warm")
PASSAGES = [
    Passage(f"{first} {second} {third}", f"{first} passage, {second} number, {third} text")
    for first in WORDS
    for second in WORDS
    for third in ("one", "two")
]
ALL = AuditOptions(sample=None)
PLANTED = 3  # of 288: about 1 %


def found(report: AuditReport) -> dict[UUID, Kind]:
    """What the report says of which object."""
    return {each.uuid: each.kind for each in report.offenders}


def rows(encoder: Encoder, texts: Sequence[str]) -> Any:
    """(n, dim) vectors of passages."""
    return np.asarray(encoder.encode(list(texts), "passage").__array__())


@pytest.fixture
def chosen(collection: PinnedCollection) -> list[tuple[UUID, Passage]]:
    """A filled collection; the objects into which a test puts something wrong."""
    assert collection.import_passages(PASSAGES).failed == ()
    return [(object_uuid(collection.name, each.id), each) for each in PASSAGES[5::100]][:PLANTED]


def write(store: Store, collection: PinnedCollection, chosen: Sequence[tuple[UUID, Passage]], vectors: Any) -> None:
    """PUT objects again, with whatever vectors; Weaviate takes them all."""
    objects = [
        StoredObject(uuid, {"text": each.text, "passageId": each.id}, row)
        for (uuid, each), row in zip(chosen, vectors, strict=True)
    ]
    assert store.insert(collection.name, collection.pin.vector, objects) == []


def test_a_clean_collection_is_silent(
    store: Store, collection: PinnedCollection, encoder: Encoder, chosen: Sequence[Any]
) -> None:
    """All agree to rounding; a sample of it states what it cannot rule out."""
    report = audit(store, collection.name, encoder, ALL)
    assert (report.clean, report.sampled, report.at_most, report.pin_findings) == (True, len(PASSAGES), 0.0, ())
    assert report.tenants[0].tolerance.writer.build == "fp32"
    sampled = audit(store, collection.name, encoder, AuditOptions(sample=100))
    assert (sampled.clean, sampled.sampled) == (True, 100)
    assert 0.0 < sampled.at_most < 0.05


@pytest.mark.parametrize("against", [False, True])
def test_vectors_of_another_model_are_found(
    store: Store, collection: PinnedCollection, encoder: Encoder, other: Encoder, chosen: Sequence[Any], against: bool
) -> None:
    """1 % of equal dims under the right name, which Weaviate cannot refuse; a suspect is called by its name."""
    write(store, collection, chosen, rows(other, [each.text for _, each in chosen]))
    report = audit(store, collection.name, encoder, ALL, against=[other] if against else [])
    assert found(report) == dict.fromkeys(
        (uuid for uuid, _ in chosen), Kind.KNOWN_SPACE if against else Kind.OTHER_SPACE
    )
    assert (other.space_id[:12] in report.offenders[0].reason) is against


def test_a_property_name_in_the_text_is_part_of_what_is_declared(
    store: Store, spec: CollectionSpec, encoder: Encoder
) -> None:
    """What Weaviate's module encodes is right, a vector of the text alone is named so, and an import is refused."""
    schema = spec.schema()
    module = next(iter(schema["vectorConfig"][spec.vector_name]["vectorizer"]))
    text = next(each for each in schema["properties"] if each["name"] == "text")
    text.setdefault("moduleConfig", {}).setdefault(module, {})["vectorizePropertyName"] = True
    store.create(schema)
    ids = [object_uuid(spec.name, each.id) for each in PASSAGES[:40]]
    by_module = [StoredObject(uuid, {"text": each.text}) for uuid, each in zip(ids, PASSAGES, strict=False)]
    assert store.write(spec.name, by_module) == []
    assert audit(store, spec.name, encoder, ALL).clean
    plain = StoredObject(ids[7], {"text": PASSAGES[7].text}, rows(encoder, [PASSAGES[7].text])[0])
    assert store.insert(spec.name, spec.vector_name, [plain]) == []
    report = audit(store, spec.name, encoder, ALL)
    assert found(report) == {ids[7]: Kind.RECIPE}
    assert "without the properties' names" in report.offenders[0].reason
    with pytest.raises(PinBroken, match="names in it"):
        PinnedCollection.open(store, spec.name, encoder).import_passages(PASSAGES)


def test_stale_missing_constant_and_lower_cased_vectors_are_found(store: Store, spec: CollectionSpec) -> None:
    """Each of four accidents in one collection, told apart; with an encoder that heeds upper case."""
    encoder = WordEncoder()
    pinned = CollectionSpec(spec.name, encoder.space_id, spec.server, long_texts="pool")
    schema = pinned.schema()
    config = schema["vectorConfig"][pinned.vector_name]
    # Without a vectorizer Weaviate takes objects without a vector, too.
    config["vectorizer"] = {"none": {"properties": ["text"], "samespaceSpace": encoder.space_id}}
    store.create(schema)
    collection = PinnedCollection.open(store, spec.name, encoder)
    passages = [Passage(each.id, each.text.title()) for each in PASSAGES]
    collection.import_passages(passages)
    sets = [[(object_uuid(collection.name, p.id), p) for p in passages[start::40][:PLANTED]] for start in range(4)]
    stale, missing, constant, lower = sets
    write(store, collection, stale, rows(encoder, [f"{p.text} Once" for _, p in stale]))
    for uuid, each in missing:
        store.client.collections.use(spec.name).data.replace(uuid, {"text": each.text})
    write(store, collection, constant, [np.full(32, 32**-0.5, np.float32)] * PLANTED)
    write(store, collection, lower, rows(encoder, [p.text.lower() for _, p in lower]))
    report = audit(store, collection.name, encoder, ALL)
    kinds = (Kind.STALE, Kind.MISSING, Kind.SHARED, Kind.RECIPE)
    assert found(report) == {uuid: kind for each, kind in zip(sets, kinds, strict=True) for uuid, _ in each}
    assert "in lower case" in {each.reason for each in report.offenders}


class Relay(BaseHTTPRequestHandler):
    """Hands requests on to whichever encoder `target` names at the moment: an address that is swapped underneath."""

    target = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = urllib.request.Request(self.target + self.path, data=body, headers={"content-type": "application/json"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            told = answer.read()
        self.send_response(200)
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *args: Any) -> None:
        """Nothing: tests are quiet."""


@pytest.fixture
def relay() -> Iterator[str]:
    """The address of a relay."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_encoder_that_was_swapped_behind_its_address_is_found(
    store: Store,
    spec: CollectionSpec,
    server: Server,
    other_server: Server,
    encoder: Encoder,
    other: Encoder,
    relay: str,
) -> None:
    """A URL without a space, as from Weaviate's environment: the module writes what either gives; nobody refuses."""
    schema = spec.schema()
    settings = schema["vectorConfig"][spec.vector_name]["vectorizer"]["text2vec-transformers"]
    settings["inferenceUrl"] = relay
    settings.pop("samespaceSpace")
    store.create(schema)
    articles = store.client.collections.use(spec.name)
    for running, some in ((server, PASSAGES[:60]), (other_server, PASSAGES[60:66])):
        Relay.target = f"{running.http}/e/{running.space_id}"
        for each in some:
            articles.data.insert({"text": each.text}, uuid=object_uuid(spec.name, each.id))
    report = audit(store, spec.name, encoder, ALL, against=[other])
    swapped = {object_uuid(spec.name, each.id) for each in PASSAGES[60:66]}
    assert found(report) == dict.fromkeys(swapped, Kind.KNOWN_SPACE)
    assert any("names no space" in each for each in report.pin_findings)


def test_properties_that_crept_in_are_found(
    store: Store, spec: CollectionSpec, server: Server, encoder: Encoder
) -> None:
    """A vectorizer without a list of properties encodes all text: a title added later is in the vector, too."""
    widened = CollectionSpec(spec.name, spec.space_id, spec.server, also_properties=("title",))
    create(store, widened)
    texts = [(object_uuid(spec.name, each.id), each) for each in PASSAGES[:40]]
    vectors = rows(encoder, [f"{each.id} {each.text} A title" for _, each in texts])
    objects = [
        StoredObject(uuid, {"text": each.text, "passageId": each.id, "title": "A title"}, row)
        for (uuid, each), row in zip(texts, vectors, strict=True)
    ]
    assert store.insert(spec.name, spec.vector_name, objects) == []
    report = audit(store, spec.name, encoder)
    assert report.kinds() == {Kind.RECIPE: len(texts)}
    assert "passageId, text, title" in report.offenders[0].reason


@pytest.mark.parametrize("tenants", [("ada", "bob"), ()])
def test_tenants_and_shards_are_sampled(
    store: Store, spec: CollectionSpec, encoder: Encoder, other: Encoder, tenants: tuple[str, ...]
) -> None:
    """Each tenant by itself, inactive ones told; a collection of three shards is one population."""
    schema = spec.schema()
    schema |= {"multiTenancyConfig": {"enabled": True}} if tenants else {"shardingConfig": {"desiredCount": 3}}
    store.create(schema)
    articles = store.client.collections.use(spec.name)
    if tenants:
        articles.tenants.create([*tenants, "cold"])
        articles.tenants.deactivate("cold")
    ids = [object_uuid(spec.name, each.id) for each in PASSAGES]
    vectors = rows(encoder, [each.text for each in PASSAGES])
    for tenant in tenants or ("",):
        objects = [
            StoredObject(uuid, {"text": each.text}, row) for uuid, each, row in zip(ids, PASSAGES, vectors, strict=True)
        ]
        assert store.of_tenant(tenant).insert(spec.name, spec.vector_name, objects) == []
    report = audit(store, spec.name, encoder, AuditOptions(sample=150))
    assert (report.clean, [each.tenant for each in report.tenants]) == (True, list(tenants) or [""])
    assert (report.sampled, report.population) == (150 * len(report.tenants), len(PASSAGES) * len(report.tenants))
    assert report.unread == (("cold",) if tenants else ())
    assert len(report.shards) == 3 if not tenants else {each.name for each in report.shards} >= set(tenants)
    foreign = StoredObject(ids[0], {"text": PASSAGES[0].text}, rows(other, [PASSAGES[0].text])[0])
    store.of_tenant((tenants or ("",))[-1]).insert(spec.name, spec.vector_name, [foreign])
    (offender,) = audit(store, spec.name, encoder, ALL).offenders
    assert (offender.uuid, offender.tenant) == (ids[0], (tenants or ("",))[-1])


def test_the_command_prints_writes_and_tells_by_its_exit_code(
    store: Store,
    collection: PinnedCollection,
    chosen: Sequence[Any],
    tiny_artifact: Path,
    other_artifact: Path,
    tmp_path: Path,
) -> None:
    """0 and a bound for a clean collection, 1 and ids for another, an error for another encoder; never a text."""
    address = ["--url", store.address, "--grpc-port", str(store.grpc_port)]

    def run(*arguments: str, encoder: Path = tiny_artifact) -> Any:
        return CliRunner().invoke(weaviate, ["audit", collection.name, "--encoder", str(encoder), *arguments, *address])

    clean = run("--sample", "50", "--seed", "1")
    assert (clean.exit_code, "at most" in clean.output, "99 %" in clean.output) == (0, True, True), clean.output
    assert isinstance(run(encoder=other_artifact).exception, SpaceMismatch)
    with Encoder.load(other_artifact) as other:
        write(store, collection, chosen, rows(other, [each.text for _, each in chosen]))
    html = tmp_path / "audit.html"
    wrong = run("--all", "--against", str(other_artifact), "--html", str(html))
    assert wrong.exit_code == 1
    told = run("--all", "--json")
    assert told.exit_code == 1
    report = json.loads(told.stdout)
    for uuid, each in chosen:
        assert str(uuid) in wrong.output
        assert str(uuid) in html.read_text(encoding="utf-8")
        assert str(uuid) in {offender["id"] for offender in report["offenders"]}
        assert each.text not in wrong.output + told.output + html.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["windows", "multivector", "pool"])
def test_long_documents_are_right_in_every_form(
    store: Store, spec: CollectionSpec, encoder: Encoder, other: Encoder, form: LongTextForm
) -> None:
    """Slices, lists of window vectors and pooled vectors, as the import writes them; one foreign window is found."""
    create(store, CollectionSpec(spec.name, spec.space_id, spec.server, long_texts=form))
    collection = PinnedCollection.open(store, spec.name, encoder)
    long = [Passage(f"long {first}", " ".join(f"{first} {second} {first}" for second in WORDS)) for first in WORDS]
    assert collection.import_passages([*long, *PASSAGES[:30]]).failed == ()
    report = audit(store, spec.name, encoder, ALL)
    assert (report.clean, report.tenants[0].tolerance.writer.build) == (True, "fp32"), report.offenders
    assert report.sampled > 42 if form == "windows" else report.sampled == 42
    wanted = next(each for each in store.read(spec.name, spec.vector_name, list(store.ids(spec.name)), ["text"])
                  if each.vector is not None and (form != "multivector" or len(each.vector) > 1))  # fmt: skip
    assert wanted.vector is not None
    changed = wanted.vector.copy()
    changed[-1] = rows(other, ["red"])[0]
    foreign = StoredObject(wanted.uuid, wanted.properties, changed if form == "multivector" else changed[0])
    assert store.insert(spec.name, spec.vector_name, [foreign]) == []
    assert [each.uuid for each in audit(store, spec.name, encoder, ALL).offenders] == [wanted.uuid]
