"""Words and canonical forms in any script."""

from __future__ import annotations

import re
import unicodedata

import pytest

from samespace.evaluation.words import canonical, has_words, spaced, words

SAME = [
    ("Hello,  World - again!", "hello world again"),
    ("서울의 날씨는 어떻습니까", unicodedata.normalize("NFD", "서울의 날씨는 어떻습니까")),
    ("Café crème", unicodedata.normalize("NFD", "café CRÈME")),
    ("ｆｕｌｌ ｗｉｄｔｈ １２３", "full width 123"),
    ("Straße", "STRASSE"),
    ("soft\u00adhyphen and\u200b nothing", "softhyphen and nothing"),
    ("a heart ❤\ufe0f", "a heart ❤"),
    ('He said "C++".', "he said c++"),
    ("call `open`", "call open"),
]
DIFFERENT = [
    ("What is C++?", "What is C#?"),
    ("What is C?", "What is C#?"),
    ("what does == do", "what does != do"),
    ("what does = do", "what does == do"),
    ("what does :: do", "what does -> do"),
    ("हिन्दी में की", "हिन्दी में को"),
    ("कल", "काल"),
    ("ปลา", "ปล"),
    ("ไม่", "ไม้"),
    ("🙂", "🙁"),
    ("I feel 🙂 today", "I feel 🙁 today"),
    ("5 % of 100", "5 of 100"),
    ("...", "!?"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_form_case_and_punctuation_do_not_matter(left: str, right: str) -> None:
    """NFC and NFD, full width, case, what is not seen, and punctuation of the sentence make no other text."""
    assert canonical(left) == canonical(right)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_signs_and_marks_matter(left: str, right: str) -> None:
    """Signs, vowel signs, tone marks and emoji make another text."""
    assert canonical(left) != canonical(right)


def test_signs_alone_are_a_text() -> None:
    """An operator or an emoji says something, punctuation does not; only a blank text has no canonical form."""
    assert [has_words(text) for text in ("==", "🙂🙂", "C", "… !", "", "  ")] == [True, True, True, False, False, False]
    assert canonical("  ") == "" != canonical("...")


def test_words_keep_their_marks() -> None:
    """Python's own `\\w+` breaks हिन्दी into three pieces."""
    assert words("हिन्दी भाषा, एक") == ["हिन्दी", "भाषा", "एक"]


def test_scripts_without_spaces_become_characters_and_pairs() -> None:
    """A Thai character keeps its vowel and tone; words of other scripts stay."""
    assert spaced("北京 weather").split() == ["北_", "京_", "北京", "weather"]
    assert spaced("ไม่").split() == ["ไ_", "ม่_", "ไม่"]
    assert spaced("plain text") == "plain text"


@pytest.mark.parametrize(
    ("page", "read"),
    [
        ("<p>Take &quot;two&quot; a day</p>\n<p class='x'>with food.</p>", 'Take "two" a day with food.'),
        ("a &lt; b &amp;&amp; c &#8217;s", "a < b && c ’s"),
        ("line<br/>break", "line break"),
    ],
)
def test_a_web_page_is_the_text_that_is_read(page: str, read: str) -> None:
    """Tags and entities are no words that two texts differ in."""
    assert canonical(page) == canonical(read)


@pytest.mark.parametrize(("one", "other"), [("vector<int> v", "vector<float> v"), ("a < b > c", "a c"), ("R&D", "R D")])
def test_what_is_no_markup_stays(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


LOOKS_LIKE = str.maketrans("aeopcxyAEOPCTBHKMX", "аеорсхуАЕОРСТВНКМХ")
"""Cyrillic; confusables.txt of Unicode Technical Standard 39."""


@pytest.mark.parametrize(
    "text",
    [
        "How to renew a passport in Prague, if a copy is lost?",
        "BECAUSE OF THE COST",
        "Can Python parse a complex expression",
    ],
)
def test_letters_that_look_alike_are_the_same(text: str) -> None:
    """A text with Cyrillic letters in the place of Latin ones is the same text, words of such letters alone too."""
    hidden = text.translate(LOOKS_LIKE)
    assert hidden != text
    assert canonical(hidden) == canonical(text)
    assert canonical("\u200b".join(hidden)) == canonical(text)


def test_other_alphabets_stay_what_they_are() -> None:
    """Russian and Greek words are none of Latin letters, also beside Latin names, and in any case."""
    assert canonical("сор в избе") == "сор в избе" == canonical("СОР В ИЗБЕ")
    assert canonical("сор") != canonical("cop")
    assert canonical("Настройка Wi-Fi на iPhone, а не на Mac") == "настройка wi fi на iphone а не на mac"
    assert canonical("α and a, ν and v") == "α and a ν and v"
    assert canonical("the TNF-α of NF-κB") == "the tnf α of nf κb"


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("H<sub>2</sub>O and mc<sup>2</sup>", "H2O and mc2"),
        ("the hi<mark class='hit'>gh</mark>light<wbr>ed word", "the highlighted word"),
        ("a <b></b>word <i></i>after", "a word after"),
        ("<!DOCTYPE html><p>one</p><!-- a\ncomment --><p>two</p>", "one two"),
        ("<style>p { color: red }</style>one<script type=x>var a = '<p>';</script>two", "one two"),
        ("<figure>one</figure><figcaption>two</figcaption>", "one two"),
    ],
)
def test_markup_is_read_as_a_browser_shows_it(marked: str, plain: str) -> None:
    """Tags within a word join it, others part words; what is not shown is no text."""
    assert canonical(marked) == canonical(plain)


@pytest.mark.parametrize("text", ["vector<int> of a map<string, option>", "cp <source> <target>", "if a <b and c> d"])
def test_what_is_no_tag_stays(text: str) -> None:
    """Types, placeholders and comparisons are words."""
    assert set(re.findall(r"\w+", text)) <= set(re.findall(r"\w+", canonical(text)))
