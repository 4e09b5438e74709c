"""Cross-encoders as they are published become artifacts whose scores are those of sentence-transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from fakes.models.cross_encoders import LAYOUTS, save_layout
from samespace import Encoder, Reranker
from samespace.api.named import open_encoder, space_of
from samespace.artifact import open_artifact
from samespace.artifact.compare import compare
from samespace.cli import cli
from samespace.errors import ArtifactDamaged, GateFailed, ManifestInvalid, ModelUnsupported, RequestInvalid, WrongKind
from samespace.exporting.request import ExportRequest, export_model
from samespace.model.checkpoint import Overrides
from samespace.model.rebuilt import compare_rebuilt
from samespace.reranking.pairs import pair_text
from samespace.runtime.verification import verify_artifact
from samespace.training.finetuning.teachers import RerankerTeacher, open_teacher

pytestmark = pytest.mark.integration

FP32_CPU = 2e-5  # of logits, |a - b| / (1 + |b|): the gate
QUERY = "how do i reset the password"
PASSAGES = [
    "a user may reset the password in the file", "", "the list of the index", "refund", "why is the value in the text",
    "install the model and update the data", "如何重置我的密码？", "a",
]  # fmt: skip


def export(folder: Path, out: Path, **overrides: Any) -> Path:
    export_model(ExportRequest(str(folder), out, overrides=Overrides(**overrides)))
    return out


def theirs(folder: Path, passages: list[str], *, raw: bool) -> list[float]:
    """sentence-transformers on the folder that was exported, in ragged batches."""
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    chosen = {"activation_fn": torch.nn.Identity()} if raw else {}
    said = model.predict([(QUERY, each) for each in passages], batch_size=3, show_progress_bar=False, **chosen)
    return [float(each) for each in said]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder with token types."""
    return save_layout(tmp_path_factory.mktemp("cross") / "minilm", "minilm")


