"""Cards on a hub: huggingface_hub's own reader finds what was measured, and the usage runs as it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")

from huggingface_hub import ModelCard

from samespace import Encoder
from samespace.artifact import open_artifact
from samespace.exporting import hub_header
from samespace.exporting.hub_header import MODEL_USAGE, Origin, header, origin_of, results_of
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import CheckpointEncoder, load_checkpoint

QUERY, PASSAGE = "how do I flatten a list", "Use itertools.chain."
BASE_CARD = "---\nlicense: mit\nlanguage: [en, de]\nbase_model: acme/older\n---\n# Base\n"


def record(*, chosen: bool = False, better: bool = True) -> dict[str, Any]:
    score = {"ndcg@10": 0.51239, "recall@100": 0.6, "mrr@10": 0.4}
    against = {"mean": 0.03, "low": 0.01, "high": 0.05, "p_value": 0.013, "wins": 9, "losses": 1, "queries": 41}
    return {
        "config": {"dev_split": "test"},
        "data": {"folder": "my set"},
        "rate_probe": {"trials": [{}]} if chosen else None,
        "scores": {"test": {"base": score | {"ndcg@10": 0.48}, "trained": score}},
        "comparisons": {"test": {"base": against}},
        "better_than_base": better,
    }


def run(code: str, folder: Path) -> np.ndarray:
    """What *code* prints in *folder*, as numbers."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=folder, capture_output=True, text=True,
                          timeout=120, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return np.array([float(each) for each in re.findall(r"-?\d\.\d+", done.stdout)])


def code_of(card: str) -> str:
    found = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_header_is_what_the_hub_reads() -> None:
    """Every field, by huggingface_hub's reader; a name with what YAML would take for its own stays a name."""
    origin = Origin("acme/base", ("apache-2.0",), ("en",))
    name = 'yes: "a" # [b]'
    card = ModelCard(header(origin, name, "sentence-transformers", results_of(record()), ("x",)) + "# Title\n")
    data = card.data
    assert (data.license, data.language, data.base_model) == ("apache-2.0", ["en"], "acme/base")
    assert (data.library_name, data.pipeline_tag) == ("sentence-transformers", "sentence-similarity")
    assert {"sentence-transformers", "samespace", "x"} <= set(data.tags) and data.model_name == name
    found = {each.metric_type: each for each in data.eval_results}
    assert found["ndcg_at_10"].metric_value == 0.5124 and found["ndcg_at_10"].dataset_split == "test"
    assert found["ndcg_at_10"].dataset_name == "my set (test)"
    assert set(found) == {"ndcg_at_10", "recall_at_100", "mrr_at_10"}


def test_what_a_split_says_that_chose_is_no_result() -> None:
    """A hub ranks by these numbers."""
    assert results_of(record(chosen=True)) == []
    data = ModelCard(header(Origin(), "a", "samespace", results_of(record(chosen=True)))).data
    assert data.eval_results is None and data.license is None and data.base_model is None


def test_licence_and_base_are_never_guessed(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A folder's own card names them, also of a folder that is known by its path alone; without it nothing is said."""
    assert origin_of(str(tiny_checkpoint)) == Origin()
    assert "not known" in origin_of(str(tiny_checkpoint)).sentence()
    shutil.copytree(tiny_checkpoint, tmp_path / "base")
    (tmp_path / "base" / "README.md").write_text(BASE_CARD)
    assert origin_of(str(tmp_path / "base")) == Origin("acme/older", ("mit",), ("en", "de"))
    (tmp_path / "base" / "README.md").write_text("---\n: [broken\n---\n")
    assert origin_of(str(tmp_path / "base")) == Origin()
    assert origin_of("acme/nowhere-at-all") == Origin("acme/nowhere-at-all")


@pytest.mark.parametrize(
    ("said", "keys"),
    [
        ("license:\n- mit\n- apache-2.0\n", {"license": ["mit", "apache-2.0"]}),
        (
            "license: other\nlicense_name: some-terms\nlicense_link: https://some.example/terms\n",
            {"license": "other", "license_name": "some-terms", "license_link": "https://some.example/terms"},
        ),
    ],
)
def test_a_licence_goes_along_whole(said: str, keys: dict[str, Any], tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Several licences, and terms of somebody's own with their address: what the base's card has, the new one has."""
    shutil.copytree(tiny_checkpoint, tmp_path / "base")
    (tmp_path / "base" / "README.md").write_text(f"---\n{said}---\n# Base\n")
    origin = origin_of(str(tmp_path / "base"))
    data = ModelCard(header(origin, "a", "samespace")).data.to_dict()
    assert {key: value for key, value in data.items() if key.startswith("license")} == keys
    assert "not known" not in origin.sentence()
    assert all(
        word in origin.sentence() for value in keys.values() for word in (value if isinstance(value, list) else [value])
    )


def test_an_artifact_s_card(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Header, id, verdict with split and interval; its usage gives the cosine that the artifact gives."""
    shutil.copytree(tiny_checkpoint, tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text(BASE_CARD)
    provenance = {"training": record()}
    export_artifact(load_checkpoint(str(tmp_path / "model")), tmp_path / "out", name="tiny", provenance=provenance)
    text = open_artifact(tmp_path / "out").read("README.md").decode()
    card = ModelCard(text)
    assert (card.data.license, card.data.base_model, card.data.library_name) == ("mit", "acme/older", "samespace")
    assert "onnx" in card.data.tags and card.data.eval_results[0].metric_value == 0.5124
    assert open_artifact(tmp_path / "out").space_id in card.text
    assert "on 41 questions of test (95 % interval +1.0 to +5.0, p = 0.0130" in card.text
    with Encoder.load(tmp_path / "out") as encoder:
        q, p = encoder.encode([QUERY], role="query"), encoder.encode([PASSAGE], role="passage")
    assert run(code_of(text), tmp_path / "out") == pytest.approx(np.asarray(q @ p.T).ravel(), abs=1e-5)


def test_a_model_folder_s_usage(tiny_checkpoint: Path) -> None:
    """sentence-transformers on the folder gives the cosine that is exported."""
    encoder = CheckpointEncoder(load_checkpoint(str(tiny_checkpoint)))
    q, p = encoder.encode([QUERY], "query"), encoder.encode([PASSAGE], "passage")
    assert run(code_of(MODEL_USAGE), tiny_checkpoint) == pytest.approx(np.asarray(q @ p.T).ravel(), abs=1e-5)


def test_tags_have_no_doubles() -> None:
    """Also where the library is a tag already."""
    tags = ModelCard(header(Origin(), "a", "samespace", tags=("onnx", "retrieval"))).data.tags
    assert len(tags) == len(set(tags)) and set(hub_header.TAGS) <= set(tags)
