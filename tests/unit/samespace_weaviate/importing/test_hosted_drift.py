"""A hosted encoder whose model is swapped: what an import wrote is not called found, and an audit judges nothing."""

from __future__ import annotations

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
from samespace.providers.drift import ProviderDrifted
from samespace.providers.encoder import ProviderEncoder
from samespace.providers.manifest import ProviderManifest
from samespace.providers.pin import pin_provider
from samespace_weaviate import CollectionSpec, Passage, create
from samespace_weaviate.audit import AuditOptions, audit
from samespace_weaviate.importing.importer import ImportOptions, import_passages
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
