"""Export: the vectors do not change, the space id changes exactly when they could."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fakes.models.encoders import save_tiny_bert
from samespace import Encoder, SpaceMismatch
from samespace.artifact import open_artifact
from samespace.errors import ArtifactError, GateFailed, ModelUnsupported, RequestInvalid
from samespace.exporting import package
from samespace.exporting.builds.exact import GATES
from samespace.exporting.builds.parity import reference, worst_distance
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import CheckpointEncoder, Overrides, load_checkpoint
from samespace.vectors import cosine_distance

TEXTS = ["", "reset the password", "vector " * 200, "error code", "how do I flatten a list " * 9]


def space_of(folder: Path, overrides: Overrides | None = None) -> str:
    return load_checkpoint(folder, overrides).identity.space_id()


def test_exported_vectors_equal_torchs(tiny_checkpoint: Path, tiny_artifact: Path) -> None:
    """Short, empty and windowed texts in one padded batch: 1 - cos to torch within the fp32 gate."""
    torch_side = CheckpointEncoder(load_checkpoint(tiny_checkpoint)).encode(TEXTS, "passage")
    onnx_side = Encoder.load(tiny_artifact, build="fp32").encode(TEXTS, "passage")
    assert cosine_distance(np.asarray(torch_side), np.asarray(onnx_side)).max() <= GATES["fp32"]


def test_exported_vectors_equal_sentence_transformers(tiny_checkpoint: Path, tiny_artifact: Path) -> None:
    """An independent implementation agrees on texts within the token limit."""
    from sentence_transformers import SentenceTransformer

    short = ["reset the password", "error", "a list of index value"]
    theirs = SentenceTransformer(str(tiny_checkpoint), device="cpu").encode(short)
    ours = np.asarray(Encoder.load(tiny_artifact, build="fp32").encode(short, "passage"))
    assert cosine_distance(ours, theirs).max() <= GATES["fp32"]


def test_the_parity_gate_sees_a_padding_fault(tiny_checkpoint: Path) -> None:
    """A model that ignores the mask is far outside the gate: the gate can fail."""
    checkpoint = load_checkpoint(tiny_checkpoint)
    wanted = reference(checkpoint)
    assert worst_distance(checkpoint.model, wanted) <= 1e-12
    assert worst_distance(lambda ids, mask: checkpoint.model(ids, np.ones_like(mask)), wanted) > 1e-3


def test_two_exports_are_one_space_and_the_same_bytes(
    tiny_checkpoint: Path, tiny_artifact: Path, tmp_path: Path
) -> None:
    """A re-export under another name keeps the space id, and the build's bytes."""
    again = export_artifact(load_checkpoint(tiny_checkpoint), tmp_path / "again", name="renamed").artifact
    first = open_artifact(tiny_artifact)
    assert again.space_id == first.space_id and again.manifest.name != first.manifest.name
    assert again.manifest.files["model.fp32.onnx"] == first.manifest.files["model.fp32.onnx"]
    assert again.manifest.files["probes.npz"] == first.manifest.files["probes.npz"]


def flip_weight(folder: Path) -> None:
    """One byte in the middle of the weights."""
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1001] ^= 1
    path.write_bytes(data)


def change_tokenizer(folder: Path) -> None:
    """Upper case is kept, and the class beside it takes the file by its word."""
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"lowercase":true', '"lowercase":false'))
    change_json("tokenizer_config.json", "tokenizer_class", "PreTrainedTokenizerFast")(folder)


def change_json(name: str, key: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return change


@pytest.mark.parametrize(
    "change",
    [
        flip_weight,
        change_tokenizer,
        change_json("1_Pooling/config.json", "pooling_mode", "cls"),
        change_json("config_sentence_transformers.json", "prompts", {"query": "query: "}),
        change_json("sentence_bert_config.json", "max_seq_length", 31),
        change_json("config.json", "layer_norm_eps", 1e-6),
        change_json("config.json", "num_attention_heads", 2),
    ],
)
def test_what_can_change_a_vector_changes_the_space(
    tiny_checkpoint: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """A byte of a weight, the tokenizer, the pooling, a prompt, the limit, a setting: another space id."""
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "changed"))
    before = space_of(folder)
    assert before == space_of(tiny_checkpoint)
    change(folder)
    assert space_of(folder) != before


def test_what_cannot_change_a_vector_keeps_the_space(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The folder's name, versions, dropout, padding settings of the tokenizer: the same space."""
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "renamed"))
    change_json("config.json", "transformers_version", "0")(folder)
    change_json("config.json", "hidden_dropout_prob", 0.5)(folder)
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    value["truncation"] = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps(value, indent=1))
    assert space_of(folder) == space_of(tiny_checkpoint)


