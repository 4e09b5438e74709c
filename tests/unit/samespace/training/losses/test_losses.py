"""The losses against slow, obvious versions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from samespace.training.losses import formulas as losses  # noqa: E402 - after the skip

SAME = 1e-6  # of float32 losses near 1
T = 0.1


def examples(queries: list[int], passages: list[int], shape: tuple[int, int], **more: Any) -> losses.BatchPairs:
    count = len(queries)
    columns: dict[str, Any] = {
        "weights": torch.ones(count),
        "masked": torch.zeros(shape, dtype=torch.bool),
        "labels": torch.ones(count),
        "rivals": torch.full((count,), -1),
        "margins": torch.zeros(count),
    } | more
    return losses.BatchPairs(
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
    found = losses.info_nce(q, p, given, T, symmetric=symmetric)
    assert float(found) == pytest.approx(slow_info_nce(cosine(q, p), pairs, masked.numpy(), symmetric), abs=SAME)


def test_vectors_that_are_all_one_reach_the_trivial_loss() -> None:
    """InfoNCE of a collapsed encoder is the mean log of the number of terms, whatever is masked."""
    masked = torch.zeros(4, 6, dtype=torch.bool)
    masked[0, 1] = masked[2, 5] = True
    given = examples([0, 1, 2, 3], [0, 1, 2, 3], (4, 6), masked=masked, weights=torch.tensor([1.0, 2.0, 1.0, 1.0]))
    same_q, same_p = torch.ones(4, 3), torch.ones(6, 3)
    for symmetric in (True, False):
        value = float(losses.info_nce(same_q, same_p, given, T, symmetric=symmetric))
        assert value == pytest.approx(losses.trivial_loss("infonce", given, symmetric=symmetric), abs=SAME)


def test_weights_are_as_if_an_example_were_there_more_often(vectors: tuple[Any, Any]) -> None:
    """An example of weight 2 counts like two of weight 1."""
    q, p = vectors
    doubled = examples([0, 1, 1], [0, 1, 1], (3, 5))
    weighted = examples([0, 1], [0, 1], (3, 5), weights=torch.tensor([1.0, 2.0]))
    assert float(losses.info_nce(q, p, weighted, T, symmetric=True)) == pytest.approx(
        float(losses.info_nce(q, p, doubled, T, symmetric=True)), abs=SAME
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
    assert float(losses.margin_mse(q, p, given, T)) == pytest.approx(expected, rel=SAME)
    assert losses.trivial_loss("margin_mse", given) == pytest.approx((4 + 1) / 2)


def test_labelled_losses_are_their_formulas(vectors: tuple[Any, Any]) -> None:
    """Cosine MSE and the contrastive loss, pair by pair; a constant answer reaches the trivial loss."""
    q, p = vectors
    labels = torch.tensor([1.0, 0.0, 0.5])
    given = examples([0, 1, 2], [0, 1, 2], (3, 5), labels=labels)
    own = [cosine(q, p)[i, i] for i in range(3)]
    mse = np.mean([(c - y) ** 2 for c, y in zip(own, labels.tolist(), strict=True)])
    assert float(losses.cosine_mse(q, p, given)) == pytest.approx(mse, abs=SAME)
    apart = np.mean(
        [y * (1 - c) ** 2 + (1 - y) * max(0, 0.5 - (1 - c)) ** 2 for c, y in zip(own, labels.tolist(), strict=True)]
    )
    assert float(losses.contrastive(q, p, given)) == pytest.approx(apart, abs=SAME)
    assert losses.trivial_loss("cosine_mse", given) == pytest.approx(np.var([1, 0, 0.5]))
    best = min(
        np.mean([y * d**2 + (1 - y) * max(0, 0.5 - d) ** 2 for y in (1, 0, 0.5)]) for d in np.linspace(0, 1, 2001)
    )
    assert losses.trivial_loss("contrastive", given) == pytest.approx(best, abs=1e-5)


def test_matryoshka_is_the_mean_over_prefixes(vectors: tuple[Any, Any]) -> None:
    """Each length is scored as a vector of its own, normalised anew."""
    q, p = vectors
    given = examples([0, 1], [0, 1], (3, 5))

    def loss(left: Any, right: Any) -> Any:
        return losses.info_nce(left, right, given, T, symmetric=True)

    nested = float(losses.matryoshka(loss, (8, 4))(q, p))
    assert nested == pytest.approx((float(loss(q, p)) + float(loss(q[:, :4], p[:, :4]))) / 2, abs=SAME)
