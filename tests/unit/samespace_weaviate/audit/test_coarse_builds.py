"""What only int8 can have written is held against int8 itself: an encoder that is as near is no build of this one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.models.encoders import WORDS
from fakes.weaviate.audited import AuditedFake
from fakes.weaviate.in_memory import FakeWeaviate
from samespace.cli import cli
from samespace.encoder import Encoder, LocalEncoder
from samespace.errors import PinBroken, RequestInvalid
from samespace.vectors import Float32
from samespace_weaviate import CollectionSpec, StoredObject
from samespace_weaviate.adoption.findings import CollectionLook
from samespace_weaviate.adoption.run import adopt, look
from samespace_weaviate.adoption.words import sentences as adoption_sentences
from samespace_weaviate.audit import AuditOptions, AuditReport, Kind, audit
from samespace_weaviate.audit.coarse import CoarseBuilds
from samespace_weaviate.audit.tolerance import EXACT, bounds_of
from samespace_weaviate.audit.words import sentences
from samespace_weaviate.migration import verification

OBJECTS = 60
_CHANCE = random.Random(3)
TEXTS = [f"{' '.join(_CHANCE.choices(sorted(WORDS), k=9))} {place}" for place in range(OBJECTS)]


@pytest.fixture(scope="module")
def artifact(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint with an int8 build."""
    folder = tmp_path_factory.mktemp("coarse")
    (folder / "qrels").mkdir()
    _write(folder / "corpus.jsonl", [{"_id": f"p{place}", "text": text} for place, text in enumerate(TEXTS)])
    _write(folder / "queries.jsonl", [{"_id": f"q{place}", "text": TEXTS[place]} for place in range(5)])
    (folder / "qrels" / "test.tsv").write_text("".join(f"q{place}\tp{place}\t1\n" for place in range(5)))
    command = ["export", str(tiny_checkpoint), str(folder / "out"), "--build", "int8", "--gate-data", str(folder)]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder / "out"


def _write(path: Path, lines: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")


@pytest.fixture(scope="module")
def exact(artifact: Path) -> Iterator[LocalEncoder]:
    with Encoder.load(artifact, build="fp32") as encoder:
        assert isinstance(encoder, LocalEncoder)
        yield encoder


@pytest.fixture(scope="module")
def by_int8(artifact: Path) -> Float32:
    """Written by int8 on the other runtime than the one that is asked."""
    with Encoder.load(artifact, build="int8", runtime="openvino") as encoder:
        return rows(encoder)


def rows(encoder: Encoder) -> Float32:
    return np.array(encoder.encode(TEXTS, "passage"))


def near(exact: LocalEncoder) -> Float32:
    """What an encoder that was tuned a little from the same base may give: half of int8's bound away."""
    made = rows(exact)
    far = bounds_of(exact)[1][-1].worst / 2
    aside = np.random.default_rng(2).standard_normal(made.shape)
    aside -= (aside * made).sum(axis=1, keepdims=True) * made
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    return ((1 - far) * made + np.sqrt(1 - (1 - far) ** 2) * aside).astype(np.float32)


def audited(exact: LocalEncoder, vectors: Float32, within: float = 0.0) -> AuditReport:
    database = AuditedFake(CollectionSpec("Article", exact.space_id, "http://encoder:8080", long_texts="pool").schema())
    ids = database.fill(exact, TEXTS)
    for uuid, row in zip(ids, vectors, strict=True):
        database.set_vectors(uuid, row[None])
    return audit(database, "Article", exact, AuditOptions(sample=None, written_within=within))  # type: ignore[arg-type]


def looked(candidate: Encoder, vectors: Float32, within: float = 2e-4) -> tuple[FakeWeaviate, CollectionLook]:
    database = FakeWeaviate()
    database.schemas["Docs"] = {
        "class": "Docs",
        "properties": [{"name": "text", "dataType": ["text"]}],
        "vectorConfig": {"default": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}},
    }
    database.status["Docs"] = {}
    for place, (text, row) in enumerate(zip(TEXTS, vectors, strict=True), start=1):
        database.put("Docs", "", StoredObject(UUID(int=place), {"text": text}, vectors={"default": row}))
    return database, look(database, "Docs", [candidate], sample=OBJECTS, written_within=within)  # type: ignore[arg-type]


