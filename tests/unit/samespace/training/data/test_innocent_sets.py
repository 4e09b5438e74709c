"""What an attacker tried against the look for leaks: sets with leaks in other forms, and sets that have none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from samespace.training.data.examples import Examples
from samespace.training.data.leakage import leakage_between

Pairs = Sequence[tuple[str, str]]
PASSAGE = (
    "The tower is 330 metres tall, about the same height as a building of 81 floors, and was for a time the tallest "
    "structure that people had made; it was finished in 1889, and is painted anew every seven years by hand."
)


def of(pairs: Pairs, name: str) -> Examples:
    """Examples of some pairs."""
    queries, passages = zip(*pairs, strict=True)
    count = len(pairs)
    ids = [tuple(f"{name}{role}{row}" for row in range(count)) for role in "qp"]
    ones = (1.0,) * count
    return Examples(queries, passages, ((),) * count, ones, ones, ids[0], ids[1], ((),) * count, False)


def leaks(trained: Pairs, held_out: Pairs) -> dict[str, int]:
    """How many held-out texts of each role leak."""
    found = [each.role for each in leakage_between(of(trained, "t"), of(held_out, "h")).leaks]
    return {role: found.count(role) for role in dict.fromkeys(found)}


@pytest.mark.parametrize("holders", [1, 9, 10, 11, 40])
def test_a_passage_inside_many_trained_ones_leaks(holders: int) -> None:
    """As answers are in the contexts of retrieval-augmented generation: in many, it is no template."""
    trained = [
        (f"what is said of town {row}", f"Town {row} has {row * 7} shops and a market. {PASSAGE} It is near {row}.")
        for row in range(holders)
    ]
    assert leaks(trained, [("how high is it", PASSAGE)]) == {"passage": 1}


def test_a_passage_behind_its_title_leaks() -> None:
    trained = [("when was the Eiffel Tower in Paris built", f"Eiffel Tower Paris. {PASSAGE}")]
    assert leaks(trained, [("how tall is it", PASSAGE)]) == {"passage": 1}


def test_answers_of_states_by_their_two_letters_are_apart() -> None:
    """One template for each; the names are English words too: ME, IN, OR, OK, HI, AL, AS."""
    names = "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE OK OR PA".split()  # noqa: SIM905
    pairs = [
        (f"What is the sales tax rate in {name}?", f"The sales tax rate in {name} is {row % 4} percent of the price "
         f"that is paid for goods, and towns in {name} may add up to two percent of their own to it every year.")
        for row, name in enumerate(names)
    ]  # fmt: skip
    assert leaks(pairs[::2], pairs[1::2]) == {}


def test_short_passages_behind_a_label_leak() -> None:
    """E5's prompt, and labels of other formats, before passages of a few words."""
    for label in ("passage: ", "Answer: ", "document: ", "Context:\n"):
        trained = [(f"what is said of {row}", f"{label}Paris number {row} on the Seine, in France") for row in range(3)]
        held = [(f"which town has {row * 7}", f"Paris number {row} on the Seine, in France") for row in range(3)]
        assert leaks(trained, held) == {"passage": 3}


def test_a_chinese_prompt_in_one_part_is_no_question() -> None:
    prompt = "为这个句子生成表示以用于检索相关文章："
    asked = [f"什么是第{row}种糖尿病的症状" for row in range(40)]
    trained = [(f"{prompt}{text}", f"{PASSAGE[:90]} {row * 31} {row}") for row, text in enumerate(asked)]
    held = [(text, f"{row * 17} {PASSAGE[90:]} {row * 3}") for row, text in enumerate(asked)]
    assert leaks(trained, held)["query"] == 40


def test_products_in_front_of_questions_are_no_prompts() -> None:
    """Split by product: every question is asked of each, and the answers differ."""
    asked = [f"how do I set option {row} of {row * 3}?" for row in range(25)]

    def questions(*names: str) -> Pairs:
        return [
            (f"Regarding the Canon EOS {name}: {text}", f"On {name}, turn dial {row} {len(name)} times to {text[9:]}")
            for name in names
            for row, text in enumerate(asked)
        ]

    assert "query" not in leaks(questions("90D", "R6"), questions("M50"))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("{name}的保修期是多久?", "{name}的保修期为{months}个月,从购买之日起计算,"
         "请保留发票以便在需要时联系我们的客户服务中心。"),
        ("{name}の保証期間はどのくらいですか?", "{name}の保証期間はご購入日から{months}か月です。"
         "領収書を大切に保管し、必要なときはお客様センターへご連絡ください。"),
        ("What is the {name}'s warranty?", "The {name} has a warranty of {months} months from the day of purchase; "
         "please keep the receipt and write to our customer service centre when you need it."),
    ],
)  # fmt: skip
def test_one_template_about_different_products_is_no_leak(question: str, answer: str) -> None:
    pairs = [(question.format(name=f"X{row}00"), answer.format(name=f"X{row}00", months=12)) for row in range(1, 60)]
    assert leaks(pairs[:40], pairs[40:]) == {}


def test_titles_of_a_law_are_no_numbers_of_a_list() -> None:
    """Also where there are many of them; numbers of questions are."""

    def asked(label: str, numbers: range) -> Pairs:
        return [
            (f"{label} {row}: what does it cover and for whom?", " ".join(str(row * by) for by in (7, 311, 1013, 99)))
            for row in numbers
        ]

    assert leaks(asked("Title", range(1, 30)), asked("Title", range(40, 50))) == {}
    assert leaks(asked("Q", range(1, 30)), asked("Q", range(40, 50)))["query"] == 1  # they are one question then
