"""Held-out texts that are trained on in a changed form are found, and look-alikes are not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

pytest.importorskip("datasketch", reason="needs the extra train")

from samespace.training.data.containment import inside
from samespace.training.data.examples import Examples
from samespace.training.data.leakage import leakage_between, without
from samespace.training.data.wrapping import bare, same_text

PARTS = ("ka", "lo", "mi", "ne", "pu", "ra", "so", "ti", "vu", "ze", "bor", "dal", "fen", "gir", "hul")


def said(seed: str, count: int) -> str:
    draw = random.Random(seed)
    return " ".join("".join(draw.choices(PARTS, k=4)) for _ in range(count))


def examples(pairs: list[tuple[str, str]]) -> Examples:
    count = len(pairs)
    names = tuple(map(str, range(count)))
    return Examples(
        tuple(q for q, _ in pairs), tuple(p for _, p in pairs), ((),) * count, (1.0,) * count, (1.0,) * count,
        names, names, ((),) * count,
    )  # fmt: skip


HELD = [(f"how do I {said(f'q{n}', 4)}", said(f"p{n}", 40) + ".") for n in range(15)]
OTHER = [(f"what is {said(f'tq{n}', 4)}", said(f"tp{n}", 40) + ".") for n in range(40)]
QUESTIONS: dict[str, Callable[[str, int], str]] = {
    "heading": lambda q, n: f"## {q}",
    "bold": lambda q, n: f"**{q}**",
    "quoted": lambda q, n: f"> {q}",
    "label": lambda q, n: f"Question: {q}",
    "numbered label": lambda q, n: f"Q{n}: {q}",
    "list": lambda q, n: f"{n}. {q}",
    "name": lambda q, n: f"user{n * 37} asked: {q}",
    "own instruction": lambda q, n: f"Instruct: Find what {said(f'i{n}', 6)}\nQuery: {q}",
    "no colon": lambda q, n: f"Represent this sentence for searching relevant passages {q}",
    "suffix": lambda q, n: f"{q} Thanks in advance for any help with my problem",
    "body": lambda q, n: f"{q} {said(f'b{n}', 30)}",
    "accents": lambda q, n: q.replace("a", "\u00e1").replace("o", "\u00f6"),
    "chat": lambda q, n: f"<|user|>\n{q}\n<|assistant|>",
    "two questions": lambda q, n: f"{q}? {HELD[n - 1][0]}?",
}


@pytest.mark.parametrize("form", QUESTIONS)
@pytest.mark.parametrize("side", ["trained", "held out"])
def test_a_question_in_another_form_leaks(form: str, side: str) -> None:
    """Whichever side is changed, every question is found, and exactly the planted rows go."""
    changed = [(QUESTIONS[form](q, n), OTHER[n][1]) for n, (q, _) in enumerate(HELD)]
    plain = [(q, OTHER[n][1]) for n, (q, _) in enumerate(HELD)]
    trained = examples(OTHER[15:] + (changed if side == "trained" else plain))
    asked = [q for q, _ in (HELD if side == "trained" else changed)]
    held = examples([(q, p) for q, (_, p) in zip(asked, HELD, strict=True)])
    found = leakage_between(trained, held)
    assert {leak.held_out for leak in found.leaks if leak.role == "query"} == set(range(15))
    assert found.trained_rows == set(range(25, 40))
    assert not leakage_between(without(trained, found.trained_rows), held).leaks


ANSWERS: dict[str, Callable[[int], str]] = {
    "joined": lambda n: f"{OTHER[n][1]} {HELD[n][1]} {OTHER[n + 1][1]}",
    "shifted": lambda n: f"{HELD[n][1][80:]} {OTHER[n][1][:80]}",
    "title": lambda n: f"{said(f't{n}', 20)}\n{HELD[n][1]}",
    "cut": lambda n: HELD[n][1][:150],
    "cut behind a title": lambda n: f"{said(f't{n}', 3)}\n{HELD[n][1][:150]}",
    "cut behind titles": lambda n: f"{said(f't{n}', 2)} | {said(f'u{n}', 1)}\n{HELD[n][1][:150]}",
    "cut, with more to read": lambda n: f"{HELD[n][1][:150]}... Read more",
    "cut behind a date": lambda n: f"12 May 2020 \u2014 {HELD[n][1][:150]}",
    "label": lambda n: f"passage: {HELD[n][1]}",
}


@pytest.mark.parametrize("form", ANSWERS)
def test_an_answer_inside_a_trained_passage_leaks(form: str) -> None:
    """Joined with others, cut elsewhere, or behind a long title."""
    trained = examples(OTHER[20:] + [(OTHER[n][0], ANSWERS[form](n)) for n in range(15)])
    found = leakage_between(trained, examples(HELD))
    assert {leak.held_out for leak in found.leaks} == set(range(15))
    assert found.trained_rows == set(range(20, 35))


def test_a_cut_leaks_whose_whole_has_a_title() -> None:
    trained = examples(OTHER[20:] + [(OTHER[n][0], HELD[n][1][:150]) for n in range(15)])
    found = leakage_between(trained, examples([(q, f"{said(f't{n}', 3)}\n{p}") for n, (q, p) in enumerate(HELD)]))
    assert {leak.held_out for leak in found.leaks} == set(range(15))


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        (
            "\u7cd6\u5c3f\u75c5\u306f\u30a4\u30f3\u30b9\u30ea\u30f3\u306e\u4f5c\u7528\u304c\u5341\u5206\u3067\u306a\u3044\u305f\u3081\u306b\u8840\u7cd6\u5024\u304c\u6162\u6027\u7684\u306b\u9ad8\u304f\u306a\u308b\u75c5\u6c17\u3067\u3059\u3002\u4e3b\u306a\u75c7\u72b6\u306f\u3001\u306e\u3069\u306e\u6e07\u304d\u3001\u591a\u5c3f\u3001\u4f53\u91cd\u6e1b\u5c11\u3001\u75b2\u308c\u3084\u3059\u3055\u306a\u3069\u3067\u3001\u653e\u7f6e\u3059\u308b\u3068\u76ee\u3084\u814e\u81d3\u306b\u5408\u4f75\u75c7\u3092\u5f15\u304d\u8d77\u3053\u3059\u3053\u3068\u304c\u3042\u308a\u307e\u305b\u3093",
            60,
        ),
        (
            "\u0e42\u0e23\u0e04\u0e40\u0e1a\u0e32\u0e2b\u0e27\u0e32\u0e19\u0e40\u0e1b\u0e47\u0e19\u0e42\u0e23\u0e04\u0e40\u0e23\u0e37\u0e49\u0e2d\u0e23\u0e31\u0e07\u0e17\u0e35\u0e48\u0e40\u0e01\u0e34\u0e14\u0e08\u0e32\u0e01\u0e04\u0e27\u0e32\u0e21\u0e1c\u0e34\u0e14\u0e1b\u0e01\u0e15\u0e34\u0e02\u0e2d\u0e07\u0e23\u0e48\u0e32\u0e07\u0e01\u0e32\u0e22\u0e43\u0e19\u0e01\u0e32\u0e23\u0e1c\u0e25\u0e34\u0e15\u0e2e\u0e2d\u0e23\u0e4c\u0e42\u0e21\u0e19\u0e2d\u0e34\u0e19\u0e0b\u0e39\u0e25\u0e34\u0e19\u0e17\u0e33\u0e43\u0e2b\u0e49\u0e23\u0e30\u0e14\u0e31\u0e1a\u0e19\u0e49\u0e33\u0e15\u0e32\u0e25\u0e43\u0e19\u0e40\u0e25\u0e37\u0e2d\u0e14\u0e2a\u0e39\u0e07\u0e40\u0e01\u0e34\u0e19\u0e1b\u0e01\u0e15\u0e34",
            100,
        ),
    ],
    ids=["Japanese", "Thai"],
)
def test_a_cut_leaks_where_no_space_is_to_cut_at(text: str, cut: int) -> None:
    trained = examples([("\u7cd6\u5c3f\u75c5\u3068\u306f\u4f55\u3067\u3059\u304b", text[:cut]), *OTHER])
    assert leakage_between(trained, examples([("\u7cd6\u5c3f\u75c5\u306f\u3069\u3093\u306a\u75c5\u6c17", text)])).leaks


def test_pages_that_begin_alike_are_a_template_and_no_cuts() -> None:
    """The beginning that all have, trained alone, says nothing of what one of them is asked for."""
    common = "We sell tools for house and garden, ship to every country, and take all of them back within thirty days."
    trained = examples([("which shop sells tools", f"{common} Ask us by phone."), *OTHER])
    held = examples([(f"how heavy is model {q}", f"{common} This is how it is made: {p}") for q, p in HELD])
    assert not leakage_between(trained, held).leaks


@pytest.mark.parametrize("most", [5_000, 20_000])
def test_of_very_many_texts_a_share_of_the_windows_is_enough(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of 20,000 to 30,000 characters: every second window, or every sixth."""
    monkeypatch.setattr("samespace.training.data.containment._MOST_WINDOWS", most)
    trained = examples(OTHER[20:] + [(f"## {q}", ANSWERS["joined"](n)) for n, (q, _) in enumerate(HELD)])
    found = leakage_between(trained, examples(HELD))
    for role in ("query", "passage"):
        assert {leak.held_out for leak in found.leaks if leak.role == role} == set(range(15))
    assert found.trained_rows == set(range(20, 35))


