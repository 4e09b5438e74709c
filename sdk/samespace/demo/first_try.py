"""The first minute: a packaged encoder is served, searches this machine's own documentation, and keeps a stranger out.

Without torch and without training. With a Weaviate (WEAVIATE_URL) the passages go into a pinned collection; otherwise
they are searched here, exactly. Each step raises where it does not do what it says.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from ..artifact import Artifact, open_artifact
from ..encoder import Encoder
from ..errors import ConfigInvalid, ExtraMissing, SpaceMismatch, UnknownSpace, WeaviateError, short
from ..progress import Advance
from ..text import Recipe
from ..vectors import Vectors
from .pydoc_set import Package, Pair, installed_packages, package_pairs
from .quickstart import Console
from .server_process import RunningServer, check_probes, running_server

MODEL: Final = "samespace_minilm"
"""The package that holds the artifact; `make model-wheel` builds it."""
SPACE: Final = "0f16853b96e85d67b1c50d47f59ade0ac9013988f95bd69d02697cb799f770de"
"""Of all-MiniLM-L6-v2 with the recipe of its own folder: what any export of it comes to."""
QUERIES: Final = (
    "split a string into words",
    "read a file line by line",
    "wait until another thread has finished",
)
_PASSAGES: Final = 400
_SHARE: Final = 60
"""Passages of one package, so that no package is half of them."""
_HITS: Final = 2
_OTHER_PROMPT: Final = "query: "


@dataclass(frozen=True, slots=True)
class FirstTry:
    """What was seen.

    Attributes:
        hits: query -> the best passages.
        first: of `asked` summary lines, how many found their own text first; None where Weaviate searched.
        refusals: who refused the stranger, and with which words.
        url: of the server's page, while it runs.
    """

    hits: dict[str, tuple[str, ...]]
    first: int | None
    asked: int
    refusals: tuple[tuple[str, str], ...]
    url: str
    seconds: float


def packaged_model() -> Artifact:
    """The artifact of the package `samespace_minilm`; every file's digest is checked when it is used.

    Raises:
        ExtraMissing: the package is not installed.
        SpaceMismatch: it holds another encoder than all-MiniLM-L6-v2.
        ArtifactError: it is damaged.
    """
    found = find_spec(MODEL)
    if found is None or not found.submodule_search_locations:
        raise ExtraMissing(feature="samespace try", extra="try", module=MODEL)
    artifact = open_artifact(Path(found.submodule_search_locations[0]) / "artifact")
    if artifact.space_id != SPACE:
        raise SpaceMismatch(expected=SPACE, found=artifact.space_id, where=f"package {MODEL}")
    return artifact


@contextmanager
def first_try(console: Console, work: Path, *, artifact: Artifact | None = None) -> Iterator[FirstTry]:
    """Serve, search and refuse; the server runs as long as the block.

    Args:
        work: an empty folder for the passages and the server's log.
        artifact: another one than the packaged.

    Raises:
        ServerUnavailable, ProbesFailed: the server does not run, or computes other vectors here.
        WeaviateError: the stranger was let in.
    """
    began = time.monotonic()
    artifact = artifact or packaged_model()
    console.say(f"[1/4] Serving {artifact.manifest.name}, space {short(artifact.space_id)}, without torch.")
    with running_server([artifact.folder], work / "server.log") as server:
        for seen in check_probes(server, artifact):
            console.say(f"      {seen}")
        pairs = _documentation(console)
        stranger = other_encoder(artifact)
        with Encoder.connect(server.grpc) as encoder:
            foreign = Vectors(_row(encoder, f"{_OTHER_PROMPT}{QUERIES[0]}"), stranger)
            console.say(f"[3/4] Searching them, and [4/4] a stranger of equal dims tries: space {short(stranger)}.")
            in_weaviate = _in_weaviate(console, work, server, pairs, foreign)
            if in_weaviate is None:
                hits, first = _search_here(console, encoder, pairs)
                refusals = _refused(server, encoder, foreign)
            else:
                (hits, refusals), first = in_weaviate, None
        yield FirstTry(hits, first, len(pairs), refusals, server.http, time.monotonic() - began)


def other_encoder(artifact: Artifact) -> str:
    """The space of the same model with another prompt for queries: equal dims, and other vectors."""
    identity, recipe = artifact.manifest.encoder, artifact.recipe
    prompts = {**recipe.prompts, "query": f"{_OTHER_PROMPT}{recipe.prompts['query']}"}
    changed = Recipe(prompts, recipe.token_limit, recipe.window_overlap, recipe.combine)
    return replace(identity, recipe=changed).space_id()


def _documentation(console: Console, packages: list[Package] | None = None) -> list[Pair]:
    """Summary lines and the prose below them, out of what is installed here; no text twice."""
    packages = installed_packages() if packages is None else packages
    console.say(f"[2/4] Reading the documentation of {len(packages)} packages that are installed here.")
    with console.progress("packages", len(packages)) as advance:
        found: dict[str, Pair] = {}
        for package in sorted(packages, key=lambda each: each.name != "python"):
            if len(found) < _PASSAGES:
                share = _SHARE * (3 if package.name == "python" else 1)
                found |= {pair.passage: pair for pair in package_pairs(package, share)}
            advance(1)
    pairs = list({pair.query: pair for pair in found.values()}.values())[:_PASSAGES]
    if len(pairs) < len(QUERIES):
        raise ConfigInvalid(key="packages", reason=f"only {len(pairs)} usable docstrings in {len(packages)} packages")
    return pairs


def _row(encoder: Encoder, text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(encoder.encode([text], "query"), dtype=np.float32)


def _search_here(console: Console, encoder: Encoder, pairs: list[Pair]) -> tuple[dict[str, tuple[str, ...]], int]:
    """Exact search over all passages; for each query the best, and how many summary lines find their own text first."""
    console.say(f"      Exact search here over {len(pairs)} passages.")
    with console.progress("texts", 2 * len(pairs)) as advance:
        passages = np.asarray(encoder.encode([pair.passage for pair in pairs], "passage", progress=advance))
        asked = np.asarray(encoder.encode([pair.query for pair in pairs], "query", progress=advance))
    queries = np.asarray(encoder.encode(QUERIES, "query"))
    best = np.argsort(-(queries @ passages.T), axis=1, kind="stable")[:, :_HITS]
    hits = {query: tuple(pairs[row].passage for row in rows) for query, rows in zip(QUERIES, best, strict=True)}
    first = int(np.sum(np.argmax(asked @ passages.T, axis=1) == np.arange(len(pairs))))
    return hits, first


def _refused(server: RunningServer, encoder: Encoder, foreign: Vectors) -> tuple[tuple[str, str], ...]:
    """What refuses the stranger without a Weaviate: vectors that are compared, and a server that is asked for it."""
    try:
        encoder.encode(QUERIES[:1], "query").require(foreign.space_id, where="search with the stranger's vector")
    except SpaceMismatch as error:
        by_vectors = str(error)
    else:
        raise WeaviateError("vectors of another space were NOT refused")
    try:
        Encoder.connect(server.grpc, space=foreign.space_id).close()
    except UnknownSpace as error:
        return ("samespace", by_vectors), ("the server", str(error))
    raise WeaviateError(f"the server did NOT refuse space {foreign.space_id}")


def _in_weaviate(
    console: Console, work: Path, server: RunningServer, pairs: list[Pair], foreign: Vectors
) -> tuple[dict[str, tuple[str, ...]], tuple[tuple[str, str], ...]] | None:
    """The same in a pinned collection of the Weaviate that WEAVIATE_URL names; None without one."""
    if not os.environ.get("WEAVIATE_URL", "").strip():
        console.say("      No Weaviate: WEAVIATE_URL is not set.")
        return None
    if find_spec("weaviate") is None:
        console.say("      WEAVIATE_URL is set, but weaviate-client is missing: pip install 'samespace[weaviate]'.")
        return None
    from .pinned import pinned_collection

    said = _Heard(console)
    found = pinned_collection(
        said, "url", work / "weaviate", server, "127.0.0.1", _written(work, pairs), foreign, QUERIES
    )
    refusals = tuple(("Weaviate and samespace", line) for line in said.lines if line.startswith("- "))
    return {query: hits[:_HITS] for query, hits in found}, refusals


class _Heard:
    """Says on, and remembers."""

    def __init__(self, console: Console) -> None:
        self.console, self.lines = console, list[str]()

    def say(self, sentence: str) -> None:
        self.lines.append(sentence)
        self.console.say(f"      {sentence}")

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        return self.console.progress(label, total)


def _written(work: Path, pairs: list[Pair]) -> Path:
    """The passages as a folder in the BEIR layout."""
    folder = work / "documentation"
    folder.mkdir()
    rows = (json.dumps({"_id": str(number), "text": pair.passage}) for number, pair in enumerate(pairs))
    (folder / "corpus.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
