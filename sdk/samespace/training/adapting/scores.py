"""Everything that the held-out questions are answered by: base and adapted encoder, BM25, and the teacher.

An encoder answers them over everything: the whole text path, every passage, each text encoded once.

What it leaves to others: the verdict (`verdict`), showing it (`report`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...evaluation import Comparison, Dataset, Evaluation, VectorRanker, evaluate, paired_bootstrap
from ...exporting.fastest import fastest
from ...model.checkpoint import Checkpoint
from ...progress import Progress
from ...report.verdicts import BASE, BM25, TEACHER, TRAINED
from ...vectors import Float32
from ..scoring.beside import by_teacher, by_words

_IN_RECORD: Final = {TRAINED: "new"}
_MAPPED: Final = 1000


@dataclass(frozen=True, slots=True)
class Shown:
    """What held-out questions say.

    Attributes:
        questions: kind -> its retrieval set.
        rankers: BM25, BASE, TRAINED, TEACHER, as far as they are there -> kind -> its scores.
        passages: BASE, TRAINED -> vectors of some passages, for a map.
    """

    questions: Mapping[str, Dataset]
    rankers: Mapping[str, Mapping[str, Evaluation]]
    passages: Mapping[str, Float32]

    def per_query(self, ranker: str) -> dict[str, npt.NDArray[np.float64]]:
        """Kind -> (questions,) nDCG@10."""
        return {kind: each.per_query["ndcg@10"] for kind, each in self.rankers[ranker].items()}

    def against(self, ranker: str) -> Comparison:
        """The adapted encoder's nDCG@10 against that of *ranker*, over all questions; equal texts are one question."""
        new, other = (np.concatenate(list(self.per_query(name).values())) for name in (TRAINED, ranker))
        return paired_bootstrap(new, other, texts=[text for each in self.questions.values() for text in each.queries])

    def to_json(self) -> dict[str, Any]:
        """What run.json says: scores by ranker and kind, and the adapted encoder against each of the others."""
        return {
            "scores": {
                _IN_RECORD.get(name, name): {kind: each.score.to_json() for kind, each in kinds.items()}
                for name, kinds in self.rankers.items()
            },
            "beside": {name: self.against(name).to_json() for name in self.rankers if name != TRAINED},
        }


def scored(
    base: Checkpoint,
    trained: Checkpoint,
    questions: Mapping[str, Dataset],
    teacher: str,
    cache: Path | None,
    progress: Progress,
) -> Shown:
    """Ask everything the held-out *questions*.

    Args:
        teacher: folder or hub name; "" for none. One that reads pairs ranks no corpus, and is left out.
        cache: folder of what teachers said; None for the user's own.
    """
    found = {name: held_out_scores(each, questions, _IN_RECORD.get(name, name), progress)
             for name, each in ((BASE, base), (TRAINED, trained))}  # fmt: skip
    rankers = {
        BM25: by_words(questions),
        BASE: found[BASE].kinds,
        TRAINED: found[TRAINED].kinds,
        TEACHER: by_teacher(teacher, questions, progress, cache),
    }
    return Shown(
        questions,
        {name: kinds for name, kinds in rankers.items() if kinds},
        {name: each.passages for name, each in found.items()},
    )


@dataclass(frozen=True, slots=True)
class HeldOutScores:
    """How an encoder does.

    Attributes:
        kinds: kind of question -> its scores.
        passages: (up to 1000, dim), vectors of evenly spread passages, for a map.
    """

    kinds: Mapping[str, Evaluation]
    passages: Float32


def held_out_scores(
    checkpoint: Checkpoint, datasets: Mapping[str, Dataset], name: str, progress: Progress
) -> HeldOutScores:
    """How *checkpoint* does on each kind of question.

    Args:
        name: "base" or "new", for people.
    """
    queries = list(dict.fromkeys(text for each in datasets.values() for text in each.queries))
    passages = list(dict.fromkeys(text for each in datasets.values() for text in each.passages))
    with (
        fastest(checkpoint, [*queries, *passages]) as (encoder, _),
        progress(f"scoring the {name} encoder", len(queries) + len(passages)) as advance,
    ):
        q = np.asarray(encoder.encode(queries, "query", progress=advance))
        p = np.asarray(encoder.encode(passages, "passage", progress=advance))
    row_q, row_p = ({text: row for row, text in enumerate(texts)} for texts in (queries, passages))
    kinds = {
        kind: evaluate(
            VectorRanker(name, q[[row_q[text] for text in each.queries]], p[[row_p[text] for text in each.passages]]),
            each,
        )
        for kind, each in datasets.items()
    }
    return HeldOutScores(kinds, p[:: max(1, len(p) // _MAPPED)][:_MAPPED])
