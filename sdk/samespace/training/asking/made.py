"""Made-up questions that a generator wrote, as pairs with the sections that they are about.

What a generator gets wrong ends in a note, and the documents' own structure is used without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...progress import Progress
from ...text import Role
from ...vectors import Float32
from ..adapting.distill import ranked_by_words
from ..adapting.documents import SourceDocument
from ..adapting.signals import MadePair, usable
from .answers import Answers
from .generator import PROMPT, Generator, cost
from .round_trip import LEAST_SHARE, comes_back


@dataclass(frozen=True, slots=True)
class Generated:
    """What came of asking.

    Attributes:
        pairs: those that find their passage again; none from a generator that is not believed.
        notes: what is worth knowing, as sentences.
    """

    pairs: tuple[MadePair, ...]
    notes: tuple[str, ...]


def generated_pairs(
    generator: Generator,
    documents: Sequence[SourceDocument],
    encode: Callable[[Sequence[str], Role], Float32],
    most: int,
    cache: Path,
    progress: Progress,
    say: Callable[[str], None],
) -> Generated:
    """Ask *generator* about up to *most* sections, evenly spread.

    Args:
        encode: the base's unit vectors of texts.
        cache: folder of answers.

    Raises:
        ConfigInvalid: the generator refuses the URL, the key or the model.
    """
    places = [(place, number) for place, document in enumerate(documents) for number in range(len(document.sections))]
    count = min(most, len(places))
    places = [places[row * len(places) // count] for row in range(count)]
    texts = [documents[place].sections[number].text for place, number in places]
    answers = Answers.of(cache, generator.url, generator.model, PROMPT)
    say(f"{cost(texts, answers)}; the answers are kept in {answers.file}")
    say(f"The generator is asked: {PROMPT}")
    with progress("the generator writes", len(texts)) as advance:
        died = generator.ask(texts, answers, advance)
    notes = [f"The generator stopped: {died}."] if died else []
    asked = [
        MadePair(question, text, *place)
        for place, text in zip(places, texts, strict=True)
        for question in answers.known(text) or ()
    ]
    pairs = _believed(asked, texts, encode)
    if len(pairs) < LEAST_SHARE * max(1, len(asked)) or not pairs:
        notes.append(
            f"{len(pairs)} of the generator's {len(asked)} questions find their passage again, below "
            f"{LEAST_SHARE:.0%}: none is used."
        )
        return Generated((), tuple(notes))
    notes.append(f"{len(pairs)} of the generator's {len(asked)} questions find their passage again, and are used.")
    return Generated(tuple(pairs), tuple(notes))


def _believed(
    asked: Sequence[MadePair], texts: Sequence[str], encode: Callable[[Sequence[str], Role], Float32]
) -> list[MadePair]:
    if not asked:
        return []
    passages = list(dict.fromkeys(texts))
    row_of = {text: row for row, text in enumerate(passages)}
    questions = [pair.query for pair in asked]
    found = comes_back(
        questions,
        [row_of[pair.passage] for pair in asked],
        encode(questions, "query"),
        encode(passages, "passage"),
        ranked_by_words(questions, passages),
    )
    return [pair for pair, good in zip(asked, found, strict=True) if good and usable(pair, asks=True)]
