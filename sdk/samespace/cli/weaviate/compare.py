"""`samespace weaviate compare`: should readers be switched from one collection to another?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import ConfigInvalid, RequestInvalid
from ..console import echo, progress, say, wrapped
from ..durations import Duration
from ..encoders import open_encoder
from .connection import NamedWeaviate, connection, require_rights, require_weaviate

if TYPE_CHECKING:
    from samespace.evaluation import Dataset
    from samespace_weaviate.cutover.compare import CutoverComparison
    from samespace_weaviate.cutover.live import LiveQueries


@click.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--judged",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="BEIR folder with judged queries over the collections' documents.",
)
@click.option("--split", default="test", show_default=True, help="Its split.")
@click.option(
    "--queries",
    "query_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="File of queries without judgements, one per line; - reads them as they come.",
)
@click.option("--for", "seconds", type=Duration(), help="How long to read queries as they come [default: to the end].")
@click.option("--old-encoder", metavar="ARTIFACT|SERVER", help="Encodes queries for OLD [default: Weaviate's module].")
@click.option("--new-encoder", metavar="ARTIFACT|SERVER", help="Encodes queries for NEW [default: Weaviate's module].")
@click.option("--id-property", default="passageId", show_default=True, help="Property with a document's id.")
@click.option(
    "--margin",
    type=click.FloatRange(0.0, 1.0),
    default=0.01,
    show_default=True,
    help="Loss of nDCG@10 that would be accepted.",
)
@click.option("--require", type=click.Choice(["GO"]), help="Exit with code 1 unless that is the verdict.")
@click.option("--tenant", default="", help="Tenant to ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with answers side by side.")
@connection
def compare(
    old: str,
    new: str,
    judged: Path | None,
    split: str,
    query_file: Path | None,
    seconds: float | None,
    old_encoder: str | None,
    new_encoder: str | None,
    id_property: str,
    margin: float,
    require: str | None,
    tenant: str,
    as_json: bool,
    html: Path | None,
    weaviate: NamedWeaviate,
) -> None:
    """Ask OLD and NEW the same queries, and say GO, NO-GO or CANNOT TELL.

    GO: with judged queries, the new one is not worse by more than --margin, with 95 % confidence. NO-GO: it is worse.
    CANNOT TELL: neither was shown, and it says what would show it. Without judgements only equal answers are a GO.
    Changes nothing.

    \b
    Example:
      samespace weaviate compare Articles_old Articles_new --judged data/articles --html compare.html
      tail -f queries.log | samespace weaviate compare Articles_old Articles_new --queries - --for 15m
      samespace weaviate compare Articles_old Articles_new --judged data/articles --require GO && \\
          samespace weaviate migrate Articles --finish --yes
    """
    require_weaviate()
    from samespace_weaviate.cutover.compare import CutoverSide, compare_collections

    dataset, texts = _queries(judged, split, query_file, seconds)
    with ExitStack() as stack:
        store = stack.enter_context(weaviate())
        require_rights(store, "compare", old, new, tenants=(tenant,) if tenant else ())
        asked = store.of_tenant(tenant) if tenant else store
        first, second = (
            CutoverSide(asked, name, stack.enter_context(open_encoder(encoder)) if encoder else None, id_property)
            for name, encoder in ((old, old_encoder), (new, new_encoder))
        )
        with progress("queries", len(texts) if isinstance(texts, tuple) else 0) as advance:
            found = compare_collections(first, second, texts, dataset, margin=margin, progress=advance)
    found = replace(found, tenant=tenant, left_out=0 if isinstance(texts, tuple) else texts.left_out)
    _show(found, as_json, html)
    if require is not None and found.verdict.decision.value != require:
        sys.exit(1)


def _show(found: CutoverComparison, as_json: bool, html: Path | None) -> None:
    from samespace_weaviate.cutover import words

    if html is not None:
        try:
            html.write_text(words.comparison_page(found), encoding="utf-8")
        except OSError as error:
            raise ConfigInvalid(key="--html", reason=f"{html}: {error.strerror}") from error
    if as_json:
        echo(json.dumps(words.to_json(found), indent=2))
    else:
        for sentence in (words.verdict_line(found), *words.sentences(found)):
            echo(wrapped(sentence))
    if html is not None:
        say(f"Written: {html}")


def _queries(
    judged: Path | None, split: str, file: Path | None, seconds: float | None
) -> tuple[Dataset | None, tuple[str, ...] | LiveQueries]:
    from samespace_weaviate.cutover.live import LiveQueries

    from ...evaluation import load_dataset

    if (judged is None) == (file is None):
        raise RequestInvalid(field="--judged and --queries", reason="give one of them")
    live = file == Path("-")
    if seconds is not None and not live:
        raise RequestInvalid(field="--for", reason="is for queries as they come: --queries -")
    if judged is not None:
        dataset = load_dataset(judged, split)
        return dataset, dataset.queries
    assert file is not None
    if live:
        return None, LiveQueries(_lines_as_they_come(), seconds)
    try:
        lines = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise RequestInvalid(field="--queries", reason=f"{file} cannot be read: {error}") from error
    if not lines:
        raise RequestInvalid(field="--queries", reason=f"{file} has no query; expected one per line")
    return None, lines


def _lines_as_they_come() -> Iterator[str]:
    """Of standard input, without a buffer: Python cannot end while a thread waits inside of one."""
    with FileIO(sys.stdin.fileno(), closefd=False) as file:
        for line in file:
            yield line.decode("utf-8")
