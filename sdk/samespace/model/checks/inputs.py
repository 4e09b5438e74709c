"""An artifact takes ids and mask: no other input that sentence-transformers hands to the model may move a vector."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Final

import torch
from torch import nn

from ...errors import ModelUnsupported
from .neighbours import SAME, moved

_INPUTS: Final = ("input_ids", "attention_mask")
_WITHOUT: Final = (
    'if the model was trained without them, set "model_input_names": ["input_ids", "attention_mask"] in a copy of '
    "tokenizer_config.json"
)


def require_other_inputs_without_effect(backbone: nn.Module, inputs: Mapping[str, list[int]], source: str) -> None:
    """Hold a text's token vectors against those with all *inputs* that sentence-transformers hands to the model.

    Raises:
        ModelUnsupported: one beside ids and mask changes them: token types of 1, say. An artifact has no such input.
    """
    known = inspect.signature(backbone.forward).parameters
    others = {name: torch.tensor([values]) for name, values in inputs.items() if name in known and name not in _INPUTS}
    if not others:
        return
    usual = {name: torch.tensor([inputs[name]]) for name in _INPUTS if name in inputs}
    try:
        with torch.inference_mode():
            alone = backbone(**usual).last_hidden_state
            whole = backbone(**usual, **others).last_hidden_state
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise ModelUnsupported(
            model=source,
            reason=f"{type(backbone).__name__} does not run with {', '.join(others)}, which its tokenizer gives: "
            f"{' '.join(str(error).split())[:200]}",
            remedy=_WITHOUT,
        ) from error
    if not (share := moved(alone, whole)) <= SAME:
        said = ", ".join(f"{name} {sorted({*inputs[name]})}" for name in others)
        raise ModelUnsupported(
            model=source,
            reason=f"its tokenizer gives {said}, which sentence-transformers hands to {type(backbone).__name__}: they "
            f"move token vectors by {share:.1%} of the largest number, and an artifact takes ids and mask alone",
            remedy=_WITHOUT,
        )
