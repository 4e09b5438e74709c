"""The torch side of an encoder: backbone, pooling, layers and normalisation as one module, ids to unit vectors.

It is what is exported, what the export is compared with, and what training leaves behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

POOLING_NAMES: Final = {
    # ours -> sentence-transformers'
    "mean": "mean",
    "cls": "cls",
    "max": "max",
    "last": "lasttoken",
    "weighted_mean": "weightedmean",
    "mean_sqrt_len": "mean_sqrt_len_tokens",
}
ATTENTION_POOLING: Final = (
    "samespace.model.attention_pooling.AttentionPooling",
    "samespace.training.attention_pooling.AttentionPooling",  # folders of 0.1
)
"""How a model folder names attention pooling, the one pooling that has weights of its own."""


class EncoderModule(nn.Module):
    """(batch, tokens) ids and mask to (batch, dim) unit vectors, all float32. Padding is on the right.

    Where *pool_prompt* is false, tokens with `PROMPT_MASK` are left out of pooling; else a mask is 0 or 1.
    """

    def __init__(
        self,
        backbone: nn.Module,
        pooling: str | TokenAttention,
        layers: Sequence[nn.Module],
        transform: nn.Linear | None = None,
        *,
        pool_prompt: bool = True,
    ) -> None:
        super().__init__()
        self.pool_prompt = pool_prompt
        self.backbone = backbone
        self.pooling = pooling
        self.layers = nn.ModuleList(layers)
        self.transform = transform

    def ending_in(self, layers: Sequence[nn.Module], transform: nn.Linear | None = None) -> EncoderModule:
        """The same backbone and pooling with other layers after them, without dropout."""
        return EncoderModule(self.backbone, self.pooling, layers, transform, pool_prompt=self.pool_prompt).eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        real = pooled = attention_mask
        if not self.pool_prompt:
            real = (attention_mask > 0).to(attention_mask.dtype)
            pooled = (attention_mask == 1).to(attention_mask.dtype)
        hidden = self.backbone(input_ids=input_ids, attention_mask=real).last_hidden_state
        if isinstance(self.pooling, TokenAttention):
            vectors = self.pooling(hidden, pooled)  # (batch, hidden)
        elif self.pool_prompt:
            vectors = pool(hidden, attention_mask, self.pooling)
        else:
            vectors = pool_text(hidden, real, pooled, self.pooling)
        for layer in self.layers:
            vectors = layer(vectors)
        vectors = nn.functional.normalize(vectors, p=2.0, dim=-1)
        if self.transform is None:
            return vectors
        # A transform is fitted on unit vectors, so it sees unit vectors; what it gives is scaled again.
        return nn.functional.normalize(self.transform(vectors), p=2.0, dim=-1)


def pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """One vector a text from its token vectors.

    Args:
        hidden: (batch, tokens, dim), float; last layer.
        mask: (batch, tokens), int64, 1 = real; at least one 1 in each row, padding on the right.
        pooling: one of `POOLING_NAMES`, or several with "+" between them: their vectors one after the other.

    Returns:
        (batch, dim), dtype of *hidden*, for each of them; not normalised.

    Source: Reimers and Gurevych 2019, section 3, arXiv:1908.10084; weighted mean: Muennighoff 2022,
    arXiv:2202.08904, section 3.1.
    """
    if "+" in pooling:
        return torch.cat([pool(hidden, mask, each) for each in pooling.split("+")], dim=-1)
    weights = mask.unsqueeze(-1).to(hidden.dtype)  # (batch, tokens, 1)
    if pooling == "mean_sqrt_len":
        return (hidden * weights).sum(1) / weights.sum(1).sqrt()
    if pooling == "mean":
        return (hidden * weights).sum(1) / weights.sum(1)
    if pooling == "weighted_mean":
        positions = torch.cumsum(weights, dim=1) * weights  # 1, 2, 3, ... and 0 for padding
        return (hidden * positions).sum(1) / positions.sum(1)
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "max":
        lowest = torch.finfo(hidden.dtype).min
        return hidden.masked_fill(weights == 0, lowest).max(dim=1).values
    if pooling == "last":
        last = mask.sum(1) - 1  # (batch,)
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), last]
    raise ValueError(f"pooling {pooling!r}")


def pool_text(hidden: Tensor, real: Tensor, pooled: Tensor, pooling: str) -> Tensor:
    """`pool` without the prompt, which comes first: what sentence-transformers does with include_prompt = false.

    Args:
        real: (batch, tokens), int64, 1 = a token of prompt or text.
        pooled: 1 = a token of the text; at least one 1 in each row.
    """
    if "+" in pooling:
        return torch.cat([pool_text(hidden, real, pooled, each) for each in pooling.split("+")], dim=-1)
    if pooling == "last":
        return pool(hidden, real, pooling)
    if pooling == "cls":  # the first token after the prompt
        first = (real - pooled).sum(1)  # (batch,)
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), first]
    if pooling == "weighted_mean":  # positions count from the prompt's first token
        positions = (torch.cumsum(real, dim=1) * pooled).unsqueeze(-1).to(hidden.dtype)
        return (hidden * positions).sum(1) / positions.sum(1)
    return pool(hidden, pooled, pooling)


class TokenAttention(nn.Module):
    """Token vectors weighted by a learned query: softmax over tokens of hidden @ query / sqrt(dim).

    With the query at zero, where training starts, it is mean pooling.

    Source: Lin et al. 2017, arXiv:1703.03130, with one hop and without its hidden layer.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(dims))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens, dim) and (batch, tokens) to (batch, dim); see `pool`."""
        return attention_pool(hidden, mask, self.query)


def attention_pool(hidden: Tensor, mask: Tensor, query: Tensor) -> Tensor:
    """`TokenAttention` as a function, shared with training; *query* is (dim,)."""
    # Not hidden @ query: OpenVINO cannot read a product with a vector, and int8 would quantise the query.
    scores = (hidden * query).sum(-1) / hidden.shape[-1] ** 0.5  # (batch, tokens)
    scores = scores.masked_fill(mask == 0, torch.finfo(hidden.dtype).min)
    weights = torch.softmax(scores, dim=1).unsqueeze(-1)  # (batch, tokens, 1)
    return (hidden * weights).sum(1)


class Dense(nn.Module):
    """A linear layer and an activation, as sentence-transformers' Dense module, and what goes past both, if any."""

    def __init__(self, linear: nn.Linear, activation: nn.Module, residual: nn.Module | None = None) -> None:
        super().__init__()
        self.linear = linear
        self.activation = activation
        self.residual = residual

    def forward(self, vectors: Tensor) -> Tensor:
        result: Tensor = self.activation(self.linear(vectors))
        return result if self.residual is None else result + self.residual(vectors)


