"""Words and canonical forms in any script."""

from __future__ import annotations

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
