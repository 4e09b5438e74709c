"""A published layout through everything that is done with a folder: load, encode, train and save and load, export.

The reference is sentence-transformers on the folder itself, which shares no line of our loading code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fakes.models.published import Layout
from samespace.encoder import LocalEncoder
from samespace.errors import SamespaceError
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import Checkpoint, CheckpointEncoder, Overrides, load_checkpoint
from samespace.model.folder.tokenizer import HARD_TEXTS
from samespace.model.modules import POOLING_NAMES
from samespace.runtime import load_build
from samespace.text import ROLES, Role
from samespace.training.finetuning.config import make_config
from samespace.training.finetuning.trainer import train
from samespace.vectors import Float32, cosine_distance

SAME = 1e-6
"""1 - cos, fp32 on a CPU."""
STEPS = ("load", "encode", "train", "export")


def overrides(layout: Layout) -> Overrides:
    """What the user has to say for it."""
    said = layout.prompts
    return Overrides(pooling=layout.pooling, query_prompt=said.get("query"), passage_prompt=said.get("passage"))


def theirs(folder: Path, texts: list[str], role: Role, prompt: str, pooling: str | None = None) -> Float32:
    """sentence-transformers' unit vectors for *folder* in fp32, a text at a time."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    options = {"dtype": torch.float32}  # else weights that are stored in half precision are computed in it
    if pooling is None:
        model = SentenceTransformer(str(folder), device="cpu", model_kwargs=options)
    else:
        body = Transformer(str(folder), model_kwargs=options)
        size = body.get_embedding_dimension()
        assert size is not None
        model = SentenceTransformer(modules=[body, Pooling(size, POOLING_NAMES[pooling])], device="cpu")  # type: ignore[arg-type]
    encode = model.encode_query if role == "query" else model.encode_document
    return np.asarray(encode(texts, prompt=prompt, normalize_embeddings=True, batch_size=1), dtype=np.float32)


def distance(
    folder: Path, checkpoint: Checkpoint, encode: Callable[[list[str], Role], Any], pooling: str | None
) -> float:
    """The largest 1 - cos between *encode* and sentence-transformers on *folder*, texts of one window, both roles."""
    worst = 0.0
    for role in ROLES:
        encoder = checkpoint.text_encoder
        made = zip(HARD_TEXTS, encoder.tokenize(HARD_TEXTS, role), strict=True)
        # Where nothing is left beside the prompt, sentence-transformers gives a vector of zeros.
        texts = [text for text, each in made if len(each.windows) == 1 and each.tokens > encoder.unpooled[role]]
        wanted = theirs(folder, texts, role, checkpoint.recipe.prompts[role], pooling)
        worst = max(worst, float(cosine_distance(np.asarray(encode(texts, role), dtype=np.float32), wanted).max()))
    return worst


def run(layout: Layout, work: Path, steps: tuple[str, ...] = STEPS) -> dict[str, Any]:
    """By step: the largest 1 - cos to sentence-transformers, or the message of the refusal.

    "load" is 0.0 where the folder is read; nothing follows a refusal of it.
    """
    folder, result = work / "model", dict[str, Any]()
    layout.write(folder)
    try:
        checkpoint = load_checkpoint(folder, overrides(layout))
    except SamespaceError as error:
        return {"load": str(error)}
    result["load"] = 0.0
    if "encode" in steps:
        result["encode"] = distance(folder, checkpoint, CheckpointEncoder(checkpoint).encode, layout.pooling)
    for step, measure in (("train", _trained), ("export", _exported)):
        if step in steps:
            try:
                result[step] = measure(layout, folder, work, checkpoint)
            except SamespaceError as error:
                result[step] = str(error)
    return result


def _trained(layout: Layout, folder: Path, work: Path, _: Checkpoint) -> float:
    said = {f"{role}_prompt": prompt for role, prompt in layout.prompts.items()}
    settings = {
        "base": str(folder), "data": _pairs(work / "pairs"), "out": work / "trained", "epochs": 1, "batch_size": 8,
        "learning_rate": 1e-3, "precision": "fp32", "score_splits": [], "dev_split": "", "on_collapse": "warn", **said,
    }  # fmt: skip
    train(make_config(settings), doctor=False)
    trained = load_checkpoint(work / "trained")
    moved = CheckpointEncoder(trained).encode
    return distance(work / "trained", trained, moved, None)


def _exported(layout: Layout, folder: Path, work: Path, checkpoint: Checkpoint) -> float:
    artifact = export_artifact(checkpoint, work / "artifact", anyway=True).artifact
    encoder = LocalEncoder(load_build(artifact, build="fp32", runtime="onnxruntime"))
    return distance(folder, checkpoint, encoder.encode, layout.pooling)


def _pairs(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    passages, queries = [], []
    for number in range(16):
        random = Random(number)
        words = ["".join(random.choices("abcdefgh", k=5)) for _ in range(8)]
        passages.append({"_id": f"p{number}", "text": " ".join(words)})
        queries.append({"_id": f"q{number}", "text": " ".join(words[:3])})
    for name, rows in (("corpus", passages), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels" / "train.tsv").write_text("".join(f"q{number}\tp{number}\t1\n" for number in range(16)))
    return folder
