"""How fast static embeddings are beside MiniLM, on the same texts, by the same runtime.

    python benchmarks/static.py artifacts/minilm data/scifact --out benchmarks/results/static.json

The static encoder has MiniLM's own tokenizer and a random table of 30,522 x 256: its numbers change no time. Both run
their fp32 build on onnxruntime, in turns, five times; given are medians of texts a second, of processor seconds, and
of the ratios of each turn. Processor time is what a busy machine disturbs least.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from tokenizers import Tokenizer

from samespace import Encoder
from samespace.evaluation import load_dataset
from samespace.exporting.request import ExportRequest, export_model
from samespace.runtime.cpu import this_cpu

ROUNDS: Final = 5
DIMS: Final = 256


def static_artifact(minilm: Path, folder: Path) -> Path:
    """The artifact of a random table over MiniLM's tokenizer."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    tokenizer = Tokenizer.from_file(str(minilm / "tokenizer.json"))
    table = np.random.default_rng(1).normal(size=(tokenizer.get_vocab_size(), DIMS)).astype(np.float32)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device="cpu")
    model.save_pretrained(str(folder / "model"))
    export_model(ExportRequest(str(folder / "model"), folder / "artifact"))
    return folder / "artifact"


def timed(encoder: Encoder, texts: list[str]) -> tuple[float, float]:
    """(seconds, processor seconds) of one pass over *texts*."""
    began, busy = time.perf_counter(), time.process_time()
    encoder.encode(texts, "passage")
    return time.perf_counter() - began, time.process_time() - busy


def measure(minilm: Path, data: Path, count: int) -> dict[str, Any]:
    texts = list(load_dataset(data, "test").passages)[:count]
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"build": "fp32", "runtime": "onnxruntime", "threads": 1}
        with (
            Encoder.load(static_artifact(minilm, Path(folder)), **options) as static,
            Encoder.load(minilm, **options) as transformer,
        ):
            encoders = {"static": static, "minilm": transformer}
            for encoder in encoders.values():
                encoder.encode(texts[:8], "passage")
            turns = [{name: timed(encoder, texts) for name, encoder in encoders.items()} for _ in range(ROUNDS)]
    found: dict[str, Any] = {
        name: {
            "texts_per_s": round(len(texts) / median(turn[name][0] for turn in turns), 1),
            "cpu_ms_per_text": round(1000 * median(turn[name][1] for turn in turns) / len(texts), 4),
        }
        for name in ("static", "minilm")
    }
    found["ratio"] = {
        "texts_per_s": round(median(turn["minilm"][0] / turn["static"][0] for turn in turns), 1),
        "cpu": round(median(turn["minilm"][1] / turn["static"][1] for turn in turns), 1),
        "cpu_least": round(min(turn["minilm"][1] / turn["static"][1] for turn in turns), 1),
        "cpu_most": round(max(turn["minilm"][1] / turn["static"][1] for turn in turns), 1),
    }
    return {
        "machine": {"cpu": this_cpu().model, "cores": this_cpu().cores, "python": platform.python_version()},
        "load_average": os.getloadavg()[0],
        "versions": {name: version(name) for name in ("onnxruntime", "sentence-transformers", "tokenizers")},
        "data": {"name": data.name, "texts": len(texts), "characters": sum(map(len, texts))},
        "rounds": ROUNDS,
        **found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minilm", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--texts", type=int, default=40)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    found = measure(arguments.minilm, arguments.data, arguments.texts)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found["ratio"]))


if __name__ == "__main__":
    main()
