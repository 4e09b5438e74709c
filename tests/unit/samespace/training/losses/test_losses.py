"""The losses against slow, obvious versions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from samespace.training.losses.loss import LossTerms, loss_named, loss_names  # noqa: E402 - after the skip
from samespace.training.losses.pairs import BatchPairs, matryoshka  # noqa: E402

INFONCE = loss_named("infonce")
SAME = 1e-6  # of float32 losses near 1
T = 0.1


def examples(queries: list[int], passages: list[int], shape: tuple[int, int], **more: Any) -> BatchPairs:
    count = len(queries)
    columns: dict[str, Any] = {
        "weights": torch.ones(count),
        "masked": torch.zeros(shape, dtype=torch.bool),
        "labels": torch.ones(count),
        "rivals": torch.full((count,), -1),
        "margins": torch.zeros(count),
    } | more
    return BatchPairs(
        queries=torch.tensor(queries), passages=torch.tensor(passages), total=columns["weights"].sum(), **columns
    )


@pytest.fixture
def vectors() -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 8, generator=generator), torch.randn(5, 8, generator=generator)


def cosine(q: Any, p: Any) -> np.ndarray:
    q, p = q.double().numpy(), p.double().numpy()
    return np.asarray((q / np.linalg.norm(q, axis=1, keepdims=True)) @ (p / np.linalg.norm(p, axis=1, keepdims=True)).T)


def slow_info_nce(scores: np.ndarray, pairs: list[tuple[int, int]], masked: np.ndarray, symmetric: bool) -> float:
    total = []
    for q, p in pairs:
        terms = [math.exp(scores[q, j] / T) for j in range(scores.shape[1]) if j == p or not masked[q, j]]
        value = math.log(sum(terms)) - scores[q, p] / T
        if symmetric:
            back = [math.exp(scores[i, p] / T) for i in range(scores.shape[0]) if i == q or not masked[i, p]]
            value = (value + math.log(sum(back)) - scores[q, p] / T) / 2
        total.append(value)
    return float(np.mean(total))


@pytest.mark.parametrize("symmetric", [True, False])
def test_info_nce_is_the_formula_over_what_is_not_masked(vectors: tuple[Any, Any], symmetric: bool) -> None:
    """Cross entropy over all passages but the masked ones; the example's own always counts, also where it is masked."""
    q, p = vectors
    masked = torch.zeros(3, 5, dtype=torch.bool)
    masked[0, 1] = masked[0, 0] = masked[1, 4] = True
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1)]
    given = examples([a for a, _ in pairs], [b for _, b in pairs], (3, 5), masked=masked)
    found = INFONCE.formula(q, p, given, LossTerms(T, symmetric))
    assert float(found) == pytest.approx(slow_info_nce(cosine(q, p), pairs, masked.numpy(), symmetric), abs=SAME)


def test_vectors_that_are_all_one_reach_the_trivial_loss() -> None:
    """InfoNCE of a collapsed encoder is the mean log of the number of terms, whatever is masked."""
    masked = torch.zeros(4, 6, dtype=torch.bool)
    masked[0, 1] = masked[2, 5] = True
    given = examples([0, 1, 2, 3], [0, 1, 2, 3], (4, 6), masked=masked, weights=torch.tensor([1.0, 2.0, 1.0, 1.0]))
    same_q, same_p = torch.ones(4, 3), torch.ones(6, 3)
    for symmetric in (True, False):
        value = float(INFONCE.formula(same_q, same_p, given, LossTerms(T, symmetric)))
        assert value == pytest.approx(INFONCE.trivial(given, LossTerms(T, symmetric)), abs=SAME)


def test_weights_are_as_if_an_example_were_there_more_often(vectors: tuple[Any, Any]) -> None:
    """An example of weight 2 counts like two of weight 1."""
    q, p = vectors
    doubled = examples([0, 1, 1], [0, 1, 1], (3, 5))
    weighted = examples([0, 1], [0, 1], (3, 5), weights=torch.tensor([1.0, 2.0]))
    assert float(INFONCE.formula(q, p, weighted, LossTerms(T, True))) == pytest.approx(
        float(INFONCE.formula(q, p, doubled, LossTerms(T, True))), abs=SAME
    )


def test_margin_mse_compares_margins(vectors: tuple[Any, Any]) -> None:
    """The square of student margin minus teacher margin; examples without a rival do not count."""
    q, p = vectors
    given = examples(
        [0, 1, 2], [0, 1, 2], (3, 5), rivals=torch.tensor([3, -1, 4]), margins=torch.tensor([2.0, 0.0, -1.0]),
        weights=torch.tensor([1.0, 0.0, 1.0]),
    )  # fmt: skip
    scores = cosine(q, p) / T
    expected = ((scores[0, 0] - scores[0, 3] - 2) ** 2 + (scores[2, 2] - scores[2, 4] + 1) ** 2) / 2
    assert float(loss_named("margin_mse").formula(q, p, given, LossTerms(T))) == pytest.approx(expected, rel=SAME)
    assert loss_named("margin_mse").trivial(given, LossTerms()) == pytest.approx((4 + 1) / 2)


