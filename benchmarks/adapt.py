"""What documents alone are worth: adapt a base to each set's corpus, and ask the set's own questions of it.

    python benchmarks/adapt.py DATA --out benchmarks/results/adapt.json
    python benchmarks/adapt.py DATA --out benchmarks/results/adapt.json --teacher FOLDER --sets stackfaq cranfield

DATA holds sets in the BEIR layout. `samespace adapt` sees their corpora alone, and its verdict is on questions that it
made of them. Then base, teacher and result answer the questions that people asked, of dev and test: those show whether
the verdict on made-up questions can be trusted. What each stage gained on development questions is in "tried".

A run that the file has already is not repeated, so a benchmark that was broken off goes on; --again forgets them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from loadgen.machine import machine
from samespace import Encoder
from samespace.artifact.manifest import MANIFEST
from samespace.cli.console import progress, quiet_libraries, say
from samespace.evaluation import Dataset, DenseRanker, Evaluation, evaluate, load_dataset, splits
from samespace.evaluation.significance import in_points
from samespace.model.checkpoint import load_checkpoint
from samespace.training.adapting.run import AdaptSettings, adapt
from samespace.training.adapting.scores import held_out_scores
from samespace.training.scoring.outcome import Once

SETS: Final = ("stackfaq", "scifact", "cranfield", "medquad", "covidqa_long")
BASE: Final = "sentence-transformers/all-MiniLM-L6-v2"


def main() -> None:
    """Run every set that is not there yet, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--teacher", default="", help="model folder, artifact or hub name")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--steps", type=int, default=0, help="steps of each long stage instead of the minutes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    quiet_libraries()
    fresh = arguments.again or not arguments.out.exists()
    record: dict[str, Any] = {"runs": []} if fresh else json.loads(arguments.out.read_text(encoding="utf-8"))
    teacher = Path(arguments.teacher).name
    for name in arguments.sets:
        if any(
            (each["set"], each["teacher"], each["seed"]) == (name, teacher, arguments.seed) for each in record["runs"]
        ):
            continue
        record["runs"].append(_run(arguments, name, teacher))
        record |= {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "versions": {each: version(each) for each in ("torch", "transformers", "sentence-transformers", "bm25s")},
        }
        arguments.out.write_text(json.dumps(record) + "\n", encoding="utf-8")
    print(table(record))


def _run(arguments: argparse.Namespace, name: str, teacher: str) -> dict[str, Any]:
    folder = arguments.data / name
    say(f"{name}, teacher {teacher or 'none'}")
    with tempfile.TemporaryDirectory(prefix="adapt-", dir=arguments.out.parent) as scratch:
        out = Path(scratch) / "adapted"
        found = adapt(
            AdaptSettings(folder, BASE, out, arguments.teacher, budget_s=60 * arguments.minutes, steps=arguments.steps,
                          seed=arguments.seed, anyway=True),
            progress,
            say,
        )  # fmt: skip
        asked = {split: load_dataset(folder, split) for split in splits(folder) if split != "train"}
        scored = {"base": held_out_scores(load_checkpoint(BASE), asked, "base", progress).kinds}
        if found.written is not None:
            scored["adapted"] = held_out_scores(load_checkpoint(str(out)), asked, "new", progress).kinds
        if arguments.teacher:
            scored["teacher"] = _teacher(arguments.teacher, asked)
    scores = {who: {split: float(each.score.ndcg_10) for split, each in kinds.items()} for who, kinds in scored.items()}
    keys = ("adapted", "precision", "spending", "tried", "notes", "blend", "total_s", "verdict")
    return {
        "set": name,
        "teacher": teacher,
        "seed": arguments.seed,
        "minutes": arguments.minutes,
        "steps": arguments.steps,
        **{key: found.record.get(key) for key in keys},
        "asked": scores,
        "versus_base": {
            who: {split: _versus(kinds[split], scored["base"][split]) for split in kinds}
            for who, kinds in scored.items() if who != "base"
        },
    }  # fmt: skip


def _teacher(name: str, asked: Mapping[str, Dataset]) -> dict[str, Evaluation]:
    if not (Path(name) / MANIFEST).is_file():
        return held_out_scores(load_checkpoint(name), asked, "teacher", progress).kinds
    with Encoder.load(name) as encoder:
        once = Once(encoder)
        return {split: evaluate(DenseRanker(once), dataset) for split, dataset in asked.items()}


def _versus(new: Evaluation, base: Evaluation) -> dict[str, Any]:
    return new.against(base).to_json()


def table(record: Mapping[str, Any]) -> str:
    """Markdown: a row a run and split of people's questions, beside the verdict on made-up ones."""
    lines = ["| set | teacher | split | base | teacher's | adapted | points (95 %) | verdict on made-up questions |"]
    lines.append("| --- " * 8 + "|")
    for run in record["runs"]:
        made = (run["verdict"] or {}).get("overall")
        word = f"{run['verdict']['word']}, {in_points(made)}" if made else "nothing helped"
        for split, base in run["asked"]["base"].items():
            new, theirs = (run["asked"].get(who, {}).get(split) for who in ("adapted", "teacher"))
            against = run["versus_base"].get("adapted", {}).get(split)
            cells = [run["set"], run["teacher"] or "none", split, f"{base:.3f}", f"{theirs:.3f}" if theirs else ""]
            cells += [f"{new:.3f}", in_points(against)] if new else ["base kept", ""]
            lines.append(f"| {' | '.join([*cells, word])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
