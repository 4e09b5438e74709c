"""What raw text teaches: to fill in masked tokens, or to rebuild a text from the vector of what noise left of it.

Both predict tokens with the model's own embeddings (tied), because a sentence-transformers folder has no head for it.
What lies between is small and starts as nearly nothing: an identity, and a bias that gives each token its frequency.
So the first loss is about that of guessing by frequency, which is also what learning is judged by.

What it leaves to others: the loop (`pretraining`). sentence-transformers' own DenoisingAutoEncoderLoss is not used: it
loads the base a second time as a decoder with cross-attention, which few architectures have, and by its hub name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

MASKED: Final = 0.15
DELETED: Final = 0.6
_MOST_TARGETS: Final = 512  # of one step: the product with the whole vocabulary is what costs
_HEADS: Final = 64  # width of an attention head


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What objectives know of the tokens.

    Attributes:
        size: rows of the embedding table.
        mask: id of the mask token; -1 where there is none.
        special: (special tokens,), int64, ids that are neither masked, deleted nor predicted.
        counts: (size,), float32, how often each id occurs in the texts.
    """

    size: int
    mask: int
    special: Tensor
    counts: Tensor

    def guessing(self) -> float:
        """Loss of guessing each token by its frequency, in nats: the entropy of the counts."""
        share = self.counts[self.counts > 0] / self.counts.sum()
        return float(-(share * share.log()).sum())


class TiedHead(nn.Module):
    """Token vectors to logits over the vocabulary, through the embeddings of the model."""

    def __init__(self, width: int, table: nn.Embedding, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._table = (table,)  # in a tuple: the weights are the model's, not this module's
        to: int = self.table.shape[1]
        self.dense = nn.Linear(width, to)
        self.norm = nn.LayerNorm(to)
        nn.init.eye_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        # Rows of unit length times rows of the table: small at first, so that the bias speaks.
        nn.init.constant_(self.norm.weight, 1 / to**0.5)
        self.bias = nn.Parameter(torch.log((vocabulary.counts + 0.1) / (vocabulary.counts + 0.1).sum()))

    @property
    def table(self) -> Tensor:
        """(vocabulary, width of embeddings), the model's own."""
        weight: Tensor = self._table[0].weight
        return weight

    def forward(self, vectors: Tensor) -> Tensor:
        """(tokens, width) to (tokens, vocabulary), float32."""
        logits: Tensor = self.norm(self.dense(vectors)) @ self.table.T
        return logits.float() + self.bias


class MaskedTokens(nn.Module):
    """Fill in masked tokens: of 15 %, 80 % are masked, 10 % another token, 10 % left as they are.

    Source: Devlin et al. 2019, section 3.1, arXiv:1810.04805.
    """

    def __init__(self, width: int, table: nn.Embedding, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.head = TiedHead(width, table, vocabulary)

    def forward(self, model: Any, ids: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        """The mean loss of a batch, in nats; *ids* and *mask* are (batch, tokens), on the CPU as *generator* is."""
        chosen = own_tokens(ids, mask, self.vocabulary) & (torch.rand(ids.shape, generator=generator) < MASKED)
        if not bool(chosen.any()):
            chosen = own_tokens(ids, mask, self.vocabulary)
        fate = torch.rand(ids.shape, generator=generator)
        others = torch.randint(self.vocabulary.size, ids.shape, generator=generator)
        seen = ids.masked_fill(chosen & (fate < 0.8), self.vocabulary.mask)
        seen = torch.where(chosen & (fate >= 0.9), others, seen)
        device = self.head.bias.device
        hidden = model[0]({"input_ids": seen.to(device), "attention_mask": mask.to(device)})["token_embeddings"]
        return nn.functional.cross_entropy(self.head(hidden[chosen.to(device)]), ids[chosen].to(device))


class Denoising(nn.Module):
    """Rebuild a text, token by token, from nothing but the vector of the same text with 60 % of its tokens deleted.

    The decoder is one layer of its own, thrown away afterwards: the weaker it is, the more the vector has to say.

    Source: Wang et al. 2021 (TSDAE), section 3, arXiv:2104.06979, whose decoder is a whole tied model.
    """

    def __init__(self, dims: int, table: nn.Embedding, vocabulary: Vocabulary, most_tokens: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        width = table.weight.shape[1]
        self.vector = nn.Linear(dims, width)
        self.places = nn.Parameter(torch.randn(most_tokens, width) * 0.02)
        heads = next(count for count in range(max(1, width // _HEADS), 0, -1) if width % count == 0)
        self.layer = nn.TransformerDecoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.head = TiedHead(width, table, vocabulary)

    def forward(self, model: Any, ids: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        """As `MaskedTokens.forward`."""
        device = self.head.bias.device
        left, left_mask = delete(ids, mask, own_tokens(ids, mask, self.vocabulary), generator)
        made = model({"input_ids": left.to(device), "attention_mask": left_mask.to(device)})["sentence_embedding"]
        tokens = ids.shape[1] - 1
        told = self.head.table[ids[:, :-1].to(device)] + self.places[:tokens]  # (batch, tokens, width)
        later = torch.ones(tokens, tokens, dtype=torch.bool, device=device).triu(1)
        hidden = self.layer(told, self.vector(made)[:, None], tgt_mask=later)
        wanted = own_tokens(ids, mask, self.vocabulary)[:, 1:].nonzero()
        wanted = wanted[torch.randperm(len(wanted), generator=generator)[:_MOST_TARGETS]]
        rows, places = wanted.T
        return nn.functional.cross_entropy(
            self.head(hidden[rows.to(device), places.to(device)]), ids[rows, places + 1].to(device)
        )


Objective = MaskedTokens | Denoising


def own_tokens(ids: Tensor, mask: Tensor, vocabulary: Vocabulary) -> Tensor:
    """(batch, tokens) bool: where the text's own tokens are."""
    return (mask == 1) & ~torch.isin(ids, vocabulary.special)


def delete(ids: Tensor, mask: Tensor, own: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """*ids* without most of their *own* tokens, and the new mask; what is left moves together, one token at least."""
    luck = torch.rand(ids.shape, generator=generator)
    luckiest = luck.masked_fill(~own, -1.0).argmax(dim=1)  # stays whatever happens
    kept = (mask == 1) & (~own | (luck >= DELETED))
    kept[torch.arange(len(ids)), luckiest] = True
    order = (~kept).to(torch.int8).argsort(dim=1, stable=True)
    longest = int(kept.sum(dim=1).max())
    kept = kept.gather(1, order)[:, :longest]
    return ids.gather(1, order)[:, :longest] * kept, kept.to(mask.dtype)
