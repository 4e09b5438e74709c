"""`samespace weaviate`: create, fill, search and check collections that are pinned to one space."""

from __future__ import annotations

from typing import Final

import click

from ..lazy import LazyGroup

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "config": ("samespace.cli.weaviate.config:config", "Print the settings that Weaviate itself needs."),
    "create": ("samespace.cli.weaviate.create:create", "Make a pinned collection, or add a pinned vector to one."),
    "apply": ("samespace.cli.weaviate.applying:apply_file", "Make or complete the collections of a YAML or JSON file."),
    "adopt": ("samespace.cli.weaviate.adopt:adopt", "Find out who wrote a collection, and pin it where it is."),
    "import": ("samespace.cli.weaviate.importing:import_data", "Encode passages and write them with their vectors."),
    "search": ("samespace.cli.weaviate.search:search", "Search a pinned collection, through Weaviate's own module."),
    "audit": ("samespace.cli.weaviate.audit:audit", "Compare stored vectors with what the encoder gives."),
    "repair": ("samespace.cli.weaviate.repair:repair", "Mend wrong, missing and unsearchable vectors."),
    "migrate": ("samespace.cli.weaviate.migrate:migrate", "Carry a collection to another encoder, without downtime."),
    "move": ("samespace.cli.weaviate.move:move", "Give a collection's encoder another address, without encoding."),
    "compare": ("samespace.cli.weaviate.compare:compare", "Say whether to switch from one collection to another."),
    "bridge": ("samespace.cli.weaviate.bridge:bridge", "Approximate vectors of a new encoder, from stored ones."),
    "check": ("samespace.cli.weaviate.check:check", "Check the pins of collections; of all, if none is named."),
}  # fmt: skip


@click.group(cls=LazyGroup, table=COMMANDS)
def weaviate() -> None:
    """Create, fill, search and check pinned Weaviate collections.

    A pinned collection takes vectors of one space only: the vector is named after the space, and its vectorizer
    points at the one encoder that may be asked.

    \b
    Example:
      samespace weaviate config > compose.yaml
      samespace serve artifacts/pydoc --http-port 8080 --grpc-port 8081
      samespace weaviate create Article --encoder artifacts/pydoc --server http://encoder:8080
      samespace weaviate import Article data/pydoc --encoder localhost:8081
      samespace weaviate search Article "how do I flatten a list" --encoder artifacts/pydoc
      samespace weaviate check
      samespace weaviate audit Article --encoder artifacts/pydoc
    """
