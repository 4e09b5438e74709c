"""MTEB's encoder over ours, for `mteb.evaluate`: queries are queries, everything else that has a type is a passage.

import mteb
from samespace import Encoder
from samespace.adapters.mteb import MtebEncoder

mteb.evaluate(MtebEncoder(Encoder.load("artifacts/pydoc")), mteb.get_tasks(tasks=["SciFact"]))

Texts beyond the token limit are windowed and pooled; sentence-transformers cuts them, so its scores on them differ.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction
from mteb.types import PromptType

from ..encoder import Encoder
from ..errors import RequestInvalid
from ..text import Role
from ..vectors import Float32, cosine_distance

_SAME: Final = 1e-6  # 1 - cos: one text under two roles, whose prompts are equal
_TEXT: Final = "how do I flatten a list"


class MtebEncoder(AbsEncoder):
    """An encoder as MTEB's `EncoderProtocol`; results are kept under its space's id."""

    def __init__(self, encoder: Encoder, *, role_of_pairs: Role | None = None) -> None:
        """Nothing is encoded yet.

        Args:
            role_of_pairs: of texts that are neither queries nor passages (STS, classification, clustering); needed only
                where the encoder treats the two differently.
        """
        self.model = encoder
        self._role_of_pairs = role_of_pairs
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": f"samespace/{encoder.name.replace('/', '_')}",
                "revision": encoder.space_id,
                "max_tokens": encoder.token_limit,
                "embed_dim": encoder.dims,
                "similarity_fn_name": ScoringFunction.COSINE,
                # Two builds of one space round differently: results of one are not those of the other.
                "experiment_kwargs": {"bound": encoder.bound},
            }
        )

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> Float32:
        """Vectors of the texts of MTEB's batches; float32 (n, dims), unit length.

        Raises:
            RequestInvalid: the task does not say the role, and it matters.
        """
        texts = [text for batch in inputs for text in batch["text"]]
        rows: Float32 = np.asarray(self.model.encode(texts, self._role(prompt_type, str(task_metadata.name))))
        return rows

    def _role(self, prompt_type: PromptType | None, task: str) -> Role:
        if prompt_type is not None:
            return "query" if prompt_type == PromptType.query else "passage"
        if self._role_of_pairs is None:
            query, passage = (np.asarray(self.model.encode([_TEXT], role)) for role in ("query", "passage"))
            if float(cosine_distance(query, passage)[0]) > _SAME:
                reason = "has no roles, and the encoder treats them apart: say role_of_pairs='query' or 'passage'"
                raise RequestInvalid(field="role_of_pairs", reason=f"task {task} {reason}")
        return self._role_of_pairs or "passage"