def test_nearly_exchanged_pairs_leak() -> None:
    """A word more on either side."""
    trained = examples(OTHER + [(f"{p} I hope this helps", f"Hello, {q}") for q, p in HELD])
    assert leakage_between(trained, examples(HELD)).trained_rows == set(range(40, 55))


@pytest.mark.parametrize(
    ("held", "trained"),
    [
        ("what is diabetes mellitus in adults", "what is diabetes mellitus in adults insipidus"),
        ("what is hereditary muscle hypertrophy", "what are the genes related to hereditary muscle hypertrophy"),
        ("how do I learn to write C", "how do I learn to write C++"),
        ("how do I compare two strings with ==", "**how do I compare two strings with !=**"),
        ("Treatment: gout", "Symptoms: gout"),
        ("on the structure of the blast wave . part 1 .", "on the structure of the blast wave ."),
        ("t\u00f4i mu\u1ed1n b\u00e1n nh\u00e0", "t\u00f4i mu\u1ed1n b\u1ea1n nh\u00e0"),
        (
            "\u092f\u0939 \u0915\u0932 \u0915\u094d\u092f\u093e \u0939\u0948",
            "\u092f\u0939 \u0915\u093e\u0932 \u0915\u094d\u092f\u093e \u0939\u0948",
        ),
    ],
)
def test_questions_that_look_alike_are_no_leaks(held: str, trained: str) -> None:
    """The words of one in another question, other signs, and marks that make other words."""
    part = examples([(trained, OTHER[0][1]), *OTHER[1:]])
    assert not leakage_between(part, examples([(held, HELD[0][1])])).leaks


