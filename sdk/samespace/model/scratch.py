"""A small random encoder as a model folder, to train from scratch: for a language, code or logs that no base knows.

    python -c "from samespace.model.scratch import Scratch, write_scratch; \
               write_scratch('models/start', 'tokenizer.json', Scratch(positions='rope', layers=6, width=384))"
    samespace pretrain models/start texts.txt --out models/pretrained
    samespace train CONFIG --set base=models/pretrained

Positions decide what happens beyond the lengths of training. Learned absolute ones are random there. Rotary ones
("rope", ModernBERT's architecture) and linear biases ("alibi") only know distances, which stay the same, so a longer
`--max-tokens` at export works without training. What has windows anyway (`text`) needs neither.

What it gives up: an encoder from scratch needs far more data than a fine-tuned one; take a base where there is one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer

from ..errors import ConfigInvalid
from ..folders import whole_folder, writes
from .folder.tokenizer import write_tokenizer

POSITIONS: Final = ("absolute", "rope", "alibi")
_NO_LIMIT: Final = 1_000_000  # of positions that are distances
_ST: Final = "sentence_transformers.models."


@dataclass(frozen=True, slots=True)
class Scratch:
    """What a new encoder is like.

    Attributes:
        positions: "absolute" (BERT), "rope" (ModernBERT) or "alibi". Default "rope".
        layers, width, heads: width is a multiple of heads. 6 x 384 x 12, MiniLM's size, unless given.
        token_limit: tokens of one model input; with "absolute" there are no positions beyond it.
        seed: of the weights.
    """

    positions: str = "rope"
    layers: int = 6
    width: int = 384
    heads: int = 12
    token_limit: int = 256
    seed: int = 1

    def __post_init__(self) -> None:
        if self.positions not in POSITIONS:
            raise ConfigInvalid(key="positions", reason=f"{self.positions!r}; expected one of {', '.join(POSITIONS)}")
        if self.heads < 1 or self.width % (2 * self.heads):
            raise ConfigInvalid(key="width", reason=f"{self.width}; expected an even multiple of {self.heads} heads")


@writes("folder")
def write_scratch(folder: Path | str, tokenizer: Path | str, settings: Scratch) -> Path:
    """Write a sentence-transformers folder of a random encoder with mean pooling over *tokenizer*, a tokenizer.json.

    Raises:
        ConfigInvalid: *folder* exists, or the tokenizer cannot be read.
    """
    target = Path(folder)
    if target.exists():
        raise ConfigInvalid(key="folder", reason=f"{target} exists already; name another folder, or remove it")
    try:
        read = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigInvalid(key="tokenizer", reason=f"{tokenizer} cannot be read: {error}") from error
    torch.manual_seed(settings.seed)
    with whole_folder(target) as work:
        _transformer(read, settings).save_pretrained(work)
        for name, content in _files(read, settings).items():
            path = work / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        write_tokenizer(work, read, str(target))
    return target


def _transformer(tokenizer: Tokenizer, settings: Scratch) -> Any:
    from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel

    from .alibi import AlibiBertConfig, AlibiBertModel

    pad = _id(tokenizer, "[PAD]", "<pad>")
    common: dict[str, Any] = {
        "vocab_size": max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1,
        "hidden_size": settings.width,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "intermediate_size": 4 * settings.width,
        "pad_token_id": pad,
        "initializer_range": 1 / settings.width**0.5,  # 0.02 is for widths of a thousand and more
    }
    if settings.positions == "absolute":
        config = BertConfig(
            max_position_embeddings=settings.token_limit,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            **common,
        )
        return BertModel(config, add_pooling_layer=False)
    if settings.positions == "alibi":
        return AlibiBertModel(AlibiBertConfig(**common))
    first, last = _id(tokenizer, "[CLS]", "<s>"), _id(tokenizer, "[SEP]", "</s>")
    tokens = {"cls_token_id": first, "bos_token_id": first, "sep_token_id": last, "eos_token_id": last}
    return ModernBertModel(ModernBertConfig(max_position_embeddings=_NO_LIMIT, **tokens, **common))


def _files(tokenizer: Tokenizer, settings: Scratch) -> dict[str, Any]:
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    special = {
        key: token
        for key, names in (
            ("pad_token", ("[PAD]", "<pad>")),
            ("unk_token", ("[UNK]", "<unk>")),
            ("mask_token", ("[MASK]", "<mask>")),
        )
        for token in names
        if tokenizer.token_to_id(token) is not None
    }
    return {
        "modules.json": [
            {"idx": place, "name": str(place), "path": path, "type": _ST + kind}
            for place, (path, kind) in enumerate(kinds)
        ],
        "1_Pooling/config.json": {
            "embedding_dimension": settings.width, "pooling_mode": "mean", "include_prompt": True
        },
        "2_Normalize/config.json": {},
        "sentence_bert_config.json": {"max_seq_length": settings.token_limit, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {}},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": settings.token_limit, **special
        },
    }  # fmt: skip


def _id(tokenizer: Tokenizer, *names: str) -> int:
    return next((number for name in names if (number := tokenizer.token_to_id(name)) is not None), 0)