def test_saving_with_sentence_transformers_keeps_the_space(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """What sentence-transformers writes back, in its newer layout, is the same encoder."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(str(tiny_checkpoint), device="cpu").save_pretrained(str(tmp_path / "saved"))
    assert space_of(tmp_path / "saved") == space_of(tiny_checkpoint)


@pytest.mark.parametrize(
    ("prompts", "passage"),
    [
        ({"document": "d: ", "passage": "p: "}, "d: "),
        ({"document": "", "passage": "p: "}, "p: "),
        ({"corpus": "c: "}, "c: "),
        ({"query": "q: "}, ""),
        ({"document": None}, ""),
    ],
)
def test_prompts_are_those_of_the_folder(tmp_path: Path, prompts: dict[str, str], passage: str) -> None:
    """Documents' prompt has three names; the first that says something counts, as for sentence-transformers."""
    checkpoint = load_checkpoint(save_tiny_bert(tmp_path / "model", seed=1, prompts=prompts))
    assert checkpoint.recipe.prompts == {"query": prompts.get("query", ""), "passage": passage}


def test_settings_are_read_where_sentence_transformers_reads_them(tmp_path: Path) -> None:
    """The transformer's beside it, under the names of older versions too; the prompts at the top of the folder."""
    from sentence_transformers import SentenceTransformer

    folder = save_tiny_bert(tmp_path / "model", seed=1)
    inner = folder / "0_Transformer"
    inner.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).rename(inner / name)
    (folder / "sentence_bert_config.json").rename(inner / "sentence_roberta_config.json")
    change_json("0_Transformer/sentence_roberta_config.json", "max_seq_length", 20)(folder)
    change_json("config_sentence_transformers.json", "prompts", {"query": "top: "})(folder)
    (inner / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "inner: "}}))
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    theirs, ours = SentenceTransformer(str(folder), device="cpu"), load_checkpoint(folder).recipe
    assert (
        (ours.token_limit, ours.prompts["query"]) == (theirs.max_seq_length, theirs.prompts["query"]) == (20, "top: ")
    )


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last", "weighted_mean"])
def test_every_pooling_exports(tiny_checkpoint: Path, tmp_path: Path, pooling: str) -> None:
    """A plain transformers folder exports with each pooling, within the gate; each is a space of its own."""
    plain = Path(shutil.copytree(tiny_checkpoint, tmp_path / "plain"))
    (plain / "modules.json").unlink()
    checkpoint = load_checkpoint(plain, Overrides(pooling=pooling))
    artifact = export_artifact(checkpoint, tmp_path / "out").artifact
    assert artifact.manifest.build("fp32") is not None
    assert (artifact.space_id == space_of(tiny_checkpoint)) == (pooling == "mean")


def test_dense_and_layer_norm_export(tmp_path: Path) -> None:
    """What sentence-transformers puts after pooling is part of the graph and of the identity."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm

    base = SentenceTransformer(str(save_tiny_bert(tmp_path / "base", seed=3)), device="cpu")
    model = SentenceTransformer(modules=[base[0], base[1], Dense(32, 16), LayerNorm(16)], device="cpu")
    model.save_pretrained(str(tmp_path / "dense"))
    artifact = export_artifact(load_checkpoint(tmp_path / "dense"), tmp_path / "out").artifact
    assert artifact.manifest.identity.dims == 16
    ours = np.asarray(Encoder.load(artifact, build="fp32").encode(["reset password"], "query"))
    theirs = model.encode(["reset password"], normalize_embeddings=True)
    assert cosine_distance(ours, theirs).max() <= GATES["fp32"]


def test_unlike_encoders_do_not_compare(tiny_artifact: Path, other_artifact: Path) -> None:
    """The promise of the README's first example."""
    one, two = Encoder.load(tiny_artifact), Encoder.load(other_artifact)
    query = one.encode(["reset"], role="query")
    assert (query @ one.encode(["password"], role="passage").T).shape == (1, 1)
    with pytest.raises(SpaceMismatch) as caught:
        _ = query @ two.encode(["password"], role="passage").T
    assert {caught.value.expected, caught.value.found} == {one.space_id, two.space_id}


def test_a_build_that_differs_is_not_written(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An fp32 graph outside its gate stops the export and leaves no folder."""
    monkeypatch.setitem(GATES, "fp32", -1.0)
    with pytest.raises(GateFailed, match=r"fp32 is refused.*it was not written"):
        export_artifact(load_checkpoint(tiny_checkpoint), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_refusals_name_what_to_do(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Unknown modules, code in the folder, pickled weights, a missing pooling, int8 without data."""
    with pytest.raises(ModelUnsupported, match="no such folder"):
        load_checkpoint(tmp_path / "absent")
    plain = Path(shutil.copytree(tiny_checkpoint, tmp_path / "plain"))
    (plain / "modules.json").unlink()
    with pytest.raises(ModelUnsupported, match="--pooling"):
        load_checkpoint(plain)
    with pytest.raises(ModelUnsupported, match="trained with mean pooling, cls was asked for"):
        load_checkpoint(tiny_checkpoint, Overrides(pooling="cls"))
    strange = Path(shutil.copytree(tiny_checkpoint, tmp_path / "strange"))
    modules = json.loads((strange / "modules.json").read_text())
    modules[2]["type"] = "my_code.Whiten"
    (strange / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelUnsupported, match=r"my_code\.Whiten"):
        load_checkpoint(strange)
    pickled = Path(shutil.copytree(tiny_checkpoint, tmp_path / "pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ModelUnsupported, match="safetensors"):
        load_checkpoint(pickled)
    with pytest.raises(RequestInvalid, match="--gate-data"):
        export_artifact(load_checkpoint(tiny_checkpoint), tmp_path / "out", builds=("fp32", "int8"))


def test_a_taken_folder_is_noticed_before_any_work(
    tiny_checkpoint: Path, tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits a minute for "already exists"."""
    monkeypatch.setattr(package, "reference", lambda _: pytest.fail("work was begun"))
    with pytest.raises(ArtifactError, match="--replace"):
        export_artifact(load_checkpoint(tiny_checkpoint), tiny_artifact)
