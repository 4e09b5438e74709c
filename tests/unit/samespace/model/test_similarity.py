"""Models for dot products: known by their settings, their names or their cards; refused unless vectors are scaled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samespace.errors import ModelUnsupported
from samespace.model.folder.similarity import dot_product, require_cosine

DOT_CARD = "# A model\n\n```python\nscores = util.dot_score(query_emb, doc_emb)[0]\n```\n"
_DISTANCES = ("euclidean", "manhattan")
BOTH_CARD = "# A model\n\nuse util.dot_score(a, b) or util.cos_sim(a, b)\n"


def folder_with(tmp_path: Path, card: str) -> Path:
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "card"),
    [
        ("sentence-transformers/msmarco-distilbert-base-tas-b", ""),
        ("facebook/contriever", ""),
        ("sentence-transformers/msmarco-bert-base-dot-v5", ""),
        ("model", "# sentence-transformers/facebook-dpr-ctx_encoder-single-nq-base\n"),
        ("model", DOT_CARD),
        ("model", "- **Similarity Function:** Dot Product\n"),
    ],
)
def test_a_model_for_dot_products_is_refused(source: str, card: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, card)
    with pytest.raises(ModelUnsupported, match="their lengths count"):
        require_cosine({}, folder, False, source)
    require_cosine({}, folder, True, source)  # with a Normalize module the two are one


@pytest.mark.parametrize("card", ["", BOTH_CARD, "- **Similarity Function:** Cosine Similarity\n"])
def test_other_models_are_not(card: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, card)
    require_cosine({"similarity_fn_name": "cosine"}, folder, False, "organisation/encoder")
    assert not dot_product(folder, "organisation/encoder")


def test_vectors_of_unit_length_rank_by_sums_as_they_do_not_by_cosine(tmp_path: Path) -> None:
    """Euclidean distances of unit vectors rank as cosine does, by sentence-transformers; sums of differences do not."""
    util = pytest.importorskip("sentence_transformers").SimilarityFunction.to_similarity_fn
    rows = np.random.default_rng(1).standard_normal((60, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    order = {name: np.argsort(-np.asarray(util(name)(rows, rows)), axis=1) for name in ("cosine", *_DISTANCES)}
    for name in _DISTANCES:
        same = bool((order[name] == order["cosine"]).all())
        settings = {"similarity_fn_name": name}
        if same:
            require_cosine(settings, tmp_path, True, "organisation/encoder")
        else:
            with pytest.raises(ModelUnsupported, match=f"similarity {name!r}, which ranks otherwise"):
                require_cosine(settings, tmp_path, True, "organisation/encoder")
    assert (order["euclidean"] == order["cosine"]).all()
