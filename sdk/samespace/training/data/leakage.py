"""Which held-out texts training would give away, and which only look like a trained one.

A near-duplicate is not yet a leak: "what does b2sum do" and "what does b3sum do" are different questions, and so are
two pages that are written from one template. What decides is the difference:

query       leaks where it is the same text, also behind a prompt, or differs in no content word, or has the same
            answer, or stands whole in a trained one, or that one in it
passage     leaks where it is the same text, or differs in nothing that is asked for, or is inside a trained one for the
            most part, with what is asked for
pair        leaks where it is trained with its two sides exchanged: the loss looks at pairs from both sides

Only texts of pairs count. A passage that is in the corpus, and answers no trained query, gives nothing away.

What it leaves to others: finding near-duplicates (`near_duplicates`) and texts inside others (`containment`,
`whole_questions`), what follows (`doctor`, `finetuning`).
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ...text import ROLES, Role
from .containment import inside, longest_run
from .content import asked_words, content, is_syllable, question_key
from .examples import Examples
from .near_duplicates import DUPLICATE as NEAR
from .near_duplicates import Leak, Shingles, jaccard, near_among, shingles
from .prompted import without_prompt, without_prompts
from .whole_questions import TextsThatAsk, words_in_order
from .wrapping import bare, numbered_apart, pieces, plain, same_text

_CHARS: Final = 20
"""Length of the windows that passages are held against each other by: no two texts share many by chance."""
_FEWEST: Final = 60
"""Windows that a passage has to have of its own: shorter ones are said in many places."""
_INSIDE: Final = 0.8
"""Share of a passage that is nearly all of it."""
_SHIFTED: Final = 0.6
"""Share in one piece from which two passages are cuts of one text."""
_TITLE: Final = re.compile(r"\n+|[:：]\s|\s[-–—|·]\s")
"""What a title that stands in front of a passage ends with."""
_MOST_TITLE: Final = 100
_ENOUGH: Final = 32
_LONGER: Final = 1.5
"""Times the length of a passage from which another one holds more than it does."""


@dataclass(frozen=True, slots=True)
class LeakedRow:
    """One held-out text that training gives away.

    Attributes:
        role: which of the example's texts.
        held_out, trained: rows of the two examples.
    """

    role: Role
    held_out: int
    trained: int


@dataclass(frozen=True, slots=True)
class Leakage:
    """What one held-out split shares with the trained one.

    Attributes:
        leaks: each held-out text that leaks once, with the first trained example that gives it away.
        alike: role -> how many held-out texts are near-duplicates of trained ones and no leaks.
        trained_rows: all trained examples that give something away.
    """

    leaks: tuple[LeakedRow, ...]
    alike: Mapping[Role, int]
    trained_rows: frozenset[int]

    def texts(self, trained: Examples, held_out: Examples) -> list[Leak]:
        """The leaks with their texts."""
        return [
            Leak(each.role, text_of(held_out, each.role)[each.held_out], text_of(trained, each.role)[each.trained])
            for each in self.leaks
        ]


def text_of(examples: Examples, role: Role) -> tuple[str, ...]:
    """The texts of one role."""
    return examples.queries if role == "query" else examples.passages


def leakage_between(
    trained: Examples, held_out: Examples, groups: Mapping[Role, Mapping[str, str]] | None = None
) -> Leakage:
    """What of *held_out* training on *trained* would give away. Labelled pairs count whatever their label.

    Args:
        groups: role -> id -> group of near-duplicates, where they are known: texts of one group alone are compared.
    """
    as_written = (trained, held_out)
    trained, held_out = without_prompts(trained, held_out)
    if (trained, held_out) != as_written:
        groups = None  # they are of the texts with their prompts
    leaks: list[LeakedRow] = []
    alike: dict[Role, int] = {}
    rows: set[int] = set()
    for role in ROLES:
        ours, theirs = _by_text(text_of(trained, role)), _by_text(text_of(held_out, role))
        near_texts = _near(role, trained, held_out, ours, theirs, groups)
        holding = questions_held(list(theirs), list(ours)) if role == "query" else {}
        within = _answers_held(trained, held_out, ours, theirs) if role == "passage" else {}
        alike[role] = 0
        for text in theirs:
            near = near_texts.get(text, ())
            given = [
                (held, row)
                for other in near
                for row in ours[other]
                for held in theirs[text]
                if _gives_away(role, held_out, held, trained, row)
            ]
            given += [(held, row) for other in holding.get(text, ()) for row in ours[other] for held in theirs[text]]
            given += within.get(text, ())
            if given:
                leaks.append(LeakedRow(role, *given[0]))
                rows.update(row for _, row in given)
            else:
                alike[role] += bool(near)
    known = {(each.role, each.held_out) for each in leaks}
    for held, row in _exchanged(trained, held_out):
        rows.add(row)
        if ("query", held) not in known:
            known.add(("query", held))
            leaks.append(LeakedRow("query", held, row))
    return Leakage(tuple(leaks), alike, frozenset(rows))


def questions_held(held_out: Sequence[str], trained: Sequence[str]) -> dict[str, list[str]]:
    """Held-out question -> the trained ones in which it stands whole, or which stand whole in it."""
    found = {
        text: [trained[at] for at in places]
        for text, places in zip(held_out, TextsThatAsk(trained).holding(held_out), strict=True)
    }
    for text, places in zip(trained, TextsThatAsk(held_out).holding(trained), strict=True):
        for at in places:
            found[held_out[at]].append(text)
    return found


def _answers_held(
    trained: Examples, held_out: Examples, ours: Mapping[str, list[int]], theirs: Mapping[str, list[int]]
) -> dict[str, list[tuple[int, int]]]:
    """Held-out passage -> (held-out row, trained row) of the pairs whose trained passage has it within, or is its
    beginning."""
    asked, among = list(theirs), list(ours)
    answers, holders = list(map(plain, asked)), list(map(plain, among))
    near = inside(answers, holders, _SHIFTED, chars=_CHARS, fewest=_FEWEST, own=True)
    together = [
        (place, other.among)
        for place, others in enumerate(near)
        for other in others
        if other.share >= _INSIDE or longest_run(answers[place], holders[other.among], _CHARS) >= _SHIFTED
    ]
    together += _cuts(among, asked)
    found: dict[str, list[tuple[int, int]]] = {text: [] for text in asked}
    for place, at in together:
        text, other = asked[place], among[at]
        found[text] += [
            (held, row)
            for row in ours[other]
            for held in theirs[text]
            if holds_answer(text, other, held_out.queries[held], trained.queries[row])
        ]
    return found


def _cuts(texts: Sequence[str], wholes: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(whole, text) of each text that is the beginning of a longer one, whatever title either has in front.

    A beginning behind which texts go on in several ways is a template, and gives nothing away.
    """
    bodies = sorted({(body, place) for place, whole in enumerate(wholes) for body in _bodies(whole)})
    others = sorted({body for text in texts for body in _bodies(text)})
    listed = [body for body, _ in bodies]
    for at, text in enumerate(texts):
        found: set[int] = set()
        for body in _bodies(text):
            if not (beginning := _beginning(body)):
                continue
            rows, alike = _starting(listed, beginning), _starting(others, beginning)
            some = [listed[row] for row in _spread(rows)] + [others[row] for row in _spread(alike)]
            if rows and not _is_template(beginning, some):
                found.update(bodies[row][1] for row in rows if len(listed[row]) > len(body))
        yield from ((place, at) for place in sorted(found))


