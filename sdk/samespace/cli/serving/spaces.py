"""`samespace spaces`: list, load and unload the spaces of a running server."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ...errors import short
from ..console import echo, say, table

if TYPE_CHECKING:
    from ...rpc.admin import AdminClient, ServedSpace

_admin = click.option(
    "--admin",
    "address",
    default="127.0.0.1:8082",
    show_default=True,
    metavar="HOST:PORT",
    help="The server's --admin-port.",
)


@click.group()
def spaces() -> None:
    """List, load and unload the spaces of a running server.

    For moving collections to another encoder without stopping anything: load its space beside the old one, move,
    then unload the old one. The server has to be started with --admin-port, which opens on its own machine alone.

    \b
    Example:
      samespace serve artifacts/old --admin-port 8082 --admin-root artifacts
      samespace spaces load new
      samespace spaces list
      samespace spaces unload 0f16853b96e8
    """


@spaces.command("list")
@_admin
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_served(address: str, as_json: bool) -> None:
    """Show what is served, and how it is.

    \b
    Example:
      samespace spaces list --json
    """
    with _client(address) as client:
        served = client.list_served()
    if as_json:
        echo(json.dumps([_plain(each) for each in served], indent=2, ensure_ascii=False))
        return
    if not served:
        say("nothing is served")
        return
    rows = [
        [
            short(each.info.space_id) + (" (default)" if each.is_default else ""),
            each.info.name,
            str(each.info.dims),
            f"{each.info.build} on {each.info.runtime}",
            str(each.requests_at_work),
            "ready" if each.ready else each.broken or "not ready",
        ]
        for each in served
    ]
    echo(table(["space", "name", "dims", "runs", "at work", "state"], rows))


@spaces.command()
@click.argument("folder")
@_admin
@click.option("--space", metavar="ID", help="Reject the artifact unless it is of this space; 12 or more digits.")
@click.option("--replace", is_flag=True, help="Reload the space if it is served already; no request is lost.")
@click.option("--build", default="", help="As in `samespace serve` [default: as the server was started].")
@click.option("--runtime", default="", help="As in `samespace serve` [default: as the server was started].")
@click.option(
    "--other-graph",
    is_flag=True,
    help="Take a graph too that is not the one that was served under this id; only texts show that it is the same.",
)
def load(folder: str, address: str, **options: Any) -> None:
    """Serve one more artifact, or reload one.

    FOLDER is on the server's machine, below its --admin-root: relative to it, or absolute. The artifact is checked
    and its probes are run first; what is served already is not disturbed. Prints the space id.

    An id that this server has served before has to come with the same graph: fp32 node by node, other builds by their
    files.

    \b
    Example:
      samespace spaces load new --space 81aa04c2d1f7
    """
    with _client(address) as client:
        served = client.load(folder, **options)
    say(f"serving {served.info.name}: {served.info.build} on {served.info.runtime}")
    echo(served.info.space_id)


@spaces.command()
@click.argument("space")
@_admin
@click.option(
    "--timeout-ms", default=0, help="Time to wait for accepted requests, in ms; 0 waits as long as a shutdown."
)
def unload(space: str, address: str, timeout_ms: int) -> None:
    """Stop serving a space.

    New requests for it are refused at once. What was accepted is answered in any case, and then its memory is let
    go; exit code 1 where that is not over in time.

    \b
    Example:
      samespace spaces unload 0f16853b96e8
    """
    with _client(address) as client:
        unanswered = client.unload(space, timeout_ms=timeout_ms)
    if unanswered:
        say(f"off, but {unanswered} accepted requests are still being answered; memory is let go after the last one")
        sys.exit(1)
    say("off; every accepted request was answered")


@spaces.command()
@click.argument("space", required=False)
@_admin
@click.option("--none", is_flag=True, help="Let no space answer such paths.")
def default(space: str | None, address: str, none: bool) -> None:
    """Choose the space that answers HTTP paths without /e/SPACE_ID.

    Whoever uses such paths gets vectors of another space from then on: move their data first.

    \b
    Example:
      samespace spaces default 81aa04c2d1f7
      samespace spaces default --none
    """
    if (space is None) != none:
        raise click.UsageError("name a space, or pass --none")
    with _client(address) as client:
        chosen = client.set_default(space)
    say("paths without a space are refused" if chosen is None else f"paths without a space are of {chosen}")


def _client(address: str) -> AdminClient:
    from ...extras import require_extra

    require_extra("rpc", feature="talking to a server", modules=("grpc", "google.protobuf"))
    from ...rpc.admin import AdminClient

    return AdminClient(address)


def _plain(served: ServedSpace) -> dict[str, Any]:
    told = asdict(served)
    return {**told.pop("info"), **told}
