"""What `adopt` says is of what was read; what it costs is what it announced; what is in the way is named."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.weaviate.audited import WordEncoder
from fakes.weaviate.database import OTHER_SPACE
from fakes.weaviate.in_memory import FakeWeaviate
from samespace.cli.weaviate import weaviate as command
from samespace.cli.weaviate.adopt import _telling_pace
from samespace.errors import PinBroken, RequestInvalid
from samespace.vectors import Vectors
from samespace_weaviate import Severity, StoredObject, check_pin
from samespace_weaviate.adoption.findings import CollectionLook
from samespace_weaviate.adoption.run import adopt, look
from samespace_weaviate.adoption.sample import draw
from samespace_weaviate.adoption.search import most_texts
from samespace_weaviate.adoption.words import sentences, strangers, to_json
from samespace_weaviate.pinning.adopted import MOST_NAMED, Adoption

NAME = "Docs"
WORDS = [
    f"{first}{second}" for first in ("river", "glass", "stone", "wind") for second in ("ton", "mark", "fold", "er")
]

SPACES: dict[str, tuple[str, ...]] = {"default": (), "other": (OTHER_SPACE,)}


def texts(count: int, seed: int = 1) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=6)) + f" {place}" for place in range(count)]


def collection(*tenants: str, properties: tuple[str, ...] = ("text",)) -> FakeWeaviate:
    """Made by nobody who pins; tenants are active."""
    database = FakeWeaviate()
    database.schemas[NAME] = {
        "class": NAME,
        "properties": [{"name": name, "dataType": ["text"]} for name in properties],
        "vectorConfig": {"default": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}},
        **({"multiTenancyConfig": {"enabled": True}} if tenants else {}),
    }
    database.status[NAME] = dict.fromkeys(tenants, "HOT")
    return database


def fill(database: FakeWeaviate, encoder: WordEncoder, rows: list[str], tenant: str = "", first: int = 1) -> list[UUID]:
    ids = [UUID(int=first + place) for place in range(len(rows))]
    made = np.asarray(encoder.encode(rows, "passage").__array__())
    for uuid, text, row in zip(ids, rows, made, strict=True):
        database.put(NAME, tenant, StoredObject(uuid, {"text": text}, vectors={"default": row}))
    return ids


def said(found: CollectionLook) -> str:
    return " ".join(sentences(found))


class Near(WordEncoder):
    """Another space, whose vectors are those of the first one but for 7e-5 (1 - cos): a build behind another door."""

    def __init__(self) -> None:
        super().__init__(OTHER_SPACE)
        self._near = WordEncoder()

    def encode_with(self, texts: Any, role: Any, options: Any) -> Any:
        made = self._near.encode_with(texts, role, options)
        return replace(made, vectors=Vectors(apart_by(made.vectors.__array__(), 7e-5), OTHER_SPACE))


def apart_by(rows: np.ndarray, far: float) -> np.ndarray:
    """*rows*, each turned by so much (1 - cos)."""
    aside = np.roll(rows, 1, axis=1)
    aside = aside - (aside * rows).sum(axis=1, keepdims=True) * rows
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    return ((1 - far) * rows + np.sqrt(1 - (1 - far) ** 2) * aside).astype(np.float32)


def test_of_two_that_are_near_none_is_named() -> None:
    """What one vector in ten is off by made the wrong one explain all 200 objects, and the right one 181."""
    database = collection()
    ids = fill(database, WordEncoder(), texts(100))
    for uuid in ids[::10]:
        stored = database.objects[NAME][""][uuid]
        row = apart_by(stored.vectors["default"][None], 2.5e-4)[0]
        database.objects[NAME][""][uuid] = replace(stored, vectors={"default": row})
    found = look(database, NAME, [WordEncoder(), Near()], sample=100)  # type: ignore[arg-type]
    assert "give nearly the same vectors; give the one that is meant alone" in said(found)
    with pytest.raises(PinBroken, match="nearly the same vectors"):
        adopt(database, found)  # type: ignore[arg-type]


def two_vectors() -> FakeWeaviate:
    """One by an encoder that is known, one by another."""
    database = collection()
    database.schemas[NAME]["vectorConfig"]["other"] = {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}
    rows = texts(30)
    made = {name: np.array(WordEncoder(*space).encode(rows, "passage")) for name, space in SPACES.items()}
    for place, text in enumerate(rows):
        vectors = {name: each[place] for name, each in made.items()}
        database.put(NAME, "", StoredObject(UUID(int=place + 1), {"text": text}, vectors=vectors))
    return database


def test_a_vector_that_would_be_left_out_for_good_is_not_left_out_in_silence() -> None:
    """The guard's settings cannot be changed: with exit code 0 the other vector was past adopting."""
    database = two_vectors()
    found = look(database, NAME, [WordEncoder()], sample=30)  # type: ignore[arg-type]
    assert list(found.adoptions) == ["default"]
    with pytest.raises(PinBroken, match=r"other: none of the candidates wrote it.* --partly"):
        adopt(database, found)  # type: ignore[arg-type]
    assert "samespace_guard" not in database.schemas[NAME]["vectorConfig"]
    both = look(database, NAME, [WordEncoder(), WordEncoder(OTHER_SPACE)], sample=30)  # type: ignore[arg-type]
    assert sorted(adopt(database, both)) == ["default", "other"]  # type: ignore[arg-type]