def _bodies(text: str) -> set[str]:
    """The canonical form of *text*, and of what is behind each title that it may have in front."""
    edges = [found.end() for found in _TITLE.finditer(text[:_MOST_TITLE])]
    return {plain(text), *(plain(text[edge:]) for edge in edges)}


def _beginning(text: str) -> str:
    """*text* without its end, where a word may be cut or "read more" be added; "" where too little is left."""
    least, end = (_FEWEST + _CHARS, _CHARS) if len(pieces(text)) < len(text) / 2 else (_FEWEST // 2, _CHARS // 2)
    if len(text) - end < least:  # a short one, without its last word alone
        text = text.rpartition(" ")[0]
        return text if len(text) >= least else ""
    return text[:-end]


def _starting(listed: Sequence[str], beginning: str) -> range:
    """The places of what begins so, in a list that is sorted."""
    return range(bisect_left(listed, beginning), bisect_left(listed, beginning + chr(sys.maxunicode)))


def _spread(places: range) -> range:
    """Some of them, of the whole length: a beginning that ten thousand texts have is seen in a few."""
    return places[:: max(1, len(places) // _ENOUGH)]


def _is_template(beginning: str, texts: Sequence[str]) -> bool:
    """Whether *texts* go on in several ways, behind what all begin with."""
    rests = sorted((text[len(beginning) + _CHARS :][:_FEWEST] for text in texts), key=len)
    rests = [rest for rest in rests if rest]
    return any(not rests[-1].startswith(rest) for rest in rests)


def holds_answer(answer: str, holder: str, asked: str, question: str) -> bool:
    """Whether a passage that has nearly all of another one within has what that one is asked for."""
    if len(plain(holder)) < _LONGER * len(plain(answer)) and plain(answer) not in plain(holder):
        return not told_apart(answer, holder, asked, question)
    return not (content(answer) - content(holder)) & (content(asked) - content(question))


def _exchanged(trained: Examples, held_out: Examples) -> Iterator[tuple[int, int]]:
    """(held-out row, trained row) of each pair that is trained with query and passage exchanged, nearly as it is."""
    sides: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, (query, passage) in enumerate(zip(trained.queries, trained.passages, strict=True)):
        sides[bare(passage), bare(query)].append(row)
    for held, (query, passage) in enumerate(zip(held_out.queries, held_out.passages, strict=True)):
        yield from ((held, row) for row in sides.get((bare(query), bare(passage)), ()))
    ours, theirs = _by_text(trained.queries), _by_text(held_out.passages)
    answers, among = list(theirs), list(ours)
    near = inside(list(map(plain, answers)), list(map(plain, among)), _INSIDE, chars=_CHARS, fewest=_FEWEST)
    for text, others in zip(answers, near, strict=True):
        for row in (row for other in others for row in ours[among[other.among]]):
            yield from (
                (held, row) for held in theirs[text] if words_in_order(held_out.queries[held], trained.passages[row])
            )


def linked_rows(examples: Examples) -> Iterator[tuple[int, int]]:
    """Rows of which one would give the other away by a text that is inside the other, for who splits a set."""
    examples = without_prompt(examples)
    queries, passages = _by_text(examples.queries), _by_text(examples.passages)
    for rows in _same(queries).values():
        yield from ((rows[0], row) for row in rows[1:])
    for text, others in questions_held(list(queries), list(queries)).items():
        yield from ((queries[text][0], queries[other][0]) for other in others)
    for pairs in _answers_held(examples, examples, passages, passages).values():
        yield from pairs
    yield from _exchanged(examples, examples)


def _same(queries: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Key of a question -> rows that ask it."""
    found: dict[str, list[int]] = defaultdict(list)
    for text, rows in queries.items():
        found[_spelling("query", text)] += rows
    return found


def _by_text(texts: Iterable[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        rows[text].append(row)
    return rows


def _near(
    role: Role,
    trained: Examples,
    held_out: Examples,
    ours: Mapping[str, list[int]],
    theirs: Mapping[str, list[int]],
    groups: Mapping[Role, Mapping[str, str]] | None,
) -> dict[str, list[str]]:
    """Held-out text -> trained ones that are near-duplicates of it, or spelled otherwise."""
    among, asked = list(range(len(ours))), list(theirs)
    texts = list(ours)
    if groups is not None:
        mine, other = (
            _groups_of(role, part, rows, groups[role]) for part, rows in ((trained, ours), (held_out, theirs))
        )
        both = set(mine.values()) & set(other.values())
        among = [row for row in among if mine[texts[row]] in both]
        asked = [text for text in asked if other[text] in both]
    found = near_among(asked, [texts[row] for row in among])
    near = {text: [texts[among[at]] for at in places] for text, places in zip(asked, found, strict=True)}
    spelled: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        spelled[_spelling(role, text)].append(text)
    return {
        text: list(dict.fromkeys([*near.get(text, ()), *spelled.get(_spelling(role, text), ())])) for text in theirs
    }


def _spelling(role: Role, text: str) -> str:
    """What is equal for texts that may be one; short questions are the same in it long before their letters are."""
    return (question_key(text) if role == "query" else "") or plain(text)


def _groups_of(
    role: Role, examples: Examples, rows: Mapping[str, list[int]], groups: Mapping[str, str]
) -> dict[str, str]:
    names = examples.query_ids if role == "query" else examples.passage_ids
    return {text: groups[names[places[0]]] for text, places in rows.items()}


def _gives_away(role: Role, held_out: Examples, held: int, trained: Examples, row: int) -> bool:
    asked, question = held_out.queries[held], trained.queries[row]
    answer, known = held_out.passages[held], trained.passages[row]
    if role == "passage":
        return same_text(answer, known) or (
            jaccard(_shingles(answer), _shingles(known)) >= NEAR and not told_apart(answer, known, asked, question)
        )
    return same_question(asked, question) or same_answer(answer, known, asked, question)


def same_question(left: str, right: str) -> bool:
    """Whether two near-duplicates ask the same: they differ in no word that tells."""
    if same_text(left, right):
        return True
    one = asked_words(left)
    return bool(one) and one == asked_words(right) and not numbered_apart(left, right)


def same_answer(left: str, right: str, left_query: str, right_query: str) -> bool:
    """Whether two passages say the same to their queries: the same text, or one that differs in nothing asked for."""
    if same_text(left, right):
        return True
    if jaccard(_shingles(left), _shingles(right)) < NEAR:
        return False
    return not told_apart(left, right, left_query, right_query)


def told_apart(left: str, right: str, left_query: str, right_query: str) -> bool:
    """Whether a passage has a word that the other lacks and its own query asks for, unlike the other query.

    Small words count where a query has them and they tell: "the tax in ME" is not "the tax in OR".
    """
    ours, theirs = _words(left), _words(right)
    ask_left, ask_right = _asked(left_query), _asked(right_query)
    return bool(((ours - theirs) & (ask_left - ask_right)) or ((theirs - ours) & (ask_right - ask_left)))


@lru_cache(maxsize=20_000)
def _words(passage: str) -> frozenset[str]:
    return content(passage).union(word for word in pieces(bare(passage)) if not is_syllable(word))


def _asked(query: str) -> frozenset[str]:
    return content(query).union(word for word in asked_words(query) if not is_syllable(word))


@lru_cache(maxsize=20_000)
def _shingles(text: str) -> Shingles:
    return shingles(text)


def without(examples: Examples, rows: Sequence[int] | frozenset[int]) -> Examples:
    """*examples* without some."""
    gone = set(rows)
    return examples if not gone else examples.rows([row for row in range(len(examples)) if row not in gone])