@pytest.fixture(scope="module")
def reranker(folder: Path) -> Path:
    """Its artifact."""
    return export(folder, folder.with_name("artifact"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_are_those_of_sentence_transformers(layout: str, tmp_path: Path) -> None:
    """Logits and scores, whatever the layout says of types and activation; and the artifact is verified here."""
    source = save_layout(tmp_path / "model", layout)
    artifact = open_artifact(export(source, tmp_path / "artifact"), kind="reranker")
    found = Reranker.load(artifact, runtime="onnxruntime").score(QUERY, PASSAGES)
    for mine, wanted in (
        (found.logits, theirs(source, PASSAGES, raw=True)),
        (found.scores, theirs(source, PASSAGES, raw=False)),
    ):
        assert np.max(np.abs(np.array(mine) - wanted) / (1 + np.abs(wanted))) <= FP32_CPU
    assert len({round(each, 3) for each in found.logits}) > 4  # a reranker that tells passages apart
    verify_artifact(artifact).require()
    assert compare_rebuilt(artifact) <= FP32_CPU


def test_one_model_in_two_layouts_is_one_reranker(tmp_path: Path) -> None:
    """Files of sentence-transformers around it change no score; another activation does, and is another id."""
    minilm = open_artifact(export(save_layout(tmp_path / "a", "minilm"), tmp_path / "one"), kind="reranker")
    plain = open_artifact(export(tmp_path / "a-plain", tmp_path / "two"), kind="reranker")
    old = open_artifact(export(save_layout(tmp_path / "b", "ms-marco"), tmp_path / "three"), kind="reranker")
    assert minilm.space_id == plain.space_id
    assert minilm.space_id != old.space_id
    assert compare(minilm, old).space == (("activation", "sigmoid and identity"),)


def test_every_part_of_the_recipe_is_in_the_id(folder: Path, reranker: Path, tmp_path: Path) -> None:
    """Token limit, overlap and prompts; the name is not."""
    ids = {open_artifact(reranker, kind="reranker").space_id}
    for place, chosen in enumerate(
        ({"token_limit": 48}, {"window_overlap": 4}, {"query_prompt": "query: "}, {"passage_prompt": "passage: "})
    ):
        ids.add(open_artifact(export(folder, tmp_path / str(place), **chosen), kind="reranker").space_id)
    assert len(ids) == 5
    assert open_artifact(export(folder, tmp_path / "renamed"), kind="reranker").space_id in ids


def test_a_long_passage_is_its_best_window(folder: Path, reranker: Path) -> None:
    """sentence-transformers scores each window's own text as a passage; the highest of them is the passage's."""
    passage = " ".join(f"{word} value error text" for word in ("index", "password", "refund", "dict", "list") * 8)
    with Reranker.load(reranker, runtime="onnxruntime") as opened:
        found = opened.score(QUERY, [passage])
        (tokenized,) = opened.loaded.text_encoder.tokenize([pair_text(QUERY, passage)], "passage")
    assert found.windows == (len(tokenized.windows),) and len(tokenized.windows) > 2
    assert tokenized.windows[-1].end == len(passage)
    logits = theirs(folder, [passage[each.start : each.end] for each in tokenized.windows], raw=True)
    assert len({round(each, 4) for each in logits}) > 1
    assert found.logits[0] == pytest.approx(max(logits), rel=FP32_CPU, abs=FP32_CPU)


def test_rankings_are_by_logits_and_keep_the_order_of_equals(reranker: Path) -> None:
    """The same passage twice stays in its order, and `top` cuts."""
    with Reranker.load(reranker, runtime="onnxruntime") as opened:
        ranked = opened.rank(QUERY, [*PASSAGES, PASSAGES[0]])
        scores = [each.score for each in ranked]
        assert scores == sorted(scores, reverse=True)
        order = [each.index for each in ranked]
        assert order.index(0) + 1 == order.index(len(PASSAGES))
        assert opened.rank(QUERY, PASSAGES, top=2) == opened.rank(QUERY, PASSAGES)[:2]
        assert opened.rank(QUERY, []) == []
        for wrong in ("one text", [1], None):
            with pytest.raises(RequestInvalid):
                opened.score(QUERY, wrong)  # type: ignore[arg-type]


# -- two kinds that are never confused


@pytest.mark.parametrize(
    "use",
    [
        Encoder.load,
        open_artifact,
        lambda folder: run("combine", folder, folder, "-o", folder.parent / "both"),
        lambda folder: open_encoder(str(folder)),
        lambda folder: space_of(str(folder)),
        lambda folder: run("pipeline", folder),
    ],
)
def test_a_reranker_is_no_encoder(reranker: Path, use: Callable[[Path], object]) -> None:
    """Whatever wants vectors refuses it by name."""
    try:
        found = use(reranker)
    except WrongKind as error:
        assert (error.found, error.wanted) == ("reranker", "encoder")
    else:
        assert isinstance(found, Result) and found.exit_code != 0
        assert "is a reranker" in str(found.exception or found.output)


def test_an_encoder_is_no_reranker(tiny_artifact: Path) -> None:
    """Nor is an artifact that is open already."""
    for given in (tiny_artifact, open_artifact(tiny_artifact)):
        with pytest.raises(WrongKind, match="is an encoder"):
            Reranker.load(given)


def test_diff_tells_the_kinds_apart(reranker: Path, tiny_artifact: Path) -> None:
    """An encoder and a reranker are different, and that is all that is said of them."""
    found = compare(open_artifact(tiny_artifact), open_artifact(reranker, kind="any"))
    assert found.verdict == "different" and found.space == (("kind", "encoder and reranker"),)
    assert found.probes is None
    assert run("diff", reranker, reranker).exit_code == 0
    assert "same reranker" in run("diff", reranker, reranker).output


def test_an_identity_of_one_kind_under_the_name_of_the_other_is_refused(reranker: Path, tmp_path: Path) -> None:
    """The kind is in the digest, and the manifest's own key of the id goes with it."""
    forged = tmp_path / "forged"
    shutil.copytree(reranker, forged)
    manifest = json.loads((forged / "manifest.json").read_text())
    mean = manifest["identity"]["recipe"] | {"combine": "token_weighted_mean"}
    for change in (
        {"space_id": manifest["reranker_id"]},
        {"identity": manifest["identity"] | {"kind": "encoder"}},
        {"identity": manifest["identity"] | {"activation": "identity"}},
        {"identity": manifest["identity"] | {"activation": "tanh"}},
        {"identity": manifest["identity"] | {"recipe": mean}},
    ):
        (forged / "manifest.json").write_text(json.dumps(manifest | change))
        with pytest.raises(ManifestInvalid):
            open_artifact(forged, kind="any")


def test_a_graph_of_another_reranker_is_found(reranker: Path, tmp_path: Path) -> None:
    """The weights that the id names are looked for in the graph, as in an encoder's."""
    other = export(save_layout(tmp_path / "other", "minilm", seed=2), tmp_path / "other-artifact")
    forged = tmp_path / "forged"
    shutil.copytree(reranker, forged)
    manifest = json.loads((forged / "manifest.json").read_text())
    for name in ("model.fp32.onnx", "probes.npz"):
        shutil.copyfile(other / name, forged / name)
        manifest["files"][name] = json.loads((other / "manifest.json").read_text())["files"][name]
    (forged / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactDamaged, match="is not the encoder of its space id"):
        Reranker.load(forged)


# -- folders that are refused


def test_a_misread_activation_is_found_by_the_reference(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Logits agree and scores do not: the gate looks at both."""
    monkeypatch.setattr("samespace.model.reranker._activation", lambda *_: "identity")
    with pytest.raises(GateFailed, match="of its scores"):
        export(folder, tmp_path / "artifact")
    assert not (tmp_path / "artifact").exists()


def test_swapped_sides_are_found_by_the_reference(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A passage read as the query is another score."""
    monkeypatch.setattr("samespace.reranking.pairs.split_pair", lambda text: tuple(reversed(_split(text))))
    with pytest.raises(GateFailed, match="of its logits"):
        export(folder, tmp_path / "artifact")


def _split(text: str) -> list[str]:
    length, _, rest = text.partition(":")
    return [rest[: int(length)], rest[int(length) :]]


@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        ("config.json", {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}}, "2 outputs"),
        ("config_sentence_transformers.json", {"activation_fn": "torch.nn.modules.activation.Tanh"}, "activation"),
        ("config_sentence_transformers.json", {"prompts": {"query": "q: "}}, "prompts"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "SparseEncoder"),
        ("sentence_bert_config.json", {"transformer_task": "text-generation"}, "text-generation"),
        ("config.json", {"mystery": 3}, "mystery"),
    ],
)
def test_what_is_not_understood_is_refused(
    folder: Path, tmp_path: Path, file: str, change: dict[str, Any], reason: str
) -> None:
    """By name, before anything is computed."""
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    (copy / file).write_text(json.dumps(json.loads((copy / file).read_text()) | change))
    with pytest.raises(ModelUnsupported, match=reason):
        export(copy, tmp_path / "artifact")


