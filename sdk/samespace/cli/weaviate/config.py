"""`samespace weaviate config`: the settings that Weaviate itself needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from ..console import echo, say

if TYPE_CHECKING:
    from samespace_weaviate.access.environment import Platform


@click.command()
@click.option(
    "--for",
    "platform",
    type=click.Choice(["docker", "env", "kubernetes", "embedded", "rbac"]),
    default="docker",
    show_default=True,
    help="Output: a compose service, an environment file, a ConfigMap, Python for weaviate-client's embedded server, "
    "or roles with the least rights.",
)
@click.option("--collection", default="*", show_default=True, help="With rbac: collection name or pattern.")
@click.option(
    "--server",
    default="http://encoder:8080",
    show_default=True,
    help="Encoder's HTTP address as seen by Weaviate.",
)
@click.option("--cohere", is_flag=True, help="Include what collections of route cohere need.")
def config(platform: str, collection: str, server: str, cohere: bool) -> None:
    """Print the settings that Weaviate itself needs.

    Each setting says what happens without it. They have to be the same on every node. What belongs to one collection,
    the encoder's address and the space, is in that collection's schema: `samespace weaviate create`.

    \b
    Example:
      samespace weaviate config > compose.yaml
      samespace weaviate config --for env > weaviate.env
      samespace weaviate config --for rbac --collection 'Article*'
      samespace weaviate config --for kubernetes --server http://samespace.encoders.svc:8080 | kubectl apply -f -
    """
    from samespace_weaviate.access.environment import render

    if platform == "rbac":
        from samespace_weaviate.rights.roles import render_roles

        echo(render_roles(collection), nl=False)
        return
    echo(render(cast("Platform", platform), server, cohere=cohere), nl=False)
    if cohere:
        say("WARNING: route cohere can be redirected by any client; see `samespace weaviate create --help`.")
