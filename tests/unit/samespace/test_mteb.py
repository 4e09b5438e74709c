"""Our artifacts in `mteb.evaluate`: the scores of sentence-transformers on the folder, to 1e-4, on local data."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from fakes.models.encoders import WORDS, save_tiny_bert
from samespace import Encoder
from samespace.errors import RequestInvalid

pytest.importorskip("mteb", reason="mteb is not installed: pip install 'samespace[mteb]'")
import mteb
from datasets import Dataset, DatasetDict
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata

from samespace.adapters.mteb import MtebEncoder

pytestmark = [pytest.mark.filterwarnings("ignore")]  # of datasets and its file system
SAME_SCORE = 1e-4
PROMPTS = {"query": "query: ", "document": "passage: "}
_DRAW = random.Random(5)
PASSAGES = [" ".join(_DRAW.choices(WORDS, k=8)) for _ in range(60)]
QUERIES = [" ".join(_DRAW.choices(passage.split(), k=4)) for passage in PASSAGES[:20]]


def _metadata(name: str, kind: str, score: str) -> TaskMetadata:
    return TaskMetadata(
        name=name, dataset={"path": "local/none", "revision": "1"}, description="Made here.", type=kind,  # type: ignore[arg-type]
        category="t2t", modalities=["text"], eval_splits=["test"], eval_langs=["eng-Latn"], main_score=score,
        date=None, domains=None, task_subtypes=None, license=None, annotations_creators=None, dialect=None,
        sample_creation=None, bibtex_citation=None,
    )  # fmt: skip


class Local(AbsTaskRetrieval):
    metadata = _metadata("LocalRetrieval", "Retrieval", "ndcg_at_10")

    def load_data(self, *_: Any, **__: Any) -> None:
        corpus = [{"id": f"p{row}", "title": "", "text": text} for row, text in enumerate(PASSAGES)]
        queries = [{"id": f"q{row}", "text": text} for row, text in enumerate(QUERIES)]
        judged = {f"q{row}": {f"p{row}": 1} for row in range(len(QUERIES))}
        split = {
            "corpus": Dataset.from_list(corpus), "queries": Dataset.from_list(queries), "relevant_docs": judged,
            "top_ranked": None,
        }  # fmt: skip
        self.dataset = {"default": {"test": split}}  # type: ignore[assignment, dict-item]
        self.data_loaded = True


class Pairs(AbsTaskSTS):
    metadata = _metadata("LocalPairs", "STS", "cosine_spearman")
    min_score, max_score = 0, 1

    def load_data(self, *_: Any, **__: Any) -> None:
        rows = [
            {"sentence1": one, "sentence2": other, "score": (7 * row % 60) / 60}
            for row, (one, other) in enumerate(zip(PASSAGES, reversed(PASSAGES), strict=True))
        ]
        self.dataset = DatasetDict({"test": Dataset.from_list(rows)})  # type: ignore[assignment]
        self.data_loaded = True


def _score(model: Any, task: Any) -> dict[str, float]:
    result = mteb.evaluate(model, task, cache=None, co2_tracker=False, show_progress_bar=False)
    scores = result.task_results[0].scores["test"][0]
    return {name: value for name, value in scores.items() if isinstance(value, float)}


def test_scores_are_those_of_sentence_transformers(tmp_path: Path) -> None:
    """Retrieval with two prompts, and pairs without a role, which a prompted encoder refuses until one is named."""
    from sentence_transformers import SentenceTransformer

    from samespace.exporting.package import export_artifact
    from samespace.model.checkpoint import load_checkpoint

    prompted = save_tiny_bert(tmp_path / "prompted", seed=4, prompts=PROMPTS)
    plain = save_tiny_bert(tmp_path / "plain", seed=4)
    for folder in (prompted, plain):
        export_artifact(load_checkpoint(folder), tmp_path / f"{folder.name}.artifact")
    with (
        Encoder.load(tmp_path / "prompted.artifact", build="fp32") as ours,
        Encoder.load(tmp_path / "plain.artifact", build="fp32") as without,
    ):
        wanted = _score(SentenceTransformer(str(prompted), device="cpu"), Local())
        unlike = _score(SentenceTransformer(str(plain), device="cpu"), Local())
        found = _score(MtebEncoder(ours), Local())
        assert abs(wanted["ndcg_at_10"] - unlike["ndcg_at_10"]) > 100 * SAME_SCORE  # prompts matter on this set
        compared = sorted(name for name in wanted if name.startswith(("ndcg", "map", "recall", "mrr")))
        assert len(compared) > 10
        assert {name: found[name] for name in compared} == pytest.approx(
            {name: wanted[name] for name in compared}, abs=SAME_SCORE
        )
        with pytest.raises(RequestInvalid, match="LocalPairs has no roles"):
            _score(MtebEncoder(ours), Pairs())
        assert _score(MtebEncoder(ours, role_of_pairs="query"), Pairs())
        wanted = _score(SentenceTransformer(str(plain), device="cpu"), Pairs())
        assert _score(MtebEncoder(without), Pairs())["cosine_spearman"] == pytest.approx(
            wanted["cosine_spearman"], abs=SAME_SCORE
        )
        meta = MtebEncoder(ours).mteb_model_meta
        assert meta is not None and meta.revision == ours.space_id and meta.embed_dim == ours.dims
