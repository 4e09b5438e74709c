"""Models for dot products: known by their settings, their names or their cards; refused unless vectors are scaled."""

from __future__ import annotations

from pathlib import Path

import pytest

from samespace.errors import ModelUnsupported
from samespace.model.folder.similarity import dot_product, require_cosine

DOT_CARD = "# A model\n\n```python\nscores = util.dot_score(query_emb, doc_emb)[0]\n```\n"
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
