"""`samespace serve`: artifacts over gRPC and HTTP."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Final

import click

from samespace_server.security.tls import TlsFiles
from samespace_server.settings import Choice, HttpLimits, Limits, Security, Settings, Tracing, flag_of

from ...errors import ConfigInvalid
from ..console import echo

TOKENS: Final = "SAMESPACE_TOKENS"
"""The environment's variable for tokens; only this command reads it. An option would show them in `ps`."""

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_FOLDER: Final = click.Path(path_type=Path, file_okay=False, exists=True)


def _parameter(each: Field[Any]) -> str:
    """The name under which click hands over a field's option."""
    return flag_of(each).removeprefix("--").replace("-", "_")


def _option(each: Field[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option of a field that `settings.setting` made."""
    shown, kind, default = each.metadata, str(each.type), None if each.default is MISSING else each.default
    choices = shown.get("choices")
    if choices:
        type_: Any = click.Choice(choices)
    elif kind.startswith("Path"):
        type_ = _FOLDER if each.name.endswith("root") else _FILE
    elif kind.startswith(("int", "str")):
        type_ = int if kind.startswith("int") else str
    else:
        raise AssertionError(f"{each.name}: options are of int, str, Path or choices, not {kind}")
    return click.option(
        flag_of(each),
        type=type_,
        default=default,
        show_default=default is not None,
        metavar=shown.get("metavar"),
        help=shown["help"],
    )


def _from_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* one option for each field that says so, in the order of the settings."""
    for group in reversed((Settings, Choice, Limits, HttpLimits, Security, Tracing)):
        for each in reversed(fields(group)):
            if "help" in each.metadata:
                command = _option(each)(command)
    return command


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ARTIFACT...")
@_from_settings
@click.option("--tls-cert", type=_FILE, help="PEM file of the server's certificate; turns TLS on for HTTP and gRPC.")
@click.option("--tls-key", type=_FILE, help="PEM file of its private key, without a passphrase.")
@click.option("--tls-client-ca", type=_FILE, help="PEM file of CAs; clients need a certificate from one.")
@click.option(
    "--log-format",
    default="text",
    show_default=True,
    type=click.Choice(["text", "json"]),
    help="Format of the log lines on stderr.",
)
def serve(artifacts: tuple[Path, ...], **options: Any) -> None:
    """Serve artifacts over gRPC and HTTP.

    Prints one JSON line on stdout when ready, with the ports and the spaces; logs go to stderr. Each space has
    its own HTTP prefix /e/SPACE_ID, which is what a Weaviate collection's inferenceUrl points at. SIGTERM
    finishes what was accepted and ends with 0; SIGHUP reads certificates and tokens again.

    \b
    Example:
      samespace serve artifacts/pydoc
      curl -s localhost:8080/e/SPACE_ID/vectors -d '{"text": "hello", "config": {"task_type": "query"}}'
    """
    from ...api import commands as api
    from ...extras import require_extra

    require_extra("server", feature="samespace serve", modules=api.SERVER)
    if options["otel_endpoint"] is not None:
        require_extra(
            "otel", feature="--otel-endpoint", modules=("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter")
        )
    from samespace_server.observing.logs import set_up

    with _named_by_option():
        settings = _settings(artifacts, options)
        set_up(options["log_format"], sys.stderr)
        code = api.serve(settings=settings, announce=lambda ready: echo(json.dumps(ready)))
    sys.exit(code)


@contextmanager
def _named_by_option() -> Iterator[None]:
    """Errors about a setting name its option; those about something else, such as a file, stay as they are."""
    groups = (Settings, Choice, Limits, HttpLimits, Security, Tracing)
    flags = {each.name: each.opts[0] for each in click.get_current_context().command.params if each.name}
    flags |= {each.name: flag_of(each) for group in groups for each in fields(group) if "help" in each.metadata}
    flags |= {"artifacts": "ARTIFACT", "tokens": TOKENS}
    try:
        yield
    except ConfigInvalid as error:
        raise ConfigInvalid(key=flags.get(error.key, error.key), reason=error.reason) from error


def _settings(artifacts: tuple[Path, ...], options: Mapping[str, Any]) -> Settings:
    def given(group: type) -> dict[str, Any]:
        return {each.name: options[_parameter(each)] for each in fields(group) if "help" in each.metadata}

    return Settings(
        artifacts=artifacts,
        **given(Settings),
        choice=Choice(**given(Choice)),
        limits=Limits(**given(Limits)),
        http=HttpLimits(**given(HttpLimits)),
        security=_security(options, os.environ.get(TOKENS, "")),
        tracing=_tracing(options["otel_endpoint"], options["otel_percent"]),
    )


def _tracing(endpoint: str | None, percent: int) -> Tracing | None:
    if endpoint is not None:
        return Tracing(endpoint, percent)
    (default,) = (each.default for each in fields(Tracing) if each.name == "percent")
    if percent != default:
        raise ConfigInvalid(key="otel_percent", reason="has no effect without --otel-endpoint; give both or neither")
    return None


def _security(options: Mapping[str, Any], tokens: str) -> Security:
    """Who may use the server; *tokens* are separated by blanks or commas."""
    cert, key, client_ca = (options[f"tls_{name}"] for name in ("cert", "key", "client_ca"))
    if (cert is None) != (key is None):
        missing = "tls_cert" if cert is None else "tls_key"
        raise ConfigInvalid(key=missing, reason="missing; a certificate and its key go together")
    if client_ca is not None and cert is None:
        raise ConfigInvalid(key="tls_client_ca", reason="has no effect without --tls-cert and --tls-key")
    tls = None if cert is None else TlsFiles(cert, key, client_ca)
    return Security(
        tls, options["token_file"], tuple(tokens.replace(",", " ").split()), trusted_keys=options["trusted_keys"]
    )
