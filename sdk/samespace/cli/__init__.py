"""The `samespace` command. A lazy table: a command's module is imported only when the command is used.

Command modules import heavy libraries inside their functions, so that `--help` is quick and works where the
extra that the command needs is not installed. This package is the composition root: it alone may import
the SDK, the server and the plugin.
"""

from __future__ import annotations

import sys
from typing import Final

import click

from .. import __version__
from ..errors import SamespaceError
from .console import echo
from .lazy import LazyGroup

# name -> (module:attribute, one line for the overview). The line is repeated here so that the overview
# imports nothing; a test holds it against the command's own help.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "try": ("samespace.cli.first_try:first_try", "Serve a packaged encoder and search with it, in a minute."),
    "quickstart": ("samespace.cli.quickstart:quickstart", "Run the whole path once, from data to Weaviate."),
    "doctor": ("samespace.cli.training.doctor:doctor", "Find what is wrong with data before it is trained on."),
    "adapt": ("samespace.cli.training.adapt:adapt", "Adapt an encoder to documents, without labels."),
    "judge": ("samespace.cli.training.judge:judge", "Judge two encoders' results, without knowing whose they are."),
    "train": ("samespace.cli.training.train:train", "Fine-tune an encoder on pairs."),
    "train-head": ("samespace.cli.training.train_head:train_head", "Train a small head on a frozen encoder."),
    "vocab": ("samespace.cli.training.vocab:vocab", "Experimental: give an encoder whole-word tokens for a domain."),
    "pretrain": ("samespace.cli.training.pretrain:pretrain", "Experimental: pretrain an encoder on raw texts."),
    "align": ("samespace.cli.training.align:align", "Bring two encoders into one space."),
    "evaluate": ("samespace.cli.training.evaluate:evaluate", "Score an encoder or BM25 on a retrieval set."),
    "export": ("samespace.cli.artifacts.export:export", "Turn a checkpoint into a verified artifact."),
    "transform": ("samespace.cli.artifacts.transform:transform", "Choose a linear transform by nDCG@10."),
    "inspect": ("samespace.cli.artifacts.inspect:inspect", "Show what an artifact holds."),
    "verify": ("samespace.cli.artifacts.verify:verify", "Check an artifact's files and recompute its probes."),
    "certify": ("samespace.cli.artifacts.certify:certify", "Sign an artifact's manifest."),
    "push": ("samespace.cli.artifacts.push:push", "Write an artifact or a model folder to the Hugging Face hub."),
    "combine": ("samespace.cli.artifacts.combine:combine", "Make one artifact of several encoders."),
    "diff": ("samespace.cli.artifacts.diff:diff", "Say whether two artifacts are the same space, and what differs."),
    "pipeline": ("samespace.cli.artifacts.pipeline:pipeline", "Print the one id of a pipeline."),
    "embed": ("samespace.cli.serving.embed:embed", "Turn files of texts into files of vectors."),
    "serve": ("samespace.cli.serving.serve:serve", "Serve artifacts over gRPC and HTTP."),
    "spaces": ("samespace.cli.serving.spaces:spaces", "List, load and unload the spaces of a running server."),
    "health": ("samespace.cli.serving.health:health", "Exit with 0 if a server is ready, with 1 if it is not."),
    "provider": ("samespace.cli.providers:provider", "Pin and check hosted encoders."),
    "weaviate": ("samespace.cli.weaviate:weaviate", "Create, fill, search and check pinned Weaviate collections."),
}  # fmt: skip


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="samespace")
def cli() -> None:
    """Train, export and serve a text encoder, and never mix vectors of different encoders.

    \b
    Start here:    samespace try
    Whole path:    samespace quickstart
    Then:          samespace serve ARTIFACT
    """


def main() -> None:
    """The entry point: errors of ours and of the system are one sentence on stderr and an exit code, no traceback.

    The code is 1, or what the error's class says: 3 of a hosted encoder that drifted (`providers.drift`).
    """
    try:
        cli(prog_name="samespace")
    except SamespaceError as error:
        echo(f"error: {error}", err=True)
        sys.exit(getattr(error, "exit_code", 1))
    except OSError as error:
        if error.strerror is None:  # not what the system says of a file or a connection
            raise
        named = f"{error.filename}: " if error.filename is not None else ""
        echo(f"error: {named}{error.strerror}", err=True)
        sys.exit(1)
