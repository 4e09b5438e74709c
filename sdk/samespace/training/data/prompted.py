"""Prompts that were written into the texts, such as "Instruct: ...\\nQuery: ": what many texts of one side begin with.

One question is another text behind a prompt, and no near-duplicate where the prompt is long. So what only one of two
parts begins with is left out before they are compared. What both begin with is left alone: it may be what is asked.

What it leaves to others: what leaks (`leakage`), what is said of prompts (`doctor`).
What it gives up: prompts that end in neither a colon nor a line's end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from .examples import Examples
from .wrapping import counting_number, in_a_list, pieces, unwrapped

_END: Final = re.compile(r":\s+|：\s*|\n\s*")
_MOST_CHARS: Final = 400
_LOOKED_AT: Final = 2000
_SHARE: Final = 0.05
_LEAST: Final = 20
_WORDS: Final = 4
"""A shorter beginning may be the question: "Treatment: gout" is not "Symptoms: gout"."""


def common_beginnings(texts: Sequence[str], share: float = _SHARE) -> list[str]:
    """Beginnings of at least *share* of *texts*, and of 20, that end in a colon or a line's end; the longest first."""
    several = list(dict.fromkeys(texts))
    most = min(_LOOKED_AT, len(several))
    sample = [several[row * len(several) // most] for row in range(most)]
    counted: Counter[str] = Counter()
    for text in sample:
        counted.update({text[: end.end()] for end in _END.finditer(text, 0, _MOST_CHARS) if end.end() < len(text)})
    least = max(_LEAST, share * len(sample))
    return sorted((each for each, count in counted.items() if count >= least), key=len, reverse=True)


def without_prompts(one: Examples, other: Examples) -> tuple[Examples, Examples]:
    """Two parts without the long prompts that one of them has and the other lacks; rows stay where they are.

    And without the numbers that count their texts. Where both begin in ways of their own, it is what is asked:
    "Regarding the EOS 90D: how do I charge it?".
    """
    one, other = _uncounted(one), _uncounted(other)
    bare = [
        replace(
            mine,
            queries=_bare(mine.queries, theirs.queries),
            passages=_bare(mine.passages, theirs.passages),
        )
        for mine, theirs in ((one, other), (other, one))
    ]
    return bare[0], bare[1]


def without_prompt(examples: Examples) -> Examples:
    """One part without the long prompt of some of its queries, and without the numbers that count its texts."""
    examples = _uncounted(examples)
    prompts = _long(examples.queries)
    if not prompts or not all(prompts[0].startswith(each) for each in prompts):
        return examples  # several that are no parts of one are what is asked
    return replace(examples, queries=_cut(examples.queries, prompts))


def _bare(texts: tuple[str, ...], others: Sequence[str]) -> tuple[str, ...]:
    """*texts* without those of their long beginnings that none of *others* has."""
    prompts = [each for each in _long(texts) if not any(text.startswith(each) for text in others)]
    if not prompts or any(not any(text.startswith(each) for text in texts) for each in _long(others)):
        return texts
    return _cut(texts, prompts)


def _long(texts: Sequence[str]) -> list[str]:
    return [each for each in common_beginnings(texts) if _words(each) >= _WORDS]


def _words(text: str) -> int:
    """Words of *text*; of scripts without spaces, two characters are one."""
    return len(pieces(text)) if text.isascii() else max(len(text.split()), len(pieces(text)) // 2)


def _cut(texts: tuple[str, ...], prompts: Sequence[str]) -> tuple[str, ...]:
    return tuple(text[len(next(filter(text.startswith, prompts), "")) :] for text in texts)


def _uncounted(examples: Examples) -> Examples:
    queries, passages = (
        tuple(unwrapped(text) if counting_number(text) else text for text in texts) if in_a_list(texts) else texts
        for texts in (examples.queries, examples.passages)
    )
    return replace(examples, queries=queries, passages=passages)
