"""A cross-encoder in memory, ready to be exported: a sequence classifier with one output that reads two texts.

Folders of sentence-transformers' CrossEncoder, with modules.json or without, and plain ones of transformers. What is
kept of a folder is its classifier, its tokenizer with its template of pairs, its token limit and its activation.

What it leaves to others: the tokenizer's files (`folder.tokenizer`), keys of config.json (`folder.keys`), the gate.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer
from torch import Tensor, nn

from ..artifact.fingerprint import relevant_settings, sort_weights, weight_digest
from ..artifact.reranker import RerankerIdentity, reranker_identity
from ..embed import Model
from ..errors import ModelUnsupported
from ..reranking.pairs import PairEncoder
from ..text import BEST_WINDOW, PROMPT_MASK, Recipe
from .architecture import Architecture, read_architecture
from .backbone import load_config, token_limit, token_settings_read, whole_model
from .checkpoint import DEFAULT_OVERLAP_SHARE, Overrides
from .folder.keys import check_config, known_settings
from .folder.tokenizer import HARD_TEXTS, canonical_tokenizer, load_tokenizer, post_processors
from .folder.vocabulary import require_rows
from .hub import read_json, resolve_model
from .modules import numpy_model
from .quiet import quiet

HARD_PAIRS: Final = tuple(zip(HARD_TEXTS, (*HARD_TEXTS[1:], HARD_TEXTS[0]), strict=True))
"""Pairs that tell tokenizers apart."""
_CLASSIFIER: Final = "ForSequenceClassification"
_OF_CONFIG: Final = ("sentence_transformers", "sbert_ce_default_activation_function")
_ACTIVATIONS: Final = {
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.Identity": "identity",
}
_SEQUENCE: Final = "sequence-classification"


class CrossEncoderModule(nn.Module):
    """(batch, tokens) ids and mask to (batch, 1) logits, float32. The mask is that of `reranking.pairs`."""

    def __init__(self, model: nn.Module, *, typed: bool) -> None:
        """*typed*: whether the model reads token types, 0 for the query's side and 1 for the passage's."""
        super().__init__()
        self.model = model
        self.typed = typed

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        real = (attention_mask > 0).to(attention_mask.dtype)
        types: dict[str, Tensor] = {}
        if self.typed:
            types["token_type_ids"] = ((attention_mask > 0) & (attention_mask != PROMPT_MASK)).to(attention_mask.dtype)
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=real, **types).logits
        return logits


@dataclass(frozen=True)
class RerankerCheckpoint:
    """A cross-encoder in memory.

    Attributes:
        source: what the user named.
        folder: where its files are.
        tokenizer: the bytes of the artifact's tokenizer.json.
        settings: of its configuration, what can change a score.
        notes: keys of the folder that are not used, because they change no score.
    """

    source: str
    folder: Path
    module: CrossEncoderModule
    tokenizer: bytes
    settings: Mapping[str, Any]
    architecture: Architecture
    activation: str
    recipe: Recipe
    notes: tuple[str, ...] = ()

    reference = "torch fp32"
    transform = None
    dims = 1

    @property
    def vocabulary(self) -> int:
        """Token ids are below it."""
        return self.architecture.vocabulary

    @cached_property
    def text_encoder(self) -> PairEncoder:
        """The text path."""
        return PairEncoder(Tokenizer.from_buffer(self.tokenizer), self.recipe)

    @cached_property
    def model(self) -> Model:
        """The torch module behind the interface of every runtime."""
        model: Model = numpy_model(self.module)
        return model

    @cached_property
    def identity(self) -> RerankerIdentity:
        """Everything that can change a score; its digest is the reranker's id."""
        weights = [weight_digest(name, tensor.numpy()) for name, tensor in self.module.state_dict().items()]
        digest = hashlib.sha256(self.tokenizer).hexdigest()
        return reranker_identity(sort_weights(weights), self.settings, digest, self.activation, self.recipe)


def is_reranker_folder(model: str) -> bool:
    """Whether *model* is a folder, or a hub name that was downloaded, whose configuration calls it a classifier."""
    try:
        file = resolve_model(model) / "config.json"
        said = json.loads(file.read_text(encoding="utf-8")).get("architectures") if file.is_file() else None
    except (ModelUnsupported, OSError, ValueError, AttributeError):
        return False  # whoever reads the model says what is wrong with it
    return isinstance(said, list) and any(str(each).endswith(_CLASSIFIER) for each in said)


