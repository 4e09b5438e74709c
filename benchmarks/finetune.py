"""What fine-tuning is worth, and each part of a recipe: base, full recipe, and the recipe without one thing at a time.

    python benchmarks/finetune.py DATA --out benchmarks/results/finetune.json --table benchmarks/results/finetune.md

DATA holds `stackfaq`, `medquad` and `scifact` in the BEIR layout. Every encoder is scored on the dev and test splits of
the set that it was trained on; base and full recipe also on the test split of scifact, which none was trained on: what
it forgot (--forgetting for all runs, at some minutes each). The vectors of the full recipe are also scored with
transforms, fitted on the passages of the set and applied to the texts' pooled vectors. Differences have a paired
bootstrap over queries, against the base and against the full recipe. One seed each: a difference that the bootstrap
calls significant is one of these weights, not of the method; --seeds repeats a run.

A run that the file has already is not repeated, so a benchmark that was broken off goes on; --again forgets them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from loadgen.machine import machine
from samespace.cli.console import progress, quiet_libraries, say
from samespace.evaluation import (
    Bm25Ranker,
    Dataset,
    DenseRanker,
    VectorRanker,
    evaluate,
    load_dataset,
    paired_bootstrap,
    splits,
)
from samespace.exporting.fastest import fastest
from samespace.exporting.transforms.fit import TransformCandidate, fit, moments
from samespace.model.checkpoint import Checkpoint, load_checkpoint
from samespace.training.finetuning.config import read_config
from samespace.training.finetuning.trainer import train
from samespace.training.scoring.outcome import Once, all_texts

RECIPES: Final = Path(__file__).resolve().parents[1] / "recipes"
FORGETTING: Final = "scifact"
FULL: Final = "full"
ABLATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    FULL: (),
    "all of the training (blend 1)": ("blend=1",),
    "without masking": ("mask=none",),
    "hard negatives by BM25": ("mine=bm25", "mine_every=0"),
    "hard negatives by the encoder": ("mine=encoder",),
    "adapters (lora_rank 16, tenfold rate)": ("lora_rank=16", "learning_rate=2e-4"),
}
TRANSFORMS: Final = ("centre", "pca:192", "whiten:192", "truncate:192")
FORGETS: Final = ("bm25", "base", FULL)
BEGIN, END = "<!-- finetune: begin -->", "<!-- finetune: end -->"


def main() -> None:
    """Run everything that is not there yet, and write after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path, help="markdown file between whose marks the table is put")
    parser.add_argument("--sets", nargs="+", default=["stackfaq", "medquad"], choices=["stackfaq", "medquad"])
    parser.add_argument("--runs", nargs="+", help=f"names of runs; all unless given: {', '.join(ABLATIONS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--forgetting", action="store_true", help="score every run on scifact")
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    quiet_libraries()
    record = {"runs": []} if arguments.again or not arguments.out.exists() else json.loads(arguments.out.read_text())
    chosen = arguments.runs or list(ABLATIONS)
    for name in arguments.sets:
        _one_set(arguments, name, chosen, record)
    if arguments.table:
        text = arguments.table.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        arguments.table.write_text(f"{before}{BEGIN}\n\n{table(record)}\n\n{END}{after}", encoding="utf-8")
    print(table(record))


def _one_set(arguments: argparse.Namespace, name: str, chosen: Sequence[str], record: dict[str, Any]) -> None:
    data, out, overrides = arguments.data, arguments.out, arguments.overrides
    own = {f"{name} {split}": load_dataset(data / name, split) for split in splits(data / name) if split != "train"}
    forgetting = {f"{FORGETTING} test": load_dataset(data / FORGETTING, "test")}
    recipe = RECIPES / f"{name}.toml"
    runs: list[tuple[str, int, tuple[str, ...]]] = [("bm25", 0, ()), ("base", 0, ())]
    runs += [(run, seed, (*ABLATIONS[run], f"seed={seed}")) for run in chosen for seed in arguments.seeds]
    for run, seed, changes in runs:
        if any((each["set"], each["run"], each["seed"]) == (name, run, seed) for each in record["runs"]):
            continue
        say(f"{name}: {run}, seed {seed}")
        with tempfile.TemporaryDirectory(prefix="finetune-", dir=out.parent) as scratch:
            folder = Path(scratch) / "model"
            entry: dict[str, Any] = {"set": name, "run": run, "seed": seed, "changes": list(changes)}
            if seed:
                settings = [f"data={data / name}", "score_splits=[]", "checkpoint_every=0", *overrides, *changes]
                made = train(read_config(recipe, settings, folder), progress, say).record
                keys = ("steps", "training_s", "precision", "learning_rate", "threads", "loss_of_guessing")
                entry |= {key: made[key] for key in keys}
                entry |= {"loss_end": float(np.mean(made["loss"][-10:])), "alarms": made["sentinel"]["alarms"]}
                checkpoint = load_checkpoint(folder)
            else:
                checkpoint = load_checkpoint(read_config(recipe, [], folder).base)
            known = {} if seed else _known(record, run, forgetting)
            datasets = own | (forgetting if (arguments.forgetting or run in FORGETS) and not known else {})
            if run == "bm25":
                scores = {"": {each: _row(evaluate(Bm25Ranker(), datasets[each]), run) for each in datasets}}
            else:
                scores = _scores(checkpoint, datasets, own if run == FULL else {})
            scores[""] |= known
            shutil.rmtree(folder, ignore_errors=True)
        record["runs"] += [entry | {"run": run + then, "scores": found} for then, found in scores.items()]
        record |= {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "versions": {each: version(each) for each in ("torch", "transformers", "sentence-transformers", "bm25s")},
            "overrides": list(overrides),
        }
        _compare(record, name)
        out.write_text(json.dumps(record) + "\n", encoding="utf-8")


