"""Score the ways to store long documents, through a running Weaviate, and write what was seen.

    WEAVIATE_URL=http://localhost:8080 python benchmarks/weaviate_long.py data/covidqa_long \\
        --artifact artifacts/minilm --out benchmarks/results/weaviate_long.json \\
        --docs benchmarks/results/weaviate_long.md

The set is in the BEIR layout, with splits `test` and `test_late` (queries whose answer is far behind the beginning) and
a file spans.jsonl that says which characters of a document answer a query. For each form a collection is made, filled
by `samespace weaviate import`'s own code, asked every query for its ten best documents, and deleted. Beside them: the
first window of each document alone, which is what an encoder that cuts long texts stores, and BM25 in process. Windows
are encoded once for the two forms that need them. --form measures some forms only, and keeps the others of --out.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args
from uuid import uuid4

import numpy as np

from loadgen.machine import command_line, machine, versions
from samespace import Encoder, Vectors
from samespace.cli.console import say, table
from samespace.embed import assemble
from samespace.encoder import CompositeEncoder, Encoded, EncodeOptions, LocalEncoder
from samespace.evaluation import Bm25Ranker, Dataset, Ranker, Run, evaluate, load_dataset
from samespace.progress import Advance
from samespace.text import Role
from samespace_weaviate import CollectionSpec, Hit, Passage, PinnedCollection, Store, create
from samespace_weaviate.access.address import NoWeaviate, find_weaviate
from samespace_weaviate.pinning.spec import LongTextForm

SPLITS: Final = ("test", "test_late")
FOUND: Final = 10
"""Documents that are asked for: what nDCG@10 looks at."""
WORDS, CUT = "BM25, in process", "first window alone"
FORMS: Final = (WORDS, CUT, *get_args(LongTextForm))
_CHARS: Final = 12  # more than a token of such papers ever has: the first window is the same as of the whole
BEGIN, END = "<!-- table: written by benchmarks/weaviate_long.py -->", "<!-- end of table -->"


@dataclass
class ThroughWeaviate:
    """A pinned collection as a ranker of documents; keeps the best hit of each query."""

    name: str
    collection: PinnedCollection
    space_id: str
    best: dict[str, Hit] = field(default_factory=dict)

    def rank(self, dataset: Dataset, depth: int, progress: Advance | None = None) -> Run:
        """The ten best documents, those of the best window; the rest of *depth* is left empty."""
        assert self.collection.encoder is not None
        queries = self.collection.encoder.encode(dataset.queries, "query", progress=progress)
        place = {passage: row for row, passage in enumerate(dataset.passage_ids)}
        rows = np.full((len(queries), depth), -1, dtype=np.int64)
        scores = np.full((len(queries), depth), -np.inf, dtype=np.float32)
        found = self.collection.search_vectors(queries, FOUND, group_by="document")
        for row, (query, hits) in enumerate(zip(dataset.query_ids, found, strict=True)):
            self.best[query] = hits[0]
            for rank, hit in enumerate(hits):
                rows[row, rank] = place[str(hit.properties.get("documentId") or hit.properties["passageId"])]
                scores[row, rank] = -(hit.distance or 0.0)
        return Run(rows, scores)


class Once(Encoder):
    """An encoder in this process that computes the windows of passages once: pooled vectors are made of them."""

    def __init__(self, encoder: LocalEncoder | CompositeEncoder) -> None:
        assert isinstance(encoder, LocalEncoder)
        self._encoder, self._text_encoder = encoder, encoder.loaded.text_encoder
        self._windows: dict[tuple[str, ...], Encoded] = {}

    name = property(lambda self: self._encoder.name)
    space_id = property(lambda self: self._encoder.space_id)
    dims = property(lambda self: self._encoder.dims)
    token_limit = property(lambda self: self._encoder.token_limit)

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        if role == "query" or options.long_texts not in ("pool", "windows"):
            return self._encoder.encode_with(texts, role, options)
        key = tuple(texts)
        if key not in self._windows:
            self._windows[key] = self._encoder.encode_detailed(texts, role, long_texts="windows")
        found = self._windows[key]
        if options.long_texts == "windows":
            return found
        rows = found.vectors.__array__()
        pooled = assemble(self._text_encoder.tokenize(texts, role), rows, "pool")
        return Encoded(Vectors(pooled.vectors, self.space_id), pooled.tokens, pooled.windows, pooled.spans)


def main() -> None:
    """Run everything and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--build", default="fp32")
    parser.add_argument("--form", action="append", choices=FORMS, help="only this; may be repeated")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--docs", type=Path, help="The page whose table is written anew.")
    arguments = parser.parse_args()
    where = find_weaviate("auto", os.environ)
    if isinstance(where, NoWeaviate):
        raise SystemExit(str(where))
    sets = [load_dataset(arguments.data, split) for split in SPLITS]
    with Encoder.load(arguments.artifact, build=arguments.build) as loaded, Store.open(where) as store:
        encoder = Once(loaded)
        answers = _answers(arguments.data / "spans.jsonl")
        measured = {each["form"]: each for each in _all(store, encoder, sets, answers, arguments.form or FORMS)}
        if arguments.form and arguments.out.is_file():
            kept = json.loads(arguments.out.read_text(encoding="utf-8"))["forms"]
            measured = {each["form"]: each for each in kept} | measured
        record = {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command_line(),
            "model": encoder.name,
            "space_id": encoder.space_id,
            "build": arguments.build,
            "weaviate": store.version,
            "machine": machine(),
            "versions": versions(("weaviate-client", "onnxruntime", "openvino", "numpy", "bm25s")),
            "documents": len(sets[0].passages),
            "mean_characters": round(float(np.mean([len(text) for text in sets[0].passages]))),
            "token_limit": encoder.token_limit,
            "forms": [measured[form] for form in FORMS if form in measured],
        }
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    rows = _rows(record)
    if arguments.docs:
        page = arguments.docs.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(BEGIN)[2].partition(END)[2]
        arguments.docs.write_text(f"{before}{BEGIN}\n\n{_markdown(rows)}\n\n{END}{after}", encoding="utf-8")
    print(table(rows[0], rows[1:]))
    print(f"written: {arguments.out}")


