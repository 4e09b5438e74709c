"""Pairs that do not belong together are named, and pairs that are only hard are not."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("datasketch", reason="needs the extra train")

from samespace.errors import DataInvalid
from samespace.evaluation.baselines import tokenized
from samespace.training.data.examples import Examples, TrainingData
from samespace.training.data.sources import load_data
from samespace.training.doctor import Diagnosis, Questions, examine
from samespace.training.doctor.diagnosis import interval
from samespace.training.doctor.examine import checkup
from samespace.training.doctor.pairing import nearness_by, placed
from samespace.training.doctor.wrong_pairs import area_under_curve, wrong_share


@pytest.fixture(scope="module")
def stackfaq(shared_data: Path) -> TrainingData:
    """A real set: rephrased questions of which one in ten shares no word with its answer."""
    return load_data(shared_data / "stackfaq")


def with_train(data: TrainingData, examples: Examples) -> TrainingData:
    return dataclasses.replace(data, splits={**data.splits, "train": examples})


def mixed_up(data: TrainingData, share: float, seed: int = 3) -> TrainingData:
    """A share of the training pairs has a passage drawn from all."""
    part, draw = data.splits["train"], random.Random(seed)
    passages, ids = list(part.passages), list(part.passage_ids)
    for row in draw.sample(range(len(part)), round(share * len(part))):
        other = draw.randrange(len(part))
        passages[row], ids[row] = part.passages[other], part.passage_ids[other]
    return with_train(data, dataclasses.replace(part, passages=tuple(passages), passage_ids=tuple(ids)))


def look(data: TrainingData) -> Diagnosis:
    return examine(data, Questions(cost=False))


def alarms(found: Diagnosis) -> dict[str, str]:
    return {each.name: each.severity for each in found.findings("error", "warning")}


def test_right_pairs_raise_no_alarm(stackfaq: TrainingData) -> None:
    """Although BM25 finds nothing for one pair in ten."""
    assert alarms(look(stackfaq)) == {}


@pytest.mark.parametrize(("share", "severity"), [(1.0, "error"), (0.2, "error"), (0.05, "warning")])
def test_wrong_positives_are_named(stackfaq: TrainingData, share: float, severity: str) -> None:
    """Shuffled, a fifth, a twentieth: with a share whose interval holds the planted one, and with wrong examples."""
    found = look(mixed_up(stackfaq, share))
    assert alarms(found) == {"wrong_pairs": severity}
    numbers = next(check for check in found.checks if check.name == "pairing").numbers["train"]
    assert numbers["low"] - 0.01 <= share <= numbers["high"] + 0.06  # a wrong pair may be right by chance
    right = set(zip(stackfaq.splits["train"].query_ids, stackfaq.splits["train"].passage_ids, strict=True))
    examples = found.findings("error", "warning")[0].examples
    assert len(examples) == 5
    assert sum((query.id, passage.id) in right for query, passage in examples) <= 1


def test_a_shuffled_set_stops_training(stackfaq: TrainingData) -> None:
    """What `samespace train` calls first raises, and says that the columns may be shuffled."""
    with pytest.raises(DataInvalid, match="look put together at random: the two columns may be shuffled"):
        checkup(mixed_up(stackfaq, 1.0), Questions(cost=False))


def labelled(data: TrainingData, turn: bool) -> TrainingData:
    part, draw = data.splits["train"], random.Random(1)
    order = list(range(len(part)))
    draw.shuffle(order)
    both = part.rows([*range(len(part)), *range(len(part))])
    labels = (1.0,) * len(part) + (0.0,) * len(part)
    return dataclasses.replace(
        data,
        splits={
            "train": dataclasses.replace(
                both,
                passages=(*part.passages, *(part.passages[row] for row in order)),
                passage_ids=(*part.passage_ids, *(part.passage_ids[row] for row in order)),
                negatives=((),) * len(both), negative_ids=((),) * len(both),
                labels=tuple(1 - label for label in labels) if turn else labels,
                labelled=True,
            )
        },
    )  # fmt: skip


def test_inverted_labels_are_an_error(stackfaq: TrainingData) -> None:
    """0 and 1 exchanged, as entailment and contradiction are once neutral is filtered out."""
    assert "inverted_labels" not in alarms(look(labelled(stackfaq, turn=False)))
    assert alarms(look(labelled(stackfaq, turn=True)))["inverted_labels"] == "error"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_some_inverted_labels_are_named_with_their_share(stackfaq: TrainingData, share: float) -> None:
    """The interval holds what was planted; right labels are no alarm."""
    data = labelled(stackfaq, turn=False)
    part, draw = data.splits["train"], random.Random(2)
    turned = set(draw.sample(range(len(part)), round(share * len(part))))
    labels = tuple(1 - label if row in turned else label for row, label in enumerate(part.labels))
    found = look(with_train(data, dataclasses.replace(part, labels=labels)))
    numbers = next(check for check in found.checks if check.name == "pairing").numbers["turned"]
    assert numbers["low"] <= share <= numbers["high"]
    finding = {each.name: each for each in found.findings()}.get("turned_labels")
    assert (finding is not None) == (share > 0)
    if finding is not None:
        assert finding.severity == "warning"
        wrong = {(part.query_ids[row], part.passage_ids[row]) for row in turned}
        assert sum((query.id, passage.id) in wrong for query, passage in finding.examples) >= 3


def test_negatives_that_are_hard_on_purpose_are_no_inverted_labels(stackfaq: TrainingData) -> None:
    """They share more words with the query than its answer does, as mined ones do."""
    part = stackfaq.splits["train"].rows(range(0, 3294, 4))
    texts = list(dict.fromkeys(part.passages))
    near = nearness_by(tokenized(list(part.queries), return_ids=False), tokenized(texts, return_ids=False))
    answers: dict[str, set[str]] = {}
    for query, passage in zip(part.queries, part.passages, strict=True):
        answers.setdefault(query, set()).add(passage)
    hard = [
        next(texts[at] for at in row.argsort()[::-1] if texts[at] not in answers[query])
        for query, row in zip(part.queries, near, strict=True)
    ]
    data = labelled(with_train(stackfaq, part), turn=False)
    both = data.splits["train"]
    both = dataclasses.replace(
        both,
        passages=(*part.passages, *hard),
        passage_ids=(*part.passage_ids, *(f"hard-{row}" for row in range(len(hard)))),
    )
    corpus = {**stackfaq.corpus, **dict(zip(both.passage_ids, both.passages, strict=True))}
    found = look(dataclasses.replace(with_train(data, both), corpus=corpus))
    assert not {"inverted_labels", "turned_labels", "labels_by_chance"} & set(alarms(found))


def coded(count: int, seed: int = 1) -> Examples:
    """Pairs without a word or letter in common: one number written with two alphabets."""
    draw = random.Random(seed)
    numbers = [str(draw.randrange(10**6)) for _ in range(count)]
    return Examples(
        queries=tuple("".join("abcdefghij"[int(digit)] for digit in each) for each in numbers),
        passages=tuple("".join("klmnopqrst"[int(digit)] for digit in each) for each in numbers),
        negatives=((),) * count, labels=(1.0,) * count, weights=(1.0,) * count,
        query_ids=tuple(f"q{n}" for n in range(count)), passage_ids=tuple(f"p{n}" for n in range(count)),
        negative_ids=((),) * count,
    )  # fmt: skip


def test_where_words_cannot_tell_nothing_is_blamed() -> None:
    """No pair shares a word: that is said, and no alarm is raised."""
    part = coded(200)
    data = TrainingData((Path("set"),), {"train": part}, dict(zip(part.passage_ids, part.passages, strict=True)))
    found = look(data)
    assert "wrong_pairs" not in alarms(found)
    assert "pairing_not_told" in {each.name for each in found.findings("note")}


def test_a_test_set_alone_can_be_examined(stackfaq: TrainingData) -> None:
    """No training split: it is looked at as it is, and that is said; a split that was named has to be there."""
    alone = dataclasses.replace(stackfaq, splits={"test": stackfaq.splits["test"]})
    found = look(alone)
    assert alarms(found) == {}
    assert "no_training_split" in {each.name for each in found.findings("note")}
    with pytest.raises(DataInvalid, match="has no split 'mine' to train on"):
        examine(alone, Questions(train="mine"))


def test_the_share_is_near_what_was_planted(stackfaq: TrainingData) -> None:
    """At three strengths, within what chance and right pairs that are hard to tell add."""
    for share in (0.02, 0.1, 0.5):
        measured = wrong_share(placed(mixed_up(stackfaq, share).splits["train"]))
        assert measured.value == pytest.approx(share, abs=0.03 + 0.1 * share)


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    """Against the definition, over all pairs, ties half; and its interval narrows with more numbers."""
    draw = np.random.default_rng(2)
    above, below = draw.integers(0, 9, 40).astype(float), draw.integers(0, 7, 60).astype(float)
    slow = np.mean([(a > b) + 0.5 * (a == b) for a in above for b in below])
    found = area_under_curve(above, below)
    assert found.value == pytest.approx(slow)
    assert found.low < slow < found.high
    wide = area_under_curve(above[:10], below[:10])
    assert wide.high - wide.low > found.high - found.low


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_wilsons(hits: int, count: int, low: float, high: float) -> None:
    """Published: Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3."""
    assert interval(hits, count) == pytest.approx((low, high), abs=2e-4)


def test_lengths_are_told_without_an_encoder(tmp_path: Path) -> None:
    """Passages of 600 words are beyond 256 and 512 tokens; a warning where a cut would lose most of them."""
    for words, severity in ((600, "note"), (3000, "warning")):
        draw = random.Random(4)
        lines = [
            f'{{"query": "topic{n} a{n}", "passage": "topic{n} a{n} '
            f'{" ".join(f"w{draw.randrange(5000)}" for _ in range(words))}"}}'
            for n in range(50)
        ]
        (tmp_path / "train.jsonl").write_text("\n".join(lines))
        found: dict[str, Any] = {each.name: each for each in examine(load_data(tmp_path / "train.jsonl")).findings()}
        assert found["long_passages"].severity == severity
        assert "50 of 50 (100 %) have more than 512 tokens" in found["long_passages"].says


def in_other_words(part: Examples, share: float, seed: int) -> Examples:
    """A share of the passages, right as they are, without a word of their query: as of some docstrings."""
    draw, passages = random.Random(seed), list(part.passages)
    for row in draw.sample(range(len(part)), round(share * len(part))):
        passages[row] = " ".join("".join(draw.choices("bcdfg", k=6)) for _ in range(12))
    return dataclasses.replace(part, passages=tuple(passages))


def test_pairs_in_other_words_are_no_alarm(stackfaq: TrainingData) -> None:
    """One in forty, in the held-out splits as well, or with nothing held out: that is said as a note at most."""
    splits = {name: in_other_words(part, 0.025, seed) for seed, (name, part) in enumerate(stackfaq.splits.items())}
    found = look(dataclasses.replace(stackfaq, splits=splits))
    assert "wrong_pairs" not in alarms(found)
    alone = look(dataclasses.replace(stackfaq, splits={"train": splits["train"]}))
    assert "wrong_pairs" not in alarms(alone)
    (note,) = [each for each in alone.findings("note") if each.name == "wrong_pairs_not_told"]
    assert "an encoder (--encoder) or held-out splits would tell" in note.says
    part = in_other_words(stackfaq.splits["train"], 0.2, 9)  # a fifth is more than docstrings have
    assert "wrong_pairs" in alarms(look(dataclasses.replace(stackfaq, splits={"train": part})))


@pytest.mark.parametrize("every", [2, 10])
def test_words_of_two_scripts_are_no_measure(stackfaq: TrainingData, every: int) -> None:
    """Many of the queries in another script than their passages: right pairs, of which words can tell nothing."""
    georgian = str.maketrans({chr(97 + at): chr(0x10D0 + at) for at in range(26)})

    def turned(part: Examples) -> Examples:
        queries = enumerate(part.queries)
        return dataclasses.replace(
            part, queries=tuple(text if row % every else text.lower().translate(georgian) for row, text in queries)
        )

    splits = {name: turned(part) for name, part in stackfaq.splits.items()}
    found = look(dataclasses.replace(stackfaq, splits=splits))
    assert not [name for name in alarms(found) if name.startswith("wrong_pairs")]
    numbers = found.to_json()["checks"]["pairing"]["numbers"]
    assert every == 2 or numbers["in_other_scripts"] > 0.05 * numbers["examples"]  # the others are told
