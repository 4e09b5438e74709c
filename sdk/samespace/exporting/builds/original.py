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
from tokenizers import Tokenizer

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
BATCHED: Final = 1e-4
"""More than that 1 - cos between a text alone and in a batch is no rounding."""
_CANNOT: Final = (ImportError, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, IndexError)
_BEGIN: Final = "Once more:"
_LONGEST: Final = 512
_TOKENS: Final = 8
_TOGETHER: Final = 16


@dataclass(frozen=True, slots=True)
class OriginalCheck:
    """What came of it.

    Attributes:
        reference: the library and its version; "" where it could not load the folder.
        worst: the largest 1 - cos, over *texts* texts of each role.
        reason: why there is no reference.
        in_batches: the largest 1 - cos between its vectors of texts alone and in one batch.
    """

    reference: str
    worst: float = 0.0
    texts: int = 0
    reason: str = ""
    in_batches: float = 0.0

    @property
    def advice(self) -> str:
        """What to tell where its vectors depend on the texts beside them; "" where they do not."""
        if self.in_batches <= BATCHED:
            return ""
        return (
            f"By sentence-transformers the vector of a text depends on the others of its batch (1 - cos up to "
            f"{self.in_batches:.2g}): this folder pads on the left, hides the mask, or reads positions so. Here every "
            "text has the vector that it has alone."
        )

    def to_json(self) -> dict[str, Any]:
        """The plain form, for provenance."""
        if not self.reference:
            return {"reference": "samespace alone", "reason": self.reason}
        told = {"in_batches": self.in_batches} if self.advice else {}
        return {"reference": self.reference, "worst": self.worst, "texts": self.texts, **told}


def check_original(checkpoint: Checkpoint) -> OriginalCheck:
    """Hold *checkpoint* against what sentence-transformers makes of its folder, both without a head or transform.

    Raises:
        GateFailed: a text has another vector.
    """
    checkpoint = checkpoint.before_head or checkpoint
    try:
        wanted = _their_vectors(checkpoint)
    except _CANNOT as error:
        reason = f"sentence-transformers cannot load it or encode with it: {type(error).__name__}: {error}"
        return OriginalCheck("", reason=reason[:300])
    ours = CheckpointEncoder(_without_transform(checkpoint))
    worst = in_batches = 0.0
    for role, (texts, vectors, together) in wanted.items():
        in_batches = max(in_batches, together)
        found = np.asarray(ours.encode(texts, role), dtype=np.float32)
        same = found.shape == vectors.shape and np.isfinite(vectors).all()
        worst = max(worst, float(cosine_distance(found, vectors).max()) if same else 2.0)
    if worst > GATE:
        raise GateFailed(
            build="the model as it was read", measure="1 - cos to sentence-transformers on the original folder",
            measured=worst, gate=GATE,
        )  # fmt: skip
    count = sum(len(texts) for texts, *_ in wanted.values())
    return OriginalCheck(
        f"sentence-transformers {version('sentence-transformers')}", worst, count, in_batches=in_batches
    )


def _their_vectors(checkpoint: Checkpoint) -> dict[Role, tuple[list[str], Float32, float]]:
    """By role: texts, their unit vectors by a model that has encoded nothing before (the longest text comes first), and
    the largest 1 - cos of a batch to them.

    What an encoder makes of a long text may be another thing once it has seen a short one (BigBird).
    """
    model = _theirs(checkpoint)
    texts = {role: _fitting(checkpoint, role) for role in _roles(checkpoint)}
    prompts = checkpoint.recipe.prompts
    alone = {role: _encode(model, chosen, role, prompts[role]) for role, chosen in texts.items()}
    return {
        role: (chosen, alone[role], _in_a_batch(model, chosen, role, prompts[role], alone[role]))
        for role, chosen in texts.items()
    }


def _in_a_batch(model: Any, texts: Sequence[str], role: Role, prompt: str, alone: Float32) -> float:
    """The largest 1 - cos of some texts in one batch to each alone; 0 where it cannot make a batch."""
    some = texts[-_TOGETHER:]
    try:
        return float(
            cosine_distance(_encode(model, some, role, prompt, batch_size=len(some)), alone[-len(some) :]).max()
        )
    except _CANNOT:
        return 0.0


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
            limit, own = checkpoint.recipe.token_limit, module.max_seq_length
            module.max_seq_length = min(own or limit, limit) if checkpoint.own_limit else limit
    return model


def _encode(model: Any, texts: Sequence[str], role: Role, prompt: str, *, batch_size: int = 1) -> Float32:
    encode = model.encode_query if role == "query" else model.encode_document
    with quiet("sentence_transformers", "transformers"):
        # One by one: padding on the left, which decoders have there, is another input where positions are absolute.
        made = encode(
            list(texts), prompt=prompt, normalize_embeddings=True, batch_size=batch_size, show_progress_bar=False
        )
    return np.asarray(made, dtype=np.float32)


def _roles(checkpoint: Checkpoint) -> tuple[Role, ...]:
    """Both where they differ, or of a Router's route the one that it is for."""
    if not checkpoint.router:
        return ROLES if len(set(checkpoint.recipe.prompts.values())) > 1 else ("query",)
    return ("query",) if checkpoint.source.endswith("(query route)") else ("passage",)


def _fitting(checkpoint: Checkpoint, role: Role) -> list[str]:
    """Texts that are one model input, of which it pools something, the longest first: it cuts longer ones off."""
    encoder = checkpoint.text_encoder
    prompt = encoder.recipe.prompts[role]
    candidates = (*_long_texts(encoder.recipe.token_limit), *HARD_TEXTS, *_of_tokenizer(encoder.tokenizer))
    texts = [text for text in candidates if encoder.tokenizer.encode(prompt + text).ids]
    pairs = zip(texts, encoder.tokenize(texts, role), strict=True)
    fit = [text for text, each in pairs if len(each.windows) == 1 and each.tokens > encoder.unpooled[role]]
    longest = [text for text in fit if text not in HARD_TEXTS and text.startswith(_BEGIN)][:1]
    return [*longest, *(text for text in fit if not text.startswith(_BEGIN))]


def _long_texts(limit: int) -> list[str]:
    """The same words, fewer each time: the first that fits is near the token limit, or near `_LONGEST` words."""
    words = " ".join(HARD_TEXTS[:1] * _LONGEST).split()[: min(limit, _LONGEST)]
    shares = [0.95**step for step in range(60)]
    return [" ".join([_BEGIN, *words[: int(len(words) * share)]]) for share in shares]


def _of_tokenizer(tokenizer: Tokenizer) -> list[str]:
    """Words of many lengths, and added tokens as they are, in other cases, and inside words."""
    tokens = [token.content for token in tokenizer.get_added_tokens_decoder().values()][:_TOKENS]
    words = ["ab" * 15, "ab" * 32, "0123456789abcdef" * 4, "x" * 101]
    return [*(f"a {word} b" for word in words), *(f"{token.lower()} {token} x{token}y" for token in tokens)]


def _without_transform(checkpoint: Checkpoint) -> Checkpoint:
    if checkpoint.transform is None:
        return checkpoint
    module = checkpoint.module
    return replace(checkpoint, transform=None, module=module.ending_in(list(module.layers)))
