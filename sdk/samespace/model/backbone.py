"""The transformer under an encoder: its configuration, its weights, and how many tokens it takes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from ..artifact.fingerprint import IRRELEVANT_SETTINGS
from ..errors import ModelUnsupported, RequestInvalid
from .folder.keys import read_by
from .folder.tokenizer_options import tokenizer_options
from .hub import read_json
from .quiet import quiet

_NUMBER: Final = re.compile(r"\.\d+\.")
_MODELS: Final = ("transformers.models.", "samespace.")


def load_config(root: Path, source: str) -> Any:
    """The transformers configuration in *root*.

    Raises:
        ModelUnsupported: transformers does not know the model type without running code of the folder.
    """
    from transformers import AutoConfig

    from . import alibi, static  # noqa: F401  registers our own architectures

    _require_whole(root, source)
    raw = read_json(root / "config.json", source)
    if "auto_map" in raw and "model_type" not in raw:
        raise ModelUnsupported(
            model=source, reason="brings code of its own (auto_map)", remedy="use a model that transformers knows"
        )
    try:
        return AutoConfig.from_pretrained(root, trust_remote_code=False)
    except (ValueError, OSError) as error:
        raise ModelUnsupported(
            model=source,
            reason=f"transformers does not know model type {raw.get('model_type')!r} without code of the folder",
            remedy="use a model that transformers knows natively",
        ) from error


def _require_whole(root: Path, source: str) -> None:
    """Refuse a PEFT adapter: its weights are a difference to a base that is somewhere else."""
    adapter = root / "adapter_config.json"
    if not adapter.exists():
        return
    base = read_json(adapter, source).get("base_model_name_or_path")
    raise ModelUnsupported(
        model=source,
        reason=f"is a PEFT adapter of {base!r} (adapter_config.json), not a whole model",
        remedy="merge it once with peft: PeftModel.from_pretrained(BASE, SOURCE)"
        ".merge_and_unload().save_pretrained(TARGET)",
    )


def load_backbone(root: Path, config: Any, source: str) -> tuple[nn.Module, str]:
    """The transformer in fp32, from safetensors, every weight read from the folder; and advice, as `whole_model`.

    Raises:
        ModelUnsupported: no safetensors, or weights are missing.
    """
    kind = model_class(config, source)
    options: dict[str, Any] = {}
    # BERT's pooler is a head of its pre-training: it is not on the way to a vector, so it is not the space's.
    if "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
        options["add_pooling_layer"] = False
    if hasattr(config, "use_cache"):
        config.use_cache = False  # decoders would carry keys and values through the graph that nobody reads
    config.return_dict = True
    config.chunk_size_feed_forward = (
        0  # less memory, the same numbers, and an error for lengths that it does not divide
    )
    return whole_model(kind, root, config, source, "AutoModel", "its config.json is of another model", **options)


def whole_model(
    kind: Any, root: Path, config: Any, source: str, auto: str, otherwise: str, **options: Any
) -> tuple[nn.Module, str]:
    """A model of transformers' class *kind* in fp32 and without gradients, every weight read from *root*; and advice.

    Args:
        auto: transformers' automatic class that saves such a model again, for errors.
        otherwise: what else is wrong where weights are missing from a complete folder, for errors.
        options: further ones of the class.

    Returns:
        The model, and what the user should know of its weights; "" for nothing.

    Raises:
        ModelUnsupported: no safetensors, they cannot be read, or weights are missing or of another shape.
    """
    if not any(root.glob("*.safetensors")):
        raise ModelUnsupported(model=source, **_why_no_weights(root, auto))
    named = [root / name for name in ("model.safetensors", "model.safetensors.index.json")]
    if not any(each.exists() for each in named):
        only = ", ".join(sorted(each.name for each in root.glob("*.safetensors"))[:3])
        raise ModelUnsupported(
            model=source,
            reason=f"has no model.safetensors, only {only}, which no library reads unless it is told to",
            remedy="if these are its weights, rename a copy to model.safetensors",
        )
    try:
        with quiet("transformers"):  # its report is read below
            model, report = kind.from_pretrained(
                root,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                attn_implementation="sdpa" if kind._supports_sdpa else "eager",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are told below, with both shapes
                **options,
            )
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ModelUnsupported(
            model=source,
            reason=f"its weights cannot be read: {' '.join(str(error).split())[:300]}",
            remedy="the folder is incomplete or damaged: get it anew (git lfs pull, where its files are pointers)",
        ) from error
    _require_all(report, type(model).__name__, source, otherwise)
    if broken := [name for name, weight in model.named_parameters() if not bool(torch.isfinite(weight).all())]:
        raise ModelUnsupported(
            model=source,
            reason=f"{len(broken)} of its weights hold NaN or infinity, the first: {broken[0]}",
            remedy="the folder is damaged, or its training failed: get it anew",
        )
    # With gradients, torch takes another attention kernel for T5's and ALiBi's biases, which it cannot export.
    module: nn.Module = model.eval().requires_grad_(False)
    told = (_left_out(report["unexpected_keys"], module), _other_weights(root, source))
    return module, " ".join(filter(None, told))


def _require_all(report: Mapping[str, Any], kind: str, source: str, otherwise: str) -> None:
    """Refuse what transformers fills with random numbers and a warning: that is no model that anybody trained."""
    if other := sorted(report["mismatched_keys"]):
        name, found, wanted = other[0]
        raise ModelUnsupported(
            model=source,
            reason=f"{len(other)} of its weights are not as config.json has them, the first: {name} is "
            f"{tuple(found)}, and by config.json {tuple(wanted)}",
            remedy=f"correct config.json or get the folder anew; else {otherwise}",
        )
    if missing := sorted(report["missing_keys"]):
        raise ModelUnsupported(
            model=source,
            reason=f"lacks {len(missing)} weights of {kind}, the first: {missing[0]}",
            remedy=f"the folder is incomplete, or {otherwise}",
        )


def _left_out(unexpected: Collection[str], model: nn.Module) -> str:
    """What to tell of weights that are not loaded, and are named as those of a further layer would be."""
    known = {_NUMBER.sub(".#.", name) for name in model.state_dict()}

    def further(name: str) -> bool:
        words = _NUMBER.sub(".#.", name).split(".")  # the first of them may be the name of the whole: bert.encoder...
        return "#" in words and any(".".join(words[skipped:]) in known for skipped in range(3))

    names = sorted(filter(further, unexpected))
    if not names:
        return ""
    return (
        f"{len(names)} weights are of layers beyond those that config.json counts and have no part in a vector, the "
        f"first: {names[0]}. If it should have them, correct config.json in a copy."
    )


def _other_weights(root: Path, source: str) -> str:
    """What to tell of shards beside whole weights, where they hold others; every library reads the whole ones."""
    whole, index = root / "model.safetensors", root / "model.safetensors.index.json"
    if not (whole.is_file() and index.is_file()):
        return ""
    places = read_json(index, source).get("weight_map") or {}
    shards = [root / str(name) for name in dict.fromkeys(places.values()) if name != whole.name]
    with safe_open(whole, "pt") as read:
        known = set(read.keys())
        for shard in filter(Path.is_file, shards):
            with safe_open(shard, "pt") as other:
                for name in other.keys():  # noqa: SIM118  it is no mapping
                    if name not in known or not torch.equal(read.get_tensor(name), other.get_tensor(name)):
                        return (
                            f"{whole.name} is read, as transformers and sentence-transformers read it; {shard.name} "
                            f"beside it has another {name}. If the shards are what was trained, take {whole.name} out "
                            "of a copy."
                        )
    return ""


def _why_no_weights(root: Path, auto: str) -> dict[str, str]:
    if any(root.glob("*.bin")):
        return {
            "reason": "has no safetensors weights, and a pickled checkpoint can run code when it is read",
            "remedy": f"convert it once where you trust it: {auto}.from_pretrained(SOURCE).save_pretrained(TARGET)",
        }
    others = sorted(
        str(path.relative_to(root))
        for kind in ("onnx", "xml", "gguf", "h5", "msgpack", "ot")
        for path in (*root.glob(f"*.{kind}"), *root.glob(f"*/*.{kind}"))
    )
    return {
        "reason": "has no safetensors weights" + (f", only {', '.join(others[:3])}" if others else ""),
        "remedy": "an artifact is made of the weights that were trained: get the folder that has model.safetensors",
    }


def model_code(config: Any, source: str) -> str:
    """The source of transformers' model for *config* and of its class: which settings are read stands there alone."""
    kinds = (model_class(config, source), type(config))
    return "\n".join(inspect.getsource(inspect.getmodule(kind)) for kind in kinds)  # type: ignore[arg-type]


