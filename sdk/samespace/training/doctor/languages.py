"""Which scripts and languages the texts are in, guessed without a model.

Scripts go by Unicode blocks. Languages of the Latin and Cyrillic scripts go by stop words, of which two languages share
few; a text with less than two, such as code or a list of names, has no language.

What it gives up: languages that are not listed ("latin, unknown"), and texts that mix them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from ...text import ROLES
from .diagnosis import PLURAL, Check, DataFinding, Table, TextName, few, share
from .material import Material

SECOND: Final = 0.05
"""Share of a second language from which texts count as mixed."""
_CHARS: Final = 2000
_WORDS: Final = re.compile(r"[^\W\d_]+")
_BLOCKS: Final[tuple[tuple[int, int, str], ...]] = (
    (0x0041, 0x024F, "latin"), (0x1E00, 0x1EFF, "latin"), (0x0370, 0x03FF, "greek"), (0x0400, 0x052F, "cyrillic"),
    (0x0530, 0x058F, "armenian"), (0x0590, 0x05FF, "hebrew"), (0x0600, 0x077F, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0980, 0x09FF, "bengali"), (0x0B80, 0x0BFF, "tamil"), (0x0C00, 0x0C7F, "telugu"), (0x0E00, 0x0E7F, "thai"),
    (0x10A0, 0x10FF, "georgian"), (0x1100, 0x11FF, "hangul"), (0xAC00, 0xD7AF, "hangul"), (0x3040, 0x30FF, "kana"),
    (0x3400, 0x4DBF, "han"), (0x4E00, 0x9FFF, "han"),
)  # fmt: skip
_STOP_WORDS: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "english": "the of and to is that for with are this was on be by which from or have it not what how can i "
        "my you do does a if",
        "german": "der die das und ist nicht mit ein eine zu den von auf für im dem sich werden auch wie oder sind ich",
        "french": "le les des et est une du dans pour que qui par sur au avec ne pas sont plus ce il vous comment",
        "spanish": "el los las y es una del para que por con se no al su como más este pero está cómo qué son",
        "italian": "il gli che di è un una per con non del della sono si da nel come anche più questo alla",
        "portuguese": "os é um uma para não do da dos das em com que por mais como foi ao são você",
        "dutch": "de het een en van is dat niet op te zijn voor met die aan ook er wordt naar hoe wat ik",
        "swedish": "och att det som en på är av för med inte den till har om ett jag kan hur vad",
        "polish": "nie na się jest do to że jak po przez dla od czy są ale oraz tak który",
        "russian": "и в не на что с как это по но из у за от для так же или бы мы",
        "ukrainian": "і та в не на що з як це до але із за від для або є ми його",
    }.items()
}


def language(text: str) -> str:
    """The script or, for scripts of several listed languages, the language of *text*; "none" without letters."""
    part = unicodedata.normalize("NFKC", text[:_CHARS])
    scripts: Counter[str] = Counter()
    for char, count in Counter(part).items():
        if char.isalpha():
            scripts[_script(char)] += count
    if not scripts:
        return "none"
    if scripts["kana"] > 0.1 * scripts.total():
        return "japanese"
    script = scripts.most_common(1)[0][0]
    if script not in ("latin", "cyrillic"):
        return {"han": "chinese", "hangul": "korean"}.get(script, script)
    words = Counter(_WORDS.findall(part.lower()))
    hits = {name: sum(words[word] for word in stop) for name, stop in _STOP_WORDS.items()}
    first, second = sorted(hits, key=lambda name: -hits[name])[:2]
    return first if hits[first] >= 2 and hits[first] > hits[second] else f"{script}, unknown"


@lru_cache(maxsize=65_536)
def scripts(text: str) -> frozenset[str]:
    """The scripts of the letters and digits of *text*."""
    part = unicodedata.normalize("NFKC", text[:_CHARS])
    return frozenset(_script(char) if char.isalpha() else "digits" for char in set(part) if char.isalnum())


@lru_cache(maxsize=65_536)
def _script(char: str) -> str:
    code = ord(char)
    return next((name for low, high, name in _BLOCKS if low <= code <= high), "other")


def languages(material: Material) -> Check:
    """How the texts of each role are spread over languages; a warning where they mix, or the roles differ."""
    findings, rows, main = [], [], {}
    numbers: dict[str, Any] = {}
    for role in ROLES:
        found = {name: language(text) for name, text in material.texts(role).items() if text}
        counts = Counter(found.values())
        numbers[role] = dict(counts.most_common())
        rows += [(role, name, count, share(count, len(found))) for name, count in counts.most_common(6)]
        known = [
            (name, count) for name, count in counts.most_common() if not name.endswith("unknown") and name != "none"
        ]
        total = sum(count for _, count in known)
        if not known:
            continue
        main[role] = known[0][0]
        others = [(name, count) for name, count in known[1:] if count >= SECOND * total and count > 2]
        if others:
            said = ", ".join(f"{name} {share(count, total)}" for name, count in known[:4])
            findings.append(
                DataFinding(
                    f"mixed_{PLURAL[role]}",
                    "warning",
                    f"{PLURAL[role]} are in several languages: {said} of those told.",
                    "Take a base that knows all of them, and score each language by itself",
                    few([(TextName(role, name),) for name, each in found.items() if each == others[0][0]]),
                )
            )
    if len(set(main.values())) > 1:
        findings.append(
            DataFinding(
                "roles_differ",
                "warning",
                f"most queries are {main['query']}, most passages {main['passage']}.",
                "Take a base that was trained across languages, or translate one side",
            )
        )
    return Check(
        "languages",
        "Languages",
        tuple(findings),
        numbers,
        (Table(("role", "language", "texts", "share"), tuple(rows)),),
    )
