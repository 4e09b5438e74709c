"""The layouts of families that people use: which files, which keys, which classes, as their repositories have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.models import hub_folders, layouts, others, stored
from fakes.models.architectures import DIMS
from fakes.models.layouts import change, dense, encoder, legacy_pooling, modules, put
from fakes.models.static import save_static

_LAST = "lasttoken"
_IDENTITY = "torch.nn.modules.linear.Identity"
_BGE = "Represent this sentence for searching relevant passages: "
_INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"


@dataclass(frozen=True, slots=True)
class Layout:
    """One published layout, and what becomes of it.

    Attributes:
        write: makes the folder.
        like: the models that have it.
        refused: part of the message where it is refused; "" where it is read.
        untrainable: part of the message where it can be exported and not trained.
        prompts: what the user has to say for it, by role.
        pooling: for plain transformers folders.
    """

    write: Callable[[Path], Any]
    like: str
    refused: str = ""
    untrainable: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)
    pooling: str | None = None


def minilm(folder: Path) -> None:
    encoder(folder, tokenizer_config={"do_lower_case": True, "strip_accents": None, "never_split": None})
    change(folder, "config.json", position_embedding_type="absolute", gradient_checkpointing=False)
    put(folder, {"data_config.json": [], "vocab.txt": "", "special_tokens_map.json": {"unk_token": "[UNK]"}})


def mpnet_2021(folder: Path) -> None:
    encoder(folder, "mpnet", "mpnet")
    put(folder, {"desktop.ini": "[.ShellClassInfo]", "1_Pooling/desktop.ini": "[.ShellClassInfo]"})


def folder_of_2020(folder: Path) -> None:
    """The transformer in a sub-folder, with the settings file of its own kind."""
    encoder(folder, "roberta", "roberta")
    inner = folder / "0_Transformer"
    inner.mkdir()
    (folder / "sentence_bert_config.json").rename(inner / "sentence_roberta_config.json")
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).rename(inner / name)
    (folder / "config_sentence_transformers.json").unlink()
    listed = modules("Pooling")
    listed[0]["path"] = "0_Transformer"
    put(folder, {"modules.json": listed, "config.json": {"__version__": "0.4.0"}})


def pickled(folder: Path) -> None:
    encoder(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def e5(folder: Path) -> None:
    encoder(folder)
    change(folder, "config.json", _name_or_path="intfloat/e5-small-v2")


def multilingual_e5(folder: Path) -> None:
    encoder(folder, "xlm-roberta", "xlm-roberta")
    (folder / "sentencepiece.bpe.model").write_bytes(b"not read, because tokenizer.json is there")


def bge(folder: Path) -> None:
    encoder(folder, pooling=("cls_token",))


def bge_m3(folder: Path) -> None:
    encoder(folder, "xlm-roberta", "xlm-roberta", pooling=("cls_token",))
    for name in ("colbert_linear.pt", "sparse_linear.pt"):
        (folder / name).write_bytes(b"heads of its own")


def arctic(folder: Path) -> None:
    encoder(folder, pooling=("cls_token",))
    change(folder, "config_sentence_transformers.json", prompts={"query": _BGE}, default_prompt_name=None)


def mxbai(folder: Path) -> None:
    encoder(folder, pooling=("cls_token",), after=("Pooling",))
    change(
        folder, "config_sentence_transformers.json",
        prompts={"query": _BGE, "passage": ""}, default_prompt_name=None, similarity_fn_name="cosine",
    )  # fmt: skip


def qwen3(folder: Path) -> None:
    encoder(folder, "qwen3", "qwen", pooling=(_LAST,), tokenizer_config={"add_prefix_space": False})
    change(
        folder, "config_sentence_transformers.json",
        prompts={"query": _INSTRUCT, "document": ""}, default_prompt_name=None, similarity_fn_name="cosine",
    )  # fmt: skip
    change(folder, "1_Pooling/config.json", include_prompt=True)


def embedding_gemma(folder: Path) -> None:
    from fakes.models.architectures import save_tiny

    save_tiny(folder, "embedding_gemma")
    names = ("BitextMining", "Clustering", "Reranking", "STS", "Summarization")
    tasks = {name: f"task: {name} | query: " for name in names}
    prompts = {"query": "task: search result | query: ", "document": "title: none | text: ", **tasks}
    change(
        folder, "config_sentence_transformers.json", prompts=prompts, default_prompt_name=None,
        similarity_fn_name="cosine", model_type="SentenceTransformer",
    )  # fmt: skip
    change(folder, "tokenizer_config.json", padding_side="right")


def stella(folder: Path) -> None:
    """Prompts under names of their own, and a Dense per length."""
    encoder(folder, "qwen3", "qwen", after=("Pooling", "Dense"))
    dense(folder, 2, DIMS, 24, activation_function=_IDENTITY)
    prompts = {"s2p_query": _INSTRUCT, "s2s_query": "Instruct: Retrieve semantically similar text.\nQuery: "}
    change(folder, "config_sentence_transformers.json", prompts=prompts, default_prompt_name=None)


def default_prompt(folder: Path) -> None:
    encoder(folder)
    prompts = {"query": "query: ", "document": "passage: "}
    change(folder, "config_sentence_transformers.json", prompts=prompts, default_prompt_name="query")


def gtr(folder: Path) -> None:
    encoder(folder, "t5", "t5", after=("Pooling", "Dense", "Normalize"))
    dense(folder, 2, DIMS, 24, bias=False, activation_function=_IDENTITY)


def instructor(folder: Path) -> None:
    encoder(folder, "t5", "t5", after=("Pooling", "Dense", "Normalize"))
    dense(folder, 2, DIMS, 24, bias=False, activation_function=_IDENTITY)
    change(folder, "1_Pooling/config.json", include_prompt=False)


def instructor_with_prompts(folder: Path) -> None:
    instructor(folder)
    change(folder, "config_sentence_transformers.json", prompts={"query": "Represent the question: "})


def prompt_out_of_four(folder: Path) -> None:
    encoder(folder, pooling=("cls_token", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", _LAST))
    prompts = {"query": "Represent the question: ", "document": "passage: "}
    change(folder, "config_sentence_transformers.json", prompts=prompts)
    change(folder, "1_Pooling/config.json", include_prompt=False)


def prompt_without_end(folder: Path) -> None:
    """A decoder's tokenizer, which puts nothing around a text."""
    qwen3(folder)
    change(folder, "1_Pooling/config.json", include_prompt=False, pooling_mode_lasttoken=False)
    change(folder, "1_Pooling/config.json", pooling_mode_mean_tokens=True)