def test_options_of_encoders_are_refused(folder: Path, tmp_path: Path) -> None:
    """int8 has no gate for rerankers yet, and a pooling makes no encoder of one."""
    for options in (["--build", "int8", "--gate-data", "x"], ["--build", "fp16"]):
        found = run("export", folder, tmp_path / "artifact", *options)
        assert found.exit_code == 1
    found = run("export", folder.with_name("minilm-plain"), tmp_path / "encoder", "--pooling", "cls")
    assert found.exit_code == 1 and "a reranker is exported without --pooling" in str(found.exception)
    assert not (tmp_path / "encoder").exists()


def test_a_reranker_teaches_with_the_logits_of_its_cross_encoder(folder: Path, reranker: Path, tmp_path: Path) -> None:
    """Through `--teacher`: the artifact says what sentence-transformers says of the folder, and is asked once."""
    pairs = [(QUERY, passage) for passage in PASSAGES if passage]
    wanted = theirs(folder, [passage for _, passage in pairs], raw=True)
    teacher, again = (open_teacher(str(reranker), tmp_path / "cache") for _ in range(2))
    assert isinstance(teacher, RerankerTeacher) and isinstance(again, RerankerTeacher)
    assert teacher.scores(pairs) == pytest.approx(wanted, abs=1e-4)
    assert again.scores(pairs) == teacher.scores(pairs)
    assert (teacher.asked, again.asked) == (len(pairs), 0)
    other = open_teacher(str(export(save_layout(tmp_path / "bge", "bge"), tmp_path / "other")), tmp_path / "cache")
    assert other.scores(pairs) != pytest.approx(wanted, abs=1e-3)
