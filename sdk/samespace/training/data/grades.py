"""What the numbers of a label mean: from 0, nothing in common, to 1, the same; and how labels of others are refused.

Labels of natural language inference look like such numbers and mean the opposite: 0 is entailment. They are known by
their columns, their names, or the numbers that no similarity has, and are refused with the mapping that is right.
Grades in a column of another name are refused too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final

from ...errors import DataInvalid
from ...evaluation.excerpts import clipped, shown
from ...evaluation.qrels import GRADE_NAMES

_NLI_COLUMNS: Final = ({"premise", "hypothesis"}, {"sentence1", "sentence2"}, {"sentence_A", "sentence_B"})
_NLI_WORDS: Final = ("entailment", "neutral", "contradiction", "not_entailment", "-")
_MAPPING: Final = (
    "0 is entailment, 1 neutral, 2 contradiction, and -1 has no label. Write 1 for entailment and 0 for contradiction, "
    "and leave neutral and -1 out; or keep the entailed pairs alone, without a label"
)
_NEGATIONS: Final = ("un", "ir", "in", "dis", "im", "mis", "not", "no", "non", "nota", "isnot", "isnota")
_OPPOSITES: Final = (
    ("true", "false"), ("yes", "no"), ("positive", "negative"), ("pos", "neg"), ("correct", "wrong"),
    ("right", "wrong"), ("same", "different"), ("equal", "different"), ("similar", "different"), ("good", "bad"),
    ("match", "mismatch"), ("accepted", "rejected"), ("chosen", "rejected"), ("duplicate", "different"),
    ("duplicate", "distinct"), ("entailment", "contradiction"), ("relevant", "other"),
)  # fmt: skip
_TOGETHER: Final = ("entail", "equivalent", "duplicate", "paraphrase", "similar", "relevant", "same", "yes", "true")
_GRADE_WORDS: Final = frozenset({
    *GRADE_NAMES, "labels", "similarity", "sim", "judgments", "judgements", "rating", "ratings", "usefulness",
    "helpfulness", "entailment", "nli", "polarity", "qrel", "qrels", "esci",
})  # fmt: skip
_ENDS_IN: Final = frozenset([
    "label", "labels", "relevance", "relevancy", "judgment", "judgement", "grade", "rating", "annotation",
])  # fmt: skip
"""Last words of names such as `human_label`; a `label_id` and a `label_text` are labels too."""
_SCORED: Final = frozenset([
    "rel", "relevance", "relevancy", "relatedness", "similarity", "sim", "sts", "match", "human", "gold", "label",
    "entailment", "paraphrase", "quality", "usefulness",
])  # fmt: skip
"""What a `..._score` is a grade of; one of BM25 or of a teacher is none."""
_SAID_OF_PAIRS: Final = frozenset([
    "relevant", "rel", "correct", "selected", "positive", "answer", "match", "matched", "matching", "paraphrase",
    "duplicate", "dup", "similar", "same", "related", "equivalent", "valid", "accepted", "answerable", "supported",
    "entailed", "gold", "true", "good", "useful", "helpful", "chosen", "best",
])  # fmt: skip
"""What is said of a pair by yes or no: `is_relevant`, `has_answer`, `duplicate`."""
_SAID_AGAINST: Final = frozenset([
    "impossible", "negative", "unanswerable", "irrelevant", "wrong", "incorrect", "unrelated", "different", "rejected",
    "noise", "noisy", "bad", "invalid", "unsupported", "hallucinated",
])  # fmt: skip
_IN_FRONT: Final = frozenset(["is", "has", "was", "are"])
_OR_TEXT: Final = frozenset(["gold", "target", "verdict", "correct", "decision", "relation", "hit"])
"""Names of columns of other things too: 0, 1 and words for yes and no are grades in them."""
_AGAINST: Final = frozenset({
    "i", "n", "f", "no", "false", "irrelevant", "unrelated", "wrong", "incorrect", "bad", "negative", "neg", "none",
    "contradiction", "contradicts", "contradictory", "refutes", "refuted", "refute", "different", "distinct",
    "rejected", "mismatch", "unanswerable", "unsupported", "notenoughinfo", "nei", "neutral",
})  # fmt: skip
"""Words for "not relevant"; "I" is that of Amazon's ESCI."""
_FOR: Final = frozenset({
    "y", "t", "yes", "true", "relevant", "related", "right", "correct", "good", "positive", "pos", "entailment",
    "entails", "supports", "supported", "support", "same", "duplicate", "paraphrase", "similar", "equivalent",
    "accepted", "match", "answerable",
})  # fmt: skip
_NAME_PARTS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def unit_label(where: str, column: str, value: Any, texts: tuple[str, str]) -> float:
    """A label in [0, 1]; *texts* are the names of the two columns of texts.

    Raises:
        DataInvalid: it is none; labels of NLI are told with what they mean.
    """
    if isinstance(value, str) and value.strip().lower() in _NLI_WORDS:
        raise DataInvalid(
            path=where,
            reason=f"{column!r} is {clipped(value)}, a label of inference; expected a number from 0 to 1. Write 1 for "
            "entailment and 0 for contradiction, and leave the others out",
        )
    grade = number(where, column, value)
    if 0 <= grade <= 1:
        return grade
    inference = set(texts) == _NLI_COLUMNS[0] or (set(texts) in _NLI_COLUMNS and grade in (-1, 2))
    if inference and grade in (-1, 2):
        sure = "" if set(texts) == _NLI_COLUMNS[0] else "If these are labels of inference: "
        raise DataInvalid(
            path=where,
            reason=f"{column!r} is {grade:g} beside {texts[0]!r} and {texts[1]!r}; expected 0 to 1. "
            f"{sure or 'These are labels of inference: '}{_MAPPING}"
            + ("" if not sure else ". If they are grades: divide them by the highest"),
        )
    raise DataInvalid(
        path=where, reason=f"{column!r} is {grade:g}; expected 0 to 1: divide graded labels by the highest grade"
    )