def modernbert(folder: Path) -> None:
    from fakes.models.architectures import save_tiny

    save_tiny(folder, "modernbert")
    change(
        folder,
        "config_sentence_transformers.json",
        prompts={"query": "search_query: ", "document": "search_document: "},
    )


def dot_product(folder: Path) -> None:
    encoder(folder, "mpnet", "mpnet", pooling=("cls_token",), after=("Pooling",))
    change(folder, "config.json", _name_or_path="multi-qa-mpnet-base-dot-v1")


def dot_similarity(folder: Path) -> None:
    encoder(folder, after=("Pooling",))
    change(folder, "config_sentence_transformers.json", similarity_fn_name="dot")


def own_code_beside_native(folder: Path) -> None:
    from fakes.models.architectures import save_tiny

    save_tiny(folder, "nomic_bert")
    change(
        folder, "config.json", auto_map={"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"}
    )


def own_module(folder: Path) -> None:
    encoder(folder, "xlm-roberta", "xlm-roberta")
    listed = modules("Pooling", "Normalize")
    listed[0] |= {"type": "custom_st.Transformer", "kwargs": ["task"]}
    put(folder, {"modules.json": listed})


def peft(folder: Path) -> None:
    encoder(folder)
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").unlink()
    put(folder, {"adapter_config.json": {"peft_type": "LORA", "base_model_name_or_path": "organisation/base", "r": 8}})


def residual(folder: Path) -> None:
    encoder(folder, after=("Pooling", "Dense"))
    dense(folder, 2, DIMS, DIMS, use_residual=True)


