"""The loss of a batch through a real, tiny model: cached and not, and from files of texts to vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from fakes.models.pairs import make_collator, make_examples, texts  # noqa: E402
from samespace.model.checkpoint import CheckpointEncoder, load_checkpoint  # noqa: E402 - after the skip
from samespace.training.finetuning.batches import Batches, Negatives  # noqa: E402
from samespace.training.losses.batch import TrainingBatch  # noqa: E402
from samespace.training.losses.batch_loss import BatchLoss, LossSettings, guided, of_texts  # noqa: E402
from samespace.training.losses.masking import nothing_known  # noqa: E402
from samespace.training.sentinel.vitals import embed  # noqa: E402

SAME = 1e-6  # relative; in float64, where the order of sums is worth 1e-12, so that nothing hides behind rounding
LETTERS = "abcdefgh"


@pytest.fixture
def model(tiny_checkpoint: Path) -> Iterator[Any]:
    from sentence_transformers import SentenceTransformer

    yield SentenceTransformer(str(tiny_checkpoint)).eval()  # no dropout, so that two ways can be compared


def gradients(loss: BatchLoss, batch: TrainingBatch) -> tuple[float, dict[str, Any]]:
    loss.zero_grad()
    value = loss(batch)
    value.backward()
    return float(value.detach()), {name: p.grad.clone() for name, p in loss.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", ["infonce", "listwise", "margin_mse", "cosine_mse", "contrastive"])
@pytest.mark.parametrize("mini", [1, 5])
def test_the_cached_gradient_is_the_gradient(model: Any, tiny_checkpoint: Path, kind: str, mini: int) -> None:
    """In mini-batches of any size, loss and gradient equal those of the whole batch at once, for every loss."""
    words = texts(36)
    examples = make_examples(words[:12], words[12:24], [(text,) for text in words[24:]])
    teacher = {(words[i], words[12 + i]): 2.0 * i for i in range(12)} | {
        (words[i], words[24 + i]): 1.0 for i in range(12)
    }
    collator = make_collator(examples, tiny_checkpoint, teacher=lambda pairs: [teacher.get(pair) for pair in pairs])
    batch = collator.batch(list(range(12)))
    dims = (32, 16) if kind == "infonce" else ()
    both = [
        LossSettings(kind, mini_batch_size=size, learn_temperature=True, matryoshka_dims=dims) for size in (64, mini)
    ]
    (whole, expected), (cached, found) = (
        gradients(BatchLoss(model.double(), settings, collator.known).double(), batch) for settings in both
    )
    assert cached == pytest.approx(whole, rel=SAME)
    assert found.keys() == expected.keys()
    assert ("log_temperature" in found) == (kind in ("infonce", "listwise", "margin_mse"))
    most = max(float(gradient.abs().max()) for gradient in expected.values())  # a key's bias has none but rounding
    for name, gradient in expected.items():
        assert float((found[name] - gradient).abs().max()) <= SAME * most, name


def test_a_text_that_is_there_twice_counts_once(model: Any, tiny_checkpoint: Path) -> None:
    """Duplicates of the batch are one text: the loss is that of the pairs without the repeat as a negative."""
    words = texts(6)
    twice = make_examples([words[0], words[1], words[2]], [words[3], words[4], words[3]])
    batch = make_collator(twice, tiny_checkpoint).batch([0, 1, 2])
    assert len(batch.passage.ids) == 2
    loss = BatchLoss(model, LossSettings(mini_batch_size=64), nothing_known())
    told = loss.pairs(batch)
    assert told.masked.shape == (3, 2)


def test_known_answers_are_masked_in_the_batch(model: Any, tiny_checkpoint: Path) -> None:
    """A query's other answer is no negative of it; without masking it is."""
    words = texts(6)
    examples = make_examples([words[0], words[0], words[1]], [words[3], words[4], words[5]])
    collator = make_collator(examples, tiny_checkpoint)
    batch = collator.batch([0, 2, 1])
    masked = BatchLoss(model, LossSettings(), collator.known).pairs(batch).masked
    row = int(batch.queries[0])
    assert masked[row, batch.passages].tolist() == [True, False, True]
    assert not BatchLoss(model, LossSettings(), nothing_known()).pairs(batch).masked.any()


