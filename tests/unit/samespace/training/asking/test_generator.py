"""A generator that writes, lies or dies: what is asked, kept, believed and said of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("httpx", reason="needs the extra weaviate")

from fakes.generator import StandIn, generator
from samespace.errors import ConfigInvalid
from samespace.progress import silent
from samespace.training.adapting.documents import Library, SourceDocument
from samespace.training.adapting.heldout import hold_out
from samespace.training.adapting.markup import Section
from samespace.training.asking.answers import Answers
from samespace.training.asking.generator import Generator, cost, prompt, questions_in
from samespace.training.asking.made import Generated, generated_pairs
from samespace.vectors import Float32

WORDS = [
    f"{first}{second}" for first in ("amber", "birch", "cedar", "delta", "ember") for second in map(chr, range(97, 121))
]
TEXTS = [
    f"The {word} is kept in box {row} and nobody may move it away from there at night."
    for row, word in enumerate(WORDS)
]
DOCUMENTS = [SourceDocument(f"d{row}", "", (Section("", text),)) for row, text in enumerate(TEXTS)]


def encode(texts: Sequence[str], role: str) -> Float32:
    """Vectors of the words of WORDS that a text has; others are nothing."""
    rows = np.array([[word in text for word in WORDS] for text in texts], np.float32) + 1e-3
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def honest(text: str) -> str:
    word = text.split()[1]
    return f'1. Where do I find the {word}?\n2) "who may move {word} at night"'


def ask(stand_in: StandIn, cache: Path, most: int = 200, said: list[str] | None = None) -> Generated:
    asking = Generator(stand_in.url, "m", "secret", pause=lambda _: None)
    return generated_pairs(asking, DOCUMENTS, encode, most, cache, silent, (said if said is not None else []).append)


def test_questions_become_pairs_with_what_was_read(tmp_path: Path) -> None:
    """Two of each section; the cost and the prompt are said first; the key is sent and not shown."""
    said: list[str] = []
    with generator(StandIn(honest)) as stand_in:
        found = ask(stand_in, tmp_path, said=said)
    assert len(found.pairs) == 2 * len(WORDS)
    assert all(pair.query.endswith(f"the {WORDS[pair.document]}?") or (WORDS[pair.document] in pair.query and
               pair.passage == TEXTS[pair.document]) for pair in found.pairs)  # fmt: skip
    assert said[0].startswith(f"{len(WORDS)} requests to the generator, about ") and "nothing else" in said[1]
    assert set(stand_in.tokens) == {"Bearer secret"} and "secret" not in repr(Generator("u", key="secret"))
    assert stand_in.asked[0]["model"] == "m" and stand_in.asked[0]["messages"][0]["content"] == prompt(TEXTS[0])
    assert found.notes == (f"{len(found.pairs)} of the generator's {len(found.pairs)} questions find their passage "
                           "again, and are used.",)  # fmt: skip


def test_one_that_dies_is_gone_on_with(tmp_path: Path) -> None:
    """What it wrote before is used and kept; the next run pays for the rest alone."""
    with generator(StandIn(honest, dies_after=50)) as stand_in:
        found = ask(stand_in, tmp_path)
        assert len(stand_in.asked) == 50
    assert len(found.pairs) == 100
    assert "stopped" in found.notes[0] and "503, 3 times" in found.notes[0]
    file = next(tmp_path.glob("*.jsonl"))
    file.write_bytes(file.read_bytes() + b'{"passage": "half')
    with generator(StandIn(honest)) as again:
        again.url, address = stand_in.url, again.url  # the same name in the cache, another port
        answers = Answers(file)
        assert Generator(address).ask(TEXTS, answers, lambda _: None) == ""
        assert len(again.asked) == len(WORDS) - 50
    assert cost(TEXTS, Answers(file)).startswith("0 requests") and f"{len(WORDS)} answers are kept" in cost(
        TEXTS, Answers(file)
    )


def test_one_that_is_away_leaves_the_documents_as_they_are(tmp_path: Path) -> None:
    """Nobody listens: a note, and no pair."""
    with generator(StandIn(honest)) as stand_in:
        pass
    found = ask(stand_in, tmp_path)
    assert found.pairs == () and "stopped" in found.notes[0] and "none is used" in found.notes[1]


@pytest.mark.parametrize(
    "lie",
    [
        lambda text: "What is this text about?\nWho wrote this text?",
        lambda text: f"Where do I find the {WORDS[(WORDS.index(text.split()[1]) + 31) % len(WORDS)]}?",
        lambda text: text,
        lambda text: "",
    ],
)
def test_one_that_lies_is_not_believed(tmp_path: Path, lie: object) -> None:
    """The same to every passage, about another passage, the passage itself, and nothing at all."""
    with generator(StandIn(lie)) as stand_in:  # type: ignore[arg-type]
        found = ask(stand_in, tmp_path)
    assert found.pairs == () and "none is used" in found.notes[-1]


@pytest.mark.parametrize("status", [401, 404])
def test_one_that_refuses_is_named(tmp_path: Path, status: int) -> None:
    """A wrong key or path ends it before anything is trained, after one request."""
    with generator(StandIn(honest, status=status)) as stand_in, pytest.raises(ConfigInvalid, match=f"answers {status}"):
        ask(stand_in, tmp_path)
    assert len(stand_in.asked) == 1


def test_answers_come_in_all_shapes() -> None:
    """Numbers, bullets, quotes and a first line that announces are taken away; at most two remain."""
    assert questions_in("Here are two questions:\n\n- How do I?\n* „Warum nicht?“\n3. third one?") == [
        "How do I?",
        "„Warum nicht?",
    ]
    assert questions_in("x" * 400) == [] and questions_in("") == []


def test_generated_questions_judge_first(tmp_path: Path) -> None:
    """They are a kind of their own, before those of the structure, and held out by their documents."""
    with generator(StandIn(honest)) as stand_in:
        pairs = ask(stand_in, tmp_path).pairs
    held = hold_out(Library(tmp_path, tuple(DOCUMENTS)), pairs)
    assert next(iter(held.questions["test"])).startswith("generated")
    train = {pair.document for pair in held.train["generated"]}
    assert train and all(held.parts[document] == "train" for document in train)
