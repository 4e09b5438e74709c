"""`samespace weaviate audit`: compare stored vectors with what the encoder gives for the stored texts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ...folders import whole_file, writes
from ..console import echo, say, table, wrapped
from ..encoders import open_encoder, refuse_space_id
from .connection import NamedWeaviate, connection, require_rights, require_weaviate
from .pinned import open_pinned

if TYPE_CHECKING:
    from samespace.encoder import Encoder
    from samespace_weaviate.audit import AuditReport

MOST_OFFENDERS: Final = 20
_TELL_EVERY_S: Final = 5.0


@click.command()
@click.argument("name")
@click.option(
    "--encoder",
    required=True,
    metavar="ARTIFACT|SERVER",
    help="Encoder of the pinned space; an artifact's exact build detects the most.",
)
@click.option("--build", default="fp32", show_default=True, help="Build of an artifact; auto for the fastest.")
@click.option(
    "--sample", type=click.IntRange(min=1), default=500, show_default=True, help="Objects sampled per tenant."
)
@click.option("--all", "everything", is_flag=True, help="Audit every object.")
@click.option("--tenant", "tenants", multiple=True, help="Only this tenant; may be repeated.")
@click.option(
    "--confidence", default=0.99, show_default=True, help="Confidence level of the bound on the share of wrong objects."
)
@click.option("--seed", type=int, help="Random seed; repeats the sample of an earlier report.")
@click.option(
    "--against",
    multiple=True,
    metavar="ARTIFACT|SERVER",
    help="Encoder whose vectors may have been mixed in; may be repeated.",
)
@click.option(
    "--written-within",
    default=0.0,
    metavar="1-COS",
    help="Largest 1 - cos of the build that wrote the vectors, if --encoder is a server that does not know"
    " it (int8: about 0.02).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, with every wrong object.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the report with pictures to this file."
)
@connection
@writes("html")
def audit(
    name: str,
    encoder: str,
    build: str,
    sample: int,
    everything: bool,
    tenants: tuple[str, ...],
    confidence: float,
    seed: int | None,
    against: tuple[str, ...],
    written_within: float,
    as_json: bool,
    html: Path | None,
    weaviate: NamedWeaviate,
) -> None:
    """Compare stored vectors with what the encoder gives for the stored texts.

    Draws a uniform sample of each tenant, encodes its texts again and names every object whose vector is not the
    encoder's: missing, of another encoder, of another text, of a text in lower case, ... Says how many objects can be
    wrong at most. Reads only; prints ids, never texts. Exit code 1 if anything is wrong.

    \b
    Example:
      samespace weaviate audit Article --encoder artifacts/pydoc
      samespace weaviate audit Article --encoder artifacts/pydoc --sample 5000 \\
          --against artifacts/old --html audit.html
    """
    require_weaviate()
    from samespace_weaviate.audit import AuditOptions
    from samespace_weaviate.audit import audit as run_audit
    from samespace_weaviate.audit.words import audit_page

    refuse_space_id(encoder)
    options = AuditOptions(
        sample=None if everything else sample,
        tenants=tenants,
        confidence=confidence,
        seed=seed,
        written_within=written_within,
    )
    with ExitStack() as stack:
        store = stack.enter_context(weaviate())
        require_rights(store, "audit", name, tenants=tenants)
        built = partial(open_for_audit, build=build)
        running = stack.enter_context(open_pinned(encoder, store, name, otherwise=built))
        others = [stack.enter_context(built(each)) for each in against]
        tell_cost(running, "every object" if everything else f"up to {sample} objects of each tenant")
        report = run_audit(store, name, running, options, against=others, progress=progress_lines())
    if html is not None:
        with whole_file(html) as file:
            file.write(audit_page(report).encode())
    echo(json.dumps(report.to_dict(), indent=2)) if as_json else _show(report)
    if html is not None:
        say(f"Written: {html}")
    if not report.clean:
        sys.exit(1)


def _show(report: AuditReport) -> None:
    from samespace_weaviate.audit.words import TENANT_HEAD, sentences, tenant_rows, verdict

    echo(f"{report.collection}, vector {report.vector}, encoded again with {report.encoder}")
    echo(table(TENANT_HEAD, tenant_rows(report)))
    for sentence in (verdict(report), *sentences(report)):
        echo(wrapped(sentence))
    for offender in report.offenders[:MOST_OFFENDERS]:
        tenant = f" of tenant {offender.tenant}" if offender.tenant else ""
        echo(f"  {offender.uuid}{tenant}")
        echo(wrapped(offender.reason, first=f"    {offender.kind.value}: "))
    if report.wrong > MOST_OFFENDERS:
        echo(f"  and {report.wrong - MOST_OFFENDERS} more: --json tells all of them.")


def tell_cost(encoder: Encoder, what: str) -> None:
    """Say beforehand what is sent to a hosted encoder, which is paid for."""
    from ...providers.encoder import ProviderEncoder

    if isinstance(encoder, ProviderEncoder):
        say(
            f"Sends the texts of {what} to {encoder.door.address}, and those of suspects once for each explanation "
            "that is tried. The provider bills them."
        )


def open_for_audit(name: str, build: str) -> Encoder:
    """An artifact with the build that was asked for, or whatever else can encode."""
    from ...encoder import Encoder

    if (Path(name) / "manifest.json").is_file():
        return Encoder.load(name, build=build)
    return open_encoder(name)


def progress_lines() -> Callable[[str, int], None]:
    """A line now and then, on stderr: how many there will be is not known before the ids are read."""
    done, last = {"ids": 0, "objects": 0, "mended": 0}, time.monotonic()

    def advance(what: str, count: int) -> None:
        nonlocal last
        done[what] += count
        if time.monotonic() - last >= _TELL_EVERY_S:
            last = time.monotonic()
            mended = f", {done['mended']} mended" if done["mended"] else ""
            say(f"audit: {done['ids']} ids read, {done['objects']} objects compared{mended}")

    return advance