def token_settings_read(module: nn.Module) -> frozenset[str]:
    """The settings that name a token and that the parts of *module* compute with: ESM scales by what is a mask."""
    kinds = {kind for part in module.modules() for kind in type(part).__mro__ if kind.__module__.startswith(_MODELS)}
    code = "\n".join(inspect.getsource(kind) for kind in kinds)
    return frozenset(name for name in IRRELEVANT_SETTINGS if name.endswith("_token_id") and read_by(code, name))


def model_class(config: Any, source: str) -> Any:
    """transformers' class of the encoder: for T5 its encoder, not the pair of encoder and decoder."""
    import transformers

    # An encoder that was saved alone says is_encoder_decoder = false, but its type still means the pair.
    pair = config.is_encoder_decoder or type(config) in transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    classes = transformers.MODEL_FOR_TEXT_ENCODING_MAPPING if pair else transformers.MODEL_MAPPING
    kind = classes.get(type(config), None)
    if isinstance(kind, tuple):
        kind = _of_several(kind, config, source)
    if kind is None:
        raise ModelUnsupported(
            model=source,
            reason=f"{config.model_type} is an encoder-decoder, and transformers has no class for its encoder alone"
            if pair
            else f"transformers has no class for {config.model_type} without a head",
            remedy="use an encoder, or a decoder with last-token pooling",
        )
    return kind