def test_a_vector_may_be_left_out_by_who_says_so() -> None:
    database = two_vectors()
    found = look(database, NAME, [WordEncoder()], sample=30)  # type: ignore[arg-type]
    assert list(adopt(database, found, partly=True)) == ["default"]  # type: ignore[arg-type]


def test_a_bound_is_of_the_tenants_that_were_read_and_the_record_names_the_others() -> None:
    """A cold tenant of another encoder, four fifths of all: "at most 20 % of all" was false, and check knew nothing."""
    database = collection("hot", "cold")
    fill(database, WordEncoder(), texts(100), "hot")
    fill(database, WordEncoder(OTHER_SPACE), texts(400), "cold")
    database.status[NAME]["cold"] = "COLD"
    found = look(database, NAME, [WordEncoder()], sample=20)  # type: ignore[arg-type]
    assert "of all are otherwise" not in said(found)
    assert "of those of the tenants that were read are otherwise" in said(found)
    assert "1 tenant was not read, and is as it was; nothing is known of it: cold." in said(found)
    assert to_json(found)["unread_tenants"] == ["cold"]
    adopt(database, found)  # type: ignore[arg-type]
    checked = check_pin(database.schema(NAME) or {}, WordEncoder().space_id)
    (unread,) = [
        each for each in checked.findings if "1 tenant was not read when it was adopted (cold)" in each.message
    ]
    assert unread.severity is Severity.UNSAFE


def test_where_all_tenants_were_read_it_is_of_all() -> None:
    database = collection("a", "b")
    for tenant in ("a", "b"):
        fill(database, WordEncoder(), texts(30), tenant)
    found = look(database, NAME, [WordEncoder()], sample=20)  # type: ignore[arg-type]
    assert "of all are otherwise" in said(found) and "not read" not in said(found)
    adopt(database, found)  # type: ignore[arg-type]
    assert "not read" not in " ".join(each.message for each in check_pin(database.schema(NAME) or {}).findings)


def test_a_record_of_very_many_unread_tenants_keeps_their_number() -> None:
    names = tuple(f"t{place}" for place in range(MOST_NAMED + 7))
    adoption = Adoption("default", "a" * 64, {}, len(names), names)
    assert f"{MOST_NAMED + 7} tenants were not read" in adoption.risks()[1]


