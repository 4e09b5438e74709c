"""Failures planted into the training of tiny models: each is named, with its cause; healthy runs raise no alarm.

The model is a bag of words with a linear layer: small enough to train in milliseconds, and it fails as encoders do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from samespace.training.data.examples import Examples  # noqa: E402
from samespace.training.finetuning.batches import Batches, Collator, Negatives  # noqa: E402
from samespace.training.losses.batch_loss import BatchLoss, LossSettings  # noqa: E402
from samespace.training.losses.masking import Known, known_pairs, nothing_known  # noqa: E402
from samespace.training.sentinel import judge as sentinel  # noqa: E402 - after the skip
from samespace.training.sentinel.judge import Alarm, RunFacts, first_judged, judge  # noqa: E402
from samespace.training.sentinel.vitals import Sample  # noqa: E402

WORDS, DIMS, STEPS = 400, 32, 200
GOOD_RATE = 5e-3


class Bag(torch.nn.Module):  # type: ignore[misc]
    """Mean of word vectors, a linear layer, and whatever *head* makes of it."""

    def __init__(self, seed: int, head: Callable[[Any], Any] = lambda x: x) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.words = torch.nn.Embedding(WORDS, DIMS)
        self.linear = torch.nn.Linear(DIMS, DIMS)
        self.head = head

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        mask = features["attention_mask"][..., None].float()
        mean = (self.words(features["input_ids"]) * mask).sum(dim=1) / mask.sum(dim=1)
        return {"sentence_embedding": self.head(self.linear(mean))}


class Numbers:
    """A text path for texts that are numbers: each is a word."""

    def tokenize(self, texts: Any, role: str) -> Any:
        from types import SimpleNamespace

        from samespace.text import Window

        return [
            SimpleNamespace(windows=[Window(tuple(map(int, text.split())), len(text.split()), 0, len(text))])
            for text in texts
        ]


def pairs(count: int, seed: int, *, labels: list[float] | None = None, copies: float = 0.0) -> Examples:
    """Queries are three of the twelve words of their passage; *copies* of the passages stand there reordered."""
    random = Random(seed)
    queries, passages = [], []
    while len(queries) < count:
        words = [str(random.randrange(WORDS)) for _ in range(12)]
        queries.append(" ".join(words[:3]))
        passages.append(" ".join(words))
        if random.random() < copies and len(queries) < count:
            other = random.sample(words, 12)
            queries.append(" ".join(words[6:9]))
            passages.append(" ".join(other))
    names, none = tuple(map(str, range(count))), ((),) * count
    given = tuple(labels) if labels else (1.0,) * count
    return Examples(
        tuple(queries), tuple(passages), none, given, (1.0,) * count, names, names, none, labelled=labels is not None
    )


def watch(
    examples: Examples,
    model: Any,
    *,
    rate: float = GOOD_RATE,
    kind: str = "infonce",
    batch_size: int = 32,
    known: Known | None = None,
    temperature: float = 0.05,
) -> list[Alarm]:
    """The alarms by the first judged step of a run of `STEPS`, and of the whole run where there are none."""
    text_encoders: Any = {"query": Numbers(), "passage": Numbers()}
    known = known or nothing_known()
    loss = BatchLoss(model, LossSettings(kind, temperature, mini_batch_size=1024), known)
    collator = Collator(examples, text_encoders, Negatives(examples.negatives, 0, 0), known)
    sample = Sample(collator.batch(list(range(64))), known)
    told = loss.pairs(collator.batch(list(range(batch_size))))
    negatives = float((~told.masked).sum(dim=1).float().mean()) - 1 if known is not None else batch_size - 1.0
    run = RunFacts(
        kind, STEPS, temperature, max(0.0, negatives), float(np.std(examples.labels)) if examples.labelled else 1, rate
    )
    rows = np.arange(len(examples))
    sampler = Batches(rows, rows, batch_size, seed=1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    norms: list[float] = []
    step, looked = 0, first_judged(STEPS)
    while True:
        sampler.set_epoch(step)
        for batch_rows in sampler:
            if step in (0, looked, STEPS // 2, STEPS):
                sample.measure(model, loss, step)
                alarms = judge(run, sample.vitals, (), norms)
                if step >= looked and (alarms or step == STEPS):
                    return alarms
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, (step + 1) / 20)
            optimiser.zero_grad()
            loss(collator.batch(batch_rows)).backward()
            norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
            optimiser.step()
            step += 1


def causes(alarms: list[Alarm]) -> set[str]:
    return {alarm.cause for alarm in alarms}


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_run_raises_no_alarm(seed: int) -> None:
    """Twenty seeds of data and weights, judged at 5 %, at half and at the end."""
    assert watch(pairs(640, seed), Bag(seed)) == []


def test_a_rate_that_is_far_too_low() -> None:
    """1e-7: nothing moves."""
    assert causes(watch(pairs(640, 1), Bag(1), rate=1e-7)) == {sentinel.RATE_TOO_LOW}


def test_a_rate_that_is_far_too_high() -> None:
    """Thousands of times too high, into a bounded activation: the vectors fall together."""
    assert causes(watch(pairs(640, 1), Bag(1, torch.tanh), rate=30.0)) == {sentinel.RATE_TOO_HIGH}


def test_a_dead_relu() -> None:
    """A head whose activation is below 0 for every text."""
    model = Bag(1, torch.relu)
    with torch.no_grad():
        model.linear.bias.fill_(-100)
    assert causes(watch(pairs(640, 1), model)) == {sentinel.SATURATED}


def test_constant_labels() -> None:
    """All labels 0.5: any encoder that gives one cosine is right."""
    assert causes(watch(pairs(640, 1, labels=[0.5] * 640), Bag(1), kind="cosine_mse")) == {sentinel.WRONG_LABELS}


def test_one_class_only() -> None:
    """Contrastive pairs that all belong together; and pairs that are all answers of each other."""
    assert causes(watch(pairs(640, 1, labels=[1.0] * 640), Bag(1), kind="contrastive")) == {sentinel.WRONG_LABELS}
    examples = pairs(640, 1)
    same = replace(examples, queries=("1 2 3",) * 640)
    everything = known_pairs(zip(same.queries, same.passages, strict=True), near_duplicates=False)
    assert causes(watch(same, Bag(1), known=everything)) == {sentinel.WRONG_LABELS}


def test_a_tiny_batch() -> None:
    """Two pairs: one negative each. The run goes on, and the risk is named."""
    (alarm,) = watch(pairs(640, 1), Bag(1), batch_size=2)
    assert (alarm.what, alarm.cause) == ("risk", sentinel.BATCH_TOO_SMALL)


def test_false_negatives() -> None:
    """Of every tenth passage a reworded copy answers another question, and nobody says that it answers both."""
    alarms = watch(pairs(640, 1, copies=0.1), Bag(1))
    assert {(alarm.what, alarm.cause) for alarm in alarms} == {("risk", sentinel.FALSE_NEGATIVES)}


def test_a_temperature_that_hides_everything() -> None:
    """At temperature 5 cosines make no difference."""
    assert causes(watch(pairs(640, 1), Bag(1), temperature=5.0)) == {sentinel.TEMPERATURE}


def test_labels_that_do_not_fit() -> None:
    """Queries and passages that have nothing to do with each other, many more than the model could learn by heart."""
    examples = pairs(6400, 1)
    shuffled = list(examples.passages)
    Random(2).shuffle(shuffled)
    alarms = watch(replace(examples, passages=tuple(shuffled)), Bag(1), rate=1e-3)
    assert causes(alarms) == {sentinel.WRONG_LABELS}
