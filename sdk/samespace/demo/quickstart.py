"""The whole path once, on real input, thin but real: data, training, export, server, Weaviate, scores.

Each step is the same call that the separate commands make. It leaves a folder with the data, the model, the artifact
and a record of the run; showing the result is the caller's.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import DataInvalid, RequestInvalid, short
from ..folders import writes
from ..progress import Advance
from .server_process import RunningServer, check_probes, running_server

if TYPE_CHECKING:
    from ..artifact import Artifact
    from ..evaluation import Comparison, Dataset, Evaluation
    from ..exporting.package import Exported
    from ..training.doctor import Diagnosis
    from ..vectors import Vectors

MINILM: Final = "sentence-transformers/all-MiniLM-L6-v2"
_MARKER: Final = "quickstart.json"
_CARD: Final = "README.md"
_STEPS: Final = 9
_EXAMPLES: Final = 3


class Console(Protocol):
    """Where the steps are told to."""

    def say(self, sentence: str = "") -> None:
        """Show one sentence."""

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """Show how far something is."""


@dataclass(frozen=True, slots=True)
class QuickstartOptions:
    """What the quickstart works on.

    Attributes:
        out: output folder; what an earlier quickstart left there is replaced.
        data: a BEIR folder with train and test (or dev) splits; None makes one of the installed documentation.
        base: model folder or hub name.
        weaviate: "auto", "url", "embedded" or "off".
        reach_host: how Weaviate reaches this machine.
        overrides: "key=value" of the training configuration.
    """

    out: Path = Path("quickstart")
    data: Path | None = None
    base: str = MINILM
    weaviate: str = "auto"
    reach_host: str = "127.0.0.1"
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuickstartResult:
    """What the quickstart found.

    Attributes:
        scores: "BM25", "untouched base" and "fine-tuned", on held-out queries.
        comparisons: the fine-tuned encoder against "BM25" and "untouched".
        examples: queries with the texts of their best passages.
        chose: whether the held-out split chose the learning rate, so that no p-value may be shown.
    """

    data: Path
    artifact: Artifact
    scores: Mapping[str, Evaluation]
    comparisons: Mapping[str, Comparison]
    examples: tuple[tuple[str, tuple[str, ...]], ...]
    seconds: float
    chose: bool = False


@dataclass
class _Steps:
    """Which step is running, and how long each took."""

    console: Console
    began: float = field(default_factory=time.monotonic)
    step: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = 0.0
    _name: str = ""

    def next(self, name: str, sentence: str) -> None:
        self._finish()
        self.step, self._name, self._since = self.step + 1, name, time.monotonic()
        self.console.say(f"\n[{self.step}/{_STEPS}] {sentence}")

    def say(self, sentence: str) -> None:
        self.console.say(f"      {sentence}")

    def done(self) -> float:
        self._finish()
        return time.monotonic() - self.began

    def _finish(self) -> None:
        if self._name:
            self.seconds[self._name] = round(time.monotonic() - self._since, 1)
            self.say(f"({self.seconds[self._name]:.0f} s)")


@writes("options.out")
def quickstart(options: QuickstartOptions, console: Console) -> QuickstartResult:
    """Run every step, and write the record of the run.

    Raises:
        RequestInvalid: the output folder holds something else.
        DataInvalid: the retrieval set has no split to train on or none to score on.
        SamespaceError: whatever a step raises.
    """
    steps, folder = _Steps(console), _prepare(options.out)
    data, dataset, gate_split = _data(steps, folder, options.data)
    base_artifact = _base(steps, folder, options.base)

    steps.next("before", "Scoring BM25 and the untouched encoder on the held-out queries.")
    bm25 = _score_bm25(steps, dataset)
    before, foreign = _score_base(steps, base_artifact, dataset)

    steps.next("train", "Fine-tuning: each query against the passages of its batch, never two of the same.")
    model = _train(steps, data, options, folder / "model")
    exported = _export(steps, model, data, gate_split, folder / "artifact")
    artifact = exported.artifact
    examples = dataset.queries[:: max(1, len(dataset.queries) // _EXAMPLES)][:_EXAMPLES]

    steps.next("serve", "Starting the server, in a process that cannot import torch, and checking its vectors.")
    bind = "127.0.0.1" if options.reach_host in ("127.0.0.1", "localhost") else "0.0.0.0"
    with running_server([artifact.folder], folder / "server.log", host=bind) as server:
        for sentence in check_probes(server, artifact):
            steps.say(sentence)
        steps.next("weaviate", "Putting it behind a pinned Weaviate collection, and trying to get another space in.")
        found = _weaviate(steps, options, folder, server, data, foreign, examples)
        steps.next("after", "Scoring the fine-tuned encoder through the running server.")
        after = _score_served(steps, server, dataset)

    steps.next("report", "Writing the record of this run.")
    scores = {"BM25": bm25, "untouched base": before, "fine-tuned": after}
    comparisons = _compare(after, {"BM25": bm25, "untouched": before})
    result = QuickstartResult(
        data,
        artifact,
        scores,
        comparisons,
        found or _local_examples(examples, dataset, after),
        steps.done(),
        dataset.split in _chosen_on(model),
    )
    _write_record(folder, options.base, dataset, result, exported, steps.seconds)
    _write_scores(model, artifact, dataset, scores)
    return result


def _data(steps: _Steps, folder: Path, data: Path | None) -> tuple[Path, Dataset, str]:
    """The retrieval set, its held-out part, and the split that builds are gated on."""
    from ..evaluation import load_dataset, splits

    if data is None:
        steps.next("data", "Making a retrieval set of the documentation of the Python packages installed here.")
        data = _pydoc(steps, folder / "pydoc")
    else:
        steps.next("data", f"Reading the retrieval set in {data}.")
    held_out, gate_split = _splits(data, splits(data))
    dataset = load_dataset(data, held_out)
    steps.say(f"{len(dataset.passages)} passages; {len(dataset.queries)} held-out queries ({held_out}).")
    return data, dataset, gate_split


def _base(steps: _Steps, folder: Path, base: str) -> Artifact:
    from ..exporting.package import export_artifact
    from ..model.checkpoint import load_checkpoint

    steps.next("base", f"Loading the base encoder {base} and exporting it untouched, to compare with.")
    artifact = export_artifact(load_checkpoint(base), folder / "base", name="base", anyway=True).artifact
    steps.say(f"space {short(artifact.space_id)}, {artifact.manifest.identity.dims} dims.")
    return artifact


def _export(steps: _Steps, model: Path, data: Path, gate_split: str, out: Path) -> Exported:
    from ..evaluation import load_dataset
    from ..exporting.package import export_artifact
    from ..exporting.provenance import not_better
    from ..model.checkpoint import load_checkpoint

    steps.next("export", "Exporting to ONNX: fp32, and int8 if it loses less than half a point of nDCG@10.")
    exported = export_artifact(
        load_checkpoint(model),
        out,
        name=data.resolve().name,
        builds=("fp32", "int8"),
        gate=load_dataset(data, gate_split),
        anyway=True,  # whether it is better is said below, on the test queries
        say=steps.say,
    )
    for report in exported.reports:
        steps.say(
            f"{report.build} on {report.measured.runtime}: worst 1 - cos {report.measured.worst:.1e}, "
            f"{report.texts_per_s:.0f} texts/s"
        )
    if note := not_better(exported.artifact.manifest.provenance):
        steps.say(f"Exported all the same, to show the rest: {note}.")
    steps.say(f"space {exported.artifact.space_id}")
    return exported


def _write_record(
    folder: Path,
    base: str,
    dataset: Dataset,
    result: QuickstartResult,
    exported: Exported,
    seconds: Mapping[str, float],
) -> None:
    names = {"bm25": "BM25", "before": "untouched base", "after": "fine-tuned"}
    record = {
        "data": dataset.name,
        "base": base,
        "space_id": result.artifact.space_id,
        "scores": {key: result.scores[name].score.to_json() for key, name in names.items()},
        "comparisons": {name: _told(comparison, result.chose) for name, comparison in result.comparisons.items()},
        "refused_builds": [str(error) for error in exported.refused],
        "seconds": {**seconds, "total": round(result.seconds, 1)},
    }
    (folder / _MARKER).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _told(comparison: Comparison, chose: bool) -> dict[str, Any]:
    """Without its p-value where the queries chose the learning rate."""
    return {key: value for key, value in comparison.to_json().items() if not (chose and key == "p_value")}


def _chosen_on(model: Path) -> tuple[str, ...]:
    from ..exporting.provenance import RECORD
    from ..report.verdicts import doubts

    return tuple(doubts(json.loads((model / RECORD).read_text(encoding="utf-8"))))


def _write_scores(model: Path, artifact: Artifact, dataset: Dataset, scores: Mapping[str, Evaluation]) -> None:
    """What was scored through the server, into the model's report, card and record, and into the artifact's card."""
    from ..artifact import write_artifact
    from ..training.scoring.late import add_scores, score_section

    add_scores(model, dataset, *(scores[name] for name in ("BM25", "untouched base", "fine-tuned")))
    # Written anew as a whole: the manifest lists the card with its digest.
    card = f"{artifact.read(_CARD).decode().rstrip()}\n\n{score_section(model)}"
    files: dict[str, Path | bytes] = {name: artifact.read(name) for name in artifact.manifest.files}
    files[_CARD] = card.encode()
    write_artifact(artifact.folder, files, lambda made: replace(artifact.manifest, files=made), replace=True)


def _prepare(out: Path) -> Path:
    """*out*, empty: what an earlier quickstart left there is removed, anything else is not touched."""
    if out.exists() and any(out.iterdir()):
        if not (out / _MARKER).exists():
            raise RequestInvalid(field="--out", reason=f"{out} has other things in it; name a new folder")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    # Written first, so that a run that was broken off can be repeated.
    (out / _MARKER).write_text("{}\n", encoding="utf-8")
    return out


def _pydoc(steps: _Steps, folder: Path) -> Path:
    from ..demo.pydoc_set import installed_packages, make_pydoc_set

    packages = installed_packages()
    with steps.console.progress("packages", len(packages)) as advance:
        made = make_pydoc_set(folder, packages=packages, progress=advance)
    pairs = ", ".join(f"{count} {split}" for split, count in made.pairs.items())
    steps.say(f"{pairs} pairs of {len(made.packages)} packages; no near-duplicates across splits.")
    return made.folder


def _splits(data: Path, found: tuple[str, ...]) -> tuple[str, str]:
    """The split that scores are made on, and the one that builds are gated on: never the same."""
    if "train" not in found or not {"test", "dev"} & set(found):
        raise DataInvalid(
            path=str(data), reason=f"has splits {', '.join(found) or 'none'}; expected train and test (or dev)"
        )
    if "test" in found:
        return "test", "dev" if "dev" in found else "train"
    return "dev", "train"


def _scored(steps: _Steps, name: str, ranker: Any, dataset: Dataset) -> Evaluation:
    from ..evaluation import evaluate

    with steps.console.progress(name, len(dataset.queries) + len(dataset.passages)) as advance:
        scored = evaluate(ranker, dataset, progress=advance)
    steps.say(f"{name}: nDCG@10 {scored.score.ndcg_10:.3f}")
    return scored


def _score_bm25(steps: _Steps, dataset: Dataset) -> Evaluation:
    from ..evaluation import Bm25Ranker

    return _scored(steps, "BM25", Bm25Ranker(), dataset)


def _score_base(steps: _Steps, artifact: Artifact, dataset: Dataset) -> tuple[Evaluation, Vectors]:
    """The base's score, and a vector of its space: the stranger that is kept out later."""
    from ..encoder import Encoder
    from ..evaluation import DenseRanker

    with Encoder.load(artifact) as encoder:
        return _scored(steps, "untouched", DenseRanker(encoder), dataset), encoder.encode(dataset.queries[:1], "query")


