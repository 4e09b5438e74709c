"""`samespace certify`: sign an artifact, so that servers can be told to serve signed ones alone."""

from __future__ import annotations

from pathlib import Path

import click

from ..console import echo, say

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path), required=False)
@click.option("--key", type=_FILE, help="PEM file of an ed25519 private key without a passphrase.")
@click.option("--new-key", type=_FILE, help="Make a key in this file, and the public one in FILE.pub; then stop.")
def certify(artifact: Path | None, key: Path | None, new_key: Path | None) -> None:
    """Sign an artifact's manifest.

    The manifest names all files by their digests. Writes certificate.json beside it; signatures of other keys over the
    same manifest stay. `samespace verify --trusted KEYS` and `samespace serve --trusted-keys KEYS` refuse what no
    trusted key signed.
    A signature says who vouches for an artifact. Whether it is right, `samespace verify` says.

    \b
    Example:
      samespace certify --new-key team.key
      samespace certify artifacts/pydoc --key team.key
      samespace verify artifacts/pydoc --trusted team.key.pub
    """
    from ...artifact import certificate, open_artifact

    if new_key is not None:
        if artifact is not None or key is not None:
            raise click.UsageError("--new-key stands alone")
        echo(certificate.new_key(new_key))
        say(f"{new_key} is secret: keep it off the machines that serve. They get {new_key}.pub.")
        return
    if artifact is None or key is None:
        raise click.UsageError("give an ARTIFACT and --key, or --new-key")
    signer = certificate.certify(artifact, key)
    signed = open_artifact(artifact, kind="any")
    kind = "space" if signed.manifest.reranker is None else "reranker"
    say(f"{artifact / certificate.CERTIFICATE}: {kind} {signed.space_id} is signed by key {signer[:12]}.")
