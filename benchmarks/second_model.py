"""A second real model beside the first, through what people do with two: export, int8, combine, align, bridge, migrate.

    WEAVIATE_BINARY=/path/to/weaviate python benchmarks/second_model.py MODEL ARTIFACT DATA \\
        --work /tmp/second --out benchmarks/results/second_model.json

MODEL is the folder of all-mpnet-base-v2 (768 dims), ARTIFACT an export of all-MiniLM-L6-v2 (384 dims), DATA a set in
the BEIR layout with all splits. Every step is the command that people type. The references share no code with them:
sentence-transformers on MODEL for vectors and rankings, trec_eval (pytrec_eval) for scores. Queries of the test split.

`--passages` takes a part of the set: so many passages, first those that are judged (in the order of the splits' names,
so that a small part keeps its held-out questions), and the queries that they answer. Steps that are in OUT are not run
again; they find the export in `--work`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fakes.weaviate.nodes import weaviate_nodes
from faultlab.site import EncoderProcess
from loadgen.machine import command_line, machine, versions
from samespace import Encoder
from samespace.artifact import open_artifact
from samespace.evaluation import Dataset, DenseRanker, evaluate, load_dataset
from samespace.text import Role
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, create

PACKAGES: Final = ("samespace", "torch", "transformers", "sentence-transformers", "onnxruntime", "openvino", "nncf",
                   "pytrec-eval-terrier", "weaviate-client")  # fmt: skip
DEPTH: Final = 10
SLICES: Final = 8
"""Hits asked for in the place of each: a long passage is found by several of its slices."""


def main() -> None:
    """Run every step, and write the JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for artifacts; kept")
    parser.add_argument("--passages", type=int, default=0, help="0 for all")
    parser.add_argument("--only", default="", help="steps, comma-separated: export, vectors, scores, both, moves")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    Run(arguments).all()