def _train(steps: _Steps, data: Path, options: QuickstartOptions, out: Path) -> Path:
    from ..training.finetuning.config import read_config
    from ..training.finetuning.trainer import train
    from ..training.scoring.report import loss_of_sample

    recipe = Path(__file__).with_name("quickstart.toml")
    config = read_config(recipe, [*options.overrides, f"data={data}", f"base={options.base}"], out)
    record = train(config, steps.console.progress, diagnosed=partial(_tell_warnings, steps)).record
    vitals = record["sentinel"]["train"]
    steps.say(
        f"{record['steps']} steps in {record['precision']}; {loss_of_sample(record)}; effective rank "
        f"{vitals[0]['effective_rank']:.0f} to {vitals[-1]['effective_rank']:.0f}."
    )
    return out


def _tell_warnings(steps: _Steps, diagnosis: Diagnosis) -> None:
    """What the doctor warns of; its errors end the quickstart."""
    for finding in diagnosis.findings("warning"):
        steps.say(f"Doctor: {finding.says}")


def _score_served(steps: _Steps, server: RunningServer, dataset: Dataset) -> Evaluation:
    from ..encoder import Encoder
    from ..evaluation import DenseRanker

    with Encoder.connect(server.grpc) as encoder:
        return _scored(steps, "fine-tuned", DenseRanker(encoder), dataset)


def _compare(after: Evaluation, others: dict[str, Evaluation]) -> dict[str, Comparison]:
    return {name: after.against(other) for name, other in others.items()}


def _local_examples(
    examples: tuple[str, ...], dataset: Dataset, after: Evaluation
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The examples' best passages from the exact search that was scored."""
    rows = [dataset.queries.index(query) for query in examples]
    return tuple(
        (query, tuple(dataset.passages[passage] for passage in after.run.rows[row][:_EXAMPLES] if passage >= 0))
        for query, row in zip(examples, rows, strict=True)
    )


def _weaviate(
    steps: _Steps,
    options: QuickstartOptions,
    folder: Path,
    server: RunningServer,
    data: Path,
    foreign: Vectors,
    examples: tuple[str, ...],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Fill a pinned collection, search it and try to mix; the examples' hits, or none where there is no Weaviate."""
    from .pinned import pinned_collection

    return pinned_collection(
        steps, options.weaviate, folder / "weaviate", server, options.reach_host, data, foreign, examples
    )
