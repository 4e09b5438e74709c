"""What a model folder says of itself: sentence-transformers' modules, or a plain transformers folder.

Only JSON and safetensors are read, and no code of the folder is run; what cannot be exported faithfully is refused
by name. The transformer itself is loaded elsewhere (`backbone`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...errors import ModelUnsupported
from ..hub import read_json
from ..modules import ATTENTION_POOLING, NORMALISE, POOLING_NAMES, Normalise, TokenAttention
from ..static import STATIC, is_model2vec
from .keys import DROPOUT, MODEL, MODEL2VEC, POOLING, TOKENIZER_ARGS, TRANSFORMER, FileKeys, check_keys
from .keys import NORMALISE as NORMALISE_KEYS
from .layers import Layer, read_attention, read_layer
from .plain import require_encoder, unread
from .prompts import choose_prompts
from .router import ROUTES, ModuleEntry, read_routes
from .similarity import dot_product, names_of, require_cosine

_ST_POOLING: Final = {theirs: ours for ours, theirs in POOLING_NAMES.items()}
_LEGACY_POOLING: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# Read where sentence-transformers reads them: beside the transformer, whatever it was called once, and at the top.
_TRANSFORMER_SETTINGS: Final = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_MODEL_SETTINGS: Final = ("config_sentence_transformers.json",)
_UNKNOWN: Final = (
    "Tokens that the vocabulary lacks count here, as in sentence-transformers; model2vec itself leaves them out."
)
_AFTER_LAYERS: Final = ("Normalize", "Dropout")
_KNOWN: Final = ("Transformer", STATIC, "Pooling", "AttentionPooling", "Dense", "LayerNorm", *_AFTER_LAYERS)


@dataclass(frozen=True, slots=True)
class FolderChoices:
    """What the user says instead of a folder, or of what it leaves open; None for nothing."""

    pooling: str | None = None
    query: str | None = None
    passage: str | None = None


@dataclass(frozen=True)
class ModelFolder:
    """Where the transformer's files are, and what surrounds it.

    Attributes:
        source: its name in errors and provenance.
        root: the folder of the transformer and its tokenizer.
        pooling: one of `POOLING_NAMES`, several with "+" between them, or "attention" with its module.
        prompts: by role.
        pool_prompt: whether their tokens are pooled too; true where there are none.
        settings: sentence-transformers' own settings, of all its files.
        notes: keys and prompts that are there and change no vector.
        names: what its files call it.
        advice: what the user should know before using it; "" for nothing.
        static: whether a table of static embeddings stands in the place of the transformer.
    """

    source: str
    root: Path
    pooling: str
    attention: TokenAttention | None = None
    layers: Sequence[Layer] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    advice: str = ""
    pool_prompt: bool = True
    static: bool = False


_NOTHING_CHOSEN: Final = FolderChoices()


def read_model_folder(folder: Path, source: str, chosen: FolderChoices = _NOTHING_CHOSEN) -> ModelFolder:
    """Read *folder*; *source* is its name in errors, *chosen* what the user says instead of the folder.

    Raises:
        ModelUnsupported: it is incomplete, unknown, contradicts *chosen*, or has one encoder for each role.
    """
    first, *others = read_towers(folder, source, chosen)
    if others:
        raise ModelUnsupported(
            model=source,
            reason="is a Router with one encoder for queries and one for documents",
            remedy="samespace export joins them as one artifact: use that",
        )
    return first


def read_towers(folder: Path, source: str, chosen: FolderChoices = _NOTHING_CHOSEN) -> tuple[ModelFolder, ...]:
    """Read what `read_model_folder` reads, or both encoders of a Router, that of queries first.

    A Router whose routes are the same modules is one encoder: its roles differ in nothing but their prompts.
    """
    if (folder / "modules.json").exists():
        routes = read_routes(folder, source)
        if routes["query"] == routes["passage"]:
            return (_sentence_transformers(folder, routes["query"], source, chosen),)
        if chosen.pooling is not None:
            raise ModelUnsupported(
                model=source,
                reason=f"is a Router, and each of its routes has a pooling of its own; {chosen.pooling} was asked for",
                remedy="leave --pooling out",
            )
        return tuple(
            _sentence_transformers(folder, routes[role], f"{source} ({route} route)", chosen)
            for role, route in ROUTES.items()
        )
    if not (folder / "config.json").exists():
        raise ModelUnsupported(
            model=source, reason="has neither modules.json nor config.json", remedy="name a model folder"
        )
    if is_model2vec(folder):
        return (_model2vec(folder, source, chosen),)
    require_encoder(folder, source)
    pooling = chosen.pooling
    if pooling is None:
        raise ModelUnsupported(
            model=source,
            reason="is a plain transformers folder, which does not say how token vectors become one vector",
            remedy=f"pass --pooling ({', '.join(POOLING_NAMES)}), as its model card does",
        )
    if pooling not in POOLING_NAMES:
        raise ModelUnsupported(
            model=source, reason=f"pooling {pooling!r} is not known", remedy=f"known: {', '.join(POOLING_NAMES)}"
        )
    prompts = choose_prompts({}, source, query=chosen.query, passage=chosen.passage).by_role
    dot = dot_product(folder, source)
    advice = f"It {dot}: vectors are scaled to unit length here, which may cost quality. Measure it." if dot else ""
    return (
        ModelFolder(
            source, folder, pooling, prompts=prompts, notes=unread(folder), names=names_of(folder), advice=advice
        ),
    )


def _sentence_transformers(
    folder: Path, modules: Sequence[ModuleEntry], source: str, chosen: FolderChoices
) -> ModelFolder:
    kinds = [_known(module, source) for module in modules]
    if kinds[:1] == [STATIC]:
        return _static(folder, modules, kinds, source, chosen)
    poolings = [kind for kind in kinds if kind in ("Pooling", "AttentionPooling")]
    if kinds[:1] != ["Transformer"] or kinds[1:2] != poolings or kinds.count("Transformer") != 1:
        raise ModelUnsupported(
            model=source, reason=f"has modules {kinds}", remedy="a Transformer and one Pooling have to come first"
        )
    root = modules[0].folder
    transformer, notes = _first(root, _TRANSFORMER_SETTINGS, TRANSFORMER, source)
    own, more = _first(folder, _MODEL_SETTINGS, MODEL, source)
    for name in ("tokenizer_args", "processor_kwargs"):
        notes += check_keys(transformer.get(name) or {}, TOKENIZER_ARGS, f"sentence_bert_config.json {name}", source)
    prompts = choose_prompts(own, source, query=chosen.query, passage=chosen.passage)
    attention, pool_prompt = None, True
    if kinds[1] == "AttentionPooling":
        pooling, attention = "attention", read_attention(modules[1].folder, source)
    else:
        pooling, pool_prompt = _st_pooling(modules[1].folder, source)
    if chosen.pooling is not None and chosen.pooling != pooling:
        raise ModelUnsupported(
            model=source,
            reason=f"was trained with {pooling} pooling, {chosen.pooling} was asked for",
            remedy="leave --pooling out; another pooling would be another, untrained encoder",
        )
    require_cosine(own, folder, _ends_in_unit_length(kinds[2:]), source)
    notes += [f"config_sentence_transformers.json: prompt {name}" for name in prompts.unused]
    return ModelFolder(
        source, root, pooling, attention, _layers(modules, kinds, source), prompts.by_role, {**transformer, **own},
        tuple(notes + more), names_of(folder), pool_prompt=pool_prompt or not any(prompts.by_role.values()),
        advice=prompts.advice,
    )  # fmt: skip


def _ends_in_unit_length(kinds: Sequence[str]) -> bool:
    return [kind for kind in kinds if kind != "Dropout"][-1:] == ["Normalize"]


def _static(
    folder: Path, modules: Sequence[ModuleEntry], kinds: Sequence[str], source: str, chosen: FolderChoices
) -> ModelFolder:
    """A folder, or a Router's route, that begins with static embeddings: they are their own pooling."""
    if {"Transformer", "Pooling", "AttentionPooling", STATIC} & set(kinds[1:]):
        raise ModelUnsupported(model=source, reason=f"has modules {kinds}", remedy=f"one {STATIC} has to come first")
    _require_mean(chosen, source)
    own, notes = _first(folder, _MODEL_SETTINGS, MODEL, source)
    prompts = choose_prompts(own, source, query=chosen.query, passage=chosen.passage)
    require_cosine(own, folder, _ends_in_unit_length(kinds[1:]), source)
    notes += [f"config_sentence_transformers.json: prompt {name}" for name in prompts.unused]
    # `_layers` begins after a transformer and its pooling, which a table has in one.
    layers = _layers((modules[0], *modules), (STATIC, *kinds), source)
    return ModelFolder(
        source, modules[0].folder, "mean", None, layers, prompts.by_role, own, tuple(notes), names_of(folder),
        advice=prompts.advice, static=True,
    )  # fmt: skip


