"""More layouts of the hub: file by file as the repositories have them, with sentencepiece's own tiny vocabularies.

A tokenizer.json here is what transformers 4 wrote on the hub, its normaliser sentencepiece's real table of characters.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fakes.models.architectures import DIMS, FAMILIES, TOKENIZERS, corpus
from fakes.models.layouts import LIMIT, change, dense, legacy_pooling, modules, native_tokenizer, put

_ROBERTA = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>",
            "pad_token": "<pad>"}  # fmt: skip
_BERT = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
_MASK = {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": True, "rstrip": False,
         "single_word": False}  # fmt: skip
_CASED = {
    "do_lower_case": False, **_BERT, "tokenize_chinese_chars": True, "strip_accents": None, "model_max_length": 512,
    "special_tokens_map_file": None, "do_basic_tokenize": True, "never_split": None,
}  # fmt: skip
_T5_IDS = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}


@cache
def sentencepiece(model_type: str = "unigram", **settings: Any) -> bytes:
    """A sentencepiece file, trained on the probes."""
    from sentencepiece import SentencePieceTrainer

    written = io.BytesIO()
    texts = [text.replace("\n", " ") for text in corpus()] * 3
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=written, vocab_size=400, model_type=model_type,
        character_coverage=0.98, hard_vocab_limit=False, minloglevel=2, num_threads=1, **settings,
    )  # fmt: skip
    return written.getvalue()


def _pieces(data: bytes) -> tuple[list[tuple[str, float]], bytes]:
    """Pieces with their scores, and the table of characters."""
    from transformers.convert_slow_tokenizer import import_protobuf

    model = import_protobuf().ModelProto()
    model.ParseFromString(data)
    return [(each.piece, each.score) for each in model.pieces], model.normalizer_spec.precompiled_charsmap


def _unigram(vocab: list[tuple[str, float]], table: bytes, specials: Sequence[Any], unknown: int, template: str) -> str:
    """tokenizer.json of a unigram model as transformers 4 converted it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=unknown))
    tokenizer.normalizer = normalizers.Precompiled(table)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(list(specials))
    used = [token for token in template.split() if token != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, tokenizer.token_to_id(token)) for token in used]
    )
    return str(tokenizer.to_str())


def xlm_roberta_json() -> str:
    """XLM-R's, whose ids are one off those of its sentencepiece file."""
    from tokenizers import AddedToken

    pieces, table = _pieces(sentencepiece())
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces[3:], ("<mask>", 0.0)]
    specials = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)]
    return _unigram(vocab, table, specials, 3, "<s> $A </s>")


def folder_of(
    folder: Path,
    family: str,
    tokenizer: str,
    settings: Mapping[str, Any],
    *,
    after: Sequence[str] = ("Pooling", "Normalize"),
    pooling: str = "mean_tokens",
    rows: int | None = None,
    dtype: str = "float32",
    shard: str = "5GB",
    **config: Any,
) -> Path:
    """A folder with these tokenizer files.

    Args:
        tokenizer: the text of tokenizer.json.
        settings: of tokenizer_config.json.
        rows: of the token embedding; the size of the vocabulary unless given.
        dtype: of the weights as they are stored.
        shard: size of one file of weights at most.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer

    folder.mkdir(parents=True)
    chosen = FAMILIES[family]
    made: dict[str, Any] = {"vocab_size": rows or Tokenizer.from_str(tokenizer).get_vocab_size()}
    if chosen.common:
        made |= {"hidden_size": DIMS, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
                 "max_position_embeddings": LIMIT + 2}  # fmt: skip
    if family == "distilbert":
        config = {"max_position_embeddings": LIMIT + 2, **config}
    if "initializer_factor" not in chosen.settings:
        made["initializer_range"] = 0.2
    torch.manual_seed(1)
    described = getattr(transformers, chosen.config)(**{**made, **chosen.settings, **config})
    model = getattr(transformers, chosen.model)(described).to(getattr(torch, dtype))
    model.save_pretrained(folder, max_shard_size=shard)
    put(folder, {
        "tokenizer.json": tokenizer,
        "modules.json": modules(*after),
        "1_Pooling/config.json": legacy_pooling(pooling),
        "sentence_bert_config.json": {"max_seq_length": 128, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "__version__": {"sentence_transformers": "2.0.0", "transformers": "4.7.0", "pytorch": "1.9.0+cu102"}
        },
        "tokenizer_config.json": dict(settings),
    })  # fmt: skip
    return folder


def _beside_xlm_roberta(folder: Path) -> None:
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece())
    put(folder, {"special_tokens_map.json": {**_ROBERTA, "mask_token": "<mask>"}})


def multilingual_minilm(folder: Path) -> None:
    """BERT's body, XLM-R's tokenizer by the plain class, and what other runtimes want beside it."""
    settings = {
        "do_lower_case": True, **_ROBERTA, "mask_token": _MASK, "tokenize_chinese_chars": True, "strip_accents": None,
        "model_max_length": 512, "special_tokens_map_file": None, "tokenizer_class": "PreTrainedTokenizerFast",
    }  # fmt: skip
    folder_of(folder, "bert", xlm_roberta_json(), settings, after=("Pooling",))
    _beside_xlm_roberta(folder)
    change(folder, "config.json", gradient_checkpointing=False, position_embedding_type="absolute")
    put(folder, {"unigram.json": {"unk_id": 3}, "openvino/openvino_model.xml": "<net/>", "onnx/model.onnx": "graph"})


def multilingual_e5_small(folder: Path) -> None:
    """BERT's body, and XLM-R's tokenizer by its own class in both files."""
    settings = {**_ROBERTA, "clean_up_tokenization_spaces": True, "mask_token": _MASK, "model_max_length": 512,
                "sp_model_kwargs": {}, "tokenizer_class": "XLMRobertaTokenizer"}  # fmt: skip
    folder_of(folder, "bert", xlm_roberta_json(), settings)
    _beside_xlm_roberta(folder)
    change(folder, "config.json", tokenizer_class="XLMRobertaTokenizer", position_embedding_type="absolute")


def class_in_config(folder: Path) -> None:
    """The tokenizer's class in config.json alone."""
    multilingual_e5_small(folder)
    (folder / "tokenizer_config.json").unlink()


