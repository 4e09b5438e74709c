"""A whole run: data in, the rate chosen, heads scored beside what they have to beat, one artifact or one file out.

What it leaves to others: opening encoders (`frozen`), reading data (`data`), the graph and its gate (`export`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import ArtifactError
from ...exporting.composites.towers import export_towers
from ...exporting.heads import headed
from ...exporting.package import Exported, export_artifact
from ...exporting.provenance import not_better, record_of
from ...heads import Heads
from ...model.checkpoint import Checkpoint
from ...progress import Progress
from ...text import ROLES, Role
from ..sentinel.judge import Alarm
from .choice import Compared, Tried, alarms, chosen, compare, no_verdict, probe
from .config import RATES, HeadConfig
from .data import HeadData
from .fit import examples, start, trivial_loss
from .frozen import FrozenEncoder

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainedHead:
    """What came out of a training.

    Attributes:
        heads: those of the taken state.
        tried: every training, in the order of rates.
        taken: the one whose state is taken.
        compared: BM25, base, start and head.
        trivial: the loss of telling nothing apart.
        alarm: what is wrong with the taken training, or None.
        seconds: of all trainings and their scores, without encoding.
    """

    heads: Heads
    config: HeadConfig
    data: Mapping[str, Any]
    tried: Sequence[Tried]
    taken: Tried
    compared: Sequence[Compared]
    trivial: float
    alarm: Alarm | None
    seconds: float

    def record(self) -> dict[str, Any]:
        """What provenance keeps."""
        return {
            "summary": self.summary(),
            "config": dict(self.config.to_json()),
            "sources": {role: self.heads.sources[role] for role in ROLES},
            "data": dict(self.data),
            "rate": self.taken.rate,
            "step": self.taken.states[self.taken.best].step,
            "trivial_loss": round(self.trivial, 6),
            "alarm": None if self.alarm is None else self.alarm.to_json(),
            "tried": [each.to_json() for each in self.tried],
            "scores": [each.to_json() for each in self.compared],
            "training_s": round(self.seconds, 1),
        }

    def summary(self) -> str:
        """One sentence for people, with what the head changed; it says so where that is nothing."""
        what = f"{self.config.kind}, {self.config.loss}, on {self.data['name']} ({self.data['pairs']} pairs)"
        rows = {each.name: each for each in self.compared}
        split = next((each for each in ("test", "dev") if each in rows["head"].scores), None)
        if split is None:
            return f"{what}; nothing held out to score it on."
        told = [f"{each.name} {each.scores[split]:.4f}" for each in self.compared]
        before = rows.get("start") or rows.get("base")
        verdict = ""
        seen = self.data.get("trained_on", {}).get(split, 0)
        if before is not None and (seen or split not in before.change):
            points = 100 * (rows["head"].scores[split] - before.scores[split])
            verdict = f"; {no_verdict(points, before.name, split, seen)}"
        elif before is not None:
            change = before.change[split]
            verdict = f"; {change.word} the {before.name}: {change.points}"
        return f"{what}; nDCG@10 on {split}: {', '.join(told)}{verdict}."


def train_head(data: HeadData, config: HeadConfig, progress: Progress) -> TrainedHead:
    """Train heads on *data*, with the rate of *config* or the one that the development split chooses.

    Raises:
        ConfigInvalid: settings that do not fit the data.
        TrainingFailed: the loss is no longer a number.
    """
    began = time.perf_counter()
    begin, made = start(data, config), examples(data, config)
    with progress("trainings", 1 if config.rate else len(RATES)) as tick:
        tried = probe(data, made, begin, config, tick)
    taken = chosen(tried)
    alarm = alarms(tried)[tried.index(taken)]
    if alarm is not None and config.rate and "dev" in data.splits:
        # It takes seconds to find out whether the rate is to blame, so nobody has to guess.
        others = probe(data, made, begin, dataclasses.replace(config, rate=0.0))
        alarm = alarms([taken, *others])[0]
    heads = taken.states[taken.best].heads
    texts = any(text for split in data.splits.values() for text in split.dataset.queries)
    bm25 = texts and all(find_spec(name) for name in ("bm25s", "Stemmer"))
    compared = compare(data, begin, heads, bm25=bm25)
    seconds = time.perf_counter() - began
    trivial = trivial_loss(made, config)
    return TrainedHead(heads, config, data.record, tried, taken, compared, trivial, alarm, seconds)


def export_trained(
    trained: TrainedHead,
    encoders: Mapping[Role, FrozenEncoder],
    out: Path,
    *,
    name: str | None = None,
    replace: bool = False,
    say: Say = lambda _: None,
) -> Exported:
    """Write the encoders with their heads as one artifact: one graph, or a two-tower where the roles differ.

    Raises:
        GateFailed: a graph does not agree with its reference: nothing is written.
        ArtifactError: *out* is taken.
    """
    facts = {"head": trained.record()}
    # The head was scored beside the encoder, and towers together: what came of it is in the record, better or not.
    for note in dict.fromkeys(_of_base(encoders[role]) for role in ROLES):
        if note:
            say(note)
    if trained.heads.shared:
        encoder = headed(encoders["query"].source, trained.heads.query)
        return export_artifact(
            encoder, out, name=name, anyway=True, replace_existing=replace, provenance=facts, say=say
        )
    towers = [headed(encoders[role].source, trained.heads.of(role)) for role in ROLES]
    return export_towers(
        towers, out, name=name, anyway=True, replace_existing=replace, provenance=facts, joined_as="towers", say=say
    )


def _of_base(encoder: FrozenEncoder) -> str:
    """What to tell of the encoder below a head, which is exported whatever its own record says; "" for nothing."""
    if not isinstance(encoder.source, Checkpoint):
        return ""
    note = not_better(record_of(encoder.source))
    return f"The head is exported on an encoder of which {note}." if note else ""


def check_head_target(out: Path, *, replace: bool) -> None:
    """Raise `ArtifactError` where a head's folder may not be written."""
    if out.exists() and not replace:
        raise ArtifactError(f"{out}: exists already; name another folder or pass --replace")