def _known(record: Mapping[str, Any], run: str, sets: Mapping[str, Dataset]) -> dict[str, dict[str, Any]]:
    """The scores on *sets* of the same untrained ranker, where it was scored beside another set."""
    for entry in record["runs"]:
        if entry["run"] == run and all(name in entry["scores"] for name in sets):
            return {name: entry["scores"][name] for name in sets}
    return {}


def _scores(
    checkpoint: Checkpoint, datasets: Mapping[str, Dataset], transformed: Mapping[str, Dataset]
) -> dict[str, dict[str, Any]]:
    """Scores by dataset: of *checkpoint* on *datasets* under "", on *transformed* with each transform by name."""
    with fastest(checkpoint, all_texts(datasets.values())) as (encoder, how):
        once = Once(encoder)
        scores: dict[str, dict[str, Any]] = {"": {}}
        for name, dataset in datasets.items():
            with progress(f"scoring on {name}, {how}", len(dataset.passages) + len(dataset.queries)) as advance:
                scores[""][name] = _row(evaluate(DenseRanker(once), dataset, progress=advance), how)
        for kind in TRANSFORMS if transformed else ():
            scores[f", then {kind}"] = {
                name: _row(evaluate(_transformed(kind, once, each), each), how) for name, each in transformed.items()
            }
        return scores


def _transformed(kind: str, once: Once, dataset: Dataset) -> VectorRanker:
    queries = np.asarray(once.encode(dataset.queries, "query"))
    passages = np.asarray(once.encode(dataset.passages, "passage"))
    transform = fit(TransformCandidate.parse(kind, source_dims=passages.shape[1]), moments(passages))
    assert transform is not None
    return VectorRanker(kind, transform.apply(queries), transform.apply(passages))


def _row(evaluation: Any, how: str) -> dict[str, Any]:
    return {
        "ndcg@10": evaluation.score.ndcg_10,
        "recall@100": evaluation.score.recall_100,
        "runtime": how,
        "per_query": [round(float(value), 5) for value in evaluation.per_query["ndcg@10"]],
    }


def _compare(record: dict[str, Any], name: str) -> None:
    """Each run of the set against the base, and each change against the full recipe of its seed."""
    runs = [each for each in record["runs"] if each["set"] == name]
    for entry in runs:
        against = {
            "base": next((each for each in runs if each["run"] == "base"), None),
            FULL: next((each for each in runs if (each["run"], each["seed"]) == (FULL, entry["seed"])), None),
        }
        entry["versus"] = {
            other: {
                split: _paired(entry, found, split)
                for split in entry["scores"]
                if split in found["scores"]
            }
            for other, found in against.items()
            if found is not None and found is not entry
        }  # fmt: skip


def _paired(entry: Mapping[str, Any], found: Mapping[str, Any], split: str) -> dict[str, Any]:
    first, second = (np.array(each["scores"][split]["per_query"]) for each in (entry, found))
    return paired_bootstrap(first, second).to_json()


def table(record: Mapping[str, Any]) -> str:
    """The runs as a markdown table: nDCG@10, with the difference to the base and its 95 % interval in points."""
    parts = []
    for name in dict.fromkeys(each["set"] for each in record["runs"]):
        runs = [each for each in record["runs"] if each["set"] == name]
        columns = list(runs[0]["scores"])
        parts += [f"| {name} | {' | '.join(columns)} | minutes |", "| --- |" + " --- |" * (len(columns) + 1)]
        for entry in runs:
            cells = []
            for split in columns:
                if split not in entry["scores"]:
                    cells.append("")
                    continue
                cell = f"{entry['scores'][split]['ndcg@10']:.3f}"
                against = entry["versus"].get("base", {}).get(split)
                if against is not None and entry["seed"]:
                    cell += (
                        f" ({100 * against['mean']:+.1f}; {100 * against['low']:+.1f} to {100 * against['high']:+.1f})"
                    )
                cells.append(cell)
            seed = f", seed {entry['seed']}" if entry["seed"] > 1 else ""
            minutes = f"{entry['training_s'] / 60:.1f}" if entry["seed"] else ""
            parts.append(f"| {entry['run']}{seed} | {' | '.join(cells)} | {minutes} |")
        parts.append("")
    return "\n".join(parts).rstrip()


if __name__ == "__main__":
    main()
