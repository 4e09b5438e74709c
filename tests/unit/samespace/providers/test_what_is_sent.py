"""Before a text leaves for a provider, the command says what is sent, and where to."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fakes.providers.hosted import KEY, Hosted, hosting
from samespace.cli import cli
from samespace.cli.encoders import open_encoder
from samespace.errors import ServerUnavailable


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A pinned provider that is gone by now, and its address."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    folder = tmp_path / "hosted"
    with hosting(Hosted(noise=1e-5, dims=64, length=1.0)) as hosted:
        pin = ["provider", "pin", "openai:small", "--base-url", hosted.url, "--out", str(folder), "--yes"]
        assert CliRunner().invoke(cli, pin).exit_code == 0
        done = CliRunner().invoke(cli, ["provider", "check", str(folder)])
        assert done.exit_code == 0 and f"Sends 32 short texts to {hosted.url}" in " ".join(done.output.split())
    return folder, hosted.url


def test_a_check_says_it_before_it_sends(pinned: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there to be asked, and it was said all the same."""
    folder, url = pinned
    monkeypatch.setattr("samespace.providers.door.TRIES", 1)  # more take half a minute
    done = CliRunner().invoke(cli, ["provider", "check", str(folder)])
    assert done.exit_code != 0 and f"Sends 32 short texts to {url}" in " ".join(done.output.split())


def test_every_command_that_opens_one_says_it(
    pinned: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They all open it by the same function, which says what it sends first. An outage is no drift."""
    folder, url = pinned
    monkeypatch.setattr("samespace.providers.door.TRIES", 1)
    with pytest.raises(ServerUnavailable, match="it is the provider's; try again later") as away:
        open_encoder(str(folder))
    assert "samespace serve" not in str(away.value)
    said = " ".join(capsys.readouterr().err.split())
    assert f"texts are sent to {url}, and the provider bills them" in said and "Sends 32 short texts" in said
