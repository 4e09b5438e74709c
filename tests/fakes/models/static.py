"""Tiny random static embeddings in the layouts in which people publish them, and a Router whose queries they encode."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fakes.models.encoders import save_tiny_bert, tiny_tokenizer

DIMS = 32
LAYOUTS = ("sentence-transformers", "potion", "model2vec", "quantized", "half")


def save_static(folder: Path, layout: str = "sentence-transformers", *, seed: int = 1) -> Path:
    """Write a folder of static embeddings.

    sentence-transformers  its StaticEmbedding module alone, as its own training leaves it
    potion                 both libraries' files: model2vec's table behind modules.json, and Normalize
    model2vec              model2vec's files alone
    quantized              the same with fewer rows than tokens, a mapping and weights of tokens
    half                   the same with a table in float16
    """
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(tiny_tokenizer())
    size = tokenizer.get_vocab_size()
    random = np.random.default_rng(seed)
    table = random.normal(size=(size, DIMS)).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    if layout == "sentence-transformers":
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding

        module = StaticEmbedding(tokenizer, embedding_weights=table)
        SentenceTransformer(modules=[module], device="cpu").save_pretrained(str(folder))
        return folder
    tokenizer.save(str(folder / "tokenizer.json"))
    weights = {"embeddings": table.astype(np.float16) if layout == "half" else table}
    if layout == "quantized":
        rows = size // 3
        weights = {
            "embeddings": table[:rows],
            "mapping": random.integers(0, rows, size=size).astype(np.int64),
            "weights": random.uniform(0.2, 3.0, size=size).astype(np.float32),
        }
    save_file(weights, folder / "model.safetensors")
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "hidden_dim": DIMS, "normalize": True,
              "apply_zipf": True, "seq_length": 1_000_000}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    if layout == "potion":
        kinds = ("StaticEmbedding", "Normalize")
        modules = [
            {"idx": place, "name": str(place), "path": "" if place == 0 else f"{place}_{kind}",
             "type": f"sentence_transformers.models.{kind}"}
            for place, kind in enumerate(kinds)
        ]  # fmt: skip
        (folder / "1_Normalize").mkdir()
        (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def save_static_router(folder: Path, *, seed: int = 1) -> Path:
    """Write a Router: static embeddings for queries, and for documents a transformer of as many dims."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router

    query = SentenceTransformer(str(save_static(folder.with_name(folder.name + "-query"), seed=seed)), device="cpu")
    place = save_tiny_bert(folder.with_name(folder.name + "-document"), seed=seed)
    document = SentenceTransformer(str(place), device="cpu")
    router = Router.for_query_document(query_modules=list(query), document_modules=list(document))
    SentenceTransformer(modules=[router], device="cpu").save_pretrained(str(folder))
    return folder
