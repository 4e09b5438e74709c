"""`samespace try`: the first minute; see `samespace.demo.first_try`."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from ..extras import require_extra
from . import console
from .console import echo, one_line, wrapped


@click.command("try")
@click.argument("artifact", required=False, type=click.Path(path_type=Path))
@click.option(
    "--open/--no-open", "opens", default=None, help="Open the server's page at the end  [default: on a terminal]."
)
def first_try(artifact: Path | None, opens: bool | None) -> None:
    """Serve a packaged encoder and search with it, in a minute.

    Serves all-MiniLM-L6-v2 in int8 without torch, and searches the documentation that is installed on this machine: in
    a pinned collection of the Weaviate at WEAVIATE_URL, or here. Then another encoder of equal dims tries, and is
    refused. ARTIFACT is served in its place where it is given.

    \b
    Example:
      samespace try
      WEAVIATE_URL=http://localhost:8080 samespace try --no-open
    """
    modules = ("grpc", "uvloop", "httptools", "onnxruntime")
    require_extra("try", feature="samespace try", modules=modules)
    from ..artifact import open_artifact
    from ..demo.first_try import first_try as run

    given = None if artifact is None else open_artifact(artifact)
    with TemporaryDirectory(prefix="samespace-try-") as work, run(console, Path(work), artifact=given) as seen:
        for query, hits in seen.hits.items():
            echo(f"\n  {query}")
            for rank, text in enumerate(hits, start=1):
                echo(f"    {rank}. {one_line(text, indent=7)}")
        if seen.first is None:
            echo(f"\n{len(seen.refusals)} attempts of the stranger were refused, as is said above.")
        else:
            echo(f"\n{seen.first} of {seen.asked} summary lines find their own text first.")
            for by, words in seen.refusals:
                echo(wrapped(words, first=f"refused by {by}: "))
        echo(f"\nDone in {seen.seconds:.0f} s. The whole path, with training: samespace quickstart")
        if sys.stdout.isatty() if opens is None else opens:
            echo(f"The server's page: {seen.url}/  (Ctrl-C ends the server)")
            webbrowser.open(f"{seen.url}/")
            try:
                click.pause("")
            except KeyboardInterrupt:
                return