def test_every_object_of_all_tenants_has_the_same_chance() -> None:
    """So many of each tenant by its size, rounded up, gave those of small ones a better one."""
    database = collection(*(f"small{place}" for place in range(20)), "large")
    for place in range(20):
        fill(database, WordEncoder(), texts(1), f"small{place}")
    fill(database, WordEncoder(), texts(380), "large")
    drawn = [draw(database, database.schemas[NAME], 40, random.Random(seed)) for seed in range(50)]  # type: ignore[arg-type]
    assert {len(each.objects) for each in drawn} == {40}
    small = sum(owner != "large" for each in drawn for owner in each.owners)
    assert 60 <= small <= 140  # 100 of 2000 are expected; rounded up it was 1000


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_no_more_texts_are_encoded_than_were_announced(share: float) -> None:
    """Also where half is of another recipe, or nothing fits well: then the search does not end by itself."""
    database = collection(properties=("text", "title", "body", "note", "more"))
    encoder = WordEncoder()
    near = _Near(encoder)
    rows = texts(60)
    for place, (text, right) in enumerate(
        zip(rows, np.asarray(encoder.encode(rows, "passage").__array__()), strict=True)
    ):
        properties = {name: f"{text} {name}" for name in ("title", "body", "note", "more")} | {"text": text}
        row = right if place >= share * len(rows) else near(right)
        database.put(NAME, "", StoredObject(UUID(int=place + 1), properties, vectors={"default": row}))
    encoder.texts, told = 0, list[int]()
    found = look(database, NAME, [encoder], sample=30, progress=told.append)  # type: ignore[arg-type]
    assert encoder.texts == sum(told) <= most_texts(30)
    (candidate,) = found.vectors[0].candidates
    assert candidate.encoded == encoder.texts
    if share:
        assert candidate.untried and "no more were allowed: not everything was tried" in said(found)
        assert "--max-texts" in said(found)
    else:
        assert found.adoptions and not candidate.untried


class _Near:
    """A vector near the right one that no recipe gives: as of another pooling."""

    def __init__(self, encoder: WordEncoder) -> None:
        self._chance = np.random.default_rng(3)

    def __call__(self, row: Any) -> Any:
        noise = self._chance.standard_normal(len(row)).astype(np.float32)
        return row + 0.5 * noise / np.linalg.norm(noise)


def test_a_budget_that_is_given_is_kept_and_one_that_is_too_small_refused() -> None:
    database = collection(properties=("text", "title"))
    fill(database, WordEncoder(OTHER_SPACE), texts(40))
    encoder = WordEncoder()
    look(database, NAME, [encoder], sample=10, texts=1100)  # type: ignore[arg-type]
    assert encoder.texts <= 1100
    with pytest.raises(RequestInvalid, match="--max-texts: 100; a sample of 10 objects needs 1030 at least"):
        look(database, NAME, [encoder], sample=10, texts=100)  # type: ignore[arg-type]


def test_objects_that_are_otherwise_are_named_with_what_to_do() -> None:
    """3 % of another encoder: nothing is pinned, and nothing else lists them; tenants may have objects of one id."""
    database = collection("a", "b")
    ids = fill(database, WordEncoder(), texts(97), "a")
    fill(database, WordEncoder(), texts(97), "b")
    foreign = fill(database, WordEncoder(OTHER_SPACE), texts(30, seed=5), "b", first=50)
    found = look(database, NAME, [WordEncoder()], sample=500)  # type: ignore[arg-type]
    (vector,) = found.vectors
    assert not found.adoptions and set(foreign) <= set(ids)
    assert set(vector.otherwise) == {("b", each) for each in foreign}
    lines = strangers(vector)
    assert len(lines) == 21 and lines[0] == f"{foreign[0]} of tenant b" and "10 more that were met: --json" in lines[-1]
    assert len(to_json(found)["vectors"][0]["otherwise"]) == 30
    assert "delete these objects or write them again" in vector.doubt() and "migrate" in vector.doubt()


