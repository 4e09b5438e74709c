"""How long texts are beside the token limit, and into how many pieces words fall.

Without a tokenizer tokens are estimated from words, and held against the limits that encoders usually have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...evaluation.words import SPACELESS
from ...text import ROLES, Role, TextEncoder
from .diagnosis import PLURAL, Check, DataFinding, Histogram, Table, TextName, few, share
from .material import Material

LOST: Final = 0.05
"""Share of tokens beyond the limit from which a cut is worth a warning."""
MOST: Final = 0.5
"""The same where the encoder is not known, and its limit is taken to be the higher of the usual ones."""
SHATTERED: Final = 2.0
"""Tokens a word from which a vocabulary does not fit. English in an English vocabulary has about 1.2 to 1.5."""
UNKNOWN: Final = 0.01
"""Share of words with an unknown token from which a vocabulary does not fit."""
LIMITS: Final = (256, 512)
"""Token limits of most encoders: what is beyond is told where the encoder is not known."""
TOKENS_A_WORD: Final = (
    1.35  # English in an English vocabulary; 1.30 to 1.40 with MiniLM's on scifact, medquad, stackfaq
)
_PIECES: Final = 4
_FREQUENT: Final = 5
_BLOCK: Final = 512
_WORDS: Final = re.compile(r"\w+")
_WIDE: Final = re.compile(f"[{SPACELESS}]")


def lengths(material: Material, text_encoders: Mapping[Role, TextEncoder] | None) -> Check:
    """Tokens of every text beside the limit, and what a cut at the limit would lose."""
    if text_encoders is None:
        return _words(material)
    findings, rows = [], []
    numbers: dict[str, Any] = {}
    series: dict[str, list[float]] = {}
    limits: dict[str, int] = {}
    for role in ROLES:
        texts = {name: text for name, text in material.texts(role).items() if text}
        limit = text_encoders[role].recipe.token_limit
        tokens, windows, kept = _measure(texts.values(), text_encoders[role], role)
        if not tokens:
            continue
        long = [name for name, count in zip(texts, windows, strict=True) if count > 1]
        lost = sum(tokens) - sum(kept)
        ordered = sorted(tokens)
        rows.append(
            (role, len(tokens), limit, ordered[len(ordered) // 2], ordered[int(0.95 * (len(ordered) - 1))], ordered[-1],
             share(len(long), len(tokens)), share(lost, sum(tokens)))
        )  # fmt: skip
        numbers[role] = {
            "texts": len(tokens), "limit": limit, "median": ordered[len(ordered) // 2],
            "p95": ordered[int(0.95 * (len(ordered) - 1))], "longest": ordered[-1], "beyond_limit": len(long),
            "windows": sum(windows), "share_of_tokens_beyond": round(lost / sum(tokens), 4),
        }  # fmt: skip
        series[f"{role}, limit {limit}"] = [float(count) for count in tokens]
        limits[f"{role}, limit {limit}"] = limit
        if long:
            much = lost >= LOST * sum(tokens)
            findings.append(
                DataFinding(
                    f"long_{PLURAL[role]}",
                    "warning" if much else "note",
                    f"{len(long)} of {len(tokens)} {PLURAL[role]} ({share(len(long), len(tokens))}) are longer than "
                    f"the {limit} tokens of one model input; all texts make {sum(windows)} windows, and a cut would "
                    f"lose {share(lost, sum(tokens))} of all tokens.",
                    "Training sees only the first window of a text: split long passages into several, raise the token "
                    "limit, or take an encoder with a higher one"
                    if much
                    else "",
                    few([(TextName(role, name),) for name in long]),
                )
            )
    head = ("role", "texts", "limit", "median tokens", "95th percentile", "longest", "beyond limit", "tokens beyond")
    pictures = tuple(
        Histogram("tokens of a text", {name: counts}, high=min(4.0 * limits[name], max(counts)))
        for name, counts in series.items()
    )
    return Check("lengths", "Lengths", tuple(findings), numbers, (Table(head, tuple(rows)),), pictures)


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has: those of its words, and one for each character of a script without spaces."""
    wide = 0 if text.isascii() else len(_WIDE.findall(text))
    words = len(_WORDS.findall(text if not wide else _WIDE.sub(" ", text)))
    return round(TOKENS_A_WORD * words) + wide + 2  # and the two special tokens


