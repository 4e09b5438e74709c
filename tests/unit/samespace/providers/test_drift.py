"""A pinned provider whose model is swapped: nothing is taken for vectors of the pinned space, whoever asks."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.providers.hosted import KEY, Hosted, hosting
from samespace.api.named import open_encoder
from samespace.bulk.plan import Columns, Options
from samespace.bulk.work import make_part
from samespace.cli import cli, main
from samespace.errors import ServerUnavailable, VectorsDisagree
from samespace.providers.door import ProviderDoor
from samespace.providers.drift import EVERY_S, ProviderDrifted, ProviderWatch
from samespace.providers.encoder import WITNESSED, ProviderEncoder
from samespace.providers.manifest import ProviderManifest
from samespace.providers.pin import PROBES, check_provider, pin_provider
from samespace.providers.wire import wire_of
from samespace.text import Role


class Models(ProviderDoor):
    """Answers as one of two models; swaps them after so many requests, and goes away when told to."""

    wire = wire_of("openai")

    def __init__(self, *, swap_after: int | None = None) -> None:
        self.model, self.dims, self.address = "model-1", 0, "http://nowhere"
        self.seed, self.swap_after, self.away, self.texts = 1, swap_after, False, 0

    def rows(self, texts: Sequence[str], role: Role) -> Any:
        if self.away:
            raise ServerUnavailable(address=self.address, reason="status 503", remedy="later")
        if self.swap_after is not None and not set(texts) <= set(PROBES):
            self.swap_after -= 1
            if self.swap_after < 0:
                self.seed = 2
        self.texts += len(texts)
        made = np.stack([np.random.default_rng([self.seed, *text.encode()]).normal(size=32) for text in texts])
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

    def close(self) -> None: ...


@pytest.fixture
def manifest(tmp_path: Path) -> ProviderManifest:
    return pin_provider(Models(), "openai", tmp_path / "pinned", token_limit=10)


def test_nothing_is_encoded_before_the_probes_were_asked(manifest: ProviderManifest) -> None:
    """Another model gives no vector, and the refusal has both values and what to do; the honest one is asked once."""
    door = Models()
    with ProviderEncoder(manifest, door) as encoder:
        for _ in range(5):
            encoder.encode(["a"], "query")
    assert door.texts == len(PROBES) + 5
    door.seed = 2
    with ProviderEncoder(manifest, door) as encoder, pytest.raises(ProviderDrifted) as refused:
        encoder.encode(["a"], "query")
    assert f"allowed {manifest.bound:.1e}" in str(refused.value) and "pin it anew" in str(refused.value)
    assert isinstance(refused.value, VectorsDisagree) and refused.value.worst > 0.1 and refused.value.doubtful == 0
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)  # from Ray's workers


@pytest.mark.parametrize("way", ["confirm", "the end of a with", "ten minutes"])
def test_a_swap_while_it_is_used_is_seen(way: str, manifest: ProviderManifest) -> None:
    """At the end of a job and every ten minutes of use; how many vectors are in doubt is told."""
    now, door, texts = [0.0], Models(swap_after=1), [f"text {number}" for number in range(15)]
    door.wire = replace(door.wire, most=1)  # a text a request leaves no room for a witness
    encoder = ProviderEncoder(manifest, door)
    encoder.watch = ProviderWatch(manifest, door, lambda: now[0])
    with pytest.raises(ProviderDrifted, match="60 texts that it encoded since it was last asked") as refused, encoder:
        for _ in range(4):
            encoder.encode(texts, "passage")
        if way == "confirm":
            encoder.confirm()
        elif way == "ten minutes":
            now[0] = EVERY_S + 1
            encoder.encode(texts, "passage")
    assert refused.value.doubtful == 60


def test_an_honest_provider_passes_all_of_these(manifest: ProviderManifest) -> None:
    """Each confirmation asks for the probes once, and not where nothing was encoded since."""
    door = Models()
    with ProviderEncoder(manifest, door) as encoder:
        encoder.encode([f"text {number}" for number in range(40)], "passage")
        encoder.confirm()
        encoder.confirm()
    assert door.texts == 2 * len(PROBES) + 40 + 1


class Fallback(Models):
    """Another model answers a few requests, and the pinned one is back before its probes are asked for."""

    def rows(self, texts: Sequence[str], role: Role) -> Any:
        asked = not set(texts) <= set(PROBES)
        self.number = getattr(self, "number", 0) + asked
        self.seed = 2 if asked and 3 <= self.number <= 5 else 1
        return super().rows(texts, role)


@pytest.mark.parametrize("role", ["query", "passage"])
@pytest.mark.parametrize("size", [WITNESSED, WITNESSED - 1])
def test_a_model_that_is_swapped_and_swapped_back_is_met(size: int, role: Role, manifest: ProviderManifest) -> None:
    """600 objects were written, 228 of them by a gateway's fallback, and found: exit code 0; also in small requests."""
    texts = [f"text {number}" for number in range(size)]
    encoder = ProviderEncoder(manifest, Fallback())
    for _ in range(2):
        rows = encoder.encode(texts, role).__array__()
        assert np.allclose(rows, Models().rows(texts, role))
    with pytest.raises(ProviderDrifted, match="gives"):
        for _ in range(3):
            encoder.encode(texts, role)
    encoder.close()


