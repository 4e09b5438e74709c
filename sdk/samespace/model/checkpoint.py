"""A checkpoint: a model in memory with everything that an export needs, and its identity.

The parts come from `model_folder` (modules around the transformer), `backbone` (the transformer) and `tokenizer`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer

from ..artifact.fingerprint import Identity, relevant_settings, sort_weights, weight_digest
from ..embed import Model, embed_texts
from ..encoder import Encoded, EncodeOptions, Encoder, check_dims
from ..errors import ModelUnsupported
from ..text import Recipe, Role, TextEncoder
from ..vectors import Vectors
from .architecture import Architecture, read_architecture
from .backbone import (
    load_backbone,
    load_config,
    model_code,
    token_limit,
    token_settings_read,
)
from .checks.inputs import require_other_inputs_without_effect
from .checks.neighbours import require_alone, require_known_length
from .folder.families import missing_prompts
from .folder.keys import check_config, known_settings
from .folder.layers import Layer, require_fitting
from .folder.model_folder import FolderChoices, ModelFolder, read_model_folder, read_towers
from .folder.tokenizer import canonical_tokenizer, read_tokenizer
from .folder.vocabulary import require_rows
from .hub import read_json, resolve_model
from .modules import EncoderModule, Truncate, numpy_model
from .static import StaticConfig, load_static
from .transform import Transform

DEFAULT_OVERLAP_SHARE: Final = 4
"""Windows share a quarter of the token limit unless told otherwise."""


@dataclass(frozen=True)
class Overrides:
    """What the user says instead of the folder. None keeps the folder's own.

    Attributes:
        pooling: for plain transformers folders; a sentence-transformers folder brings its own.
        token_limit: tokens of one model input, special tokens included.
        window_overlap: tokens that neighbouring windows share.
        query_prompt, passage_prompt: put in front of texts.
    """

    pooling: str | None = None
    token_limit: int | None = None
    window_overlap: int | None = None
    query_prompt: str | None = None
    passage_prompt: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A model in memory, ready to be exported or to encode with torch.

    Attributes:
        source: what the user named.
        module: ids and mask to unit vectors.
        tokenizer: the bytes of the artifact's tokenizer.json.
        folder_tokenizer: the same tokenizer as a model folder holds it, with its way back from ids to text.
        config: transformers' configuration.
        architecture: what it and the transformer say, under one name for all.
        layers: what follows pooling, in the identity's words.
        transform: the linear map after them, or None.
        router: the Router that this is a route of, as the user named it: its other route shares the space. "" for an
            encoder of its own, and for a route that was changed since it was read.
        own_limit: whether the token limit is the folder's, and not the user's.
        notes: keys and prompts of the folder that are not used, because they change no vector.
        advice: what the user should know before using it; "" for nothing.
        before_head: the checkpoint as it was read, where a head was put behind it (`export.heads`): what can be held
            against the original folder, which knows nothing of the head.
    """

    source: str
    module: EncoderModule
    tokenizer: bytes
    folder_tokenizer: Tokenizer
    config: Any
    architecture: Architecture
    pooling: str
    layers: tuple[Mapping[str, Any], ...]
    recipe: Recipe
    transform: Transform | None = None
    router: str = ""
    own_limit: bool = True
    notes: tuple[str, ...] = ()
    advice: str = ""
    before_head: Checkpoint | None = None

    reference = "torch fp32"

    @property
    def vocabulary(self) -> int:
        """Token ids are below it."""
        return self.architecture.vocabulary

    @property
    def dims(self) -> int:
        """Length of a vector."""
        if self.transform is not None:
            return self.transform.dims
        return _dims(self.layers, self.pooling, self.architecture)

    def transformed(self, transform: Transform) -> Checkpoint:
        """The same model with *transform* after it: another space.

        Raises:
            ModelUnsupported: the transform is for vectors of another length, or there is one already.
        """
        if self.transform is not None or transform.source_dims != self.dims:
            raise ModelUnsupported(
                model=self.source,
                reason=f"gives {self.dims} dims{' after a transform of its own' if self.transform else ''}, "
                f"the transform takes {transform.source_dims}",
                remedy="fit the transform on this model: samespace transform",
            )
        module = self.module
        linear = transform.to_linear()
        return replace(
            self,
            module=module.ending_in(list(module.layers), linear),
            transform=transform,
            router="",
        )

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """The text path."""
        return TextEncoder(Tokenizer.from_buffer(self.tokenizer), self.recipe)

    @cached_property
    def model(self) -> Model:
        """The torch module behind the interface of every runtime."""
        model: Model = numpy_model(self.module)
        return model

    @cached_property
    def identity(self) -> Identity:
        """Everything that can change a vector; its digest is the space id."""
        digests = []
        for name, tensor in self.module.state_dict().items():
            if tensor.dtype == torch.bfloat16:
                digests.append(weight_digest(name, tensor.view(torch.uint16).numpy(), dtype="bfloat16"))
            else:
                digests.append(weight_digest(name, tensor.numpy()))
        return Identity(
            weights=sort_weights(digests),
            architecture=relevant_settings(
                self.config.to_dict(), type(self.config)().to_dict(), token_settings_read(self.module)
            ),
            tokenizer=hashlib.sha256(self.tokenizer).hexdigest(),
            pooling=self.pooling,
            layers=self.layers,
            transform=None if self.transform is None else self.transform.description,
            normalise=True,
            dims=self.dims,
            recipe=self.recipe,
        )


