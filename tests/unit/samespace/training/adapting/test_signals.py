"""Pairs that are made of documents, and which documents are held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("datasketch", reason="needs the extra train")

from fakes.library import pages, rows
from samespace.errors import DataInvalid
from samespace.evaluation.words import canonical
from samespace.training.adapting.documents import Library, SourceDocument, read_documents
from samespace.training.adapting.heldout import hold_out, languages_of, without_asked
from samespace.training.adapting.markup import Link, Section
from samespace.training.adapting.sentences import is_question, sentences, word_count
from samespace.training.adapting.signals import made_pairs

BODY = "We take things back within thirty days of the order. Send the parcel to us. Keep the receipt that you got."


def page(name: str, title: str, *sections: Section) -> SourceDocument:
    return SourceDocument(name, title, sections)


def asked(documents: Sequence[SourceDocument], kind: str) -> list[tuple[str, str]]:
    return [(pair.query, pair.passage) for pair in made_pairs(documents)[kind]]


def test_headings_and_questions_are_asked_without_being_in_the_passage() -> None:
    """A heading that asks is a question; a short or common heading goes with its title; the body lacks both."""
    document = page(
        "a", "Orders", Section("How do I return it?", BODY), Section("Refunds of gift cards", BODY + " Yes."),
        Section("Fees", BODY + " No."),
    )  # fmt: skip
    assert asked([document], "questions") == [("How do I return it?", BODY)]
    assert asked([document], "headings") == [("Refunds of gift cards", BODY + " Yes."), ("Orders: Fees", BODY + " No.")]


def test_a_heading_that_its_section_repeats_is_no_question() -> None:
    """It would be found by its words alone, which teaches nothing and flatters the verdict."""
    document = page("a", "Orders", Section("Things back within thirty days", BODY))
    assert asked([document], "headings") == []


def test_faq_lines_are_questions() -> None:
    """Q: and A: in one text are pairs of their own."""
    text = f"Q: Can it be returned?\nA: {BODY}\n\nQ: Who pays?\nA: Whoever wants to send the thing back pays for it."
    assert asked([page("a", "", Section("", text))], "questions") == [
        ("Can it be returned?", BODY),
        ("Who pays?", "Whoever wants to send the thing back pays for it."),
    ]


def test_link_texts_ask_for_the_page_they_go_to() -> None:
    """By path, with or without suffix; "here" says nothing, and pages elsewhere are not there."""
    links = tuple(Link(text, target) for text, target in [
        ("returning a parcel", "b.md"), ("fees of returns", "sub/c"), ("here", "b.md"), ("other shop", "https://x.y/b.md"),
    ])  # fmt: skip
    documents = [
        page("a.md", "", Section("", BODY, links)),
        page("b.md", "", Section("", "Wrap the thing well, and write the number on the parcel.")),
        page("sub/c.md", "", Section("", "Nobody has to pay anything for what is sent back to us.")),
    ]
    assert asked(documents, "links") == [
        ("returning a parcel", documents[1].sections[0].text),
        ("fees of returns", documents[2].sections[0].text),
    ]


def test_openings_cloze_neighbours_and_crops_are_of_the_text() -> None:
    """What is asked is not in the passage; crops are cuts of it; the same documents give the same pairs."""
    text = " ".join(f"Sentence number {row} says something about matter {row * 7}." for row in range(12))
    documents = [page("a", "", Section("", text))]
    (opening, rest), (out, without) = asked(documents, "openings")[0], asked(documents, "cloze")[0]
    assert text == f"{opening} {rest}"
    assert out in text and out not in without and len(out) + 1 + len(without) == len(text)
    left, right = asked(documents, "neighbours")[0]
    assert text == f"{left} {right}"
    assert all(cut in text for cut in asked(documents, "crops")[0])
    assert made_pairs(documents) == made_pairs(documents)


@pytest.mark.parametrize(
    ("line", "asks"),
    [("How do I pay", True), ("Wie kann ich zahlen?", True), ("支払いはどうする？", True), ("How to pay.", False),
     ("Payment", False), ("Is it", False)],
)  # fmt: skip
def test_questions_are_known_in_several_languages(line: str, asks: bool) -> None:
    """By their mark, or by a word that asks at the beginning."""
    assert is_question(line) == asks


def test_sentences_in_any_script() -> None:
    """Full stops of several scripts, and paragraphs, end a sentence; Han has words by its characters."""
    assert sentences("One. Two!\n\nThree\nfour? Five") == ["One.", "Two!", "Three four?", "Five"]
    assert sentences("これは一つ。これは二つ。") == ["これは一つ。", "これは二つ。"]
    assert word_count("これは一つの文章です。") == 2


def test_documents_are_held_out_whole(tmp_path: Path) -> None:
    """No training pair is of a held-out document, all documents are searched, no answer has its question."""
    library = read_documents(pages(tmp_path / "pages", 120))
    held = hold_out(library)
    assert set(held.parts) == {"train", "dev", "test"}
    for pairs in held.train.values():
        assert {held.parts[pair.document] for pair in pairs} <= {"train"}
    for part in ("dev", "test"):
        for dataset in held.questions[part].values():
            assert len(dataset.passages) == sum(len(document.sections) for document in library.documents)
            for query, text in zip(dataset.query_ids, dataset.queries, strict=True):
                (own,) = dataset.qrels[query]
                passage = dataset.passages[dataset.passage_ids.index(own)]
                assert canonical(text) not in canonical(passage)
                document = next(each for each in range(120) if own.startswith(library.documents[each].name + "#"))
                assert held.parts[document] == part
    moved = Library(
        library.source, tuple(SourceDocument(f"new/{d.name}", d.title, d.sections) for d in library.documents)
    )
    assert hold_out(moved).parts == held.parts


def test_questions_in_other_words_are_told_apart(tmp_path: Path) -> None:
    """Half of each kind shares fewer words with its passages than the other half; together they are all."""
    for sets in hold_out(read_documents(rows(tmp_path / "rows.jsonl", 200))).questions.values():
        shared = {}
        for kind, dataset in sets.items():
            answers = [
                dataset.passages[dataset.passage_ids.index(next(iter(dataset.qrels[q])))] for q in dataset.query_ids
            ]
            shared[kind] = [
                len(set(canonical(query).split()) & set(canonical(text).split())) / len(set(canonical(query).split()))
                for query, text in zip(dataset.queries, answers, strict=True)
            ]
        for kind in ("openings", "cloze"):
            other, own = shared[f"{kind} (other words)"], shared[f"{kind} (own words)"]
            assert max(other) <= min(own) and abs(len(other) - len(own)) <= 1


def test_near_duplicates_of_held_out_texts_leave_training(tmp_path: Path) -> None:
    """A copy with another word is in another part by its digest, and is not trained on."""
    library = read_documents(rows(tmp_path / "rows.jsonl", 150, sentences=8))
    copies = tuple(
        SourceDocument(f"copy {d.name}", "", (Section("", d.sections[0].text + " Copied."),)) for d in library.documents
    )
    alone, both = hold_out(library), hold_out(Library(library.source, library.documents + copies))
    held = {
        canonical(section.text)
        for document, part in zip((*library.documents, *copies), both.parts, strict=True)
        for section in document.sections
        if part != "train"
    }
    assert both.left_out > alone.left_out == 0
    for pair in both.train["crops"]:
        text = canonical((*library.documents, *copies)[pair.document].sections[0].text)
        assert text not in held
        assert text.removesuffix(" copied") not in held and f"{text} copied" not in held


def test_too_little_is_refused_by_name(tmp_path: Path) -> None:
    """Ten documents, and documents of one sentence, cannot tell better from worse: no verdict is made of them."""
    with pytest.raises(DataInvalid, match=r"10 documents give .* held-out questions.*at least 20"):
        hold_out(read_documents(rows(tmp_path / "ten.jsonl", 10)))
    with pytest.raises(DataInvalid, match=r"150 documents give 0 held-out questions"):
        hold_out(read_documents(rows(tmp_path / "short.jsonl", 150, sentences=1)))


def test_people_s_questions_are_not_taught(tmp_path: Path) -> None:
    """Headings that are the questions of --judged, or nearly, would teach what judges: they leave training."""
    held = hold_out(read_documents(pages(tmp_path / "pages", 120)))
    asked = [pair.query for pair in held.train["questions"][:10]]
    judged = [asked[0].upper(), asked[1].replace("How ", "And how "), *asked[2:]]
    left = without_asked(held, judged)
    assert {pair.query for pair in left.train["questions"]}.isdisjoint(asked)
    assert left.left_out >= held.left_out + 10
    assert len(left.train["crops"]) == len(held.train["crops"])


def test_what_is_asked_of_many_passages_is_no_question() -> None:
    """A heading that many pages have wants no one of them."""
    documents = [page(str(row), "", Section("What does it cost?", f"{BODY} {row}.")) for row in range(5)]
    assert asked(documents, "questions") == []
    assert len(asked(documents[:2], "questions")) == 2


def test_each_language_is_asked_about_by_itself(tmp_path: Path) -> None:
    """Where a second language is there, its questions are a kind of their own, so that its loss is seen."""
    said = {"english": "This is for you and the others of it.", "german": "Das ist für sie und nicht mit der oder den."}
    plain = read_documents(rows(tmp_path / "rows.jsonl", 300)).documents
    documents = [
        page(each.name, "", Section("", f"{each.sections[0].text} {said['english' if row % 3 else 'german']}"))
        for row, each in enumerate(plain)
    ]
    library = Library(tmp_path, tuple(documents))
    assert list(languages_of(library)) == ["english", "german"]
    held = hold_out(library)
    kinds = {kind.partition(",")[0].rstrip(")") for kind in held.questions["test"]}
    assert kinds >= {"openings (english", "openings (german"}
    asked_in_german = next(each for kind, each in held.questions["test"].items() if "openings (german" in kind)
    assert all(" und nicht " in asked_in_german.passages[asked_in_german.passage_ids.index(own)]
               for judged in asked_in_german.qrels.values() for own in judged)  # fmt: skip