def load_reranker(model: str | Path, overrides: Overrides | None = None) -> RerankerCheckpoint:
    """Read a cross-encoder's folder or hub name.

    Raises:
        ModelUnsupported: it cannot be exported faithfully; says what and why.
        RequestInvalid: the recipe makes no sense.
    """
    source, chosen = str(model), overrides or Overrides()
    folder = resolve_model(source)
    own = _require_plain(folder, source)
    config = load_config(folder, source)
    if config.num_labels != 1:
        raise ModelUnsupported(
            model=source,
            reason=f"has {config.num_labels} outputs; a reranker has one score for a query and a passage",
            remedy="name a cross-encoder for retrieval",
        )
    activation = _activation(own, config, source)
    values = {key: value for key, value in read_json(folder / "config.json", source).items() if key not in _OF_CONFIG}
    classifier, code = _load_classifier(folder, config, source)
    notes = check_config(values, known_settings(config), code, source)
    architecture = read_architecture(config, source)
    tokenizer = pair_tokenizer(folder, source)
    require_rows(tokenizer, architecture.vocabulary, source)
    positions = architecture.measured(classifier.base_model).positions
    limit = token_limit(folder, own, source, positions=positions, chosen=chosen.token_limit)
    settings = {key: value for key, value in config.to_dict().items() if key not in _OF_CONFIG}
    return RerankerCheckpoint(
        source=source,
        folder=folder,
        module=CrossEncoderModule(classifier, typed=reads_types(type(classifier), config)).eval(),
        tokenizer=canonical_tokenizer(tokenizer, pairs=True),
        settings=relevant_settings(settings, type(config)().to_dict(), token_settings_read(classifier)),
        architecture=Architecture(
            architecture.model_type, architecture.vocabulary, architecture.hidden_size, positions
        ),
        activation=activation,
        recipe=Recipe(
            prompts={"query": chosen.query_prompt or "", "passage": chosen.passage_prompt or ""},
            token_limit=limit,
            window_overlap=limit // DEFAULT_OVERLAP_SHARE if chosen.window_overlap is None else chosen.window_overlap,
            combine=BEST_WINDOW,
        ),
        notes=tuple(notes),
    )


def classifier_class(config: Any, source: str) -> Any:
    """transformers' classifier for *config*; raises `ModelUnsupported` where it has none that pads as we do."""
    import transformers
    from transformers.modeling_layers import GenericForSequenceClassification

    kind = transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING.get(type(config), None)
    if kind is None or issubclass(kind, GenericForSequenceClassification):
        raise ModelUnsupported(
            model=source,
            reason=f"{config.model_type} has no classifier of an encoder in transformers"
            if kind is None
            else f"{kind.__name__} scores the last token before the padding, which it finds by its id",
            remedy="use a cross-encoder on BERT, RoBERTa, XLM-R, ModernBERT or another encoder",
        )
    return kind


def _load_classifier(folder: Path, config: Any, source: str) -> tuple[Any, str]:
    """The classifier in fp32 with every weight from the folder, and the source of its class and configuration."""
    kind = classifier_class(config, source)
    model, left_out = whole_model(kind, folder, config, source, f"AutoModel{_CLASSIFIER}", "it is no cross-encoder")
    if left_out:
        raise ModelUnsupported(model=source, reason=left_out, remedy="or remove them: save_pretrained() of the whole")
    code = "\n".join(inspect.getsource(inspect.getmodule(each)) for each in (kind, type(config)))  # type: ignore[arg-type]
    return model, code


def reads_types(kind: Any, config: Any) -> bool:
    """Whether a classifier of class *kind* tells the two sides apart by token types."""
    return "token_type_ids" in inspect.signature(kind.forward).parameters and getattr(config, "type_vocab_size", 0) > 1


