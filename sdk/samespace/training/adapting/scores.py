"""An encoder on held-out questions, over everything: the whole text path, every passage, each text encoded once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...evaluation import Dataset, Evaluation, VectorRanker, evaluate
from ...exporting.fastest import fastest
from ...model.checkpoint import Checkpoint
from ...progress import Progress


def held_out_scores(
    checkpoint: Checkpoint, datasets: Mapping[str, Dataset], name: str, progress: Progress
) -> dict[str, Evaluation]:
    """Kind of question -> how *checkpoint* does on it.

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
    return {
        kind: evaluate(
            VectorRanker(name, q[[row_q[text] for text in each.queries]], p[[row_p[text] for text in each.passages]]),
            each,
        )
        for kind, each in datasets.items()
    }
