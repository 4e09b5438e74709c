"""Documents in; an encoder that is better on held-out questions out, or nothing.

What it leaves to others: the parts of it (see the package), the command line (`cli.training.adapt`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from ...errors import ConfigInvalid
from ...evaluation import Dataset
from ...evaluation.dataset import load_dataset, splits
from ...exporting.provenance import ENCODER, encoder_record
from ...folders import folder_beside, whole_folder, writes
from ...model.checkpoint import Checkpoint, load_checkpoint
from ...model.folder.saving import require_savable
from ...progress import Progress, silent
from ...report.verdicts import BASE, TRAINED
from ...text import Role
from ...vectors import Float32
from ..asking.generator import KEY, Generator
from ..asking.made import Generated, generated_pairs
from ..finetuning.encoding import encode
from ..finetuning.model import load_plain, save_model
from ..heads.frozen import default_cache
from ..imitating.query_log import read_queries
from ..scoring.record import write_record
from ..scoring.report import CARD, REPORT
from .bench import Yardstick
from .course import LEAST_PAIRS, Course, Say, cutter
from .documents import Library, read_documents
from .heldout import HeldOut, hold_out, languages_of, not_asked, without_asked
from .plan import Pace, Spending, spend
from .report import card, html_report
from .scores import Shown, scored
from .stage import Workshop, reading
from .verdict import BETTER, JUDGED, Verdict, decide

_LIST_COST: Final = 1.5
_MEASURED_STEPS: Final = 3
_POOL: Final = 1500  # passages that a look searches
_SHARES: Final = (1.0, 0.75, 0.5, 0.25)


@dataclass(frozen=True, slots=True)
class AdaptSettings:
    """How an encoder is adapted.

    Attributes:
        documents: a file or folder, see `documents`.
        base: model folder or hub name.
        out: folder for the result; must not exist.
        teacher: a cross-encoder or a larger encoder, folder or hub name; "" for none.
        generator: OpenAI-compatible server that writes questions, up to /chat/completions; "" for none.
        generator_model: the model there; "" for the server's own.
        generator_most: sections that it is asked about, at most.
        queries: file of what people have asked, without judgements; see `imitating.query_log`. None for none.
        judged: BEIR folder of real questions for the verdict, split `judged_split`; None for made-up ones.
        budget_s: seconds for trying and training. Reading, and scoring everything in the end, come on top.
        steps: of each long stage instead of a budget, so that every machine does the same; 0 for the budget.
        rate: highest learning rate on pairs; lists have two and a half times this.
        seed: of everything random.
        anyway: write the encoder also where it is not better.
        cache: folder of what teachers said; None for the user's own.
    """

    documents: Path
    base: str
    out: Path
    teacher: str = ""
    generator: str = ""
    generator_model: str = ""
    generator_most: int = 400
    queries: Path | None = None
    judged: Path | None = None
    judged_split: str = ""
    budget_s: float = 900
    steps: int = 0
    rate: float = 2e-5
    seed: int = 1
    anyway: bool = False
    cache: Path | None = None


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What came out.

    Attributes:
        verdict: on held-out questions; None where nothing helped on the development questions, so that there is
            nothing to judge.
        written: the folder; None where nothing was written.
        record: what run.json says.
    """

    verdict: Verdict | None
    written: Path | None
    record: dict[str, Any]

    @property
    def better(self) -> bool:
        """Whether the encoder is better than its base."""
        return self.verdict is not None and self.verdict.word == BETTER


