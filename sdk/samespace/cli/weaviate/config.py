"""`samespace weaviate config`: the settings that Weaviate itself needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..console import say

if TYPE_CHECKING:
    from samespace_weaviate.access.environment import Platform


@click.command()
@click.option(
    "--for",
    "platform",
    type=click.Choice(["docker", "env", "kubernetes", "embedded"]),
    default="docker",
    show_default=True,
    help="Output: a compose service, an environment file, a ConfigMap, or Python for weaviate-client's "
    "embedded server.",
)
@click.option(
    "--server",
    default="http://encoder:8080",
    show_default=True,
    help="Encoder's HTTP address as seen by Weaviate.",
)
@click.option("--cohere", is_flag=True, help="Include what collections of route cohere need.")
def config(platform: Platform, server: str, cohere: bool) -> None:
    """Print the settings that Weaviate itself needs.

    Each setting says what happens without it. They have to be the same on every node. What belongs to one collection,
    the encoder's address and the space, is in that collection's schema: `samespace weaviate create`.

    \b
    Example:
      samespace weaviate config > compose.yaml
      samespace weaviate config --for env > weaviate.env
      samespace weaviate config --for kubernetes --server http://samespace.encoders.svc:8080 | kubectl apply -f -
    """
    from samespace_weaviate.access.environment import render

    click.echo(render(platform, server, cohere=cohere), nl=False)
    if cohere:
        say("WARNING: route cohere can be redirected by any client; see `samespace weaviate create --help`.")