def _model2vec(folder: Path, source: str, chosen: FolderChoices) -> ModelFolder:
    """model2vec's own folder, as sentence-transformers reads it."""
    _require_mean(chosen, source)
    config = read_json(folder / "config.json", source)
    notes = check_keys(config, MODEL2VEC, "config.json", source)
    prompts = choose_prompts({}, source, query=chosen.query, passage=chosen.passage)
    return ModelFolder(
        source, folder, "mean", prompts=prompts.by_role, notes=tuple(notes), names=names_of(folder), advice=_UNKNOWN,
        static=True,
    )  # fmt: skip


def _require_mean(chosen: FolderChoices, source: str) -> None:
    if chosen.pooling not in (None, "mean"):
        raise ModelUnsupported(
            model=source,
            reason=f"is the mean of its tokens' rows, {chosen.pooling} pooling was asked for",
            remedy="leave --pooling out",
        )


def _layers(modules: Sequence[ModuleEntry], kinds: Sequence[str], source: str) -> list[Layer]:
    """What stands after pooling. Normalize at the end is what the encoder does anyway.

    Twice in a row (a Router's route and its folder) is once.
    """
    last = max((place for place, kind in enumerate(kinds) if kind not in _AFTER_LAYERS), default=0)
    layers: list[Layer] = []
    for place, (module, kind) in enumerate(zip(modules, kinds, strict=True)):
        own = module.folder != modules[0].folder  # else the file there is the transformer's
        if kind in _AFTER_LAYERS and own and (module.folder / "config.json").exists():
            keys = NORMALISE_KEYS if kind == "Normalize" else DROPOUT
            check_keys(
                read_json(module.folder / "config.json", source), keys, f"{module.folder.name}/config.json", source
            )
        if not 2 <= place <= last or kind == "Dropout":
            continue
        if kind != "Normalize":
            layers.append(read_layer(kind, module.folder, source))
        elif not (layers and layers[-1].description == NORMALISE):
            layers.append(Layer(Normalise(), NORMALISE))
    return layers


