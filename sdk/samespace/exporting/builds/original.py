"""What sentence-transformers itself gives for the folder that was named: the reference that shares no code of ours.

The parity gate holds a graph against our module, and both would share a misread file. So the module is held against
sentence-transformers first, which loads the original folder by itself, tokenizer and prompts included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import torch

from ...errors import GateFailed
from ...model.checkpoint import Checkpoint, CheckpointEncoder
from ...model.folder.tokenizer import HARD_TEXTS
from ...model.hub import resolve_model
from ...model.modules import POOLING_NAMES
from ...model.quiet import quiet
from ...model.static import is_model2vec
from ...text import ROLES, Role
from ...vectors import Float32, cosine_distance

GATE: Final = 1e-6
"""The largest 1 - cos between our module and sentence-transformers, both in fp32 on this CPU."""


@dataclass(frozen=True, slots=True)
class OriginalCheck:
    """What came of it.

    Attributes:
        reference: the library and its version; "" where it could not load the folder.
        worst: the largest 1 - cos, over *texts* texts of each role.
        reason: why there is no reference.
    """

    reference: str
    worst: float = 0.0
    texts: int = 0
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The plain form, for provenance."""
        if not self.reference:
            return {"reference": "samespace alone", "reason": self.reason}
        return {"reference": self.reference, "worst": self.worst, "texts": self.texts}


def check_original(checkpoint: Checkpoint) -> OriginalCheck:
    """Hold *checkpoint* against what sentence-transformers makes of its folder, both without a head or transform.

    Raises:
        GateFailed: a text has another vector.
    """
    checkpoint = checkpoint.before_head or checkpoint
    try:
        model = _theirs(checkpoint)
    except (ImportError, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        return OriginalCheck("", reason=f"sentence-transformers cannot load it: {type(error).__name__}: {error}"[:300])
    ours = CheckpointEncoder(_without_transform(checkpoint))
    worst, count = 0.0, 0
    for role in _roles(checkpoint):
        texts = _fitting(checkpoint, role)
        prompt = checkpoint.recipe.prompts[role]
        found = np.asarray(ours.encode(texts, role), dtype=np.float32)
        wanted = _encode(model, texts, role, prompt)
        count += len(texts)
        same = found.shape == wanted.shape and np.isfinite(wanted).all()
        worst = max(worst, float(cosine_distance(found, wanted).max()) if same else 2.0)
    if worst > GATE:
        raise GateFailed(
            build="the model as it was read", measure="1 - cos to sentence-transformers on the original folder",
            measured=worst, gate=GATE,
        )  # fmt: skip
    return OriginalCheck(f"sentence-transformers {version('sentence-transformers')}", worst, count)


def _theirs(checkpoint: Checkpoint) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding, Transformer

    from ...model import alibi  # noqa: F401  registers our own architecture

    folder = resolve_model(checkpoint.router or checkpoint.source)
    options: dict[str, Any] = {"dtype": torch.float32}
    with quiet("sentence_transformers", "transformers"):
        if (folder / "modules.json").exists():
            model = SentenceTransformer(str(folder), device="cpu", trust_remote_code=False, model_kwargs=options)
        elif is_model2vec(folder):
            model = SentenceTransformer(modules=[StaticEmbedding.load(str(folder))], device="cpu")
        else:
            transformer = Transformer(str(folder), model_kwargs=options)
            modes = tuple(POOLING_NAMES[each] for each in checkpoint.pooling.split("+"))
            pooling = Pooling(transformer.get_embedding_dimension(), modes)
            model = SentenceTransformer(modules=[transformer, pooling], device="cpu")
    for module in model.modules():  # static embeddings, perhaps of one route, have no such property to set
        if isinstance(module, Transformer):
            module.max_seq_length = checkpoint.recipe.token_limit
    return model


def _encode(model: Any, texts: Sequence[str], role: Role, prompt: str) -> Float32:
    encode = model.encode_query if role == "query" else model.encode_document
    with quiet("sentence_transformers", "transformers"):
        # One by one: padding on the left, which decoders have there, is another input where positions are absolute.
        made = encode(list(texts), prompt=prompt, normalize_embeddings=True, batch_size=1, show_progress_bar=False)
    return np.asarray(made, dtype=np.float32)


def _roles(checkpoint: Checkpoint) -> tuple[Role, ...]:
    """Both where they differ, or of a Router's route the one that it is for."""
    if not checkpoint.router:
        return ROLES if len(set(checkpoint.recipe.prompts.values())) > 1 else ("query",)
    return ("query",) if checkpoint.source.endswith("(query route)") else ("passage",)


def _fitting(checkpoint: Checkpoint, role: Role) -> list[str]:
    """Texts that are one model input, and of which it pools something: it cuts longer ones off."""
    encoder = checkpoint.text_encoder
    texts = [text for text in HARD_TEXTS if encoder.tokenizer.encode(encoder.recipe.prompts[role] + text).ids]
    pairs = zip(texts, encoder.tokenize(texts, role), strict=True)
    return [text for text, each in pairs if len(each.windows) == 1 and each.tokens > encoder.unpooled[role]]


def _without_transform(checkpoint: Checkpoint) -> Checkpoint:
    if checkpoint.transform is None:
        return checkpoint
    module = checkpoint.module
    return replace(checkpoint, transform=None, module=module.ending_in(list(module.layers)))
