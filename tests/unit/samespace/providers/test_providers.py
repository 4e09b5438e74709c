"""Hosted encoders as spaces: pinned, checked, swapped, drifting, flaky, and paid for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.providers.hosted import KEY, Hosted, hosting
from samespace.cli import cli
from samespace.cli.encoders import open_encoder, space_of
from samespace.errors import (
    ConfigInvalid,
    ManifestInvalid,
    OutputFailed,
    RequestInvalid,
    ServerUnavailable,
    SpaceMismatch,
)
from samespace.providers.door import ProviderDoor
from samespace.providers.encoder import ProviderEncoder
from samespace.providers.manifest import FILE, ProviderManifest, read_provider
from samespace.providers.pin import PROBES, ProviderCheck, check_provider, pin_provider
from samespace.providers.wire import WIRES

NOISE = 1e-4


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosted]:
    for wire in WIRES.values():
        monkeypatch.setenv(wire.key, KEY)
    with hosting(Hosted(noise=NOISE)) as running:
        yield running


def door(hosted: Hosted, provider: str = "openai") -> ProviderDoor:
    return ProviderDoor(provider, "model-1", hosted.url, pause=lambda seconds: None)


def pinned(hosted: Hosted, folder: Path, provider: str = "openai") -> ProviderManifest:
    return pin_provider(door(hosted, provider), provider, folder / provider, token_limit=8191)


def checked(manifest: ProviderManifest, hosted: Hosted) -> ProviderCheck:
    return check_provider(manifest, door(hosted, manifest.provider))


@pytest.mark.parametrize("provider", WIRES)
def test_each_provider_is_spoken_to_in_its_words(provider: str, hosted: Hosted, tmp_path: Path) -> None:
    """Vectors come in the order of the texts, of unit length; roles are told where there is a word for them."""
    hosted.noise = 0.0
    hosted.roles = provider in ("cohere", "voyageai", "jinaai")
    manifest = pinned(hosted, tmp_path, provider)
    assert read_provider(tmp_path / provider).space_id == manifest.space_id
    with open_encoder(str(tmp_path / provider)) as encoder:
        assert space_of(str(tmp_path / provider)) == (encoder.space_id, f"{provider}:model-1")
        rows = np.asarray(encoder.encode([f"text {n}" for n in range(300)], "passage"))
        again = np.asarray(encoder.encode(["text 299"], "passage"))[0]
        query = np.asarray(encoder.encode(["text 299"], "query"))[0]
    assert rows.shape == (300, 64) and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert np.allclose(rows[299], again, atol=1e-6)
    assert np.allclose(again, query, atol=1e-6) is not hosted.roles
    assert {path for path, _ in hosted.asked} == {WIRES[provider].path}


def test_an_honest_provider_raises_no_alarm(hosted: Hosted, tmp_path: Path) -> None:
    """Noise in every answer, and one answer of 500 that is far off: 300 checks of 32 probes say the same."""
    manifest = pinned(hosted, tmp_path)
    assert 0 < manifest.noise < manifest.bound
    hosted.outliers = 0.002
    assert all(checked(manifest, hosted).same for _ in range(300))


def test_ten_thousand_honest_checks_raise_no_alarm(tmp_path: Path) -> None:
    """The same without a network: 10,000 checks."""

    class Honest(ProviderDoor):
        def __init__(self) -> None:
            self.model, self.dims, self.address = "model-1", 0, "http://nowhere"
            self.chance = np.random.default_rng(11)
            self.right = {text: self.chance.normal(size=32) for text in PROBES}
            self.right = {text: row / np.linalg.norm(row) for text, row in self.right.items()}

        def rows(self, texts, role):  # type: ignore[no-untyped-def]
            made = np.stack([self.right[text] for text in texts])
            scale = np.where(self.chance.random(len(made)) < 0.001, 100 * NOISE, NOISE)[:, None]
            made = made + self.chance.normal(size=made.shape) * scale
            return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

    honest = Honest()
    manifest = pin_provider(honest, "openai", tmp_path / "out", token_limit=10)
    assert sum(not check_provider(manifest, honest).same for _ in range(10_000)) == 0


@pytest.mark.parametrize("change", ["another model", "drift", "other dims", "worse rounding"])
def test_what_changes_is_seen_in_one_check(change: str, hosted: Hosted, tmp_path: Path) -> None:
    """Another model behind the name, a shift of a hundredth, another length, noise of 30 times as much."""
    manifest = pinned(hosted, tmp_path)
    assert checked(manifest, hosted).same
    if change == "another model":
        hosted.model = 2
    elif change == "drift":
        hosted.drift = 0.01
    elif change == "other dims":
        hosted.dims = 32
    else:
        hosted.noise *= 30
    found = checked(manifest, hosted)
    assert not found.same and found.worst > found.bound
    done = CliRunner().invoke(cli, ["provider", "check", str(tmp_path / "openai")])
    assert done.exit_code == 3 and "NOT the same" in done.output
    assert pinned(hosted, tmp_path / "again").space_id != manifest.space_id
    if change == "other dims":
        hosted.dims = 64
        with ProviderEncoder(manifest, door(hosted)) as encoder:
            encoder.encode(["x"], "query")
            hosted.dims = 32
            with pytest.raises(SpaceMismatch, match="32 dims"):
                encoder.encode(["x"], "query")


class TwoModels(ProviderDoor):
    """Each request is answered by one of two models: a rolling update, two regions."""

    def __init__(self, share: float) -> None:
        self.model, self.dims, self.address = "model-1", 0, "http://nowhere"
        self.share, self.chance = share, np.random.default_rng(5)

    def rows(self, texts, role):  # type: ignore[no-untyped-def]
        model = 2 if self.chance.random() < self.share else 1
        made = np.stack([np.random.default_rng([model, *text.encode()]).normal(size=64) for text in texts])
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def test_two_models_behind_one_name_are_not_pinned(tmp_path: Path) -> None:
    """Their distance would become the noise, and every vector the same."""
    with pytest.raises(ServerUnavailable, match="two models seem to answer there"):
        pin_provider(TwoModels(0.5), "openai", tmp_path / "out", token_limit=10)
    assert not (tmp_path / "out").exists()


def test_a_second_model_is_seen_although_the_first_answers_too(tmp_path: Path) -> None:
    """Asked until it gives the right answer, it would be the same in 19 of 20 checks."""
    manifest = pin_provider(TwoModels(0.0), "openai", tmp_path / "out", token_limit=10)
    assert check_provider(manifest, TwoModels(0.0)).same
    checks = [check_provider(manifest, TwoModels(0.5)) for _ in range(20)]
    assert not any(each.same for each in checks)


def test_a_bound_that_was_edited_acquits_nobody(hosted: Hosted, tmp_path: Path) -> None:
    """It is not in the id, because it is measured; so it has a limit of its own."""
    pinned(hosted, tmp_path)
    file = tmp_path / "openai" / FILE
    for bound in (1.9, -1.0, float("nan")):
        file.write_text(json.dumps({**json.loads(file.read_text()), "bound": bound}))
        with pytest.raises(ManifestInvalid, match="is the most that a pin allows"):
            read_provider(tmp_path / "openai")


def test_outages_are_waited_for_and_refusals_are_not(hosted: Hosted, tmp_path: Path) -> None:
    """429 and 503 pass; a wrong key, a refused text and an endless outage end in one line without key or text."""
    manifest = pinned(hosted, tmp_path)
    with ProviderEncoder(manifest, door(hosted)) as encoder:
        hosted.failures = [429, 503, 500]
        assert len(encoder.encode(["a"], "query")) == 1
        hosted.failures = [503] * 50
        with pytest.raises(ServerUnavailable, match="503 after 6 tries"):
            encoder.encode(["a"], "query")
        hosted.failures = []
        with pytest.raises(RequestInvalid, match="status 400") as refused:
            encoder.encode(["secret text", ""], "query")
        assert "secret text" not in str(refused.value)


def test_keys_are_asked_for_and_never_shown(hosted: Hosted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = pinned(hosted, tmp_path)
    assert KEY not in (tmp_path / "openai" / FILE).read_text()
    monkeypatch.setenv("OPENAI_API_KEY", "wrong-key-999")
    with pytest.raises(ConfigInvalid, match="OPENAI_API_KEY: was refused") as refused:
        ProviderEncoder(manifest, door(hosted)).encode(["a"], "query")
    assert "wrong-key-999" not in str(refused.value)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigInvalid, match="OPENAI_API_KEY"):
        door(hosted)
    with pytest.raises(ConfigInvalid, match="expected one of openai"):
        ProviderDoor("acme", "m")


def test_a_provider_that_answers_nonsense_is_not_pinned(hosted: Hosted, tmp_path: Path) -> None:
    """The same vector for every text, or vectors of no length."""
    hosted.noise = 0.0
    hosted.vector = lambda text, role: [1.0] * 64  # type: ignore[method-assign]
    with pytest.raises(ServerUnavailable, match="the same vector to every text"):
        pinned(hosted, tmp_path)
    hosted.vector = lambda text, role: [0.0] * 64  # type: ignore[method-assign]
    with pytest.raises(ServerUnavailable, match="zeros"):
        pinned(hosted, tmp_path)
    assert not (tmp_path / "openai").exists()


def test_a_manifest_that_was_edited_is_refused(hosted: Hosted, tmp_path: Path) -> None:
    """The id is of the model's name and of the probes' vectors."""
    pinned(hosted, tmp_path)
    file = tmp_path / "openai" / FILE
    whole = json.loads(file.read_text())
    other = {**whole, "identity": {**whole["identity"], "model": "model-2"}}
    for wrong in (other, {**whole, "vectors": whole["vectors"][:-8] + "AAAAAAA="}, {**whole, "format": 2}, [], {}):
        file.write_text(json.dumps(wrong))
        with pytest.raises(ManifestInvalid):
            read_provider(tmp_path / "openai")


def test_the_command_says_what_it_sends_and_writes_once(hosted: Hosted, tmp_path: Path) -> None:
    """The cost comes first; a folder that is there is left alone."""
    command = ["provider", "pin", "openai:model-1", "--base-url", hosted.url, "--out", str(tmp_path / "p")]
    asked = CliRunner().invoke(cli, command, input="n\n")
    assert asked.exit_code == 1 and "5 x 32 short texts" in asked.output and hosted.asked == []
    done = CliRunner().invoke(cli, [*command, "--yes"])
    assert done.exit_code == 0 and done.stdout.strip() == read_provider(tmp_path / "p").space_id
    assert CliRunner().invoke(cli, ["provider", "check", str(tmp_path / "p")]).exit_code == 0
    sent = len(hosted.asked)
    again = CliRunner().invoke(cli, [*command, "--yes"])
    assert isinstance(again.exception, OutputFailed) and len(hosted.asked) == sent
    assert CliRunner().invoke(cli, ["provider", "pin", "openai", "--out", "x"]).exit_code == 2


@pytest.mark.parametrize("command", ["verify", "inspect", "diff", "serve", "combine", "certify"])
def test_commands_of_artifacts_say_what_a_pinned_provider_is(command: str, hosted: Hosted, tmp_path: Path) -> None:
    """It is whole, and copying it again would not make an artifact of it."""
    pinned(hosted, tmp_path)
    folder = str(tmp_path / "openai")
    (tmp_path / "key").write_text("")
    more = {
        "diff": [folder],
        "combine": [folder, "-o", str(tmp_path / "o")],
        "certify": ["--key", str(tmp_path / "key")],
    }
    done = CliRunner().invoke(cli, [command, folder, *more.get(command, [])])
    assert isinstance(done.exception, ManifestInvalid), done.output
    assert "is a pinned provider" in str(done.exception) and "provider check" in str(done.exception)