def _all(
    store: Store,
    encoder: Encoder,
    sets: Sequence[Dataset],
    answers: dict[str, tuple[int, int]],
    wanted: Sequence[str],
) -> Iterator[dict[str, Any]]:
    passages = [Passage(name, text) for name, text in zip(sets[0].passage_ids, sets[0].passages, strict=True)]
    for name in wanted:
        if name == WORDS:
            yield {"form": name, "objects": len(passages), "scores": _scores(Bm25Ranker(), sets)}
        elif name == CUT:
            yield _form(store, encoder, sets, name, "pool", _beginnings(encoder, passages))
        else:
            form = next(form for form in get_args(LongTextForm) if form == name)
            yield _form(store, encoder, sets, name, form, passages, answers)


def _beginnings(encoder: Encoder, passages: Sequence[Passage]) -> list[Passage]:
    texts = [each.text[: encoder.token_limit * _CHARS] for each in passages]
    spans = encoder.encode_detailed(texts, "passage", long_texts="slices").spans
    first = {text: texts[text][start:end] for text, start, end in reversed(spans)}
    return [Passage(each.id, first[row]) for row, each in enumerate(passages)]


def _form(
    store: Store,
    encoder: Encoder,
    sets: Sequence[Dataset],
    name: str,
    form: LongTextForm,
    passages: Sequence[Passage],
    answers: dict[str, tuple[int, int]] | None = None,
) -> dict[str, Any]:
    spec = CollectionSpec(f"Long{uuid4().hex[:12]}", encoder.space_id, "http://127.0.0.1:9", long_texts=form)
    try:
        create(store, spec)
        collection = PinnedCollection.open(store, spec.name, encoder)
        report = collection.import_passages(passages)
        if report.failed:
            raise SystemExit(f"{name}: {report.failed[0]}")
        say(f"{name}: {report.written} objects")
        ranker = ThroughWeaviate(name, collection, encoder.space_id)
        record = {"form": name, "objects": report.written, "scores": _scores(ranker, sets)}
        if form == "windows" and answers is not None:
            record["answer_in_window"] = _answered(ranker, sets[0], answers)
        return record
    finally:
        store.delete_collection(spec.name)


def _scores(ranker: Ranker, sets: Sequence[Dataset]) -> list[dict[str, Any]]:
    scores = [evaluate(ranker, each).score for each in sets]
    return [{"split": s.split, "queries": s.queries, "ndcg@10": s.ndcg_10, "mrr@10": s.mrr_10} for s in scores]


def _answers(path: Path) -> dict[str, tuple[int, int]]:
    """Query to the characters that answer it."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {each["query-id"]: (each["char_start"], each["char_end"]) for each in lines}


def _answered(ranker: ThroughWeaviate, dataset: Dataset, answers: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """Of the queries whose first document is right: how many have the answer in the very window that was found."""
    right = inside = 0
    for query, hit in ranker.best.items():
        if query in dataset.qrels and str(hit.properties["documentId"]) in dataset.qrels[query]:
            start, end = answers[query]
            right += 1
            inside += int(hit.properties["spanStart"]) < end and int(hit.properties["spanEnd"]) > start
    return {"queries": right, "share": inside / right}


def _rows(record: dict[str, Any]) -> list[list[str]]:
    header = ["stored as", "objects", *(f"nDCG@10, {split}" for split in SPLITS), "answer in the window found"]
    rows = [header]
    for form in record["forms"]:
        scores = [f"{score['ndcg@10']:.3f}" for score in form["scores"]]
        inside = f"{form['answer_in_window']['share']:.0%}" if "answer_in_window" in form else "-"
        rows.append([form["form"], str(form["objects"]), *scores, inside])
    return rows


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]])


if __name__ == "__main__":
    main()