def xlm_roberta_of_2024(folder: Path) -> None:
    """What transformers 4.40 and later wrote: spaces by the normaliser, every setting of the call that saved it."""
    value = json.loads(xlm_roberta_json())
    spaces = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}
    end = {"type": "Strip", "strip_left": False, "strip_right": True}
    value["normalizer"] = {"type": "Sequence", "normalizers": [value["normalizer"], end, spaces]}
    value["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    added = {str(each["id"]): {key: each[key] for key in each if key != "id"} for each in value["added_tokens"]}
    settings = {
        "added_tokens_decoder": added, **_ROBERTA, "mask_token": "<mask>", "max_length": 512, "model_max_length": 512,
        "pad_to_multiple_of": None, "pad_token_type_id": 0, "padding_side": "right", "stride": 0,
        "tokenizer_class": "XLMRobertaTokenizerFast", "truncation_side": "right",
    }  # fmt: skip
    folder_of(folder, "xlm-roberta", json.dumps(value), settings, pooling="cls_token")
    _beside_xlm_roberta(folder)
    change(folder, "config_sentence_transformers.json", prompts={"query": "query: "}, similarity_fn_name="cosine")


def sentencepiece_alone(folder: Path) -> None:
    """XLM-R as it was saved before fast tokenizers."""
    settings = {"model_max_length": 512, "tokenizer_class": "XLMRobertaTokenizer"}
    folder_of(folder, "xlm-roberta", xlm_roberta_json(), settings)
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece())
    (folder / "tokenizer.json").unlink()


def t5(folder: Path) -> None:
    """T5 with its hundred extra tokens and more rows than tokens."""
    pieces, table = _pieces(sentencepiece(**_T5_IDS))
    extra = [f"<extra_id_{place}>" for place in range(99, -1, -1)]
    vocab = [*pieces, *((token, 0.0) for token in extra)]
    settings = {
        "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "extra_ids": 100,
        "additional_special_tokens": extra[::-1], "model_max_length": 512, "tokenizer_class": "T5Tokenizer",
    }  # fmt: skip
    written = _unigram(vocab, table, ["<pad>", "</s>", "<unk>", *extra], 2, "$A </s>")
    folder_of(folder, "t5", written, settings, after=("Pooling", "Dense", "Normalize"), rows=len(vocab) + 28)
    dense(folder, 2, DIMS, 24, bias=False, activation_function="torch.nn.modules.linear.Identity")
    (folder / "spiece.model").write_bytes(sentencepiece(**_T5_IDS))


def t5_sentencepiece_alone(folder: Path) -> None:
    t5(folder)
    (folder / "tokenizer.json").unlink()