def half(first: Float32, second: Float32, share: float = 0.5) -> Float32:
    return np.concatenate([first[: int(share * OBJECTS)], second[int(share * OBJECTS) :]])


def test_an_audit_takes_what_int8_wrote_for_right(exact: LocalEncoder, by_int8: Float32) -> None:
    for vectors in (by_int8, half(by_int8, rows(exact))):
        report = audited(exact, vectors)
        assert report.clean and not report.offenders, sentences(report)
        assert "what only int8 can have written was held against what it makes of the text" in " ".join(
            sentences(report)
        )


@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
def test_an_audit_tells_a_near_encoder_from_int8(exact: LocalEncoder, by_int8: Float32, share: float) -> None:
    """Six of ten within int8's bound made the audit take int8 for the writer, and none of them for wrong."""
    for others in (rows(exact), by_int8):
        report = audited(exact, half(near(exact), others, share))
        assert len(report.offenders) == int(share * OBJECTS) and not report.clean
        assert {each.kind for each in report.offenders} <= {Kind.STALE, Kind.DIFFERS, Kind.OTHER_SPACE}
        said = " ".join(sentences(report))
        assert "not what these builds make of the text" in said and "--written-within" in said


def test_who_says_that_another_build_wrote_is_believed(exact: LocalEncoder) -> None:
    """Such as int8 of another export, which nobody has here."""
    (advice,) = [each for each in sentences(audited(exact, near(exact))) if "--written-within" in each]
    within = float(advice.split("--written-within ")[1].split()[0])
    assert not audited(exact, near(exact), within).offenders


def test_a_collection_that_int8_wrote_is_adopted(exact: LocalEncoder, by_int8: Float32) -> None:
    """Also where fp32 wrote the other half: these vectors compare."""
    for vectors in (by_int8, half(by_int8, rows(exact))):
        database, found = looked(exact, vectors)
        assert "by int8; with" in " ".join(adoption_sentences(found))
        assert list(adopt(database, found)) == ["default"]  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
def test_a_near_encoder_is_not_adopted(exact: LocalEncoder, by_int8: Float32, share: float) -> None:
    """All of what a tuned model wrote was taken for what int8 of its base wrote, and pinned to that base."""
    for others in (rows(exact), by_int8):
        database, found = looked(exact, half(near(exact), others, share))
        (vector,) = found.vectors
        assert len(vector.otherwise) == int(share * OBJECTS)
        with pytest.raises(PinBroken, match="nothing was changed"):
            adopt(database, found)  # type: ignore[arg-type]


def test_a_coarse_candidate_cannot_tell(artifact: Path, exact: LocalEncoder) -> None:
    """Whatever is as near as int8 may be would pass for it; who knows better says so."""
    with Encoder.load(artifact, build="int8") as coarse:
        with pytest.raises(RequestInvalid, match=r"runs int8, off by up to .* Name its artifact") as refused:
            looked(coarse, near(exact))
        within = float(str(refused.value).rsplit("--written-within ", 1)[1].split()[0].rstrip(".;"))
        _, found = looked(coarse, rows(exact), within)
        assert found.adoptions


def test_a_migration_takes_what_int8_wrote_for_right(
    exact: LocalEncoder, by_int8: Float32, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who named the artifact, and had a server that runs int8, was told after the whole copy to roll it back."""
    allowed = 4 * EXACT  # the tiny model's int8 is nearer than real ones
    monkeypatch.setattr(verification, "BOUND", allowed)
    coarse = CoarseBuilds(exact, EXACT)

    def distances(vectors: Float32) -> list[float]:
        stored = [
            StoredObject(UUID(int=place), {"text": text}, vectors={"default": row})
            for place, (text, row) in enumerate(zip(TEXTS, vectors, strict=True))
        ]
        return verification.distances_of(stored, "default", "text", exact, coarse)

    assert max(distances(rows(exact))) < allowed
    assert distances(by_int8) == [allowed] * OBJECTS
    assert min(distances(near(exact))) > allowed
