"""What mining hard negatives costs beside the encoding that it needs, in a corpus of 100,000 passages.

    python benchmarks/mining.py DATA --out benchmarks/results/mining.json

DATA holds sets in the BEIR layout. The corpus is cut from the passages of `medquad`, `scifact` and `cranfield`, in
pieces of 40 words; asked are the training queries of `medquad`, whose answers are the pieces that were cut from them.
Encoding goes as in training: by torch, or through an exported graph where that pays, the export included. Wanted: that
ranking and choosing take less than a tenth of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from loadgen.machine import command_line, machine, versions
from samespace.cli.console import quiet_libraries, say
from samespace.evaluation import load_dataset
from samespace.exporting.fastest import EXPORT_FROM
from samespace.model.checkpoint import Overrides, load_checkpoint
from samespace.model.hub import MINILM
from samespace.training.finetuning.encoding import encode_many
from samespace.training.finetuning.mining import Mining, choose, rank_bm25, rank_vectors
from samespace.training.finetuning.model import load_plain
from samespace.training.losses.masking import known_pairs

WORDS: Final = 40
MINING: Final = Mining(count=3, margin=0.05)


def main() -> None:
    """Do each part once, and write its seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", default=MINILM)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--torch", action="store_true", help="encode with torch alone")
    arguments = parser.parse_args()
    quiet_libraries()
    pairs, corpus = pieces(arguments.data, arguments.passages)
    queries = list(dict.fromkeys(query for query, _ in pairs))
    say(f"{len(queries)} queries, {len(corpus)} passages")
    checkpoint, model = load_checkpoint(arguments.base), load_plain(arguments.base)
    encoders = {"query": checkpoint.text_encoder, "passage": checkpoint.text_encoder}
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        made = work()
        seconds[name] = round(time.perf_counter() - began, 2)
        say(f"{name}: {seconds[name]} s")
        return made

    known = timed("masking", lambda: known_pairs(pairs, corpus))
    export_from = float("inf") if arguments.torch else EXPORT_FROM
    q, p = timed(
        "encoding",
        lambda: encode_many(
            model, encoders, queries, corpus, overrides=Overrides(), bf16=True, export_from=export_from
        ),
    )
    found = timed("ranking vectors", lambda: rank_vectors(q, p))
    chosen = timed("choosing", lambda: choose(queries, corpus, found, known, MINING))
    found = timed("ranking by BM25", lambda: rank_bm25(queries, corpus))
    by_words = timed("choosing, BM25", lambda: choose(queries, corpus, found, known, MINING))
    record = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "machine": machine(),
        "versions": versions(("torch", "openvino", "onnxruntime", "bm25s", "datasketch")),
        "queries": len(queries),
        "passages": len(corpus),
        "tokens": sum(text.tokens for text in checkpoint.text_encoder.tokenize(corpus, "passage")),
        "negatives": {"encoder": sum(map(len, chosen)), "bm25": sum(map(len, by_words))},
        "seconds": seconds,
        "share_of_encoding": {
            "encoder": round((seconds["ranking vectors"] + seconds["choosing"]) / seconds["encoding"], 3),
            "bm25": round((seconds["ranking by BM25"] + seconds["choosing, BM25"]) / seconds["encoding"], 3),
            "masking": round(seconds["masking"] / seconds["encoding"], 3),
        },
    }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"of the time of encoding: {record['share_of_encoding']}")


def pieces(data: Path, most: int) -> tuple[list[tuple[str, str]], list[str]]:
    """Judged pairs, each of a query and a piece of its answer, and up to *most* distinct passages, answers first."""
    medquad = load_dataset(data / "medquad", "train")
    rows = {name: row for row, name in enumerate(medquad.passage_ids)}
    pairs = [
        (query, piece)
        for name, query in zip(medquad.query_ids, medquad.queries, strict=True)
        for passage in medquad.qrels.get(name, {})
        for piece in cut(medquad.passages[rows[passage]])[:1]
    ]
    corpus = dict.fromkeys(piece for _, piece in pairs)
    for name, split in (("medquad", "train"), ("scifact", "test"), ("cranfield", "test")):
        for text in load_dataset(data / name, split).passages:
            corpus.update(dict.fromkeys(cut(text)))
    return pairs, list(corpus)[:most]


def cut(text: str) -> list[str]:
    """Its pieces."""
    words = text.split()
    return [" ".join(words[start : start + WORDS]) for start in range(0, len(words), WORDS)]


if __name__ == "__main__":
    main()