def _words(material: Material) -> Check:
    rows, pictures, findings = [], [], []
    numbers: dict[str, Any] = {}
    for role in ROLES:
        named = {name: text for name, text in material.texts(role).items() if text}
        tokens = {name: estimated_tokens(text) for name, text in named.items()}
        if not tokens:
            continue
        ordered = sorted(tokens.values())
        middle, high, longest = ordered[len(ordered) // 2], ordered[int(0.95 * (len(ordered) - 1))], ordered[-1]
        numbers[role] = {
            "texts": len(ordered), "median_tokens": middle, "p95_tokens": high, "longest_tokens": longest,
            **{f"beyond_{limit}": sum(count > limit for count in ordered) for limit in LIMITS},
        }  # fmt: skip
        rows.append((role, len(ordered), middle, high, longest))
        shown = {PLURAL[role]: [float(count) for count in ordered]}
        label = "tokens of a text, estimated from its words"
        pictures.append(Histogram(label, shown, high=min(3.0 * high, longest)))
        findings += [_beyond(role, tokens)] * (longest > LIMITS[0])
    head = ("role", "texts", "median tokens, estimated", "95th percentile", "longest")
    return Check("lengths", "Lengths", tuple(findings), numbers, (Table(head, tuple(rows)),), tuple(pictures))


def _beyond(role: Role, tokens: Mapping[str, int]) -> DataFinding:
    """What the usual limits would cut; a warning where even the higher one would lose most of the text."""
    total = sum(tokens.values())
    said, lost = [], 0
    for limit in LIMITS:
        long, lost = sum(count > limit for count in tokens.values()), sum(max(0, n - limit) for n in tokens.values())
        said.append(
            f"{long} of {len(tokens)} ({share(long, len(tokens))}) have more than {limit} tokens, and a cut there "
            f"would lose {share(lost, total)} of all tokens"
        )
    much = lost >= MOST * total
    return DataFinding(
        f"long_{PLURAL[role]}",
        "warning" if much else "note",
        f"{PLURAL[role]}, by an estimate from their words: {'; '.join(said)}. An encoder's own limit is told with "
        "--encoder.",
        "Training sees only the first window of a text: split long passages, or take an encoder with a higher limit"
        if much
        else "",
        few([(TextName(role, name),) for name, count in tokens.items() if count > LIMITS[-1 if much else 0]]),
    )


def _measure(texts: Any, encoder: TextEncoder, role: Role) -> tuple[list[int], list[int], list[int]]:
    """Of each text its tokens, its windows, and the tokens that its first window holds."""
    tokens: list[int] = []
    windows: list[int] = []
    kept: list[int] = []
    for block in _blocks(list(texts)):
        for text in encoder.tokenize(block, role):
            tokens.append(text.tokens)
            windows.append(len(text.windows))
            kept.append(len(text.windows[0].ids))
    return tokens, windows, kept


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _BLOCK):
        yield texts[start : start + _BLOCK]


@dataclass(frozen=True, slots=True)
class _Fragments:
    """Into how many tokens the words of a set fall.

    Attributes:
        counts: how often each word occurs.
        bearer: the first text that has it.
        words: the most frequent ones, which decide the mean.
        pieces: word -> its tokens, and whether the vocabulary lacks one of them.
    """

    counts: Mapping[str, int]
    bearer: Mapping[str, TextName]
    words: Sequence[str]
    pieces: Mapping[str, tuple[int, bool]]

    def occurring(self, words: Iterable[str]) -> int:
        """How often all of *words* occur."""
        return sum(self.counts[word] for word in words)

    @property
    def total(self) -> int:
        """Words in all texts."""
        return self.occurring(self.words)

    @property
    def mean(self) -> float:
        """Tokens a word."""
        return sum(self.counts[word] * self.pieces[word][0] for word in self.words) / max(1, self.total)

    @property
    def shattered(self) -> list[str]:
        """Frequent words of many tokens, those first that cost most."""
        found = [word for word in self.words if self.counts[word] >= _FREQUENT and self.pieces[word][0] >= _PIECES]
        return sorted(found, key=lambda word: -self.counts[word] * self.pieces[word][0])

    @property
    def unknown(self) -> list[str]:
        """Words with a token that the vocabulary lacks."""
        return [word for word in self.words if self.pieces[word][1]]