class Run:
    """One run, and what is known so far."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.small, self.out, self.folder = arguments.artifact, arguments.out, arguments.work
        self.model, self.large = arguments.model, arguments.work / "mpnet"
        self.only = [each for each in arguments.only.split(",") if each]
        self.data = part_of(arguments.data, arguments.passages, arguments.work / arguments.data.name)
        self.dataset = load_dataset(self.data, "test")
        before = json.loads(self.out.read_text(encoding="utf-8"))["steps"] if self.out.exists() else {}
        self.record: dict[str, Any] = {
            "command": command_line(),
            "machine": machine(),
            "versions": versions(PACKAGES),
            "data": {
                "name": self.dataset.name, "queries": len(self.dataset.queries), "passages": len(self.dataset.passages),
            },
            "steps": before,
        }  # fmt: skip

    def all(self) -> None:
        """Each step in turn."""
        steps = {"export": self.export, "vectors": self.vectors, "scores": self.scores, "both": self.compositions,
                 "moves": self.moved}  # fmt: skip
        for name, step in steps.items():
            if name not in self.record["steps"] and (not self.only or name in self.only):
                step()
                self.step(name, {"finished": datetime.now(UTC).isoformat(timespec="seconds")})

    def moved(self) -> None:
        """In a Weaviate of its own."""
        with ExitStack() as stack:
            made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="second-model-")))
            node = stack.enter_context(weaviate_nodes(Path(os.environ["WEAVIATE_BINARY"]), made))[0]
            servers = [EncoderProcess(artifact, made) for artifact in (self.small, self.large)]
            for each in servers:
                stack.callback(each.kill)
            store = stack.enter_context(Store.connect(node.address))
            self.moves(store, servers[0], servers[1], made)

    def export(self) -> None:
        """fp32 and int8, gated on the test split."""
        gate = ["--build", "int8", "--gate-data", str(self.data)]
        found = self.command("export command", "export", str(self.model), str(self.large), *gate)
        artifact = open_artifact(self.large)
        self.step("export", {
            "progress_lines": len(re.findall(r"int8: pass \d+, text", found)),
            "builds": [{"build": build.name, **asdict(measured)} for build in artifact.manifest.builds
                       for measured in build.measured],
        })  # fmt: skip
        self.command("verify", "verify", str(self.large))

    def reference(self) -> dict[Role, np.ndarray]:
        """sentence-transformers' unit vectors of the original folder; kept beside the artifacts."""
        kept = self.folder / "reference.npz"
        if not kept.exists():
            from sentence_transformers import SentenceTransformer

            model = SentenceTransformer(str(self.model), device="cpu")
            ways = {"query": model.encode_query, "passage": model.encode_document}
            np.savez(kept, **{role: ways[role](list(texts), normalize_embeddings=True)
                              for role, texts in self.texts().items()})  # fmt: skip
        with np.load(kept) as read:
            return {role: read[role] for role in self.texts()}

    def texts(self) -> Mapping[Role, tuple[str, ...]]:
        """What is encoded, by role."""
        return {"query": self.dataset.queries, "passage": self.dataset.passages}

    def vectors(self) -> None:
        """The distance of our vectors to the reference, over texts that it does not cut."""
        from transformers import AutoTokenizer

        theirs, ours = self.reference(), Encoder.load(self.large, build="fp32")
        tokenizer = AutoTokenizer.from_pretrained(str(self.model))
        worst, cut, count = 0.0, 0, 0
        for role, texts in self.texts().items():
            found = np.asarray(ours.encode(list(texts), role))
            whole = [len(tokenizer(text)["input_ids"]) <= ours.token_limit for text in texts]
            count, cut = count + len(whole), cut + len(whole) - sum(whole)
            worst = max(worst, float((1 - np.einsum("nd,nd->n", found, theirs[role])[whole]).max()))
        self.step("vectors", {"worst_1_cos": worst, "texts": count, "texts_beyond_its_limit": cut})

    def scores(self) -> None:
        """nDCG@10 by both libraries."""
        found = {"mpnet by sentence-transformers and trec_eval": trec_ndcg(self.dataset, self.reference())}
        for build in open_artifact(self.large).manifest.builds:
            found[f"mpnet, {build.name}"] = self.evaluated(self.large, build.name)
        self.step("scores", {**found, "MiniLM, fp32": self.evaluated(self.small, "fp32")})

    def compositions(self) -> None:
        """Both as one, and both in one space."""
        both, aligned = self.folder / "both", self.folder / "aligned"
        self.command("combine", "combine", str(self.small), str(self.large), "-o", str(both), "--replace")
        self.command(
            "align",
            "align",
            str(self.small),
            str(self.large),
            "--data",
            str(self.data),
            "-o",
            str(aligned),
            "--replace",
            "--drop-leaks",
        )
        for name, folder in (("combine", both), ("align", aligned)):
            self.step(
                name,
                {"dims": open_artifact(folder).manifest.identity.dims, "ndcg_at_10": self.evaluated(folder, "fp32")},
            )

    def moves(self, store: Store, old: EncoderProcess, new: EncoderProcess, made: Path) -> None:
        """A collection bridged, and another one migrated; what it then answers, against the reference."""
        theirs = self.reference()
        where = ["--url", store.address, "--grpc-port", str(store.grpc_port)]
        with Encoder.connect(old.grpc) as encoder:
            for name in ("Bridged", "Moved"):
                create(store, CollectionSpec(name, encoder.space_id, old.http))
                collection = PinnedCollection.open(store, name, encoder)
                collection.import_passages(
                    [
                        Passage(key, text)
                        for key, text in zip(self.dataset.passage_ids, self.dataset.passages, strict=True)
                    ]
                )
        told = ["--to", new.grpc, "--from", old.grpc, "--data", str(self.data), "--least-retention", "0"]
        self.command("bridge", "weaviate", "bridge", "Bridged", *told, "--map", str(made / "map.npz"), "--yes",
                     *where)  # fmt: skip
        self.command("migrate", "weaviate", "migrate", "Moved", "--alias", "Current", "--to", new.grpc, "--server",
                     new.http, "--journal", str(made / "journal"), "--yes", *where)  # fmt: skip
        self.command("check", "weaviate", "check", "Current", "--encoder", new.grpc, *where)
        order = np.argsort(-(theirs["query"] @ theirs["passage"].T), axis=1, kind="stable")[:, :DEPTH]
        shared = []
        with Encoder.connect(new.grpc) as encoder:
            moved = PinnedCollection.open(store, "Current", encoder)
            for query, row in zip(self.dataset.queries, order, strict=True):
                found = moved.search(query, limit=DEPTH * SLICES)
                hits = dict.fromkeys(
                    hit.properties["passageId"].partition("#")[0] for hit in found
                )  # of slices, theirs
                shared.append(len({*list(hits)[:DEPTH]} & {self.dataset.passage_ids[at] for at in row}) / DEPTH)
        self.step("migrate", {"objects": len(self.dataset.passages), "of_the_reference_s_first_10": np.mean(shared)})

    def evaluated(self, artifact: Path, build: str) -> float:
        """nDCG@10 of one build by our own evaluation."""
        found = evaluate(DenseRanker(Encoder.load(artifact, build=build)), self.dataset).score
        return float(found.to_json()["ndcg@10"])

    def command(self, name: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run `samespace`; its output, and in the record its time, its last line and how long it said nothing."""
        print(f"== {name}: samespace {' '.join(arguments)}", flush=True)
        began = last = time.monotonic()
        silence, lines = 0.0, []
        command = [sys.executable, "-u", "-m", "samespace", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                now = time.monotonic()
                silence, last = max(silence, now - last), now
                lines.append(line.rstrip())
                print(f"   {line.rstrip()}", flush=True)
        silence = max(silence, time.monotonic() - last)
        self.step(name, {
            "seconds": round(time.monotonic() - began, 1), "longest_silence_s": round(silence, 1),
            "exit_code": process.returncode, "last_lines": [line.replace(f"{self.folder}/", "") for line in lines[-4:]],
        })  # fmt: skip
        assert process.returncode in codes, (name, process.returncode)
        return "\n".join(lines)

    def step(self, name: str, found: Mapping[str, Any]) -> None:
        """Keep what was found, and write all of it."""
        self.record["steps"].setdefault(name, {}).update(found)
        self.record["written"] = datetime.now(UTC).isoformat(timespec="seconds")
        self.out.write_text(json.dumps(self.record, indent=1, default=float) + "\n", encoding="utf-8")


def part_of(data: Path, count: int, out: Path) -> Path:
    """The set, or a folder with *count* of its passages, judged ones first, their judgements and those queries."""
    if not count:
        return data
    splits = {
        path.name: path.read_text(encoding="utf-8").splitlines() for path in sorted((data / "qrels").glob("*.tsv"))
    }
    judged = dict.fromkeys(line.split("\t")[1] for lines in splits.values() for line in lines[1:])
    corpus = {
        json.loads(line)["_id"]: line for line in (data / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    }
    there = dict.fromkeys(key for key in (*judged, *corpus) if key in corpus)
    kept = set(list(there)[:count])
    (out / "qrels").mkdir(parents=True, exist_ok=True)
    asked = set()
    for name, (header, *lines) in splits.items():
        left = [line for line in lines if line.split("\t")[1] in kept]
        asked |= {line.split("\t")[0] for line in left}
        (out / "qrels" / name).write_text("\n".join([header, *left]) + "\n", encoding="utf-8")
    queries = (data / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    answered = [line for line in queries if json.loads(line)["_id"] in asked]
    (out / "queries.jsonl").write_text("\n".join(answered) + "\n", encoding="utf-8")
    passages = [line for key, line in corpus.items() if key in kept]
    (out / "corpus.jsonl").write_text("\n".join(passages) + "\n", encoding="utf-8")
    return out


def trec_ndcg(dataset: Dataset, vectors: Mapping[Role, np.ndarray]) -> float:
    """Mean nDCG@10 over all queries, by trec_eval."""
    import pytrec_eval

    scores = vectors["query"].astype(np.float64) @ vectors["passage"].astype(np.float64).T
    run = {query: dict(zip(dataset.passage_ids, map(float, row), strict=True))
           for query, row in zip(dataset.query_ids, scores, strict=True)}  # fmt: skip
    qrels = {query: {key: int(grade) for key, grade in judged.items()} for query, judged in dataset.qrels.items()}
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
    return float(np.mean([each["ndcg_cut_10"] for each in found.values()]))


if __name__ == "__main__":
    main()