def test_many_texts_go_in_requests_that_each_have_a_witness(manifest: ProviderManifest) -> None:
    """In their order, and no request is longer than the provider takes."""
    door, sizes = Models(), list[int]()
    asked = door.rows

    def rows(texts: Sequence[str], role: Role) -> Any:
        sizes.append(len(texts))
        assert set(texts) & set(PROBES)
        return asked(texts, role)

    door.rows = rows  # type: ignore[method-assign]
    door.wire = replace(door.wire, most=20)
    texts = [f"text {number}" for number in range(50)]
    found = ProviderEncoder(manifest, door).encode(texts, "passage").__array__()
    assert np.allclose(found, Models().rows(texts, "passage")) and sizes[-3:] == [20, 20, 13]


def test_a_length_that_changes_between_two_requests_is_an_error_of_ours(manifest: ProviderManifest) -> None:
    door, lengths = Models(), iter([32, 24])
    asked = door.rows
    door.wire = replace(door.wire, most=20)
    encoder = ProviderEncoder(manifest, door)
    encoder.encode(["a"], "query")
    door.rows = lambda texts, role: asked(texts, role)[:, : next(lengths)]  # type: ignore[method-assign]
    with pytest.raises(ServerUnavailable, match="several lengths"):
        encoder.encode([f"text {number}" for number in range(30)], "passage")
    encoder.close()


def test_an_outage_is_no_drift(manifest: ProviderManifest) -> None:
    """At the beginning nothing is encoded; at the end it is told that the vectors are not confirmed."""
    door = Models()
    door.away = True
    with ProviderEncoder(manifest, door) as encoder:
        with pytest.raises(ServerUnavailable, match="503"):
            encoder.encode(["a"], "query")
        door.away = False
        encoder.encode(["a"] * 40, "query")
        door.away = True
        with pytest.raises(ServerUnavailable, match="the vectors of the last 40 texts are not confirmed"):
            encoder.confirm()
        door.away = False


def test_an_error_of_the_job_is_not_hidden_by_another(manifest: ProviderManifest) -> None:
    with pytest.raises(KeyError), ProviderEncoder(manifest, Models(swap_after=0)) as encoder:
        encoder.encode(["a"] * 10, "query")
        raise KeyError


def test_a_part_of_vectors_that_a_swapped_model_gave_is_not_written(manifest: ProviderManifest, tmp_path: Path) -> None:
    """`samespace embed`, in this process or on Ray's workers: a part that lies there would count as done."""
    pytest.importorskip("pyarrow")
    from samespace.bulk.job import BulkJob, plan_job

    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"_id": str(n), "text": f"text {n}"}) + "\n" for n in range(9))
    )
    options = Options(
        manifest.space_id, "passage", "pool", "float32", None, Columns(text=("text",), id=None, number_rows=False),
        skip_empty=False, with_text=True, build="",
    )  # fmt: skip
    out = tmp_path / "out"
    out.mkdir()
    (part,) = plan_job(BulkJob((str(tmp_path / "in.jsonl"),), str(out), options, "x", 100))
    with pytest.raises(ProviderDrifted):
        make_part(part, options, str(out), ProviderEncoder(manifest, Models(swap_after=0)))
    assert not list(out.iterdir())
    assert make_part(part, options, str(out), ProviderEncoder(manifest, Models())).rows == 9


def test_whatever_opens_one_refuses_a_swapped_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name, in Python and on the command line; the exit code is that of drift."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    folder = tmp_path / "hosted"
    with hosting(Hosted(noise=1e-5)) as hosted:
        pin = ["provider", "pin", "openai:small", "--base-url", hosted.url, "--out", str(folder), "--yes"]
        assert CliRunner().invoke(cli, pin).exit_code == 0
        open_encoder(str(folder)).close()
        hosted.model = 2
        with pytest.raises(ProviderDrifted):
            open_encoder(str(folder))
        (tmp_path / "in.jsonl").write_text('{"_id": "1", "text": "a"}\n')
        embed = ["embed", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out"), "--encoder", str(folder)]
        monkeypatch.setattr("sys.argv", ["samespace", *embed])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 3 and "DRIFTED" in capsys.readouterr().err


class Mixed(Models):
    """A share of the requests is answered by a model that is only *far* (1 - cos) off."""

    def __init__(self, share: float, far: float) -> None:
        super().__init__()
        self.share, self.cosine, self.chance = share, 1 - far, np.random.default_rng(5)

    def rows(self, texts: Sequence[str], role: Role) -> Any:
        right = super().rows(texts, role)
        if self.chance.random() >= self.share:
            return right
        other = np.stack([np.random.default_rng([9, *text.encode()]).normal(size=32) for text in texts])
        other -= right * (other * right).sum(axis=1, keepdims=True)
        other /= np.linalg.norm(other, axis=1, keepdims=True)
        return (self.cosine * right + np.sqrt(1 - self.cosine**2) * other).astype(np.float32)


def test_a_second_model_that_is_near_is_a_verdict_of_its_own(manifest: ProviderManifest) -> None:
    """Each probe gets the right answer after a few tries, and still the answers are of two kinds."""
    for share in (0.3, 0.5):
        door = Mixed(share, 0.009)
        checks = [check_provider(manifest, door) for _ in range(100)]
        assert sum(each.same for each in checks) <= 100 * (1 - share) ** 8 + 12
        seen = [each for each in checks if not each.same]
        assert all(each.two_kinds and "answers of two kinds" in each.told(manifest) for each in seen)
        assert all(each.worst == pytest.approx(0.009, rel=0.01) for each in checks if each.repeated)
    with ProviderEncoder(manifest, Mixed(0.5, 0.009)) as encoder, pytest.raises(ProviderDrifted, match="two kinds"):
        encoder.encode(["a"], "query")
