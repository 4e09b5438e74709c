"""`samespace push`: an artifact or a model folder to a hub."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ..console import echo, say


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--to", required=True, metavar="OWNER/NAME", help="Repository of the hub; made where it is not there.")
@click.option("--public", is_flag=True, help="Let anybody read it; else the repository has to be private.")
@click.option("--revision", default="main", show_default=True, help="Branch; made where it is not there.")
@click.option("--message", default="Push by samespace", show_default=True, help="Message of the commit.")
@click.option("--replace", is_flag=True, help="Remove files of the repository that are not of this push.")
def push(folder: Path, to: str, public: bool, revision: str, message: str, replace: bool) -> None:
    """Write an artifact or a model folder to the Hugging Face hub.

    Only what an artifact or a model is made of is sent: no texts, caches, journals or reports. What is left out is
    named. A model folder has to load from what is sent.

    It is one commit. Every file is then read back at that commit and its sha256 compared, so a push costs a download
    too. The token is read from HF_TOKEN alone, the address of another hub from HF_ENDPOINT.

    \b
    Example:
      samespace push artifacts/pydoc --to acme/pydoc
      samespace push models/pydoc --to acme/pydoc-model --public --message "Second try"
    """
    from ...publishing.contents import contents_of
    from ...publishing.hub import push as send
    from ...publishing.hub import target

    where = target(to, os.environ, public=public, revision=revision, message=message, replace=replace)
    contents = contents_of(folder)
    if not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

        disable_progress_bars()
    if contents.left_out:
        say(f"Left out: {', '.join(contents.left_out)}.")
    pushed = send(contents, where, say)
    if pushed.beside:
        say(f"Also there, and not of this push: {', '.join(pushed.beside)}.")
    echo(f"pushed, {len(pushed.digests)} files, verified: {to} ({'private' if pushed.private else 'public'}), "
         f"commit {pushed.commit[:12]}, {pushed.identity}")  # fmt: skip