def fragmentation(material: Material, text_encoder: TextEncoder) -> Check:
    """Into how many tokens words fall, and which frequent ones fall into many."""
    found = _fragments(material, text_encoder)
    shattered, total = found.shattered, found.total
    whole = found.occurring(word for word in found.words if found.pieces[word][0] == 1)
    numbers: dict[str, Any] = {
        "words": total, "tokens_a_word": round(found.mean, 4), "one_token": round(whole / max(1, total), 4),
        "frequent_shattered_terms": len(shattered),
        "share_shattered": round(found.occurring(shattered) / max(1, total), 4),
        "share_unknown": round(found.occurring(found.unknown) / max(1, total), 4),
    }  # fmt: skip
    rows = tuple(
        (f"term {number}", found.counts[word], found.pieces[word][0], str(found.bearer[word]))
        for number, word in enumerate(shattered[:15], start=1)
    )
    head = ("most shattered", "times", "tokens", "first in")
    spread = {"words": _spread(found.counts, found.pieces, found.words)}
    return Check(
        "fragmentation", "Vocabulary", _misfits(found), numbers, (Table(head, rows),) if rows else (),
        (Histogram("tokens of a word, each word as often as it occurs", spread, high=8.0),),
    )  # fmt: skip


def _fragments(material: Material, text_encoder: TextEncoder) -> _Fragments:
    counts: Counter[str] = Counter()
    bearer: dict[str, TextName] = {}
    for role in ROLES:
        for name, text in material.texts(role).items():
            words = _WORDS.findall(text)
            counts.update(words)
            for word in words:
                bearer.setdefault(word, TextName(role, name))
    most = [word for word, _ in counts.most_common(50_000)]  # the rest weighs nothing in the mean
    return _Fragments(counts, bearer, most, dict(zip(most, text_encoder.count_pieces(most), strict=True)))


def _misfits(found: _Fragments) -> tuple[DataFinding, ...]:
    """How the vocabulary does not fit the texts."""
    findings, shattered, mean = [], found.shattered, found.mean
    share_shattered = found.occurring(shattered) / max(1, found.total)
    if mean > SHATTERED:
        findings.append(
            DataFinding(
                "shattered_words",
                "warning",
                f"a word has {mean:.2f} tokens on average; {len(shattered)} frequent terms have {_PIECES} or more.",
                "Take a base whose vocabulary knows this language or domain, or extend the vocabulary",
                few([(found.bearer[word],) for word in shattered]),
            )
        )
    elif shattered:
        jargon = share_shattered >= 0.05
        findings.append(
            DataFinding(
                "shattered_terms",
                "warning" if jargon else "note",
                f"{len(shattered)} frequent terms, {share(share_shattered, 1)} of all words, have {_PIECES} or "
                f"more tokens; a word has {mean:.2f} on average.",
                "Extend the vocabulary by these terms, or take a base of the domain" if jargon else "",
                few([(found.bearer[word],) for word in shattered]),
            )
        )
    unknown = found.occurring(found.unknown)
    if unknown >= UNKNOWN * found.total:
        findings.append(
            DataFinding(
                "unknown_tokens",
                "warning",
                f"{share(unknown, found.total)} of the words have a token that the vocabulary does not know: they all "
                "look the same to the encoder.",
                "Take a base whose vocabulary has these characters",
                few([(found.bearer[word],) for word in found.unknown]),
            )
        )
    return tuple(findings)


def _spread(counts: Mapping[str, int], pieces: Mapping[str, tuple[int, bool]], words: Sequence[str]) -> list[float]:
    """Tokens a word, in numbers that keep the proportions and are at most some ten thousand."""
    total = sum(counts[word] for word in words)
    scale = min(1.0, 10_000 / max(1, total))
    return [float(pieces[word][0]) for word in words for _ in range(round(counts[word] * scale))]