def pair_tokenizer(folder: Path, source: str) -> Tokenizer:
    """The folder's tokenizer as sentence-transformers joins pairs by it; all types are 0 where the model gets none.

    Raises:
        ModelUnsupported: it cannot be read, or joins pairs in another way than its files say.
    """
    from transformers import AutoTokenizer

    own = load_tokenizer(folder, source)
    with quiet("transformers"):
        theirs = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        wanted = theirs([query for query, _ in HARD_PAIRS], [passage for _, passage in HARD_PAIRS])
    rebuilt = Tokenizer.from_str(theirs.backend_tokenizer.to_str())
    rebuilt.no_padding()
    rebuilt.no_truncation()
    for candidate in (own, rebuilt):
        found = candidate.encode_batch(list(HARD_PAIRS))
        types = [each.type_ids for each in found]
        same = [each.ids for each in found] == wanted["input_ids"] and types == wanted.get("token_type_ids", types)
        if same and all(_is_split_once(each) for each in found):
            return candidate if "token_type_ids" in wanted else _without_types(candidate, source)
    raise ModelUnsupported(
        model=source,
        reason=f"tokenizer.json joins two texts in another way than {type(theirs).__name__}, which "
        "sentence-transformers uses, or their sides are not one after the other",
        remedy="save the tokenizer again with transformers",
    )


def _without_types(tokenizer: Tokenizer, source: str) -> Tokenizer:
    """The same with type 0 for both sides: the types of a template that nobody hands to the model."""
    value = json.loads(tokenizer.to_str())
    for step in post_processors(value.get("post_processor")):
        for part in step.get("pair", ()) if step.get("type") == "TemplateProcessing" else ():
            next(iter(part.values()))["type_id"] = 0
    plain = Tokenizer.from_str(json.dumps(value))
    if 1 in plain.encode("a", "a").type_ids:
        raise ModelUnsupported(
            model=source,
            reason="its tokenizer makes token types that its settings keep from the model (model_input_names)",
            remedy="save the tokenizer again with a template, or add token_type_ids to model_input_names",
        )
    return plain


def _is_split_once(encoding: Any) -> bool:
    """Whether the query's side comes first, with types 0, and the passage's side has one type."""
    sides, types = [each for each in encoding.sequence_ids if each is not None], encoding.type_ids
    first = encoding.sequence_ids.index(1)
    return sides == sorted(sides) and set(types[:first]) <= {0} and len(set(types[first:])) == 1 and max(types) <= 1


def _require_plain(folder: Path, source: str) -> dict[str, Any]:
    """The settings of sentence-transformers' files; refuses modules and prompts that are not understood here."""
    settings: dict[str, Any] = {}
    for name in ("sentence_bert_config.json", "config_sentence_transformers.json"):
        if (folder / name).exists():
            settings |= read_json(folder / name, source)
    modules: Sequence[Any] = []
    if (folder / "modules.json").exists():
        modules = read_json(folder / "modules.json", source, kind=list)
    kinds = [str(each.get("type", "")).rpartition(".")[2] for each in modules if isinstance(each, dict)]
    wrong = ""
    if modules and (kinds != ["Transformer"] or modules[0].get("path")):
        wrong = f"modules.json names {', '.join(kinds)}, expected one Transformer"
    elif any((settings.get("prompts") or {}).values()) or settings.get("default_prompt_name"):
        wrong = "config_sentence_transformers.json has prompts for pairs"
    elif settings.get("model_type", "CrossEncoder") != "CrossEncoder":
        wrong = f"config_sentence_transformers.json calls it a {settings['model_type']}"
    elif settings.get("transformer_task", _SEQUENCE) != _SEQUENCE:
        wrong = f"sentence_bert_config.json has the task {settings['transformer_task']!r}"
    elif settings.get("do_lower_case") or settings.get("processor_kwargs") or settings.get("tokenizer_args"):
        wrong = "sentence_bert_config.json has options for its tokenizer"
    if wrong:
        raise ModelUnsupported(
            model=source, reason=wrong, remedy=f"use a cross-encoder whose folder is one {_CLASSIFIER[3:]} model"
        )
    return settings


def _activation(own: Mapping[str, Any], config: Any, source: str) -> str:
    """What makes a score of a logit, in the order in which sentence-transformers looks."""
    said = own.get("activation_fn")
    if said is None:
        said = (getattr(config, "sentence_transformers", None) or {}).get("activation_fn")
    if said is None:
        said = getattr(config, "sbert_ce_default_activation_function", None)
    if said is None:
        return "sigmoid"
    if said not in _ACTIVATIONS:
        raise ModelUnsupported(
            model=source, reason=f"its activation is {said!r}", remedy="samespace knows Sigmoid and Identity of torch"
        )
    return _ACTIVATIONS[said]