class CheckpointEncoder(Encoder):
    """A checkpoint that encodes with torch: the reference that exports are held against."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._space_id = checkpoint.identity.space_id()

    @property
    def space_id(self) -> str:
        return self._space_id

    @property
    def name(self) -> str:
        return self.checkpoint.source

    @property
    def dims(self) -> int:
        return self.checkpoint.dims

    @property
    def token_limit(self) -> int:
        return self.checkpoint.recipe.token_limit

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        check_dims(options.dims, self.dims, ())
        checkpoint = self.checkpoint
        embedded = embed_texts(
            checkpoint.model,
            checkpoint.text_encoder,
            texts,
            role,
            dims=self.dims,
            long_texts=options.long_texts,
            progress=options.progress,
        )
        return Encoded(Vectors(embedded.vectors, self._space_id), embedded.tokens, embedded.windows, embedded.spans)


def load_checkpoint(model: str | Path, overrides: Overrides | None = None) -> Checkpoint:
    """Read a model folder or hub name.

    Raises:
        ModelUnsupported: it cannot be exported faithfully, or is two encoders in one; says what and why.
        RequestInvalid: the recipe makes no sense (a prompt longer than the token limit, ...).
    """
    source, chosen = str(model), overrides or Overrides()
    return _loaded(read_model_folder(resolve_model(source), source, _of_folder(chosen)), chosen)


def load_towers(model: str | Path, overrides: Overrides | None = None) -> tuple[Checkpoint, ...]:
    """Read what `load_checkpoint` reads, or both encoders of a Router, that of queries first.

    Where these turn out to be the same encoder (equal weights saved twice), it is given once: as an ordinary encoder
    it has half the size, and whatever is made for one encoder works on it.

    Raises:
        ModelUnsupported: as for `load_checkpoint`, or the two give vectors of unlike length.
        RequestInvalid: as for `load_checkpoint`.
    """
    source, chosen = str(model), overrides or Overrides()
    loaded = tuple(_loaded(each, chosen) for each in read_towers(resolve_model(source), source, _of_folder(chosen)))
    if len(loaded) == 1:
        return loaded
    query, passage = loaded
    if query.dims != passage.dims:
        raise ModelUnsupported(
            model=source,
            reason=f"gives {query.dims} dims for queries and {passage.dims} for documents",
            remedy="vectors of unlike length cannot be compared: end both routes with the same dims and train again",
        )
    same = query.identity.space_id() == passage.identity.space_id()
    if same:
        return (replace(query, source=source),)
    return tuple(replace(tower, router=source) for tower in loaded)


def _of_folder(chosen: Overrides) -> FolderChoices:
    return FolderChoices(chosen.pooling, chosen.query_prompt, chosen.passage_prompt)


def _loaded(folder: ModelFolder, chosen: Overrides) -> Checkpoint:
    source = folder.source
    parts = _static_parts(folder, chosen) if folder.static else _transformer_parts(folder, chosen)
    tokenizer, architecture = parts.tokenizer, parts.architecture
    require_rows(tokenizer, architecture.vocabulary, source)
    overlap = parts.limit // DEFAULT_OVERLAP_SHARE if chosen.window_overlap is None else chosen.window_overlap
    require_fitting(folder.layers, architecture.hidden_size * len(folder.pooling.split("+")), source)
    layers = _cut(folder, architecture)
    said = chosen.query_prompt is not None or chosen.passage_prompt is not None
    modules = [layer.module for layer in layers]
    prompts = "" if any(folder.prompts.values()) or said else missing_prompts((source, *folder.names))
    return Checkpoint(
        source=source,
        module=EncoderModule(
            parts.backbone, folder.attention or folder.pooling, modules, pool_prompt=folder.pool_prompt
        ).eval(),
        tokenizer=canonical_tokenizer(tokenizer),
        folder_tokenizer=tokenizer,
        config=parts.config,
        architecture=architecture,
        pooling=folder.pooling,
        layers=tuple(layer.description for layer in layers),
        recipe=Recipe(
            prompts=folder.prompts,
            token_limit=parts.limit,
            window_overlap=overlap,
            pool_prompt=folder.pool_prompt,
        ),
        own_limit=chosen.token_limit is None,
        notes=(*folder.notes, *parts.notes),
        advice=" ".join(filter(None, (prompts, folder.advice, parts.advice))),
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a folder's model is made of, with its token *limit*; *notes* and *advice* as in `Checkpoint`."""

    config: Any
    backbone: Any
    tokenizer: Tokenizer
    architecture: Architecture
    limit: int
    notes: Sequence[str] = ()
    advice: str = ""


