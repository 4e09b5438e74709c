"""All checks of one set, in the order in which they are told.

What stands before a training ends at an error (`checkup`).

What it leaves to others: what each check looks for (their modules), showing it (`page`, the command).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...errors import DataInvalid
from ...evaluation import Bm25Ranker, DenseRanker, Ranker
from ...evaluation.retrieval import Embedder
from ...progress import Advance
from ...text import Role, TextEncoder
from ..data.examples import TRAIN, TrainingData
from .cost import cost_of_leaks
from .diagnosis import Check, Diagnosis
from .duplicates import ALLOWED, leakage, near_duplicates, shared_texts
from .false_negatives import MARGIN, MOST, known_false_negatives, suspected_false_negatives
from .held_out import held_out_splits
from .labels import balance, shortcuts
from .languages import languages
from .lengths import fragmentation, lengths
from .material import Material, prepare
from .pairing import Remembering
from .texts import boilerplate, empty_texts, on_reading, prompts_in_texts
from .wrong_pairs import wrong_pairs

Show = Callable[[Diagnosis], None]


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked of the doctor.

    Attributes:
        train: split that is trained on. Default "train".
        held_out: splits that training must not have seen. Default None: every other one, but those whose name begins
            with "train".
        allow_leakage: "none", "passages" or "all": leaks that are warnings, not errors. Default "none".
        margin: cosine by which a suspected false negative may be below the positive. Default 0.05. Higher suspects
            more, and more that is innocent.
        most_encoded: training examples that the encoder looks at. Default 2000. Higher finds more; time in proportion.
        cost: whether leaks are priced by scores. Default true. Off saves scoring BM25, and the encoder on the corpus.
        show_texts: whether the answer holds the texts of its examples. Default false: ids alone.
    """

    train: str = TRAIN
    held_out: tuple[str, ...] | None = None
    allow_leakage: str = "none"
    margin: float = MARGIN
    most_encoded: int = MOST
    cost: bool = True
    show_texts: bool = False

    def __post_init__(self) -> None:
        assert self.allow_leakage in ALLOWED, self.allow_leakage


def material_of(data: TrainingData, questions: Questions) -> Material:
    """*data* as the checks want it.

    A set without a training split, such as a published test set, is looked at by its first held-out split: what is said
    of training pairs is then said of that one, and nothing can leak. A single split whose name begins with "train" is
    the training split.

    Raises:
        DataInvalid: there is no such split, and it was named; or several might be the training split.
    """
    for split in questions.held_out or ():
        _require_split(data, split, "hold out")
    train = questions.train
    named = sorted(split for split in data.splits if split.startswith(TRAIN))
    if train == TRAIN and TRAIN not in data.splits:
        if len(named) > 1:
            reason = f"has no split {TRAIN!r}, and {', '.join(named)}; name the one to train on (--train-split)"
            raise DataInvalid(path=data.name, reason=reason)
        if not named:
            wanted = questions.held_out or ("dev", "test")
            alone = next((split for split in wanted if split in data.splits), next(iter(data.splits)))
            return prepare(data, alone, (), trains=False)
        train = named[0]
    _require_split(data, train, "train on")
    others = tuple(split for split in data.splits if split != train and split not in named)
    return prepare(data, train, others if questions.held_out is None else questions.held_out)


def _require_split(data: TrainingData, split: str, use: str) -> None:
    if split not in data.splits:
        have = ", ".join(data.splits)
        raise DataInvalid(path=data.name, reason=f"has no split {split!r} to {use}; it has {have}")


def examine(
    data: TrainingData | Material,
    questions: Questions | None = None,
    *,
    text_encoders: Mapping[Role, TextEncoder] | None = None,
    embedder: Embedder | None = None,
    progress: Advance | None = None,
) -> Diagnosis:
    """Look at training data before anything is trained on it.

        diagnosis = examine(load_data("data/faq"))
        diagnosis.healthy(), diagnosis.findings("error")

    Args:
        data: what `load_data` read.
        questions: what is asked; the defaults if not given.
        text_encoders: the encoder's text path, for lengths in tokens and for the vocabulary; without it those are
            left out.
        embedder: the base encoder, for suspected false negatives and the cost of leaks; without it those are left out.
        progress: called with each number of texts that the encoder has done.

    Raises:
        DataInvalid: there is no such training split, and it was named.
    """
    asked = questions or Questions()
    material = data if isinstance(data, Material) else material_of(data, asked)
    checks = tuple(_checks(material, asked, text_encoders, embedder, progress))
    named = [name for check in checks for finding in check.findings for each in finding.examples for name in each]
    return Diagnosis(
        data=material.data.name,
        splits={split: len(part) for split, part in material.data.splits.items()},
        passages=len(material.passages),
        checks=checks,
        texts={name: material.text(name) for name in named} if asked.show_texts else {},
    )


def _checks(
    material: Material,
    asked: Questions,
    text_encoders: Mapping[Role, TextEncoder] | None,
    embedder: Embedder | None,
    progress: Advance | None,
) -> Iterator[Check]:
    remembering = None if embedder is None else Remembering(embedder)
    yield on_reading(material, asked.train)
    shared = shared_texts(material)
    leaks = [leak for each in shared.values() for leak in each.leaks]
    yield leakage(material, shared, asked.allow_leakage)
    if leaks and asked.cost:
        rankers: Sequence[Ranker] = [Bm25Ranker(), *([] if remembering is None else [DenseRanker(remembering)])]
        yield cost_of_leaks(material, leaks, rankers)
    yield held_out_splits(material)
    pairing = wrong_pairs(material, remembering, progress)
    yield pairing
    yield balance(material)
    yield shortcuts(material)
    yield known_false_negatives(material)
    # Where positives are wrong themselves, whatever is nearer than they are is no false negative.
    if remembering is not None and not any(each.severity != "note" for each in pairing.findings):
        yield suspected_false_negatives(
            material, remembering, margin=asked.margin, most=asked.most_encoded, progress=progress
        )
    yield near_duplicates(material)
    yield empty_texts(material)
    yield boilerplate(material)
    yield prompts_in_texts(material)
    yield lengths(material, text_encoders)
    if text_encoders is not None:
        yield fragmentation(material, text_encoders["passage"])
    yield languages(material)


def checkup(data: TrainingData, asked: Questions, show: Show = lambda _: None) -> Diagnosis:
    """The diagnosis of *data*; *show* gets it first, whatever it says.

    Raises:
        DataInvalid: the doctor found an error.
    """
    diagnosis = examine(data, asked)
    show(diagnosis)
    errors = diagnosis.findings("error")
    if errors:
        more = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
        leaks = any(each.name.startswith("leaked_") for each in errors)  # which training itself refuses
        anyway = "" if leaks else "; --no-doctor (in Python doctor=False) trains all the same"
        raise DataInvalid(
            path=diagnosis.data,
            reason=f"{errors[0].says}{more} {errors[0].advice}. samespace doctor data tells more{anyway}",
        )
    return diagnosis