def labse(folder: Path) -> None:
    folder_of(folder, "bert", _wordpiece(cased=True), _CASED | {"full_tokenizer_file": None}, pooling="cls_token",
              after=("Pooling", "Dense", "Normalize"))  # fmt: skip
    dense(folder, 2, DIMS, DIMS)
    change(folder, "config.json", directionality="bidi", pooler_fc_size=768, pooler_num_attention_heads=12,
           pooler_num_fc_layers=3, pooler_size_per_head=128, pooler_type="first_token_transform")  # fmt: skip


def distiluse(folder: Path) -> None:
    folder_of(folder, "distilbert", _wordpiece(cased=True), _CASED, after=("Pooling", "Dense"))
    dense(folder, 2, DIMS, 48)
    change(folder, "config.json", tie_weights_=True, sinusoidal_pos_embds=False, output_past=True)


def bert_tokenizer_of_roberta(folder: Path) -> None:
    """KLUE's RoBERTa, as in ko-sroberta: BERT's tokenizer on RoBERTa's body."""
    settings = _CASED | {"bos_token": "[CLS]", "eos_token": "[SEP]", "tokenizer_class": "BertTokenizer"}
    folder_of(folder, "roberta", _wordpiece(cased=True), settings, after=("Pooling",))
    change(folder, "config.json", tokenizer_class="BertTokenizer", adapters={"adapters": {}, "config_map": {}})


def llama_tokenizer_of_modernbert(folder: Path) -> None:
    """ruri 3: Llama's tokenizer on ModernBERT's body."""
    settings = {
        **_ROBERTA, "legacy": False, "add_bos_token": True, "add_eos_token": True, "add_prefix_space": False,
        "model_max_length": 8192, "sp_model_kwargs": {}, "tokenizer_class": "LlamaTokenizer",
    }  # fmt: skip
    written = native_tokenizer("llama").backend_tokenizer.to_str()
    folder_of(folder, "modernbert", written, settings, after=("Pooling",))
    prompts = {"query": "検索クエリ: ", "document": "検索文書: "}
    change(folder, "config_sentence_transformers.json", prompts=prompts, similarity_fn_name="cosine")


def modernbert(folder: Path) -> None:
    """ModernBERT's config.json on the hub has one epsilon twice, and settings that its class reads by the way."""
    settings = {
        "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "<pad>", "unk_token": "[UNK]", "mask_token": "[UNK]",
        "extra_special_tokens": {}, "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 8192,
        "tokenizer_class": "PreTrainedTokenizerFast", "max_length": 512, "stride": 0, "pad_to_multiple_of": None,
    }  # fmt: skip
    folder_of(folder, "modernbert", TOKENIZERS["byte_bpe_cls"]().decode(), settings, after=("Pooling",))
    change(
        folder, "config.json", layer_types=None, rope_parameters=None, global_attn_every_n_layers=3,
        global_rope_theta=160000.0, local_rope_theta=10000.0, layer_norm_eps=1e-5, norm_eps=1e-5,
        classifier_pooling="mean", deterministic_flash_attn=False, reference_compile=False, sparse_prediction=False,
        position_embedding_type="absolute", repad_logits_with_grad=False, gradient_checkpointing=False,
    )  # fmt: skip


def camembert(folder: Path) -> None:
    import transformers

    pieces, table = _pieces(sentencepiece())
    unused = [("<s>NOTUSED", 0.0), ("<pad>", 0.0), ("</s>NOTUSED", 0.0), ("<unk>", 0.0), ("<unk>NOTUSED", -100.0)]
    vocab = [*unused, *pieces[1:], ("<mask>", 0.0)]
    native = transformers.CamembertTokenizer(vocab=vocab, _spm_precompiled_charsmap=table)
    settings = {
        **_ROBERTA, "mask_token": "<mask>", "additional_special_tokens": ["<s>NOTUSED", "</s>NOTUSED"],
        "model_max_length": 512, "tokenizer_class": "CamembertTokenizer",
    }  # fmt: skip
    folder_of(folder, "roberta", native.backend_tokenizer.to_str(), settings, after=("Pooling",))
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece())
    change(folder, "config.json", model_type="camembert", architectures=["CamembertModel"])


