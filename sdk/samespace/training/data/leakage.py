"""Which held-out texts training would give away, and which only look like a trained one.

A near-duplicate is not yet a leak: "what does b2sum do" and "what does b3sum do" are different questions, and so are
two pages that are written from one template. What decides is the difference:

query       leaks where it is the same text, also behind a prompt, or differs in no content word, or has the same answer
passage     leaks where it is the same text, or differs in nothing that is asked for
pair        leaks where it is trained with its two sides exchanged: the loss looks at pairs from both sides

What it leaves to others: finding near-duplicates (`near_duplicates`), what follows (`doctor`, `finetuning`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ...text import ROLES, Role
from .examples import Examples
from .near_duplicates import DUPLICATE as NEAR
from .near_duplicates import Leak, Shingles, canonical, jaccard, near_among, shingles
from .prompted import without_prompts

_SMALL: Final = frozenset(
    """a an and any are as at be been but by can could did do does for from had has have how i if in into is it its
    me my of on or our shall should so some than that the their them then there these they this those to us was we were
    what which will with would you your please exactly actually""".split()  # noqa: SIM905
)


_WORDS_OF_A_QUESTION: Final = 2


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
        among = list(ours)
        alike[role] = 0
        near_texts = _near(role, trained, held_out, ours, theirs, groups)
        spelled = _by_content(among) if role == "query" else {}
        for text in theirs:
            near = list(dict.fromkeys([*near_texts.get(text, ()), *spelled.get(question_key(text), ())]))
            given = [
                (held, row)
                for other in near
                for row in ours[among[other]]
                for held in theirs[text]
                if _gives_away(role, held_out, held, trained, row)
            ]
            if given:
                leaks.append(LeakedRow(role, *given[0]))
                rows.update(row for _, row in given)
            else:
                alike[role] += bool(near)
    known = {(each.role, each.held_out) for each in leaks}
    for held, row in _exchanged(trained, held_out):
        rows.add(row)
        if ("query", held) not in known:
            leaks.append(LeakedRow("query", held, row))
    return Leakage(tuple(leaks), alike, frozenset(rows))


def _exchanged(trained: Examples, held_out: Examples) -> Iterator[tuple[int, int]]:
    """(held-out row, trained row) of each pair that is trained with query and passage exchanged."""
    sides: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, (query, passage) in enumerate(zip(trained.queries, trained.passages, strict=True)):
        sides[canonical(passage), canonical(query)].append(row)
    for held, (query, passage) in enumerate(zip(held_out.queries, held_out.passages, strict=True)):
        yield from ((held, row) for row in sides.get((canonical(query), canonical(passage)), ()))


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
) -> dict[str, list[int]]:
    """Held-out text -> positions in *ours* of its near-duplicates."""
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
    return {text: [among[at] for at in near] for text, near in zip(asked, found, strict=True)}


def _groups_of(
    role: Role, examples: Examples, rows: Mapping[str, list[int]], groups: Mapping[str, str]
) -> dict[str, str]:
    names = examples.query_ids if role == "query" else examples.passage_ids
    return {text: groups[names[places[0]]] for text, places in rows.items()}


def _by_content(texts: Sequence[str]) -> dict[str, list[int]]:
    """Question keys -> positions; short questions are the same in them long before their letters are."""
    found: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        if key := question_key(text):
            found[key].append(row)
    return found


def question_key(text: str) -> str:
    """What is equal for one question in other small words and endings; "" for texts of less than two content words."""
    stems = [_stem(word) for word in canonical(text).split() if word not in _SMALL]
    return " ".join(stems) if len(stems) >= _WORDS_OF_A_QUESTION else ""


def _gives_away(role: Role, held_out: Examples, held: int, trained: Examples, row: int) -> bool:
    asked, question = held_out.queries[held], trained.queries[row]
    answer, known = held_out.passages[held], trained.passages[row]
    if role == "passage":
        return canonical(answer) == canonical(known) or not told_apart(answer, known, asked, question)
    return same_question(asked, question) or same_answer(answer, known, asked, question)


def same_question(left: str, right: str) -> bool:
    """Whether two near-duplicates ask the same: they differ in no word that has content."""
    return canonical(left) == canonical(right) or content(left) == content(right)


def same_answer(left: str, right: str, left_query: str, right_query: str) -> bool:
    """Whether two passages say the same to their queries: the same text, or one that differs in nothing asked for."""
    if canonical(left) == canonical(right):
        return True
    if jaccard(_shingles(left), _shingles(right)) < NEAR:
        return False
    return not told_apart(left, right, left_query, right_query)


def told_apart(left: str, right: str, left_query: str, right_query: str) -> bool:
    """Whether a passage has a word that the other lacks and its own query asks for, unlike the other query."""
    ours, theirs = content(left), content(right)
    ask_left, ask_right = content(left_query), content(right_query)
    return bool(((ours - theirs) & (ask_left - ask_right)) or ((theirs - ours) & (ask_right - ask_left)))


@lru_cache(maxsize=100_000)
def content(text: str) -> frozenset[str]:
    """The stems of the words of a text, and its signs, without small words."""
    return frozenset(_stem(word) for word in canonical(text).split() if word not in _SMALL)


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    from Stemmer import Stemmer

    return str(Stemmer("english").stemWord(word)) if word.isascii() and word.isalpha() else word


@lru_cache(maxsize=20_000)
def _shingles(text: str) -> Shingles:
    return shingles(text)


def without(examples: Examples, rows: Sequence[int] | frozenset[int]) -> Examples:
    """*examples* without some."""
    gone = set(rows)
    return examples if not gone else examples.rows([row for row in range(len(examples)) if row not in gone])
