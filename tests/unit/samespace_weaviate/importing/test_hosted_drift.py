"""A hosted encoder whose model is swapped: what an import wrote is not called found, and an audit judges nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fakes.providers.hosted import KEY, Hosted, hosting
from fakes.weaviate.audited import AuditedFake
from fakes.weaviate.database import DIMS, FakeDatabase
from samespace.api.named import open_encoder
from samespace.errors import ServerUnavailable
from samespace.providers.door import ProviderDoor
from samespace.providers.drift import EVERY_S, ProviderDrifted, ProviderWatch
from samespace.providers.encoder import ProviderEncoder
from samespace.providers.manifest import ProviderManifest
from samespace.providers.pin import pin_provider
from samespace_weaviate import CollectionSpec, Passage, StoredObject, create
from samespace_weaviate.access.values import object_uuid
from samespace_weaviate.audit import AuditOptions, audit
from samespace_weaviate.importing.batches import batches
from samespace_weaviate.importing.importer import ImportOptions, import_passages
from samespace_weaviate.importing.journal import FinishedBatch, ImportJournal
from samespace_weaviate.importing.windows import Target

TEXTS = dict.fromkeys(("text", "passageId", "title"), "text")
PASSAGES = [Passage(str(number), f"number {number}") for number in range(10)]


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosted]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with hosting(Hosted(noise=1e-5, dims=DIMS)) as running:
        yield running


@pytest.fixture
def manifest(hosted: Hosted, tmp_path: Path) -> ProviderManifest:
    return pin_provider(ProviderDoor("openai", "small", hosted.url), "openai", tmp_path / "pinned", token_limit=100)


def collection(manifest: ProviderManifest) -> tuple[FakeDatabase, Target]:
    made, spec = FakeDatabase(), CollectionSpec("Article", manifest.space_id, "http://encoder:8080")
    create(made, spec)
    return made, Target("Article", spec.vector_name, manifest.space_id, "text", "passageId", TEXTS)


def test_an_import_whose_provider_swaps_its_model_fails_and_is_done_anew(
    hosted: Hosted, manifest: ProviderManifest, tmp_path: Path
) -> None:
    """It ends with an error that counts the doubtful texts, and the journal does not take them for finished."""
    store, target = collection(manifest)
    options = ImportOptions(state=tmp_path / "run")

    def passages() -> Iterator[Passage]:
        yield from PASSAGES[:4]
        hosted.model = 2
        yield from PASSAGES[4:]

    encoder = open_encoder(str(tmp_path / "pinned"))
    with pytest.raises(ProviderDrifted, match="10 texts"):
        import_passages(store, target, encoder, passages(), batch=4, options=options)
    hosted.model = 1
    report = import_passages(store, target, ProviderEncoder(manifest), PASSAGES, batch=4, options=options)
    assert (report.written, report.clean) == (10, True)
    for each in store.objects["Article"].values():
        right = np.asarray(hosted.vector(str(each.properties["text"]), ""))
        assert each.vector is not None and np.ravel(each.vector) @ right / np.linalg.norm(right) > 0.999


def test_an_honest_import_is_clean_and_asks_twice(hosted: Hosted, manifest: ProviderManifest) -> None:
    store, target = collection(manifest)
    asked = len(hosted.asked)
    with ProviderEncoder(manifest) as encoder:
        assert import_passages(store, target, encoder, PASSAGES, batch=10).clean
    assert len(hosted.asked) - asked == 8 + 1 + 8


def test_an_outage_at_the_end_is_told_as_one(
    hosted: Hosted, manifest: ProviderManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samespace.providers.door.TRIES", 1)
    store, target = collection(manifest)

    def passages() -> Iterator[Passage]:
        yield from PASSAGES

    encoder = ProviderEncoder(manifest)
    done = encoder.watch.used

    def used(count: int) -> None:
        done(count)
        hosted.failures = [503]

    monkeypatch.setattr(encoder.watch, "used", used)
    with pytest.raises(ServerUnavailable, match="are not confirmed"):
        import_passages(store, target, encoder, passages(), batch=10)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_an_audit_with_another_model_judges_nothing(when: str, hosted: Hosted, manifest: ProviderManifest) -> None:
    """Also where the model is swapped while it audits: it would call the right vectors wrong."""
    spec = CollectionSpec("Article", manifest.space_id, "http://encoder:8080", also_properties=("author",))
    store = AuditedFake(spec.schema())
    store.fill(ProviderEncoder(manifest), [f"number {number}" for number in range(10)], author="Ada")
    encoder = ProviderEncoder(manifest)
    assert audit(store, "Article", encoder, AuditOptions(sample=None)).clean

    def swap(what: str, count: int) -> None:
        hosted.model = 2

    if when == "before":
        hosted.model, encoder = 2, ProviderEncoder(manifest)
    with pytest.raises(ProviderDrifted):
        audit(store, "Article", encoder, AuditOptions(sample=None), progress=swap)


class Killed(BaseException):
    """The process is gone."""


def are_right(store: FakeDatabase, hosted: Hosted) -> bool:
    """Whether every object has the vector of the model that is served now."""
    for each in store.objects["Article"].values():
        right = np.asarray(hosted.vector(str(each.properties["text"]), ""))
        if each.vector is None or np.ravel(each.vector) @ right / np.linalg.norm(right) < 0.999:
            return False
    return len(store.objects["Article"]) == len(PASSAGES)


@pytest.mark.parametrize("seen", [True, False])
def test_what_a_swapped_model_gave_before_a_kill_is_encoded_again(
    seen: bool, hosted: Hosted, manifest: ProviderManifest, tmp_path: Path
) -> None:
    """Whether or not a run in between, with the same wrong model, sees the drift and writes nothing."""
    store, target = collection(manifest)
    options = ImportOptions(state=tmp_path / "run")
    written = 0

    def killed(count: int) -> None:
        nonlocal written
        written += count
        if written == 8:
            raise Killed

    def passages() -> Iterator[Passage]:
        yield from PASSAGES[:2]
        hosted.model = 2
        yield from PASSAGES[2:]

    with pytest.raises(Killed):
        encoder = open_encoder(str(tmp_path / "pinned"))
        import_passages(store, target, encoder, passages(), batch=2, options=options, progress=killed)
    if seen:
        with pytest.raises(ProviderDrifted):
            import_passages(store, target, ProviderEncoder(manifest), PASSAGES, batch=2, options=options)
    hosted.model = 1
    report = import_passages(store, target, ProviderEncoder(manifest), PASSAGES, batch=2, options=options)
    assert are_right(store, hosted)
    assert (report.written, report.skipped) == (10, 0)


def test_what_was_encoded_before_the_provider_was_asked_again_is_not_encoded_twice(
    hosted: Hosted, manifest: ProviderManifest, tmp_path: Path
) -> None:
    """Ten minutes into an import it is asked, and what came before is finished, whatever follows."""
    store, target = collection(manifest)
    options, seconds, four = ImportOptions(state=tmp_path / "run"), [0.0], threading.Event()
    encoder, done = ProviderEncoder(manifest), 0
    encoder.watch = ProviderWatch(manifest, encoder.door, lambda: seconds[0])

    def passages() -> Iterator[Passage]:
        yield from PASSAGES[:5]  # a batch is known to be full when the next passage comes
        assert four.wait(60)
        seconds[0] += EVERY_S + 1
        yield from PASSAGES[5:]

    def killed(count: int) -> None:
        nonlocal done
        done += count
        if done == 4:
            four.set()
        if done == 8:
            hosted.model = 2
            raise Killed

    with pytest.raises(Killed):
        import_passages(store, target, encoder, passages(), batch=2, options=options, progress=killed)
    hosted.model = 1
    report = import_passages(store, target, ProviderEncoder(manifest), PASSAGES, batch=2, options=options)
    assert (report.written, report.skipped) == (6, 4)
    assert are_right(store, hosted)


def test_a_journal_that_took_a_provider_s_batches_at_its_word_is_begun_anew(
    hosted: Hosted, manifest: ProviderManifest, tmp_path: Path
) -> None:
    """As journals were: a batch was noted when written, and nobody knows whether the provider was asked again."""
    store, target = collection(manifest)
    options = ImportOptions(state=tmp_path / "run")
    hosted.model = 2
    for each in PASSAGES:
        row = np.asarray(ProviderDoor("openai", "small", hosted.url).rows([each.text], "passage"))[0]
        stored = StoredObject(object_uuid("Article", each.id), {"text": each.text, "passageId": each.id}, row)
        store.insert("Article", target.vector, [stored])
    hosted.model = 1
    key = {
        "collection": "Article", "space": target.space_id, "longTexts": target.long_texts, "batch": 10, "tenant": "",
        "tenantProperty": "",
    }  # fmt: skip
    old = ImportJournal.open(tmp_path / "run.journal", key)
    old.begin()
    (batch,) = batches(PASSAGES, "Article", 10)
    old.note(FinishedBatch(0, batch.digest))
    old.close()
    report = import_passages(store, target, ProviderEncoder(manifest), PASSAGES, batch=10, options=options)
    assert (report.written, report.skipped) == (10, 0)
    assert are_right(store, hosted)
