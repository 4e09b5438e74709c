"""A model with a larger vocabulary: new entries for domain terms, each starting as the mean of its pieces.

The result is another space before anything is trained: the same text has other tokens. Until the new embeddings are
trained it is an assumption that it is any better, so it is scored beside its base, and called better only if it is.

What it leaves to others: which terms (`terms`), the tokenizer (`vocabulary`), training them (`pretraining`, `trainer`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import nn

from ...errors import ConfigInvalid, DataInvalid, ModelUnsupported
from ...evaluation import Dataset
from ...folders import whole_folder, writes
from ...model.checkpoint import Checkpoint, load_checkpoint
from ...model.folder.saving import require_savable, save_folder
from ...model.quiet import quiet
from ...progress import Progress, silent
from ...text import ROLES, Role, TextEncoder
from ..finetuning.model import load_plain
from ..pretraining.domain import DomainTexts
from ..scoring.outcome import score
from ..scoring.record import write_record
from .coverage import add_terms, first_new_id
from .terms import Term, find_terms

_BLOCK: Final = 1024


@dataclass(frozen=True, slots=True)
class Size:
    """How many tokens and windows texts have."""

    texts: int
    tokens: int
    windows: int


@dataclass(frozen=True, slots=True)
class Extended:
    """What came out.

    Attributes:
        folder: a sentence-transformers folder with `run.json`.
        terms: what was added, what saves most first.
        before, after: by role, what the texts take.
        record: what `run.json` says.
    """

    folder: Path
    terms: tuple[Term, ...]
    before: Mapping[Role, Size]
    after: Mapping[Role, Size]
    record: Mapping[str, Any]


@writes("out")
def extend(
    model: str,
    domain: DomainTexts,
    out: Path,
    most: int,
    development: Mapping[str, Dataset],
    progress: Progress = silent,
) -> Extended:
    """Write *model* to *out* with up to *most* terms of *domain* in its vocabulary, scored on *development*.

    Raises:
        ModelUnsupported: the model cannot be read, or its vocabulary cannot be extended.
        DataInvalid: no term is frequent and shattered.
        ConfigInvalid: *out* exists.
    """
    if out.exists():
        raise ConfigInvalid(key="out", reason=f"{out} exists already; name another folder, or remove it")
    base = load_checkpoint(model)
    require_savable(base)
    terms = find_terms(Tokenizer.from_buffer(base.tokenizer), domain.all, most, model)
    tokenizer, terms = add_terms(_own_tokenizer(base), terms, model)
    if not terms:
        raise DataInvalid(
            path=str(domain.path),
            reason=f"no word that occurs often falls into three or more tokens of {model}: its vocabulary fits",
        )
    loaded = load_plain(model)
    add_embeddings(loaded[0].auto_model, terms, first_new_id(_own_tokenizer(base)), model)
    with whole_folder(out) as work:
        save_folder(loaded, work, tokenizer, model)
        extended = load_checkpoint(work)
        before, after = (measure(each.text_encoder, domain.texts) for each in (base, extended))
        record = {
            "what": "vocab extend",
            "base": model,
            "base_space_id": base.identity.space_id(),
            "space_id": extended.identity.space_id(),
            "data": {"folder": domain.path.resolve().name, "sha256": domain.digest()},
            "terms": [{"text": term.text, "count": term.count, "pieces": len(term.pieces)} for term in terms],
            "size": {
                what: {role: asdict(size) for role, size in sizes.items()}
                for what, sizes in (("before", before), ("after", after))
            },
            **score(base, extended, development, progress).to_json(),
        }
        write_record(work, record)
    return Extended(out, tuple(terms), before, after, record)


def add_embeddings(transformer: nn.Module, terms: Sequence[Term], first: int, source: str = "the model") -> None:
    """Give *terms* the embeddings from row *first* on: the mean of their pieces' embeddings.

    Rows that the table has to spare (some are padded to a round number) are used first.

    Raises:
        ModelUnsupported: the model has more than one table over its vocabulary.
    """
    loaded: Any = transformer
    table = loaded.get_input_embeddings()
    rows = table.weight.shape[0]
    over = [name for name, weight in loaded.named_parameters() if weight.shape[0] == rows]
    if len(over) != 1:
        raise ModelUnsupported(
            model=source,
            reason=f"has {len(over)} tables over its vocabulary: {', '.join(over)}",
            remedy="choose another base",
        )
    if first + len(terms) > rows:
        with quiet("transformers"):
            loaded.resize_token_embeddings(first + len(terms), mean_resizing=False)
    weight = loaded.get_input_embeddings().weight
    with torch.no_grad():
        for place, term in enumerate(terms):
            weight[first + place] = weight[list(term.pieces)].mean(dim=0)


def measure(encoder: TextEncoder, texts: Mapping[Role, Sequence[str]]) -> dict[Role, Size]:
    """Tokens and windows of *texts*, by role."""
    sizes: dict[Role, Size] = {}
    for role in ROLES:
        tokens = windows = 0
        for start in range(0, len(texts[role]), _BLOCK):
            for made in encoder.tokenize(texts[role][start : start + _BLOCK], role):
                tokens += made.tokens
                windows += len(made.windows)
        sizes[role] = Size(len(texts[role]), tokens, windows)
    return sizes


def _own_tokenizer(base: Checkpoint) -> Tokenizer:
    """A copy of the base's own, with its decoder, to add terms to."""
    return Tokenizer.from_str(base.folder_tokenizer.to_str())
