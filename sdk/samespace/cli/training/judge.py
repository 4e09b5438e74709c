"""`samespace judge`: a person says which of two encoders finds better, blind."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..console import echo, progress, say
from ..encoders import open_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

UNDECIDED: Final = 3
"""Exit code where the new encoder is not better."""


@click.command()
@click.argument("documents", type=click.Path(path_type=Path))
@click.option("--queries", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="What people ask: a query a line, or rows with a column query.")  # fmt: skip
@click.option("--base", required=True, metavar="ENCODER", help="Encoder that is used now: artifact, model or server.")
@click.option("--new", required=True, metavar="ENCODER", help="Encoder that may take its place.")
@click.option("--answers", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="File of answers, JSON; one that is there is gone on with.")  # fmt: skip
@click.option("--first", type=click.IntRange(1, 20), default=5, show_default=True, help="Results of each list.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1.  [default: a free one]")
def judge(documents: Path, queries: Path, base: str, new: str, answers: Path, first: int, port: int) -> None:
    """Judge two encoders' results, without knowing whose they are.

    A page on this machine shows both lists for one query after the other, left or right at random. It ends when the
    answer is known: the test may be looked at after every answer. Thirty queries are enough where four of five prefer
    one.

    Exit code 0: the new encoder is better. 3: it is not, or that is not known.

    \b
    Example:
      samespace judge docs/ --queries log.txt --base old --new new --answers judged.json
    """
    from ...extras import require_extra

    require_extra("train", feature="judging", modules=("markdown_it",))
    from ...training.adapting.documents import read_documents
    from ...training.imitating.query_log import read_queries
    from ...training.judging.ballot import Ballot, Matter
    from ...training.judging.server import serve

    library, asked = read_documents(documents), read_queries(queries)
    passages = list(dict.fromkeys(section.text for document in library.documents for section in document.sections))
    lists, spaces = [], []
    for name in (base, new):
        found, space = _first(name, asked, passages, first)
        lists.append(found)
        spaces.append(space)
    matters = [Matter(query, *both) for query, *both in zip(asked, *lists, strict=True)]
    about = {"base": spaces[0], "new": spaces[1], "documents": str(documents), "first": str(first)}
    ballot = Ballot(about, matters, answers, secrets.token_hex(8))
    if ballot.equal:
        say(f"{ballot.equal} of {len(asked)} queries have equal lists and are not asked.")
    if ballot.next() is not None:
        serve(ballot, port, lambda address: echo(f"Open {address} in a browser on this machine; Ctrl-C pauses."))
    ballot.write()
    evidence = ballot.evidence()
    echo(f"{evidence.sentence()} Answers: {answers}")
    if evidence.word != "better":
        sys.exit(UNDECIDED)


def _first(name: str, queries: Sequence[str], passages: Sequence[str], first: int) -> tuple[list[tuple[str, ...]], str]:
    """What an encoder finds for each query, best first, and its space id."""
    import numpy as np

    with open_encoder(name) as encoder, progress(f"{name} reads", len(queries) + len(passages)) as advance:
        q = np.asarray(encoder.encode(queries, "query", progress=advance))
        p = np.asarray(encoder.encode(passages, "passage", progress=advance))
        order = np.argsort(-(q @ p.T), axis=1, kind="stable")[:, :first]
        return [tuple(passages[row] for row in rows) for rows in order], encoder.space_id
