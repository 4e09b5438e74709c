"""The options of `samespace serve` and the settings that they become."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from samespace.cli.serving.serve import serve
from samespace.errors import ConfigInvalid
from samespace_server.settings import Choice, HttpLimits, Limits, Security, Settings, Tracing, flag_of

GROUPS = (Settings, Choice, Limits, HttpLimits, Security, Tracing)


def test_every_option_is_a_setting_with_its_default_and_help() -> None:
    """Defaults and help stand once, beside the field; what --help shows is what the settings are without options."""
    shown = {option.opts[0]: option for option in serve.params if option.param_type_name == "option"}
    settings = {flag_of(each): each for group in GROUPS for each in fields(group) if "help" in each.metadata}
    assert set(shown) - set(settings) == {"--tls-cert", "--tls-key", "--tls-client-ca", "--log-format"}
    for flag, each in settings.items():
        assert shown[flag].help == each.metadata["help"]
        assert shown[flag].default == (None if each.default is MISSING else each.default)


def test_a_setting_without_an_option_is_known() -> None:
    """What the command line cannot set is said here, so that a new field is not forgotten."""
    hidden = {each.name for group in GROUPS for each in fields(group) if "help" not in each.metadata}
    assert hidden == {"artifacts", "choice", "limits", "http", "security", "tracing", "tls", "tokens", "run_tokens"}


def test_options_reach_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each option changes its own field and no other."""
    seen: list[Settings] = []
    monkeypatch.setattr("samespace_server.app.run", lambda settings, ready: seen.append(settings) or 0)
    root = tmp_path / "root"
    root.mkdir()
    values = {"--default-space": "a" * 12, "--admin-port": "1", "--ops-port": "2", "--admin-root": str(root)}
    values |= {
        "--otel-endpoint": "http://localhost/v1",
        "--otel-percent": "7",
        "--token-file": str(tmp_path / "tokens"),
        "--trusted-keys": str(tmp_path / "team.key.pub"),
    }
    values |= {
        "--host-names": "example.org",
        "--path-prefix": "/encoder",
        "--cors-origins": "https://app.example.org",
        "--host": "127.0.0.2",
        "--build": "fp32",
        "--runtime": "openvino",
        "--device": "cuda",
    }
    for option in serve.params:
        if isinstance(option.default, int) and option.opts[0] not in values:
            values[option.opts[0]] = str(option.default + 3)
    result = CliRunner().invoke(serve, [str(tmp_path), *(part for pair in values.items() for part in pair)])
    assert result.exit_code == 0, result.output
    (settings,) = seen
    groups = (settings, settings.choice, settings.limits, settings.http, settings.security, settings.tracing)
    read = {flag_of(each): getattr(g, each.name) for g in groups for each in fields(g) if "help" in each.metadata}
    assert {flag: str(value) for flag, value in read.items()} == values


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tls-cert", "x.crt"), "--tls-key"),
        (("--tls-key", "x.key"), "--tls-cert"),
        (("--tls-client-ca", "ca.pem"), "--tls-cert"),
        (("--max-connections", "0"), "--max-connections"),
        (("--max-texts", "0"), "--max-texts"),
        (("--admin-root", "/"), "--admin-root"),
        (("--otel-percent", "5"), "--otel-endpoint"),
    ],
)
def test_options_that_are_of_no_use_are_refused(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """Before anything is loaded or listened on, with the option that is wrong or missing, as it is written."""
    result = CliRunner().invoke(serve, [str(tmp_path), *options])
    assert result.exit_code != 0
    assert said in str(result.exception)


@pytest.mark.parametrize("key", ["empty.pub", "team_key", "/keys/team.key"])
def test_an_error_about_a_file_names_the_file(key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It was made an option: --empty.pub."""

    def run(settings: Settings, ready: object) -> int:
        raise ConfigInvalid(key=key, reason="holds no key")

    monkeypatch.setattr("samespace_server.app.run", run)
    result = CliRunner().invoke(serve, [str(tmp_path)])
    assert str(result.exception) == f"{key}: holds no key"


def test_an_error_about_any_setting_names_its_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of every group, also those that are made of several options."""
    names = {each.name: flag_of(each) for group in GROUPS for each in fields(group) if "help" in each.metadata}
    for name, flag in (names | {"tls_cert": "--tls-cert", "otel_percent": "--otel-percent"}).items():

        def run(settings: Settings, ready: object, name: str = name) -> int:
            raise ConfigInvalid(key=name, reason="is wrong")

        monkeypatch.setattr("samespace_server.app.run", run)
        assert str(CliRunner().invoke(serve, [str(tmp_path)]).exception) == f"{flag}: is wrong"
