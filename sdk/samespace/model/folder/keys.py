"""Every key of every configuration file of a model folder that is understood here; what is not, is refused by name.

A key is read (`used`), or cannot change a vector (`harmless`: it is listed in the report of an export), or it is
refused: a setting that nobody understood is another encoder than the one that was trained.

What it leaves to others: what the values mean (`model_folder`, `router`, `prompts`, `tokenizer`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...artifact.fingerprint import IRRELEVANT_SETTINGS
from ...errors import ModelUnsupported


@dataclass(frozen=True, slots=True)
class FileKeys:
    """The keys of one kind of file.

    Attributes:
        used: read here.
        harmless: nothing that they say changes a vector.
        only: keys that are understood with one of these values alone.
    """

    used: frozenset[str] = frozenset()
    harmless: frozenset[str] = frozenset()
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


_SENTENCES: Final = ("sentence_embedding", None)
MODULES: Final = FileKeys(frozenset({"idx", "name", "path", "type"}), only={"kwargs": ([], None)})
POOLING: Final = FileKeys(
    frozenset({
        "pooling_mode", "pooling_mode_cls_token", "pooling_mode_max_tokens", "pooling_mode_mean_tokens",
        "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken",
        "include_prompt", "embedding_dimension", "word_embedding_dimension",
    }),
)  # fmt: skip
DENSE: Final = FileKeys(
    frozenset({"in_features", "out_features", "bias", "activation_function", "use_residual"}),
    only={"module_input_name": _SENTENCES, "module_output_name": _SENTENCES},
)
NORMALISE: Final = FileKeys(only={"module_input_name": _SENTENCES, "module_output_name": _SENTENCES})
DIMENSION: Final = FileKeys(frozenset({"dimension"}))
DROPOUT: Final = FileKeys(harmless=frozenset({"dropout"}))
ROUTER: Final = FileKeys(frozenset({"types", "structure", "parameters"}))
ROUTER_PARAMETERS: Final = FileKeys(
    frozenset({"route_mappings"}), frozenset({"allow_empty_key"}), only={"default_route": (None, "query", "document")}
)
MODEL: Final = FileKeys(
    frozenset({"prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim"}),
    frozenset({"__version__"}),
    only={"model_type": ("SentenceTransformer", None)},
)
_TEXT_ALONE: Final = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
TRANSFORMER: Final = FileKeys(
    frozenset({"max_seq_length", "do_lower_case", "tokenizer_args", "processor_kwargs"}),
    frozenset({"unpad_inputs"}),
    only={
        "transformer_task": ("feature-extraction", None),
        "modality_config": (_TEXT_ALONE, None),
        "module_output_name": ("token_embeddings", None),
        "processing_kwargs": ({}, None),
        "query_length": (None,),
        "document_length": (None,),
        "query_expansion": (None,),
        "tokenizer_name_or_path": (None,),
        "model_args": ({}, None),
        "model_kwargs": ({}, None),
        "config_args": ({}, None),
        "config_kwargs": ({}, None),
    },
)
MODEL2VEC: Final = FileKeys(
    frozenset({"model_type"}),
    frozenset({
        "architectures", "tokenizer_name", "apply_pca", "apply_zipf", "sif_coefficient", "hidden_dim", "seq_length",
        "normalize", "vocabulary_quantization", "embedding_dtype", "pooling",
    }),
)  # fmt: skip
TOKENIZER_ARGS: Final = FileKeys(
    frozenset({
        "model_max_length", "do_lower_case", "strip_accents", "tokenize_chinese_chars", "add_prefix_space",
        "add_bos_token", "add_eos_token", "use_fast", "legacy",
    }),
    frozenset({"padding_side", "clean_up_tokenization_spaces", "trust_remote_code"}),
)  # fmt: skip

# Of config.json, beside what its class in transformers knows: notes, training, generation, heads, other libraries.
_CONFIG_NOTES: Final = IRRELEVANT_SETTINGS - {"auto_map"} | {
    "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head",
    "pooler_type", "output_past", "tie_weights_", "summary_activation", "summary_first_dropout",
    "summary_last_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
    "sbert_ce_default_activation_function", "sentence_transformers", "emb_pooler", "matryoshka_dimensions",
    "_num_labels", "language", "tokenizer_class", "prefix", "model_max_length", "max_length", "min_length",
    "num_beams", "num_beam_groups", "num_return_sequences", "do_sample", "early_stopping", "temperature", "top_k",
    "top_p", "typical_p", "diversity_penalty", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "forced_bos_token_id", "forced_eos_token_id",
    "suppress_tokens", "begin_suppress_tokens", "exponential_decay_length_penalty", "remove_invalid_values",
    "return_dict_in_generate", "output_scores", "tf_legacy_loss", "use_bfloat16", "is_composition", "n_positions",
    "pad_token_id", "unsloth_version", "unsloth_fixed", "sinusoidal_pos_embds",
    "transformers.js_config", "pretraining_tp", "cross_attention_hidden_size",
    "add_cross_attention", "tie_encoder_decoder", "_attn_implementation_internal", "_flash_attn_2_enabled",
    "down_scale_factor", "net_structure_type", "gap_size", "num_memory_blocks", "generator_size", "cell", "structure",
    "pre_trained", "training", "license", "base_model", "tags", "author", "description", "library_name", "version",
    "pipeline_tag", "languages", "bos_token", "eos_token", "pad_token", "unk_token", "cls_token", "sep_token",
    "mask_token", "gradient_checkpointing_kwargs", "keys_to_ignore_at_inference",
}  # fmt: skip
_CONFIG_ONLY: Final[Mapping[str, tuple[Any, ...]]] = {"position_embedding_type": ("absolute",)}
_OLD_ROPE: Final = frozenset({
    "rope_theta", "rope_scaling", "partial_rotary_factor", "rope_local_base_freq", "global_rope_theta",
    "local_rope_theta", "rotary_emb_base",
})  # fmt: skip
_SAME_AS: Final[Mapping[str, tuple[str, ...]]] = {
    "layer_norm_eps": ("norm_eps", "layer_norm_epsilon", "rms_norm_eps"),
    "emb_size": ("hidden_size",),
    "embedding_size": ("hidden_size",),
    "d_model": ("hidden_size",),
    "dim": ("hidden_size",),
    "num_layers": ("num_hidden_layers",),
    "num_heads": ("num_attention_heads",),
    "n_layers": ("num_hidden_layers",),
    "n_heads": ("num_attention_heads",),
    "hidden_activation": ("hidden_act",),
    "hidden_act": ("hidden_activation", "feed_forward_proj", "dense_act_fn"),
    "max_seq_length": ("max_position_embeddings",),
}
"""Keys that transformers does not read and other libraries do: harmless where they repeat the key that is read."""
_NOTHING: Final[tuple[Any, ...]] = (None, False, "", [], {})


def check_keys(values: Any, keys: FileKeys, file: str, source: str) -> list[str]:
    """The harmless keys that are there, each as "FILE: KEY".

    Raises:
        ModelUnsupported: *values* is no table, or holds a key that is not known, or a value that is not.
    """
    if not isinstance(values, Mapping):
        raise ModelUnsupported(model=source, reason=f"{file} is no table of keys", remedy="the folder is damaged")
    listed = []
    for key, value in values.items():
        if key in keys.only:
            if value not in keys.only[key]:
                known = ", ".join(repr(each) for each in keys.only[key])
                raise ModelUnsupported(
                    model=source, reason=f"{file} says {key} = {value!r}", remedy=f"samespace knows {known}"
                )
        elif key in keys.harmless:
            listed.append(f"{file}: {key}")
        elif key not in keys.used:
            raise _unknown(key, value, file, source)
    return listed


def known_settings(config: Any) -> frozenset[str]:
    """The keys of config.json that the class of *config*, a transformers configuration, takes.

    Not those of *config* itself: it carries whatever stood in its file.
    """
    kind = type(config)
    known = {*kind().to_dict(), *kind.attribute_map, *inspect.signature(kind.__init__).parameters}
    for parent in kind.__mro__:
        known |= set(getattr(parent, "__annotations__", {}))
    if "rope_parameters" in known:  # as versions before 5 spelled it
        known |= _OLD_ROPE
    return frozenset(known)


def read_by(code: str, key: str) -> bool:
    """Whether *code*, of a model and its configuration in transformers, reads *key*: some do without declaring it."""
    name = re.escape(key)
    ways = (rf"config\.{name}\b", rf"getattr\(\w*\.?\w*config, \"{name}\"", rf"kwargs\.(get|pop)\(\"{name}\"")
    return re.search("|".join(ways), code) is not None


def check_config(values: Mapping[str, Any], known: Collection[str], code: str, source: str) -> list[str]:
    """`check_keys` of config.json.

    Args:
        known: what its class in transformers takes, see `known_settings`.
        code: the source of its model and of that class.
    """
    listed = []
    for key, value in values.items():
        if key == "auto_map":
            raise ModelUnsupported(
                model=source,
                reason="brings code of its own (auto_map) beside a class that transformers has; whether the two give "
                "the same vectors cannot be seen without running it",
                remedy="compare the two once where you trust the code, and take auto_map out of a copy of config.json",
            )
        if key in _CONFIG_ONLY and value in _CONFIG_ONLY[key]:
            continue
        if key in known or _says_nothing(value) or read_by(code, key):
            continue
        again = key in _SAME_AS and value in [values.get(other) for other in _SAME_AS[key]]
        if (key not in _CONFIG_NOTES and not again) or key in _CONFIG_ONLY:
            raise _unknown(key, value, "config.json", source)
        listed.append(f"config.json: {key}")
    return listed


def _says_nothing(value: Any) -> bool:
    """Whether a value turns nothing on: none, empty, or a table of nothing else."""
    return value in _NOTHING or (isinstance(value, Mapping) and all(_says_nothing(each) for each in value.values()))


def _unknown(key: str, value: Any, file: str, source: str) -> ModelUnsupported:
    return ModelUnsupported(
        model=source,
        reason=f"{file} has the key {key!r} ({_shown(value)}), which is not known here: it may change the vectors",
        remedy=f"if it changes nothing, take it out of a copy of {file}; if it does, please report the folder",
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