class Truncate(nn.Module):
    """The first *dims* numbers of a vector, as sentence-transformers' `truncate_dim`."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors[:, : self.dims]


class Normalise(nn.Module):
    """Rows scaled to unit length between two layers, as sentence-transformers' Normalize module."""

    def forward(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors, p=2.0, dim=-1)


NORMALISE: Final[Mapping[str, Any]] = {"type": "normalise"}
"""`Normalise` in the identity's words."""

# Only these may follow a linear layer: the name comes from a file, and nothing in a file may name code to run.
_ELEMENTWISE: Final = (
    nn.Tanh, nn.ReLU, nn.GELU, nn.Sigmoid, nn.SiLU, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.ReLU6, nn.Mish,
    nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.LogSigmoid, nn.Tanhshrink,
)  # fmt: skip
ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {
    "torch.nn.modules.linear.Identity": nn.Identity,
    "torch.nn.Identity": nn.Identity,
    **{f"torch.nn.modules.activation.{kind.__name__}": kind for kind in _ELEMENTWISE},
    **{f"torch.nn.{kind.__name__}": kind for kind in _ELEMENTWISE},
}


def numpy_model(module: nn.Module) -> Any:
    """*module* as an `embed.Model`: int64 arrays in, float32 array out, without gradients."""
    import numpy as np

    def run(ids: Any, mask: Any) -> Any:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(ids), torch.from_numpy(mask)).numpy(), dtype=np.float32)

    return run
