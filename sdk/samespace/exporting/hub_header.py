"""What a card begins with on a model hub, and where a model comes from: licence, language, base.

The header is YAML as huggingface_hub writes and reads it. A licence is named where the base's own card names one, and
is never guessed. Scores are those of splits that chose nothing.

What it leaves to others: the text of a card (`card`, `training.scoring`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import ModelUnsupported
from ..model.hub import resolve_model
from ..report.verdicts import TRAINED, doubts

TAGS: Final = ("sentence-similarity", "feature-extraction", "retrieval", "samespace")
_TERMS: Final = ("license_name", "license_link")
_CARD: Final = "README.md"
_HUB_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+")
_METRICS: Final = {"ndcg@10": ("ndcg_at_10", "nDCG@10"), "recall@100": ("recall_at_100", "recall@100"),
                   "mrr@10": ("mrr_at_10", "MRR@10")}  # fmt: skip

MODEL_USAGE: Final = """\
## Usage

In this folder; on the hub, OWNER/NAME stands in the place of the point.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(".")
queries = model.encode_query(["how do I flatten a list"], normalize_embeddings=True)
passages = model.encode_document(["Use itertools.chain."], normalize_embeddings=True)
print(queries @ passages.T)
```

`samespace export . ARTIFACT` makes a verified artifact of it, and prints the id of its space.
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model comes from.

    Attributes:
        base: hub name of what it was made from; "" where that is a folder which does not say it.
        licences: as the base's card has them; none where none is known.
        languages: likewise.
        terms: of a licence that the hub has no name for: key of the card -> its name and address.
    """

    base: str = ""
    licences: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    terms: Mapping[str, str] = field(default_factory=dict)

    def sentence(self) -> str:
        """What to say of the licence."""
        if self.licences:
            named = " and ".join(self.licences)
            terms = f" ({', '.join(self.terms.values())})" if self.terms else ""
            return f"Licence: {named}{terms}, that of its base. What it was trained on may have its own."
        return "Licence: not known, for the base's card names none. Name one before you publish it."


@dataclass(frozen=True, slots=True)
class Result:
    """A score for the header.

    Attributes:
        metric, shown: the metric's id, and its name for people.
        value: in [0, 1].
    """

    data: str
    split: str
    metric: str
    shown: str
    value: float


def origin_of(model: str) -> Origin:
    """What the card of *model*, a folder or hub name, says of it."""
    from huggingface_hub import ModelCard
    from yaml import YAMLError

    try:
        card = resolve_model(model) / _CARD
        data = ModelCard(card.read_text(encoding="utf-8")).data.to_dict()  # type: ignore[no-untyped-call]
    except (ModelUnsupported, OSError, ValueError, YAMLError):
        data = {}
    is_folder = Path(model).is_dir()
    named = _texts(data.get("base_model"))
    base = (named[0] if named else "") if is_folder else model
    return Origin(
        base if _HUB_NAME.fullmatch(base) else "",
        _texts(data.get("license")),
        _texts(data.get("language")),
        {key: data[key] for key in _TERMS if isinstance(data.get(key), str)},
    )


def results_of(record: Mapping[str, Any]) -> list[Result]:
    """The scores of the trained encoder on splits that chose nothing."""
    data = record["data"]["folder"] if isinstance(record.get("data"), Mapping) else "held-out questions"
    return [
        Result(data, split, *_METRICS[metric], scores[TRAINED][metric])
        for split, scores in record["scores"].items()
        if split not in doubts(record) and TRAINED in scores
        for metric in _METRICS
    ]


def header(
    origin: Origin, name: str, library: str, results: Sequence[Result] = (), tags: Sequence[str] = (), task: str = ""
) -> str:
    """The YAML between its two lines of hyphens.

    Args:
        library: what loads the model.
        task: the hub's pipeline_tag; sentence-similarity unless given.
    """
    from huggingface_hub import EvalResult, ModelCardData

    found = [
        EvalResult(
            task_type="information-retrieval", task_name="Retrieval", dataset_type=_slug(each.data),
            dataset_name=f"{each.data} ({each.split})", dataset_split=each.split, metric_type=each.metric,
            metric_name=each.shown, metric_value=round(each.value, 4),
        )
        for each in results
    ]  # fmt: skip
    data = ModelCardData(
        language=list(origin.languages) or None,
        library_name=library,
        base_model=origin.base or None,
        pipeline_tag=task or TAGS[0],
        tags=list(dict.fromkeys((*((library,) if library != "samespace" else ()), *TAGS, *tags))),
        model_name=name if found else None,
        eval_results=found or None,
        **_licence_of(origin),
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _licence_of(origin: Origin) -> dict[str, Any]:
    """The header's keys of it; the hub takes one licence or a list."""
    licences = list(origin.licences)
    return {**({"license": licences[0] if len(licences) == 1 else licences} if licences else {}), **origin.terms}


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-") or "data"


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(each for each in values if isinstance(each, str))