def check_class_names(path: str, classes: Mapping[str, Sequence[str]]) -> None:
    """Refuse a column of classes, unless the names that its file gives them say what the numbers are read as.

    Args:
        classes: column of labels -> names of its classes; the number of a class is its place.

    Raises:
        DataInvalid: the numbers would be read the wrong way round, or the names do not tell.
    """
    for column, names in classes.items():
        meaning = ", ".join(f"{number} is {name}" for number, name in enumerate(names[:8]))
        said = _together(names)
        if said == 1:
            continue
        if said == 0:
            reason = f"as a similarity from 0 to 1 they are the wrong way round. Write 1 for {names[0]} and 0 for "
            reason += f"{names[-1]}, and leave others out"
        else:
            reason = "which of them belongs together is not known. Write 1 for pairs that belong together and 0 for "
            reason += "those that do not, as plain numbers, and leave others out"
        raise DataInvalid(path=path, reason=f"{column!r} has the classes {meaning}: {reason}")


def _together(names: Sequence[str]) -> int | None:
    """Which of two classes is what belongs together: 0, 1, or None where their names do not tell."""
    plain = [re.sub(r"[^0-9a-z]+", "", str(name).lower()) for name in names]
    if plain == ["0", "1"]:
        return 1
    if plain == ["1", "0"] or (plain and plain[0].startswith(_TOGETHER)):
        return 0
    if len(plain) != 2 or not all(plain):
        return None
    for place, other in ((0, 1), (1, 0)):  # "related" and "unrelated", "match" and "no match"
        if plain[other].endswith(plain[place]) and plain[other].removesuffix(plain[place]) in _NEGATIONS:
            return place
    return next((place for place, other in ((0, 1), (1, 0)) if (plain[place], plain[other]) in _OPPOSITES), None)