def albert(folder: Path) -> None:
    import transformers

    own = {"user_defined_symbols": "[CLS],[SEP],[MASK]", "pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1}
    pieces, table = _pieces(sentencepiece(**own))
    native = transformers.AlbertTokenizer(vocab=pieces, _spm_precompiled_charsmap=table)
    settings = {
        "do_lower_case": True, "remove_space": True, "keep_accents": False, **_BERT, "bos_token": "[CLS]",
        "eos_token": "[SEP]", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": _MASK | {"content": "[MASK]"},
        "model_max_length": 512, "tokenizer_class": "AlbertTokenizer",
    }  # fmt: skip
    folder_of(folder, "albert", native.backend_tokenizer.to_str(), settings, after=("Pooling",))
    (folder / "spiece.model").write_bytes(sentencepiece(**own))
    change(folder, "config.json", down_scale_factor=1, gap_size=0, net_structure_type=0, num_memory_blocks=0)


def deberta(folder: Path) -> None:
    import transformers

    own = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]",
           "eos_piece": "[SEP]", "unk_piece": "[UNK]"}  # fmt: skip
    pieces, table = _pieces(sentencepiece(**own))
    native = transformers.DebertaV2Tokenizer(vocab=pieces, _spm_precompiled_charsmap=table, do_lower_case=False)
    settings = {**_BERT, "do_lower_case": False, "bos_token": "[CLS]", "eos_token": "[SEP]", "split_by_punct": False,
                "sp_model_kwargs": {}, "vocab_type": "spm", "tokenizer_class": "DebertaV2Tokenizer"}  # fmt: skip
    folder_of(folder, "deberta-v2", native.backend_tokenizer.to_str(), settings, after=("Pooling",))
    (folder / "spm.model").write_bytes(sentencepiece(**own))


def half_precision(folder: Path) -> None:
    """Qwen3-Embedding: bfloat16, in several files, <|endoftext|> by tokenizer.json's template."""
    from tokenizers import processors

    tokenizer = native_tokenizer("qwen").backend_tokenizer
    end = "<|endoftext|>"
    template = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, tokenizer.token_to_id(end))])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    settings = {
        "add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": {}, "bos_token": None,
        "additional_special_tokens": ["<|im_start|>"], "chat_template": "{{ messages }}", "eos_token": end,
        "errors": "replace", "model_max_length": 131072, "pad_token": end, "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
    }  # fmt: skip
    folder_of(folder, "qwen3", tokenizer.to_str(), settings, pooling="lasttoken", dtype="bfloat16", shard="30KB")
    (folder / "sentence_bert_config.json").unlink()
    prompts = {"query": "Instruct: Given a web search query\nQuery:", "document": ""}
    change(folder, "config_sentence_transformers.json", prompts=prompts, similarity_fn_name="cosine")
    put(folder, {"generation_config.json": {"max_new_tokens": 2048}})


def vocabulary_alone(folder: Path) -> None:
    """BERT before fast tokenizers: vocab.txt."""
    from tokenizers import Tokenizer

    settings = {"do_lower_case": True, **_BERT, "model_max_length": 512, "tokenizer_class": "BertTokenizer"}
    folder_of(folder, "bert", _wordpiece(cased=False), settings)
    vocab = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    put(folder, {"vocab.txt": "".join(f"{token}\n" for token in sorted(vocab, key=vocab.__getitem__))})
    (folder / "tokenizer.json").unlink()


def merges_alone(folder: Path) -> None:
    """RoBERTa before fast tokenizers: vocab.json and merges.txt."""
    settings = {**_ROBERTA, "mask_token": "<mask>", "model_max_length": 512, "tokenizer_class": "RobertaTokenizer"}
    folder_of(folder, "roberta", native_tokenizer("roberta").backend_tokenizer.to_str(), settings)
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    merges = "".join(f"{' '.join(merge)}\n" for merge in model["merges"])
    put(folder, {"vocab.json": model["vocab"], "merges.txt": f"#version: 0.2\n{merges}"})
    (folder / "tokenizer.json").unlink()


def dot_by_card(folder: Path) -> None:
    """msmarco-distilbert-base-tas-b: that lengths count stands in the card alone."""
    settings = {"do_lower_case": True, **_BERT, "model_max_length": 512, "tokenizer_class": "DistilBertTokenizer"}
    folder_of(folder, "distilbert", _wordpiece(cased=False), settings, after=("Pooling",), pooling="cls_token")
    put(folder, {"README.md": "# A model\n\n```python\nscores = util.dot_score(query_emb, doc_emb)[0]\n```\n"})


def _wordpiece(*, cased: bool) -> str:
    return str(native_tokenizer("bert", do_lower_case=not cased).backend_tokenizer.to_str())