def _of_several(kinds: tuple[Any, ...], config: Any, source: str) -> Any:
    """The first of the classes that transformers has for one configuration: an identity does not say which it is."""
    said = (config.architectures or [""])[0]
    if said in [kind.__name__ for kind in kinds[1:]]:
        raise ModelUnsupported(
            model=source,
            reason=f"is a {said}, which transformers has beside {kinds[0].__name__} for {config.model_type}",
            remedy=f"save it as {kinds[0].__name__}",
        )
    return kinds[0]


def token_limit(
    root: Path, settings: Mapping[str, Any], source: str, *, positions: int | None, chosen: int | None
) -> int:
    """How many tokens a model input may have.

    The user's word comes first, then sentence-transformers' setting, the tokenizer's, and the positions.

    Args:
        root: the folder of the transformer and its tokenizer.
        settings: sentence-transformers' own, of all its files.
        positions: the most tokens that the transformer has positions for, or None.
        chosen: what the user says, or None.

    Raises:
        ModelUnsupported: nothing says it.
        RequestInvalid: *chosen* is above *positions*.
    """
    if chosen is not None:
        if positions is not None and chosen > positions:
            raise RequestInvalid(field="token limit", reason=f"{chosen}; {source} has positions for {positions} tokens")
        return chosen
    found = [] if positions is None else [positions]
    said, own = tokenizer_options(settings, source).get("model_max_length"), settings.get("max_seq_length")
    if said is None and own is None and (root / "tokenizer_config.json").exists():
        said = read_json(root / "tokenizer_config.json", source).get("model_max_length")
    elif said is None:  # options of the tokenizer come first, as in sentence-transformers
        said = own
    if said is not None and (isinstance(said, bool) or not isinstance(said, int | float) or said <= 0):
        raise ModelUnsupported(
            model=source,
            reason=f"its token limit is {said!r}, expected a number of tokens",
            remedy="change it in a copy",
        )
    if said is not None and said < 1_000_000:
        found.append(int(said))
    if not found:
        raise ModelUnsupported(model=source, reason="does not say its token limit", remedy="pass --max-tokens")
    return min(found)