def transformer_root(folder: Path, source: str) -> Path:
    """Where the transformer and its tokenizer are; in a Router, those of queries."""
    return read_routes(folder, source)["query"][0].folder if (folder / "modules.json").exists() else folder


def _known(module: ModuleEntry, source: str) -> str:
    """The short name of a module's class, if it is one whose numbers are known here."""
    ours = module.type in ATTENTION_POOLING
    if not ours and not (module.type.startswith("sentence_transformers.") and module.kind in _KNOWN):
        raise ModelUnsupported(
            model=source,
            reason=f"module {module.type} is not one that can be exported",
            remedy="samespace knows Transformer, StaticEmbedding, Pooling, Dense, LayerNorm and Normalize, and its "
            "AttentionPooling",
        )
    return module.kind


def _st_pooling(folder: Path, source: str) -> tuple[str, bool]:
    """The pooling, and whether the prompt's tokens are pooled too."""
    settings = read_json(folder / "config.json", source)
    check_keys(settings, POOLING, f"{folder.name}/config.json", source)
    mode = settings.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else list(mode or [])
    # Where none is named sentence-transformers takes the mean; several are concatenated, the old keys in this order.
    older = [name for key, name in _LEGACY_POOLING.items() if settings.get(key)]
    if modes and older and set(modes) != set(older):
        raise ModelUnsupported(
            model=source,
            reason=f"its pooling_mode is {', '.join(modes)}, and by its older keys it is {', '.join(older)}",
            remedy="keep what it was trained with in a copy of its pooling's config.json",
        )
    modes = modes or older or ["mean"]
    if unknown := [mode for mode in modes if mode not in _ST_POOLING]:
        raise ModelUnsupported(
            model=source, reason=f"pooling {unknown} is not known", remedy=f"known: {', '.join(_ST_POOLING)}"
        )
    include = settings.get("include_prompt", True)
    if not isinstance(include, bool):
        raise ModelUnsupported(
            model=source, reason=f"include_prompt is {include!r}, expected true or false", remedy="change it in a copy"
        )
    return "+".join(_ST_POOLING[mode] for mode in modes), include


def _first(folder: Path, names: Sequence[str], keys: FileKeys, source: str) -> tuple[dict[str, Any], list[str]]:
    """The content of these files, as far as they are in *folder*, and its harmless keys; {} where none is.

    sentence-transformers reads the first of them alone: a second one that says something else is refused.
    """
    places = [folder / name for name in names if (folder / name).exists()]
    if not places:
        return {}, []
    settings, *others = (read_json(place, source) for place in places)
    for place, other in zip(places[1:], others, strict=True):
        # Nothing, null and false are the same word: what is left out is off.
        differing = [key for key in {**settings, **other} if (settings.get(key) or None) != (other.get(key) or None)]
        if differing:
            key = differing[0]
            raise ModelUnsupported(
                model=source,
                reason=f"{places[0].name} says {key} = {settings.get(key)!r}, and {place.name} beside it "
                f"{other.get(key)!r}",
                remedy="keep the file that it was trained with, in a copy of the folder",
            )
    return dict(settings), check_keys(settings, keys, places[0].name, source)
