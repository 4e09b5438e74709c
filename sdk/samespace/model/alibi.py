"""A BERT-like encoder with linear attention biases instead of positions, because transformers has none.

Importing this module registers it with transformers' Auto classes, so that saving, loading and
sentence-transformers work as for any other model; `backbone` does so before it reads a folder.

It is for encoders that are trained from scratch and shall take texts longer than those of training. The price:
published checkpoints of this kind (MosaicBERT, JinaBERT 2) have layouts and code of their own and do not load.
It lives here and not in `training`, because export has to read it and may not import the trainer.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutput


class AlibiBertConfig(PretrainedConfig):  # type: ignore[misc]
    """The settings of `AlibiBertModel`, under BERT's names; there is no limit of positions."""

    model_type = "samespace-alibi-bert"

    def __init__(
        self,
        vocab_size: int = 30_522,
        hidden_size: int = 384,
        num_hidden_layers: int = 6,
        num_attention_heads: int = 12,
        intermediate_size: int = 1536,
        hidden_act: str = "gelu",
        layer_norm_eps: float = 1e-12,
        hidden_dropout_prob: float = 0.0,
        attention_probs_dropout_prob: float = 0.0,
        initializer_range: float = 0.02,
        pad_token_id: int | None = 0,
        **others: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.layer_norm_eps = layer_norm_eps
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.initializer_range = initializer_range
        super().__init__(pad_token_id=pad_token_id, **others)


def alibi_slopes(heads: int) -> list[float]:
    """How fast each head's attention falls with distance.

    Powers of two get the geometric sequence from 2 ** (-8 / heads); other counts take the sequence of the next
    lower power and fill up with every other one of the next higher.

    Source: Press et al. 2022, section 3 and the authors' code, arXiv:2108.12409.
    """
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8.0 * (head + 1) / power) for head in range(power)]
    return slopes + ([] if power == heads else alibi_slopes(2 * power)[0::2][: heads - power])


def alibi_bias(heads: int, tokens: int, like: Tensor) -> Tensor:
    """What is added to attention scores: -slope x distance, the same in both directions.

    Args:
        like: gives device and dtype.

    Returns:
        (heads, tokens, tokens).

    Source: for encoders, Portes et al. 2023, section 3.1, arXiv:2312.17482.
    """
    places = torch.arange(tokens, device=like.device)
    distance = (places[None, :] - places[:, None]).abs().to(like.dtype)  # (tokens, tokens)
    slopes = torch.tensor(alibi_slopes(heads), device=like.device, dtype=like.dtype)
    return -slopes[:, None, None] * distance


class _Layer(nn.Module):
    """Attention and feed-forward, each with its residual and then its norm, as in BERT."""

    def __init__(self, config: AlibiBertConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_attention_heads
        self.attention_dropout = config.attention_probs_dropout_prob
        self.query, self.key, self.value = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, size)
        self.attention_output = nn.Linear(size, size)
        self.attention_norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.intermediate = nn.Linear(size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.output = nn.Linear(config.intermediate_size, size)
        self.output_norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        batch, tokens, size = hidden.shape
        shape = (batch, tokens, self.heads, size // self.heads)
        query, key, value = (
            part(hidden).view(shape).transpose(1, 2) for part in (self.query, self.key, self.value)
        )  # each (batch, heads, tokens, head size)
        attended = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, dropout_p=self.attention_dropout if self.training else 0.0
        )
        merged = attended.transpose(1, 2).reshape(batch, tokens, size)
        hidden = self.attention_norm(hidden + self.dropout(self.attention_output(merged)))
        changed = self.output(self.activation(self.intermediate(hidden)))
        result: Tensor = self.output_norm(hidden + self.dropout(changed))
        return result


class AlibiBertModel(PreTrainedModel):  # type: ignore[misc]
    """Ids and mask to token vectors."""

    config_class = AlibiBertConfig
    base_model_prefix = "model"
    _supports_sdpa = True

    def __init__(self, config: AlibiBertConfig) -> None:
        super().__init__(config)
        if config.hidden_size % config.num_attention_heads:
            raise ValueError(f"hidden_size {config.hidden_size} is no multiple of {config.num_attention_heads} heads")
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.embedding_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.word_embeddings

    def set_input_embeddings(self, value: Any) -> None:
        self.word_embeddings = value

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> BaseModelOutput:  # token type ids, which tokenizers send along, mean nothing here
        hidden = self.dropout(self.embedding_norm(self.word_embeddings(input_ids)))  # (batch, tokens, size)
        bias = alibi_bias(self.config.num_attention_heads, input_ids.shape[1], hidden)[None]
        if attention_mask is not None:
            hidden_places = attention_mask[:, None, None, :] == 0  # (batch, 1, 1, tokens)
            bias = bias.masked_fill(hidden_places, torch.finfo(hidden.dtype).min)  # (batch, heads, tokens, tokens)
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return BaseModelOutput(last_hidden_state=hidden)


AutoConfig.register(AlibiBertConfig.model_type, AlibiBertConfig, exist_ok=True)
AutoModel.register(AlibiBertConfig, AlibiBertModel, exist_ok=True)