def number(where: str, column: str, value: Any) -> float:
    """A finite number, or true or false.

    Raises:
        DataInvalid: it is none.
    """
    if isinstance(value, bool | int | float):
        with suppress(OverflowError):  # a whole number beyond what a float can hold
            if math.isfinite(value):
                return float(value)
    raise DataInvalid(path=where, reason=f"{column!r} is {shown(value)}; expected a number")


class UnreadGrades:
    """What the columns of one file say that are grades by their names, and are not read.

    Passed over, each row would be a right answer: also those that say "not relevant". Where such a column says one
    thing of all rows, and nothing against them, the rows are pairs and it is left out like any other.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[Any, Any, int]] = {}

    def look_at(self, where: str, line: int, plain: Mapping[str, Any], unused: tuple[str, ...]) -> None:
        """Raise `DataInvalid` where a column tells rows apart, or says that a row does not fit.

        Args:
            unused: names of the row's columns that are not used.
        """
        for column in unused:
            if not (kind := _kind_of_grade(column)):
                continue
            for value in _each(plain[column]):
                said = _said(value)
                if kind == "or text" and not _is_verdict(said):
                    continue
                first, was, at = self._first.setdefault(column, (said, value, line))
                if first != said:
                    self._refuse(where, column, f"is {clipped(value)}, and {clipped(was)} in line {at}")
                if _denies(said) != (kind == "against"):
                    self._refuse(where, column, f"is {clipped(value)}, which says that the pair does not fit")

    def _refuse(self, where: str, column: str, what: str) -> None:
        raise DataInvalid(
            path=where,
            reason=f"{column!r} {what}; a column of this name is not read, and every row would be a right answer. Call "
            "it label, from 0 to 1, or leave it out where all rows are",
        )


@cache
def _kind_of_grade(column: str) -> str:
    """What a column is by its name: "" for no grade, "for" or "against" a pair, "or text" where it may be one."""
    names = [name.lower() for name in _NAME_PARTS.findall(column)]
    if not names:
        return ""
    yes_or_no = names[0] in _IN_FRONT
    asked = names[1:] if yes_or_no else names
    joined, last = "".join(asked), names[-1]
    kinds = {
        "or text": len(names) == 1 and last in _OR_TEXT,
        "against": joined in _SAID_AGAINST or (yes_or_no and not _SAID_AGAINST.isdisjoint(asked)),
        "for": joined in _SAID_OF_PAIRS
        or (yes_or_no and not _SAID_OF_PAIRS.isdisjoint(asked))
        or (last == "score" and len(names) > 1 and names[-2] in _SCORED)
        or last in _ENDS_IN
        or (len(names) == 2 and names[0] == "label")
        or not _GRADE_WORDS.isdisjoint({joined, _bare(column)}),
    }
    return next((kind for kind, is_so in kinds.items() if is_so), "")


def _is_verdict(said: float | str) -> bool:
    return said in (-1, 0, 1) if isinstance(said, float) else said in _FOR or _denies(said)


def _denies(said: float | str) -> bool:
    """Whether a value says no: 0 and less, or a word for it such as "not relevant"."""
    if isinstance(said, float):
        return said <= 0
    return said in _AGAINST or any(
        said.startswith(negation) and said.removeprefix(negation) in _FOR for negation in _NEGATIONS
    )


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def _each(value: Any) -> Iterator[Any]:
    """The values of a cell: itself, or those of a list."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, bool | int | float | str):
            yield each


def _said(value: bool | int | float | str) -> float | str:
    """What a value says, so that 1, 1.0, "1" and true are one."""
    try:
        return float(value)
    except ValueError:
        bare = _bare(str(value))
        return {"true": 1.0, "false": 0.0}.get(bare, bare)
    except OverflowError:  # a whole number beyond what a float can hold
        return str(value)
