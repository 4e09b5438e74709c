"""Near-duplicates and leaks."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest

from samespace.errors import DataInvalid
from samespace.training.data.content import content
from samespace.training.data.leakage import same_answer
from samespace.training.data.near_duplicates import (
    canonical,
    connected,
    find_near,
    jaccard,
    near_among,
    near_duplicate_groups,
    shingles,
)
from samespace.training.finetuning.config import make_config
from samespace.training.finetuning.training_set import load_training_set

WORDS = [
    f"{a}{b}{c}" for a in ("lo", "mi", "sa", "ter") for b in ("ka", "von", "du") for c in ("ne", "rix", "to", "pal")
]


def sentence(seed: int, words: int = 30) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def slow_jaccard(left: str, right: str) -> float:
    """The definition, over Python sets of 5-grams."""
    a, b = ({text[i : i + 5] for i in range(max(1, len(text) - 4))} for text in (canonical(left), canonical(right)))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("seed", range(10))
def test_jaccard_is_that_of_the_character_5_grams(seed: int) -> None:
    """The hashed form equals the definition over sets of strings."""
    left = sentence(seed)
    right = left[: len(left) // 2] + sentence(seed + 100, 12)
    assert jaccard(shingles(left), shingles(right)) == pytest.approx(slow_jaccard(left, right), abs=1e-12)


def test_case_punctuation_and_spacing_do_not_matter() -> None:
    """Texts that differ in nothing else are the same text."""
    assert jaccard(shingles("Hello,  World - again!"), shingles("hello world again")) == 1.0


def test_short_and_empty_texts_have_a_place() -> None:
    """A text shorter than a 5-gram is one shingle; the empty text is only like itself."""
    assert near_duplicate_groups(["a", "b", "a!", "", "  "]) == [0, 1, 0, 3, 3]


def test_near_duplicates_are_grouped_and_others_are_not() -> None:
    """A text, its copy with one word changed and its exact copy are one group; 200 others stand alone."""
    texts = [sentence(seed) for seed in range(200)]
    changed = texts[7].split()
    changed[3] = "something"
    groups = near_duplicate_groups([*texts, " ".join(changed), texts[7].upper()])
    assert groups[200] == groups[201] == 7
    assert groups[:200] == list(range(200))


def test_groups_are_transitive() -> None:
    """If a is like b and b is like c, all three are one group, even where a and c are less alike."""
    a = [f"{word}{i}" for i, word in enumerate(sentence(1, 40).split())]
    b = [*a[6:], *sentence(2, 6).split()]
    c = [*b[6:], *sentence(3, 6).split()]
    texts = [" ".join(words) for words in (a, b, c)]
    assert (
        slow_jaccard(texts[0], texts[2]) < 0.7 < min(slow_jaccard(texts[0], texts[1]), slow_jaccard(texts[1], texts[2]))
    )
    assert near_duplicate_groups(texts, 0.7) == [0, 0, 0]


def test_connected_components_name_their_smallest_member() -> None:
    """Links in any order and direction give the same components."""
    assert connected(6, [(4, 5), (5, 1), (3, 2)]) == [0, 1, 2, 2, 1, 1]


def test_find_near_says_where() -> None:
    """The position of the duplicate among the others, or -1."""
    assert find_near([sentence(5), sentence(99)], [sentence(4), sentence(5)]) == [1, -1]
    assert near_among([sentence(5)], [sentence(4), sentence(5), sentence(5) + "!"]) == [[1, 2]]


def write(folder: Path, splits: dict[str, Sequence[tuple[str, str]]]) -> Path:
    """A BEIR folder of (query, passage) pairs by split."""
    (folder / "qrels").mkdir(parents=True)
    passages = {text: f"p{i}" for i, text in enumerate(dict.fromkeys(p for part in splits.values() for _, p in part))}
    queries: list[tuple[str, str]] = []
    for split, part in splits.items():
        lines = ["query-id\tcorpus-id\tscore"]
        for query, passage in part:
            queries.append((f"q{len(queries)}", query))
            lines.append(f"{queries[-1][0]}\t{passages[passage]}\t1")
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for t, i in passages.items()))
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in queries))
    return folder


TRAIN = [(sentence(i, 8), sentence(1000 + i)) for i in range(20)]
CLEAN = [(sentence(i, 8), sentence(1000 + i)) for i in range(50, 60)]


def pairs_of(folder: Path, allow: str = "none") -> object:
    return load_training_set(make_config({"data": str(folder), "out": "o", "allow_leakage": allow}))


def test_a_clean_set_passes_and_repeats_are_dropped(tmp_path: Path) -> None:
    """A pair that appears twice is trained on once, and the count says so."""
    pairs = load_training_set(
        make_config({"data": str(write(tmp_path / "d", {"train": [*TRAIN, TRAIN[0]], "test": CLEAN})), "out": "o"})
    )
    assert (len(pairs.examples), pairs.dropped, pairs.leaks) == (20, 1, ())
    assert pairs.to_json()["pairs"] == 20


def test_a_leaked_query_stops_training(tmp_path: Path) -> None:
    """A test query that training saw in other letter case is an error that shows it; only "all" allows it."""
    folder = write(tmp_path / "d", {"train": TRAIN, "test": [*CLEAN, (TRAIN[3][0].upper(), CLEAN[0][1])]})
    for allow in ("none", "passages"):
        with pytest.raises(DataInvalid, match=r"1 held-out queries and 0 relevant passages .* allow_leakage to 'all'"):
            pairs_of(folder, allow)
    assert len(load_training_set(make_config({"data": str(folder), "out": "o", "allow_leakage": "all"})).leaks) == 1


def test_a_leaked_passage_stops_training(tmp_path: Path) -> None:
    """A dev query whose answer was trained on is an error; "passages" allows it."""
    folder = write(tmp_path / "d", {"train": TRAIN, "dev": [*CLEAN, (sentence(77, 8), TRAIN[3][1])]})
    with pytest.raises(DataInvalid, match=r"0 held-out queries and 1 relevant passages .* to 'passages'"):
        pairs_of(folder)
    pairs_of(folder, "passages")


def test_pairs_that_leak_can_be_left_out(tmp_path: Path) -> None:
    """Every training pair with a held-out query or answer goes, in whatever letter case, and the rest is trained on."""
    leaking = [(TRAIN[3][0].upper(), CLEAN[0][1]), (sentence(77, 8), TRAIN[5][1])]
    folder = write(tmp_path / "d", {"train": [*TRAIN, (sentence(88, 8), TRAIN[5][1])], "test": [*CLEAN, *leaking]})
    found = load_training_set(make_config({"data": str(folder), "out": "o", "drop_leaks": True}))
    assert found.dropped_leaks == 3
    assert set(found.examples.queries) == {query for row, (query, _) in enumerate(TRAIN) if row not in (3, 5)}
    assert len(found.leaks) == 2


def test_too_little_to_train_on_is_refused(tmp_path: Path) -> None:
    """One pair has no negatives."""
    with pytest.raises(DataInvalid, match="1 pairs in split train"):
        pairs_of(write(tmp_path / "d", {"train": TRAIN[:1]}))


KOREAN = ("서울의 오늘 날씨는 어떻습니까", "배송은 얼마나 걸립니까", "비밀번호를 어떻게 바꿉니까")


def test_a_test_split_in_another_unicode_form_leaks(tmp_path: Path) -> None:
    """Korean questions of the training split in NFD are the same questions, and stop training."""
    train = [*TRAIN, *((query, sentence(300 + n)) for n, query in enumerate(KOREAN))]
    held = [(unicodedata.normalize("NFD", query), sentence(400 + n)) for n, query in enumerate(KOREAN)]
    with pytest.raises(DataInvalid, match=r"3 held-out queries"):
        pairs_of(write(tmp_path / "d", {"train": train, "test": [*CLEAN, *held]}))


def test_signs_and_vowel_signs_make_other_examples(tmp_path: Path) -> None:
    """None of these repeats another one."""
    queries = (
        "C", "C++", "C#", "==", "!=", "कल", "काल", "कील", "ไม่", "ไม้", "🙂", "🙁", "a + b", "a - b", "a * b", "::", "->",
    )  # fmt: skip
    folder = write(tmp_path / "d", {"train": [(query, "One answer to all of them.") for query in queries]})
    found = load_training_set(make_config({"data": str(folder), "out": "o"}))
    assert (len(found.examples), found.dropped) == (len(queries), 0)


def test_five_characters_mean_as_much_in_every_script() -> None:
    """One word of six changed: far from a duplicate in Korean, Chinese, Hindi and English alike."""
    for left, right in (
        ("서울의 오늘 날씨는 어떻습니까", "부산의 내일 날씨는 어떻습니까"),
        ("请问今天北京的天气怎么样", "请问明天上海的天气怎么样"),
        ("आज दिल्ली में मौसम कैसा है", "कल मुंबई में मौसम कैसा है"),
        ("how is the weather in Seoul today", "how is the weather in Busan tomorrow"),
    ):
        assert 0.1 < jaccard(shingles(left), shingles(right)) < 0.75
        assert jaccard(shingles(left), shingles(unicodedata.normalize("NFD", left))) == 1.0


LOOK_ALIKES = [
    ("what does b2sum do with a file", "b2sum computes and checks BLAKE2 digests of files."),
    ("what does b3sum do with a file", "b3sum computes and checks BLAKE3 digests of files."),
    ("how do i start frpc on boot", "Write a unit for frpc and enable it."),
    ("how do i start frps on boot", "Write a unit for frps and enable it."),
    ("how to compare with == in bash", "Strings are equal with it."),
    ("how to compare with != in bash", "Strings differ with it."),
]


def test_look_alike_questions_with_other_answers_are_no_leaks(tmp_path: Path) -> None:
    """Names that differ in one letter or sign, and answers from one template: training goes on."""
    folder = write(tmp_path / "d", {"train": [*TRAIN, *LOOK_ALIKES[::2]], "test": [*CLEAN, *LOOK_ALIKES[1::2]]})
    found = load_training_set(make_config({"data": str(folder), "out": "o"}))
    assert (found.leaks, found.dropped_leaks) == ((), 0)


@pytest.mark.parametrize(
    ("query", "passage"),
    [
        ("what does b2sum do with a file", sentence(900)),  # the same question
        ("What does b2sum do with files?", sentence(901)),  # other small words and endings
        ("what does b3sum do with a file", LOOK_ALIKES[0][1]),  # the same answer
        (sentence(902, 8), LOOK_ALIKES[0][1] + " Yes."),  # the answer, hardly changed
    ],
)
def test_real_leaks_stop_training_and_say_how_to_go_on(tmp_path: Path, query: str, passage: str) -> None:
    """The same question or the same answer; `drop_leaks` is in the message, and does it."""
    folder = write(tmp_path / "d", {"train": [*TRAIN, LOOK_ALIKES[0]], "test": [*CLEAN, (query, passage)]})
    with pytest.raises(DataInvalid, match="Set drop_leaks = true to leave such training pairs out"):
        pairs_of(folder)
    found = load_training_set(make_config({"data": str(folder), "out": "o", "drop_leaks": True}))
    assert found.dropped_leaks == 1
    assert LOOK_ALIKES[0][0] not in found.examples.queries


def test_the_html_of_a_page_is_no_difference_that_is_asked_for() -> None:
    """The same text with tags and entities around it leaks; code in pointed brackets is content."""
    text = "Glaucoma is a disease of the eye & its nerve. It is treated with drops. Vision that is lost stays lost."
    page = "<p>" + text.replace("&", "&amp;").replace(". ", '.</p>\n<p class="x">') + "</p>"
    assert content(page) == content(text)
    assert same_answer(text, page, "what is glaucoma", "what does p mean in amp glaucoma")
    assert content("a list<int> of numbers") != content("a list<str> of numbers")