@writes("settings.out")
def adapt(
    settings: AdaptSettings,
    progress: Progress = silent,
    say: Say = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Adaptation:
    """Adapt `settings.base` to documents, and write it to `settings.out` where it is better than its base.

    Raises:
        ConfigInvalid: the target exists, or a setting is wrong.
        DataInvalid: the documents cannot be read, or give too few questions to tell better from worse.
        ModelUnsupported: the base or the teacher cannot be read, or the base could not be saved.
    """
    if settings.out.exists():
        raise ConfigInvalid(key="out", reason=f"{settings.out} exists already; name another folder, or remove it")
    began = clock()
    base = load_checkpoint(settings.base)
    require_savable(base)
    judged = _judged(settings)
    library = read_documents(settings.documents)
    log = [] if settings.queries is None else read_queries(settings.queries)
    written = _generated(settings, base, library, progress, say) if settings.generator else Generated((), ())
    library = replace(library, notes=(*library.notes, *(note.removesuffix(".") for note in written.notes)))
    held = hold_out(library, written.pairs)
    if judged is not None:
        held = without_asked(held, judged[JUDGED].queries)
        log = not_asked(log, judged[JUDGED].queries)
    with folder_beside(settings.out) as work:
        course, spending = _trained(settings, base, library, held, log, work, progress, say, clock)
        share = 0.0
        if course.encoder != settings.base:
            share, course.scores = course.workshop.mixed(course.encoder, _SHARES, work / "mixed")
            say(f"{share:.0%} of the way from the base is best on the development questions")
        record = _record(settings, base, library, held, course, spending) | {"blend": share}
        if not share:
            return Adaptation(None, None, record | {"better_than_base": False, "total_s": round(clock() - began, 1)})
        trained = load_checkpoint(str(work / "mixed"))
        shown = scored(base, trained, judged or held.questions["test"], settings.teacher, settings.cache, progress)
        verdict = _verdict(shown)
        record |= {
            "verdict": verdict.to_json() | {"sentence": verdict.sentence(), "rests_on": verdict.rests_on()},
            **shown.to_json(),
            "better_than_base": verdict.word == BETTER,
            ENCODER: encoder_record(trained),
            "total_s": round(clock() - began, 1),
        }
        if verdict.word != BETTER and not settings.anyway:
            return Adaptation(verdict, None, record)
        with whole_folder(settings.out) as out:
            save_model(load_plain(trained.source), out, base.folder_tokenizer, settings.base)
            (out / REPORT).write_text(html_report(record, shown), encoding="utf-8")
            (out / CARD).write_text(card(record), encoding="utf-8")
            write_record(out, record)
    return Adaptation(verdict, settings.out, record)


def _judged(settings: AdaptSettings) -> dict[str, Dataset] | None:
    """The real questions, read before anything is trained."""
    if settings.judged is None:
        return None
    there = splits(settings.judged)
    split = settings.judged_split or ("test" if "test" in there or len(there) != 1 else there[0])
    return {JUDGED: load_dataset(settings.judged, split)}


def _generated(settings: AdaptSettings, base: Checkpoint, library: Library, progress: Progress, say: Say) -> Generated:
    """What a generator writes about the documents."""
    generator = Generator(settings.generator, settings.generator_model, os.environ.get(KEY, ""))
    model, encoders = load_plain(settings.base), reading(base)

    def vectors(texts: Sequence[str], role: Role) -> Float32:
        return encode(model, encoders[role], texts, role)

    cache = (settings.cache or default_cache()).parent / "generated"
    return generated_pairs(generator, library.documents, vectors, settings.generator_most, cache, progress, say)


def _trained(
    settings: AdaptSettings,
    base: Checkpoint,
    library: Library,
    held: HeldOut,
    log: list[str],
    work: Path,
    progress: Progress,
    say: Say,
    clock: Callable[[], float],
) -> tuple[Course, Spending]:
    """All stages, within the budget."""
    encoders = reading(base)
    yardstick = Yardstick.over(held.questions["dev"], cutter(encoders), _POOL)
    workshop = Workshop(settings.base, work, yardstick, encoders, settings.seed, progress, clock=clock)
    model = load_plain(settings.base)
    looked = clock()
    before = workshop.scores(model)
    course = Course(workshop, held, library, settings.base, before, say, settings.rate, log)
    for sentence in _about(library, held):
        course.note(sentence)
    look_s = clock() - looked
    kinds = course.signals()
    if settings.steps:
        spending = Spending.fixed(settings.steps, len(kinds))
    else:
        pace = Pace(_step_s(course, kinds, clock), look_s)
        spending = spend(settings.budget_s, pace, len(kinds), 2, _LIST_COST)
        say(
            f"{pace.step_s:.1f} s a step here: {spending.trial} steps for each of {spending.kinds} signals, then up to "
            f"{spending.pairs} on those that help and {spending.lists} on a teacher's lists"
        )
    course.learn(settings.teacher, spending.lists, settings.cache)
    if helpful := course.try_signals(spending):
        course.train_pairs(helpful, spending.pairs)
    return course, spending


def _step_s(course: Course, kinds: list[str], clock: Callable[[], float]) -> float:
    """Seconds of a step on pairs; the steps that tell are thrown away."""
    from ..finetuning.loop import seconds_a_step

    if not kinds:
        return 1.0
    setup = course.workshop.prepared(course.encoder, course.stage("pace", course.held.train[kinds[0]]))
    return seconds_a_step(lambda steps: setup.plan(1e-6, steps=steps), _MEASURED_STEPS, clock)


def _about(library: Library, held: HeldOut) -> list[str]:
    """What was read and divided, as sentences."""
    counts = {part: held.parts.count(part) for part in ("train", "dev", "test")}
    said = [
        f"{len(library.documents)} documents: {counts['train']} to train on, {counts['dev']} for development questions "
        f"({held.count('dev')}), {counts['test']} for the verdict's ({held.count('test')})."
    ]
    said += [f"{note}." for note in library.notes]
    if held.left_out:
        said.append(f"{held.left_out} training pairs repeat what is held out and are left out.")
    if len(spoken := languages_of(library)) > 1:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in spoken.items())
        said.append(f"The documents are in several languages ({shares}); each is judged by itself. Take a base that "
                    "knows all of them.")  # fmt: skip
    if all(len(held.train[kind]) < LEAST_PAIRS for kind in ("questions", "headings", "links")):
        said.append(
            "There are hardly any titles, headings or links: sentences of the texts have to stand for questions."
        )
    return said


def _verdict(shown: Shown) -> Verdict:
    asked = {kind: each.queries for kind, each in shown.questions.items()}
    return decide(shown.per_query(TRAINED), shown.per_query(BASE), asked)


def _record(
    settings: AdaptSettings, base: Checkpoint, library: Library, held: HeldOut, course: Course, spending: Spending
) -> dict[str, Any]:
    """What run.json says before there is a verdict."""
    return {
        "adapted": {
            "documents": len(library.documents),
            "parts": {part: held.parts.count(part) for part in ("train", "dev", "test")},
            "pairs": {name: len(pairs) for name, pairs in held.train.items()},
            "questions": {part: {kind: len(each.queries) for kind, each in sets.items()}
                          for part, sets in held.questions.items()},
            "left_out": held.left_out,
        },
        "config": {
            "data": str(settings.documents),
            "base": settings.base,
            "out": str(settings.out),
            "teacher": settings.teacher,
            "queries": str(settings.queries or ""),
            "generator": settings.generator,
            "generator_model": settings.generator_model,
            "budget_s": settings.budget_s,
            "steps": settings.steps,
            "learning_rate": settings.rate,
            "seed": settings.seed,
        },
        "base_space_id": base.identity.space_id(),
        "precision": course.workshop.precision,
        "spending": asdict(spending),
        "tried": [each.to_json() for each in course.tried],
        "notes": list(course.notes),
    }  # fmt: skip