def _transformer_parts(folder: ModelFolder, chosen: Overrides) -> _Parts:
    """Those of a folder with a transformer."""
    source = folder.source
    config = load_config(folder.root, source)
    architecture = read_architecture(config, source)
    read = read_tokenizer(folder.root, source, folder.settings)
    tokenizer = read.tokenizer
    require_rows(tokenizer, architecture.vocabulary, source)
    values = read_json(folder.root / "config.json", source)
    notes = check_config(values, known_settings(config), model_code(config, source), source)
    backbone, left_out = load_backbone(folder.root, config, source)
    positions = architecture.usable_positions(backbone)
    limit = token_limit(folder.root, folder.settings, source, positions=positions, chosen=chosen.token_limit)
    asked = folder.settings.get("max_seq_length")
    if isinstance(asked, int) and positions is not None and asked > positions:
        notes = [*notes, f"sentence_bert_config.json: max_seq_length {asked} beyond the model's {positions} positions"]
    require_known_length(config, limit, source)
    require_alone(backbone, architecture.vocabulary, limit, source)
    require_other_inputs_without_effect(backbone, read.inputs, source)
    advice = " ".join(filter(None, (read.advice, left_out)))
    return _Parts(config, backbone, tokenizer, architecture.measured(backbone), limit, notes, advice)


def _static_parts(folder: ModelFolder, chosen: Overrides) -> _Parts:
    """Those of a folder with a table of static embeddings."""
    parts = load_static(folder.root, folder.source)
    size = parts.config
    architecture = Architecture(StaticConfig.model_type, size.vocab_size, size.hidden_size, None)
    return _Parts(parts.config, parts.model, parts.tokenizer, architecture, chosen.token_limit or parts.limit)


def _cut(folder: ModelFolder, architecture: Architecture) -> Sequence[Layer]:
    """The folder's layers, and its `truncate_dim` after them where it is shorter than what they give.

    Raises:
        ModelUnsupported: it is no number of dims.
    """
    wanted = folder.settings.get("truncate_dim")
    if wanted is None:
        return folder.layers
    if type(wanted) is not int or wanted < 1:
        raise ModelUnsupported(
            model=folder.source, reason=f"truncate_dim is {wanted!r}, expected a number of dims", remedy="change it"
        )
    if wanted >= _dims([layer.description for layer in folder.layers], folder.pooling, architecture):
        return folder.layers
    return [*folder.layers, Layer(Truncate(wanted), {"type": "truncate", "dims": wanted})]


def _dims(layers: Sequence[Mapping[str, Any]], pooling: str, architecture: Architecture) -> int:
    """Length of what the last layer gives, or pooling where there is none."""
    sized = [int(layer["dims"]) for layer in layers if "dims" in layer]
    return sized[-1] if sized else architecture.hidden_size * len(pooling.split("+"))