def test_listwise_is_the_divergence_from_the_teachers_softmax(vectors: tuple[Any, Any]) -> None:
    """KL(teacher || student) over the scored candidates, by torch's own kl_div; lists of unlike lengths."""
    q, p = vectors
    candidates = torch.tensor([[0, 3, 4], [1, 2, -1], [2, -1, -1]])
    scores = torch.tensor([[4.0, 1.0, -2.0], [0.5, 1.5, 0.0], [0.0, 0.0, 0.0]])
    given = examples(
        [0, 1, 2], [0, 1, 2], (3, 5), candidates=candidates, scores=scores, rivals=torch.tensor([3, 2, -1]),
        weights=torch.tensor([1.0, 1.0, 0.0]),
    )  # fmt: skip
    cosines, expected = torch.tensor(cosine(q, p)), []
    for row, width in ((0, 3), (1, 2)):
        student = torch.log_softmax(cosines[row, candidates[row, :width]] / T, dim=0)
        teacher = torch.log_softmax(scores[row, :width].double() / 2, dim=0)
        expected.append(float(torch.nn.functional.kl_div(student, teacher, log_target=True, reduction="sum")))
    found = loss_named("listwise").formula(q, p, given, LossTerms(T, teacher_temperature=2.0))
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-5)


def test_listwise_is_trivial_for_equal_cosines_and_zero_for_the_teachers_own() -> None:
    """Vectors that are all one reach the trivial loss; a student with the teacher's scores reaches 0; none is nan."""
    listwise = loss_named("listwise")
    candidates, scores = torch.tensor([[0, 1, 2], [0, 1, -1]]), torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.6, 0.0]])
    given = examples([0, 1], [0, 0], (2, 3), candidates=candidates, scores=scores, rivals=torch.tensor([1, 1]))
    terms = LossTerms(T, teacher_temperature=T)
    flat = listwise.formula(torch.ones(2, 4), torch.ones(3, 4), given, terms)
    assert float(flat) == pytest.approx(listwise.trivial(given, terms), abs=SAME)
    own = examples([0], [0], (1, 3), candidates=candidates[:1], scores=scores[:1], rivals=torch.tensor([1]))
    heights = scores[:1].T
    p = torch.cat([heights, (1 - heights**2).sqrt()], dim=1)  # unit rows whose cosines with q are the scores
    assert float(listwise.formula(torch.tensor([[1.0, 0.0]]), p, own, terms)) == pytest.approx(0, abs=SAME)
    q = torch.randn(2, 4, requires_grad=True)
    nothing = examples(
        [0, 1], [0, 1], (2, 3), candidates=torch.full((2, 1), -1), scores=torch.zeros(2, 1), weights=torch.zeros(2)
    )
    listwise.formula(q, torch.randn(3, 4), nothing, terms).backward()
    assert bool(torch.isfinite(q.grad).all())


def test_labelled_losses_are_their_formulas(vectors: tuple[Any, Any]) -> None:
    """Cosine MSE and the contrastive loss, pair by pair; a constant answer reaches the trivial loss."""
    q, p = vectors
    labels = torch.tensor([1.0, 0.0, 0.5])
    given = examples([0, 1, 2], [0, 1, 2], (3, 5), labels=labels)
    own = [cosine(q, p)[i, i] for i in range(3)]
    mse = np.mean([(c - y) ** 2 for c, y in zip(own, labels.tolist(), strict=True)])
    assert float(loss_named("cosine_mse").formula(q, p, given, LossTerms())) == pytest.approx(mse, abs=SAME)
    apart = np.mean(
        [y * (1 - c) ** 2 + (1 - y) * max(0, 0.5 - (1 - c)) ** 2 for c, y in zip(own, labels.tolist(), strict=True)]
    )
    assert float(loss_named("contrastive").formula(q, p, given, LossTerms())) == pytest.approx(apart, abs=SAME)
    assert loss_named("cosine_mse").trivial(given, LossTerms()) == pytest.approx(np.var([1, 0, 0.5]))
    best = min(
        np.mean([y * d**2 + (1 - y) * max(0, 0.5 - d) ** 2 for y in (1, 0, 0.5)]) for d in np.linspace(0, 1, 2001)
    )
    assert loss_named("contrastive").trivial(given, LossTerms()) == pytest.approx(best, abs=1e-5)


def test_matryoshka_is_the_mean_over_prefixes(vectors: tuple[Any, Any]) -> None:
    """Each length is scored as a vector of its own, normalised anew."""
    q, p = vectors
    given = examples([0, 1], [0, 1], (3, 5))

    def loss(left: Any, right: Any) -> Any:
        return INFONCE.formula(left, right, given, LossTerms(T, True))

    nested = float(matryoshka(loss, (8, 4))(q, p))
    assert nested == pytest.approx((float(loss(q, p)) + float(loss(q[:, :4], p[:, :4]))) / 2, abs=SAME)


def test_a_loss_is_one_file() -> None:
    """Whatever lies in `kinds` is a loss of that name: configurations offer it, and its needs decide on data."""
    from pathlib import Path

    from samespace.training.finetuning.config import make_config
    from samespace.training.losses import kinds

    files = {file.stem for file in Path(kinds.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(loss_names()) == files >= {"infonce", "margin_mse", "cosine_mse", "contrastive"}
    by_needs = [name for needs in ("pairs", "labels", "teacher") for name in loss_names(needs)]
    assert sorted(by_needs) == sorted(files)
    assert "infonce" in loss_names("pairs") and {"listwise", "margin_mse"} <= set(loss_names("teacher"))
    for name in loss_names():
        teacher = "scores.jsonl" if loss_named(name).needs == "teacher" else ""
        assert make_config({"data": "d", "out": "o", "loss": name, "teacher": teacher}).loss == name


def test_losses_are_named_without_torch() -> None:
    """A configuration is read, and its loss checked, where torch is not installed."""
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from samespace.training.finetuning.config import make_config\n"
        "make_config({'data': 'd', 'out': 'o', 'loss': 'cosine_mse'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