def residual_projected(folder: Path) -> None:
    encoder(folder, after=("Pooling", "Dense"))
    dense(folder, 2, DIMS, 20, residual=True, use_residual=True)


def leaky(folder: Path) -> None:
    encoder(folder, after=("Pooling", "Dense", "Normalize"))
    dense(folder, 2, DIMS, 24, activation_function="torch.nn.modules.activation.LeakyReLU")


def two_dense(folder: Path) -> None:
    encoder(folder, after=("Pooling", "Dense", "Dense", "Dense"))
    for place, (size, out, name) in enumerate([(DIMS, 24, "ELU"), (24, 24, "Softplus"), (24, 16, "Hardswish")], 2):
        dense(folder, place, size, out, activation_function=f"torch.nn.modules.activation.{name}")


def truncated(folder: Path) -> None:
    encoder(folder)
    change(folder, "config_sentence_transformers.json", truncate_dim=16)


def square_root(folder: Path) -> None:
    encoder(folder, pooling=("mean_sqrt_len_tokens",), after=("Pooling", "Dense"))
    dense(folder, 2, DIMS, 24)


def no_mode(folder: Path) -> None:
    encoder(folder, pooling=())


def concatenated(folder: Path) -> None:
    encoder(folder, pooling=("cls_token", "max_tokens", "mean_tokens"))


