"""The options of `samespace serve` and the settings that they become."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from samespace.cli.serving.serve import HTTP_LIMITS, serve
from samespace_server.settings import HttpLimits, Limits


def test_defaults_are_those_of_the_settings() -> None:
    """What --help shows is what the settings are without options."""
    assert {name: default for name, (default, _) in HTTP_LIMITS.items()} == {
        each.name: each.default for each in fields(HttpLimits)
    }
    shown = {each.name: each.default for each in serve.params}
    for option, setting in (
        ("max_texts", "max_texts_per_request"),
        ("max_request_bytes", "max_request_bytes"),
        ("max_windows", "max_windows_per_text"),
        ("max_queued_tokens", "max_queued_tokens"),
        ("batch_tokens", "batch_tokens"),
        ("drain_timeout_ms", "drain_timeout_ms"),
    ):
        assert shown[option] == getattr(Limits(), setting)


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