def test_a_passage_that_answers_no_trained_query_gives_nothing_away() -> None:
    """Given negatives are of the corpus, and no pair."""
    trained = examples(OTHER)
    assert not leakage_between(replace(trained, negatives=((HELD[0][1],),) * 40), examples(HELD)).leaks


def test_wrapping_is_no_part_of_a_text_and_operators_are() -> None:
    """`**kwargs` and `2 ** 3` have no partner."""
    assert bare("## **What** is `it`?") == "what is it"
    assert bare("2 ** 3 and **kwargs") == "2 ** 3 and ** kwargs"
    assert same_text("caf\u00e9 am meer suchen", "Cafe am Meer suchen")
    assert not same_text("caf\u00e9 am m\u00e9er", "caf\u00e9 am meer")


@pytest.mark.parametrize("least", [0.5, 0.8, 1.0])
def test_inside_is_the_share_of_windows(least: float) -> None:
    """The index finds what a slow comparison of all with all finds."""
    texts = [said(str(n), 8) for n in range(30)]
    among = [" ".join(texts[n].split()[: 3 + n % 6]) + " " + said(f"x{n}", 4) for n in range(30)]

    def slow(text: str) -> set[str]:
        return {text[at : at + 5] for at in range(len(text) - 4)}

    wanted = [
        [n for n, other in enumerate(among) if len(slow(text) & slow(other)) >= least * len(slow(text))]
        for text in texts
    ]
    assert [[each.among for each in found] for found in inside(texts, among, least, chars=5)] == wanted
