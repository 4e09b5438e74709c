"""`samespace provider`: hosted encoders as spaces."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import OutputFailed
from ..folders import writes
from .console import echo, say, wrapped
from .encoders import tell_probes

if TYPE_CHECKING:
    from ..providers.pin import ProviderCheck


@click.group()
def provider() -> None:
    """Pin and check hosted encoders.

    A pinned provider is a folder that every command takes as an encoder: `weaviate audit`, `adopt`, `migrate`,
    `search`. Its space id is weaker than an artifact's, because nobody sees the weights: it rests on what the provider
    answers. Keys come from the environment (OPENAI_API_KEY, COHERE_API_KEY, VOYAGE_API_KEY, JINA_API_KEY,
    MISTRAL_API_KEY) and are stored nowhere.

    \b
    Example:
      samespace provider pin openai:text-embedding-3-small --out providers/te3s
      samespace provider check providers/te3s
    """


@provider.command()
@click.argument("name", metavar="PROVIDER:MODEL")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Output folder; must not exist.")
@click.option("--base-url", default="", metavar="URL", help="Another address that speaks the provider's API.")
@click.option("--dims", type=click.IntRange(min=1), help="Dimensions to ask for [default: the model's own].")
@click.option(
    "--token-limit", type=click.IntRange(min=1), default=8191, show_default=True, help="Tokens of a text, at most."
)
@click.option(
    "--repeats", type=click.IntRange(min=2), default=5, show_default=True, help="Times to ask for each probe."
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@writes("out")
def pin(name: str, out: Path, base_url: str, dims: int | None, token_limit: int, repeats: int, yes: bool) -> None:
    """Learn a hosted encoder's probe vectors and their noise.

    Sends some short texts several times, which the provider bills.

    \b
    Example:
      samespace provider pin openai:text-embedding-3-small --out providers/te3s
      samespace provider pin openai:bge-m3 --base-url https://gateway.example.com --out providers/bge-m3
    """
    from ..providers.door import CHARS_A_TOKEN, ProviderDoor
    from ..providers.pin import PROBES, pin_provider

    vendor, _, model = name.partition(":")
    if not model:
        raise click.UsageError("expected PROVIDER:MODEL, such as openai:text-embedding-3-small")
    if out.exists():
        raise OutputFailed(path=str(out), reason="it exists; name another folder. Nothing was sent")
    door = ProviderDoor(vendor, model, base_url, dims or 0)
    tokens = repeats * sum(map(len, PROBES)) // CHARS_A_TOKEN
    say(f"Sends {repeats} x {len(PROBES)} short texts to {door.address}, about {tokens:,} tokens.")
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    found = pin_provider(door, vendor, out, token_limit=token_limit, repeats=repeats)
    noise, bound = f"{found.noise:.1e}", f"{found.bound:.1e}"
    say(f"{found.name}: {found.dims} dims; repeats differ by up to {noise} (1 - cos), beyond {bound} is drift.")
    echo(found.space_id)


@provider.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def check(folder: Path) -> None:
    """Ask a pinned provider for its probes again.

    Exit code 3 if it gives other vectors than when it was pinned, or answers of two kinds, as two models would; 1 if it
    could not be asked.

    \b
    Example:
      samespace provider check providers/te3s
    """
    from ..providers.door import ProviderDoor
    from ..providers.drift import DRIFTED
    from ..providers.manifest import read_provider
    from ..providers.pin import check_provider

    manifest = read_provider(folder)
    door = ProviderDoor.of(manifest)
    tell_probes(manifest)
    found = check_provider(manifest, door)
    if found.same:
        echo(wrapped(f"{manifest.name}: the same; {_nearness(found)}."))
        return
    verdict = "NOT ONE MODEL" if found.two_kinds else "NOT the same"
    echo(
        wrapped(
            f"{manifest.name}: {verdict} since {manifest.pinned_at}. It gives {found.told(manifest)}. Stop writing "
            "with it; if it stays so, pin it anew into another folder, and migrate the collections that it wrote."
        )
    )
    sys.exit(DRIFTED)


def _nearness(found: ProviderCheck) -> str:
    """How near the answers were, those that had to be asked for again included."""
    allowed = f"1 - cos is at most {found.worst:.1e}, allowed {found.bound:.1e}"
    if not found.repeated:
        return allowed
    probes = "1 probe was" if found.repeated == 1 else f"{found.repeated} probes were"
    return (
        f"{probes} off and asked for again; {allowed}: {found.off} of {found.asked} answers were beyond, too few for "
        "another model"
    )
