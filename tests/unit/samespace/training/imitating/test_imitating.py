"""Better vectors than the base's own, and learning them: each beside a slow version of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from scipy.linalg import orthogonal_procrustes  # noqa: E402 - after the skip

from samespace.errors import DataInvalid  # noqa: E402
from samespace.training.imitating.alignment import Alignment  # noqa: E402
from samespace.training.imitating.neighbours import drawn_together, unit  # noqa: E402
from samespace.training.imitating.vector_table import VectorTable, read_vectors  # noqa: E402
from samespace.training.losses.loss import LossTerms, loss_named  # noqa: E402
from samespace.training.losses.pairs import BatchPairs  # noqa: E402

RANDOM = np.random.default_rng(5)


def rows(count: int, dims: int) -> np.ndarray:
    return unit(RANDOM.normal(size=(count, dims)).astype(np.float32))


def test_a_passage_is_drawn_to_its_three_nearest() -> None:
    """By a loop over all pairs; pieces of one text are no neighbours of each other, nor is a passage its own."""
    p, groups = rows(40, 8), [row // 2 for row in range(40)]
    for given in (None, groups):
        expected = []
        for row in range(40):
            own = groups[row] if given else row
            others = [other for other in range(40) if (groups[other] if given else other) != own]
            near = sorted(others, key=lambda other: -float(p[row] @ p[other]))[:3]
            drawn = p[row] + 0.25 * np.mean([p[other] for other in near], axis=0)
            expected.append(drawn / np.linalg.norm(drawn))
        assert drawn_together(p, 0.25, given) == pytest.approx(np.array(expected), abs=1e-6)
    assert drawn_together(p, 0.0) is p
    assert drawn_together(p[:1], 0.25) is not None and np.array_equal(drawn_together(p[:1], 0.25), p[:1])


def test_nobody_is_drawn_to_pieces_of_the_same_text() -> None:
    """Where all are of one text there are no neighbours, and nothing moves."""
    p = rows(5, 4)
    assert drawn_together(p, 0.5, [7] * 5) == pytest.approx(p, abs=1e-6)


def test_turned_vectors_are_turned_back() -> None:
    """A space that is ours, turned, is found again; the turn is SciPy's where no direction is cut."""
    ours = rows(200, 6)
    turn = np.linalg.qr(RANDOM.normal(size=(6, 6)))[0].astype(np.float32)
    alignment = Alignment.between(ours @ turn, ours)
    assert ours @ turn @ alignment.turn == pytest.approx(ours, abs=1e-5)
    theirs = unit(ours @ turn + 0.3 * rows(200, 6))
    expected = orthogonal_procrustes(theirs, ours)[0]
    assert Alignment.between(theirs, ours).turn == pytest.approx(expected, abs=1e-4)


def test_more_dims_lose_only_what_differs_least() -> None:
    """Vectors of 12 dims that lie in 6 keep all their cosines; the mixture is the mean of both."""
    ours, spread = rows(100, 6), np.linalg.qr(RANDOM.normal(size=(12, 6)))[0].T.astype(np.float32)
    theirs = rows(100, 6) @ spread
    turned = theirs @ Alignment.between(theirs, ours).turn
    assert turned @ turned.T == pytest.approx(theirs @ theirs.T, abs=1e-5)
    mixed = Alignment.between(theirs, ours).mixed(theirs, ours)
    assert mixed == pytest.approx(unit(turned + ours), abs=1e-5)


def test_a_table_of_vectors_comes_back(tmp_path: Path) -> None:
    """Texts of any kind, the same text in both roles; what is no such file is named."""
    table = VectorTable.of(["a", "ü\n\ud7ff"], rows(2, 4), ["a"], rows(1, 4))
    table.write(tmp_path / "guide.npz")
    again = read_vectors(tmp_path / "guide.npz")
    assert np.array_equal(again(["ü\n\ud7ff", "a"], "query"), table.vectors["query"][[1, 0]])
    assert np.array_equal(again(["a"], "passage"), table.vectors["passage"])
    (tmp_path / "other.npz").write_bytes(b"PK")
    with pytest.raises(DataInvalid, match="no table of vectors"):
        read_vectors(tmp_path / "other.npz")
    np.savez(tmp_path / "short.npz", q=rows(1, 4), p=rows(1, 4), texts=np.frombuffer(b'[["a", "b"], ["c"]]', np.uint8))
    with pytest.raises(DataInvalid, match="1 and 1 vectors of 2 and 1 texts"):
        read_vectors(tmp_path / "short.npz")


def test_imitation_is_the_distance_to_the_guide() -> None:
    """0 where the vectors are the guide's, of any length; descent arrives there; trivial is the best constant's."""
    loss, terms = loss_named("imitate"), LossTerms()
    guide = tuple(torch.from_numpy(rows(count, 4)) for count in (6, 9))
    rows_q = torch.arange(6)
    alike = BatchPairs.alike(rows_q, rows_q, torch.zeros(6, 9, dtype=torch.bool), torch.ones(6))
    pairs = BatchPairs(**{name: getattr(alike, name) for name in alike.__slots__ if name != "guide"}, guide=guide)
    assert float(loss.formula(3 * guide[0], guide[1], pairs, terms)) == pytest.approx(0, abs=1e-5)
    assert float(loss.formula(-guide[0], guide[1], pairs, terms)) == pytest.approx(10, abs=1e-4)
    assert float(loss.formula(*guide, alike, terms)) == 0
    vectors = [torch.randn(len(each), 4, requires_grad=True) for each in guide]
    optimiser = torch.optim.Adam(vectors, lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        loss.formula(vectors[0], vectors[1], pairs, terms).backward()
        optimiser.step()
    assert loss.formula(vectors[0], vectors[1], pairs, terms).item() < 0.01
    constant = [each.mean(dim=0).expand_as(each) for each in guide]
    assert loss.trivial(pairs, terms) == pytest.approx(float(loss.formula(*constant, pairs, terms)), abs=1e-4)