@pytest.fixture
def invoked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `samespace weaviate ...` on a Weaviate in memory, with word encoders as artifacts."""

    def invoke(database: FakeWeaviate, *arguments: str) -> Any:
        @contextmanager
        def opened(named: object) -> Iterator[FakeWeaviate]:
            yield database

        @contextmanager
        def encoder(name: str, build: str) -> Iterator[WordEncoder]:
            yield WordEncoder()

        monkeypatch.setattr("samespace.cli.weaviate.connection.open_store", opened)
        monkeypatch.setattr("samespace.cli.weaviate.adopt.require_rights", lambda *args, **kwargs: None)
        monkeypatch.setattr("samespace.cli.weaviate.adopt.open_for_audit", encoder)
        return CliRunner().invoke(command, arguments)

    return invoke


def test_the_command_keeps_to_what_it_announces_and_ends_with_a_line_that_runs(invoked: Callable[..., Any]) -> None:
    """The line is parsed by click itself, with the Weaviate that was meant."""
    database = collection()
    fill(database, WordEncoder(), texts(40))
    where = ["--url", "http://elsewhere:8080", "--grpc-port", "50055"]
    done = invoked(database, "adopt", NAME, "--candidate", "art e", "--sample", "20", "--yes", *where)
    assert done.exit_code == 0, (done.output, done.exception)
    printed = " ".join(done.output.split())
    assert "Reads up to 20 objects, and encodes 3,460 texts at most" in printed
    (following,) = [line for line in done.output.splitlines() if line.startswith("Next: ")]
    words = shlex.split(following.removeprefix("Next: samespace weaviate "))
    audit = command.get_command(None, words[0])  # type: ignore[arg-type]
    assert audit is not None
    given = audit.make_context("audit", words[1:]).params
    assert (given["name"], given["encoder"]) == (NAME, "art e")
    assert given["weaviate"].url == "http://elsewhere:8080" if "weaviate" in given else "elsewhere:8080" in following


def test_the_command_names_foreign_objects(invoked: Callable[..., Any]) -> None:
    database = collection()
    fill(database, WordEncoder(), texts(97))
    foreign = fill(database, WordEncoder(OTHER_SPACE), texts(3, seed=5), first=500)
    done = invoked(database, "adopt", NAME, "--candidate", "x", "--yes")
    assert done.exit_code == 1 and all(str(each) in done.output for each in foreign), done.output
    as_json = invoked(database, "adopt", NAME, "--candidate", "x", "--yes", "--json")
    (vector,) = json.loads(as_json.stdout)["vectors"]
    assert {each["id"] for each in vector["otherwise"]} == {str(each) for each in foreign}


def test_nothing_is_wider_than_the_terminal(invoked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the line to run, which is copied as one."""
    monkeypatch.setenv("COLUMNS", "60")
    database = collection("a", "cold", properties=("text", "title"))
    fill(database, WordEncoder(), texts(40), "a")
    database.status[NAME]["cold"] = "COLD"
    done = invoked(database, "adopt", NAME, "--candidate", "x", "--yes")
    assert done.exit_code == 0, done.output
    long = [line for line in done.output.splitlines() if len(line) > 60 and not line.startswith("Next: ")]
    assert all(len(max(line.split(), key=len)) > 50 for line in long), long


@pytest.mark.parametrize(
    ("a_second", "said_once"),
    [(200.0, "200 texts a second: 20 s at most"), (5.0, "5 texts a second: 13 min at most")],
)
def test_how_long_it_takes_is_told_once_after_the_first_texts(
    a_second: float, said_once: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The very first ones wait for the encoder, and do not count."""
    clock = [1000.0]
    monkeypatch.setattr("samespace.cli.weaviate.adopt.time.monotonic", lambda: clock[0])
    told = list[int]()
    advance = _telling_pace(told.append, 4000)
    clock[0] += 30.0
    for _ in range(40):
        advance(10)
        clock[0] += 10 / a_second
    assert sum(told) == 400
    printed = capsys.readouterr().err
    assert printed.count("texts a second") == 1 and said_once in printed