def test_a_guide_masks_what_it_puts_above_the_right_answer() -> None:
    """Strictly above; of two own answers the lower one is the bar; a query without an answer here is not masked."""
    scores = torch.tensor([[0.5, 0.9, 0.5], [0.2, 0.8, 0.6], [0.9, 0.9, 0.9]])
    masked = guided(scores, torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2]))
    assert masked.tolist() == [[False, True, False], [False, True, False], [False, False, False]]


def test_long_texts_are_cut_and_counted(tiny_checkpoint: Path) -> None:
    """A passage beyond the limit becomes its first window, windows are in the order of length, the cut is counted."""
    encoder = load_checkpoint(tiny_checkpoint).text_encoder
    limit = encoder.recipe.token_limit
    collator = make_collator(make_examples(["ab ab ab", "abc"], ["a b c d " * limit, "c"]), tiny_checkpoint)
    made = collator.batch([0, 1])
    assert collator.cut == {"query": 0, "passage": 1}
    assert made.passage.mask.sum(dim=1).tolist() == [3, limit]
    assert made.passages.tolist() == [0, 1]
    assert made.passage.parts.tolist() == [[0, limit - 2], [1, 0]]


def test_long_passages_are_trained_by_the_vector_that_is_served(model: Any, tiny_checkpoint: Path) -> None:
    """With windows, a passage's vector in the loss is the pooled one of the text path; the cached gradient holds."""
    checkpoint = load_checkpoint(tiny_checkpoint)
    limit = checkpoint.text_encoder.recipe.token_limit
    passages = ["a b c d " * (limit // 3), "c", "f g h " * (limit // 4), "d e"]
    examples = make_examples(texts(4), passages)
    collator = make_collator(examples, tiny_checkpoint, windows=2)
    batch = collator.batch([0, 1, 2, 3])
    assert collator.cut == {"query": 0, "passage": 0}
    assert len(batch.passage.ids) > len(passages)
    found = of_texts(embed(model, batch.passage, 3), batch.passage.parts)
    served = np.asarray(CheckpointEncoder(checkpoint).encode(passages, "passage"))
    np.testing.assert_allclose(found.numpy(), served, atol=1e-5)
    (whole, expected), (cached, got) = (
        gradients(BatchLoss(model.double(), LossSettings(mini_batch_size=size), collator.known).double(), batch)
        for size in (64, 2)
    )
    assert cached == pytest.approx(whole, rel=SAME)
    most = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        assert float((got[name] - gradient).abs().max()) <= SAME * most, name


def test_batches_hold_each_example_once_and_no_text_twice() -> None:
    """Equal sizes, all examples, no shared texts while there is room; the epoch decides the order."""
    queries = np.repeat(np.arange(200), 2)
    passages = np.arange(400)
    batches = Batches(queries, passages, 8, seed=1)
    made = list(batches)
    assert len(made) == len(batches) == 50
    assert sorted(row for batch in made for row in batch) == list(range(400))
    assert {len(batch) for batch in made} == {8}
    shared = sum(8 - len({int(queries[row]) for row in batch}) for batch in made)
    assert shared <= 1  # the very last examples may find room only beside a relative; random batches share about 7
    assert list(batches) == made
    batches.set_epoch(1)
    assert list(batches) != made
    uneven = Batches(np.arange(10), np.arange(10), 3, seed=1, multiple=2)
    assert [len(batch) for batch in uneven] == [3, 3, 2, 2]


def test_what_conflicts_everywhere_still_has_a_place() -> None:
    """One query with more answers than there are batches: the mask has to do, nothing is dropped."""
    made = list(Batches(np.zeros(9, dtype=np.int64), np.arange(9), 4, seed=1))
    assert sorted(row for batch in made for row in batch) == list(range(9))


def test_negatives_are_drawn_anew_each_epoch_and_alike_for_a_seed() -> None:
    """As many as asked, of the data's own and the mined ones."""
    negatives = Negatives([("a", "b")], 2, seed=4, corpus=("c", "d", "e"), mined={"q": [0, 1, 2]})
    drawn = [negatives.draw(0, "q", epoch) for epoch in range(20)]
    assert all(len(set(each)) == 2 for each in drawn)
    assert {text for each in drawn for text in each} == {"a", "b", "c", "d", "e"}
    assert drawn[3] == negatives.draw(0, "q", 3)
    assert Negatives([("a",)], 5, seed=4).draw(0, "q", 0) == ["a"]