def layer_norm(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    encoder(folder, after=("Pooling", "LayerNorm"))
    put(folder, {"2_LayerNorm/config.json": {"dimension": DIMS}})
    state = {"norm.weight": torch.rand(DIMS), "norm.bias": torch.rand(DIMS)}
    save_file(state, folder / "2_LayerNorm" / "model.safetensors")


def saved_by_six(folder: Path) -> None:
    """sentence-transformers 6 as it saves today."""
    from sentence_transformers import SentenceTransformer

    encoder(folder.with_name(f"{folder.name}-old"))
    SentenceTransformer(str(folder.with_name(f"{folder.name}-old")), device="cpu").save_pretrained(str(folder))


def plain(folder: Path) -> None:
    """SimCSE and others: a transformers folder alone."""
    encoder(folder, pooling=("cls_token",))
    for name in ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    (folder / "1_Pooling").rmdir()
    (folder / "config_sentence_transformers.json").unlink()


def static(folder: Path) -> None:
    """potion and others: a table of tokens, in the files of model2vec and of sentence-transformers."""
    save_static(folder, "potion")


def weighted_layers(folder: Path) -> None:
    encoder(folder, after=("WeightedLayerPooling", "Pooling"))
    put(folder, {"2_Pooling/config.json": legacy_pooling("mean_tokens")})


def sparse(folder: Path) -> None:
    encoder(folder)
    change(folder, "config_sentence_transformers.json", model_type="SparseEncoder")


def unknown_pooling_key(folder: Path) -> None:
    encoder(folder)
    change(folder, "1_Pooling/config.json", pooling_mode_second_token=True)


def unknown_dense_key(folder: Path) -> None:
    encoder(folder, after=("Pooling", "Dense"))
    dense(folder, 2, DIMS, DIMS, scale=2.0)


def unknown_config_key(folder: Path) -> None:
    encoder(folder)
    change(folder, "config.json", logit_soft_cap=30.0)


def query_length(folder: Path) -> None:
    encoder(folder)
    change(folder, "sentence_bert_config.json", query_length=32)


def relative_positions(folder: Path) -> None:
    encoder(folder)
    change(folder, "config.json", position_embedding_type="relative_key_query")


_INSTRUCTED = {"query": _INSTRUCT, "passage": ""}
LAYOUTS: dict[str, Layout] = {
    "minilm": Layout(minilm, "all-MiniLM-L6-v2"),
    "mpnet_2021": Layout(mpnet_2021, "all-mpnet-base-v2, with desktop.ini"),
    "folder_of_2020": Layout(folder_of_2020, "bert-base-nli-mean-tokens: 0_Transformer"),
    "pickled": Layout(pickled, "pytorch_model.bin alone", refused="no safetensors"),
    "e5": Layout(e5, "E5: no prompts in the folder"),
    "multilingual_e5": Layout(multilingual_e5, "multilingual E5"),
    "multilingual_minilm": Layout(hub_folders.multilingual_minilm, "paraphrase-multilingual-MiniLM-L12-v2"),
    "multilingual_minilm_unsaid": Layout(
        layouts.multilingual_minilm, "multilingual MiniLM, no class", "read its tokenizer"
    ),
    "multilingual_e5_small": Layout(
        hub_folders.multilingual_e5_small, "multilingual-e5-small: BERT, XLM-R's tokenizer"
    ),
    "class_in_config": Layout(hub_folders.class_in_config, "the tokenizer's class in config.json alone"),
    "xlm_roberta_of_2024": Layout(hub_folders.xlm_roberta_of_2024, "Snowflake Arctic 2: XLM-R as saved in 2024"),
    "bge": Layout(bge, "BGE: [CLS]"),
    "bge_m3": Layout(bge_m3, "BGE M3: heads beside it"),
    "arctic": Layout(arctic, "Snowflake Arctic: prompt for queries"),
    "mxbai": Layout(mxbai, "mxbai: prompts, no Normalize"),
    "qwen3": Layout(qwen3, "Qwen3-Embedding"),
    "e5_mistral": Layout(
        layouts.e5_mistral, "E5 Mistral: </s> by option", prompts=_INSTRUCTED, untrainable="names that are no role"
    ),
    "embedding_gemma": Layout(embedding_gemma, "EmbeddingGemma: two Dense, many prompts"),
    "stella": Layout(stella, "Stella: s2p_query", prompts=_INSTRUCTED, untrainable="names that are no role"),
    "stella_unsaid": Layout(stella, "Stella, nothing said", refused="names that are no role"),
    "default_prompt": Layout(default_prompt, "default_prompt_name", refused="has the default prompt 'query'"),
    "labse": Layout(hub_folders.labse, "LaBSE: cased, [CLS], Dense tanh"),
    "gtr": Layout(gtr, "GTR, sentence-T5: Dense without bias"),
    "instructor": Layout(instructor, "instructor: include_prompt false, no prompts"),
    "instructor_with_prompts": Layout(instructor_with_prompts, "instructor with a prompt for queries"),
    "prompt_out_of_four": Layout(prompt_out_of_four, "include_prompt false: [CLS], max, weighted mean, last"),
    "prompt_without_end": Layout(
        prompt_without_end,
        "include_prompt false, no token at the end",
        prompts={"query": "ask: ", "passage": "find: a "},
    ),
    "distiluse": Layout(hub_folders.distiluse, "distiluse: cased DistilBERT, Dense"),
    "modernbert": Layout(modernbert, "nomic ModernBERT"),
    "modernbert_of_the_hub": Layout(hub_folders.modernbert, "GTE, granite: ModernBERT's config.json as on the hub"),
    "t5": Layout(hub_folders.t5, "sentence-T5: 100 extra tokens, spare rows"),
    "bert_tokenizer_of_roberta": Layout(hub_folders.bert_tokenizer_of_roberta, "ko-sroberta: BERT's tokenizer"),
    "llama_tokenizer_of_modernbert": Layout(
        hub_folders.llama_tokenizer_of_modernbert, "ruri 3: ModernBERT, Llama's tokenizer"
    ),
    "camembert": Layout(hub_folders.camembert, "sentence-camembert"),
    "dot_product": Layout(dot_product, "multi-qa-mpnet-base-dot-v1", refused="model for dot products"),
    "dot_by_card": Layout(
        hub_folders.dot_by_card, "tas-b: dot products by its card", refused="compares by dot products"
    ),
    "dot_similarity": Layout(dot_similarity, "similarity_fn_name dot", refused="says similarity 'dot'"),
    "own_code_beside_native": Layout(own_code_beside_native, "nomic-embed: auto_map", refused="auto_map"),
    "own_module": Layout(own_module, "Jina 3: custom_st", refused="modules.json says kwargs = ['task']"),
    "peft": Layout(peft, "a PEFT adapter", refused="is a PEFT adapter of 'organisation/base'"),
    "residual": Layout(residual, "Dense use_residual"),
    "residual_projected": Layout(residual_projected, "Dense use_residual, other length"),
    "leaky": Layout(leaky, "Dense LeakyReLU"),
    "two_dense": Layout(two_dense, "Dense ELU, Softplus, Hardswish"),
    "truncated": Layout(truncated, "truncate_dim", untrainable="truncate_dim"),
    "square_root": Layout(square_root, "mean_sqrt_len, Dense"),
    "no_mode": Layout(no_mode, "no pooling mode named"),
    "concatenated": Layout(concatenated, "[CLS], max and mean concatenated"),
    "layer_norm": Layout(layer_norm, "LayerNorm"),
    "saved_by_six": Layout(saved_by_six, "saved by sentence-transformers 6"),
    "plain": Layout(plain, "a plain transformers folder", pooling="cls", untrainable="--pooling"),
    "lower_case_in_settings": Layout(layouts.lower_case_in_settings, "do_lower_case in sentence_bert_config"),
    "cased_by_option": Layout(layouts.cased_by_option, "do_lower_case false in tokenizer_config"),
    "accents_kept": Layout(layouts.accents_kept, "strip_accents false in tokenizer_config"),
    "prefix_space": Layout(layouts.prefix_space, "add_prefix_space in tokenizer_config"),
    "tokenizer_args": Layout(layouts.tokenizer_args, "tokenizer_args in sentence_bert_config"),
    "padding_beyond": Layout(layouts.padding_beyond, "[PAD] beyond the table", refused="'[PAD]'"),
    "added_token_beyond": Layout(layouts.added_token_beyond, "an added token beyond the table", refused="'<domain>'"),
    "albert": Layout(hub_folders.albert, "paraphrase-albert"),
    "deberta": Layout(hub_folders.deberta, "DeBERTa 3"),
    "static": Layout(static, "StaticEmbedding", untrainable="static embeddings"),
    "weighted_layers": Layout(weighted_layers, "WeightedLayerPooling", refused="WeightedLayerPooling"),
    "sparse": Layout(sparse, "a SparseEncoder", refused="model_type = 'SparseEncoder'"),
    "unknown_pooling_key": Layout(
        unknown_pooling_key, "an unknown key of Pooling", refused="pooling_mode_second_token"
    ),
    "unknown_dense_key": Layout(unknown_dense_key, "an unknown key of Dense", refused="key 'scale'"),
    "unknown_config_key": Layout(unknown_config_key, "an unknown key of config.json", refused="logit_soft_cap"),
    "query_length": Layout(query_length, "query_length", refused="query_length = 32"),
    "relative_positions": Layout(relative_positions, "relative positions of BERT", refused="position_embedding_type"),
    "dense_of_each_length": Layout(stored.dense_of_each_length, "Stella: 2_Dense_1024 beside 2_Dense_256"),
    "gte_modernbert": Layout(stored.gte_modernbert, "GTE ModernBERT: [CLS], no Normalize"),
    "clip_multilingual": Layout(stored.clip_multilingual, "clip-ViT-B-32-multilingual: its text side"),
    "shards": Layout(stored.shards, "weights in two files"),
    "weights_of_2018": Layout(stored.weights_of_2018, "gamma and beta, under bert., with a head"),
    "no_settings": Layout(stored.no_settings, "no settings beside modules.json and 1_Pooling"),
    "cut_by_its_tokenizer": Layout(stored.cut_by_its_tokenizer, "truncation and padding in tokenizer.json"),
    "left_padding": Layout(stored.left_padding, "SGPT: a decoder that pads on the left, weighted mean"),
    "rope_scaling": Layout(stored.rope_scaling, "a decoder with YaRN"),
    "onnx_beside": Layout(stored.onnx_beside, "ONNX and OpenVINO builds beside it"),
    "truncated_after_dense": Layout(
        stored.truncated_after_dense, "truncate_dim after a Dense", untrainable="truncate_dim"
    ),
    "document_and_passage": Layout(stored.document_and_passage, "prompts for document and for passage"),
    "dense_pickled": Layout(stored.dense_pickled, "Dense as pytorch_model.bin", refused="has no model.safetensors"),
    "shard_missing": Layout(stored.shard_missing, "a missing shard", refused="its weights cannot be read"),
    "pointer": Layout(stored.pointer, "cloned without git lfs", refused="its weights cannot be read"),
    "order_of_modules": Layout(
        stored.order_of_modules, "modules.json out of order", refused="in the order of the file"
    ),
    "quantised": Layout(stored.quantised, "weights in 8 bits", refused="quantization_config"),
    "model_arguments": Layout(stored.model_arguments, "model_args", refused="says model_args"),
    "jina_2": Layout(stored.jina_2, "Jina 2: auto_map, ALiBi", refused="auto_map"),
    "own_type": Layout(stored.own_type, "GTE 1.5: a type of its own", refused="model type 'new'"),
    "clip": Layout(stored.first_module("CLIPModel", {}), "CLIP", refused="CLIPModel is not one"),
    "bag_of_words": Layout(stored.first_module("BoW", {"vocab": ["a"]}), "BoW", refused="BoW is not one"),
    "word_vectors": Layout(
        stored.first_module("WordEmbeddings", {}), "GloVe: WordEmbeddings", refused="WordEmbeddings"
    ),
    "half_precision": Layout(hub_folders.half_precision, "Qwen3-Embedding: bfloat16, several files"),
    "sentencepiece_alone": Layout(hub_folders.sentencepiece_alone, "XLM-R with its sentencepiece file alone"),
    "t5_sentencepiece_alone": Layout(hub_folders.t5_sentencepiece_alone, "T5 with its sentencepiece file alone"),
    "vocabulary_alone": Layout(hub_folders.vocabulary_alone, "BERT with vocab.txt alone"),
    "merges_alone": Layout(hub_folders.merges_alone, "RoBERTa with vocab.json and merges.txt alone"),
    "under_a_head": Layout(others.under_a_head, "SFR: a language model's weights, with its head"),
    "attention_both_ways": Layout(others.attention_both_ways, "a decoder with is_causal false"),
    "tuples": Layout(others.tuples, "return_dict false"),
    "saved_by_five": Layout(others.saved_by_five, "saved by sentence-transformers 5"),
    "pooled_in_another_order": Layout(others.pooled_in_another_order, "a list of poolings: mean, then [CLS]"),
    "reranker": Layout(others.reranker, "BGE reranker", refused="with one label", pooling="cls"),
    "reranker_of_sentence_transformers": Layout(
        others.reranker_of_sentence_transformers, "ms-marco: CrossEncoder", refused="is a cross-encoder", pooling="cls"
    ),
    "reranker_of_today": Layout(others.reranker_of_today, "CrossEncoder, with modules", refused="'CrossEncoder'"),
    "splade": Layout(others.splade, "SPLADE: MLMTransformer, SpladePooling", refused="MLMTransformer is not one"),
    "late_interaction": Layout(others.late_interaction, "ColBERT by PyLate", refused="pylate.models.Dense.Dense"),
    "dense_over_tokens": Layout(others.dense_over_tokens, "Dense over tokens", refused="module_input_name"),
    "dense_of_another_model": Layout(
        others.dense_of_another_model, "a Dense of another length", refused="its dense takes 48 dims"
    ),
    "asymmetric": Layout(others.asymmetric, "Asym with routes of its own", refused="has the routes query, doc"),
    "onnx_alone": Layout(others.onnx_alone, "ONNX alone", refused="no safetensors weights, only onnx/model.onnx"),
    "tokenizer_in_code": Layout(
        others.tokenizer_in_code, "GTE-Qwen2: a tokenizer in code", refused="its tokenizer is code of its own"
    ),
    "convolutions": Layout(
        others.convolutions, "ConvBERT: convolutions over the padding", refused="where its batch is padded"
    ),
    "sparse_attention": Layout(
        others.sparse_attention, "BigBird: block_sparse", refused="attention_type = 'block_sparse'"
    ),
    "long_rope": Layout(others.long_rope, "Phi 3: LongRoPE", refused="rope_type = 'longrope'"),
    "funnel": Layout(others.funnel, "Funnel", refused="where its batch is padded"),
    "not_a_number": Layout(others.not_a_number, "NaN in its weights", refused="NaN or infinity"),
}
