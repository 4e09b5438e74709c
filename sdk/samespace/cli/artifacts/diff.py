"""`samespace diff`: are two artifacts the same space, and if not, why not?"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import ArtifactError, BuildError, ExtraMissing
from ..console import echo, say

if TYPE_CHECKING:
    from ...artifact import Artifact

_VERDICTS = {
    "same": "The same space: their vectors may be compared.",
    "rebuilt": "The same space, rebuilt: their vectors may be compared.",
    "contradiction": "One space id and two encoders: at least one artifact is not what it says. Their vectors may NOT "
    "be compared; run samespace verify on both.",
    "different": "Different spaces: their vectors may NOT be compared.",
}


_REWRITTEN = (
    "The same space by its id, weights and tokenizer, in another graph: on the texts that were compared their vectors "
    "agree. Whether they do on all texts, samespace verify says of each."
)


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def diff(first: Path, second: Path, as_json: bool) -> None:
    """Say whether two artifacts are the same space, and what differs.

    Two rerankers are compared in the same way, by their scores. Two artifacts of one id are also run, every build of
    both, on their probes and on texts that are made now, where a runtime is installed. Exit code 0 for the same space,
    renamed or rebuilt; 1 for different spaces, also where the probes are nearly equal, and for one id with vectors that
    disagree; 2 for wrong usage.

    \b
    Example:
      samespace diff artifacts/pydoc artifacts/pydoc-retrained
    """
    from ...artifact import open_artifact
    from ...artifact.compare import compare

    left, right = (open_artifact(each, kind="any") for each in (first, second))
    found = compare(left, right)
    problem = "" if found.verdict in ("different", "contradiction") else _disagreement(left, right)
    if problem:
        found = replace(found, verdict="contradiction")
    if as_json:
        value = {
            "verdict": found.verdict,
            "space_ids": [left.space_id, right.space_id],
            "space": [list(each) for each in found.space],
            "beside": [list(each) for each in found.beside],
            "run_here": problem,
            "probes": found.probes
            and {"texts": found.probes.texts, "mean_cos": found.probes.mean, "worst_cos": found.probes.worst},
        }
        echo(json.dumps(value, ensure_ascii=False))
    else:
        echo(f"first   {left.space_id}  {left.manifest.name}\nsecond  {right.space_id}  {right.manifest.name}\n")
        rewritten = found.verdict == "rebuilt" and any(part == "graph" for part, _ in found.beside)
        verdict = _REWRITTEN if rewritten else _VERDICTS[found.verdict]
        echo(_of_rerankers(verdict) if left.manifest.reranker and right.manifest.reranker else verdict)
        for part, text in (*found.space, *found.beside):
            echo(f"  {part}: {text}")
        if found.probes is not None:
            near = found.probes
            values = f"{near.mean:.6f} on average, {near.worst:.6f} at worst"
            echo(f"  probes: {near.measure} {values}, over {near.texts} texts")
        if problem:
            echo(f"  run here: {problem}")
    sys.exit(found.verdict in ("different", "contradiction"))


def _of_rerankers(verdict: str) -> str:
    """What is said of spaces and vectors, of rerankers and their scores."""
    for space, reranker in (("One space id and two encoders", "One id and two rerankers"),
                            ("Different spaces", "Different rerankers"), ("same space", "same reranker"),
                            ("vectors", "scores")):  # fmt: skip
        verdict = verdict.replace(space, reranker)
    return verdict


def _disagreement(left: Artifact, right: Artifact) -> str:
    """How the vectors of two artifacts of one id disagree when both are run; "" where they agree, or nothing runs.

    Their fp32 builds are held against each other, and every other build against the fp32 build beside it.
    """
    from ...runtime import load_artifact
    from ...runtime.fresh import require_same_spaces
    from ...runtime.verification import verify_artifact

    try:
        loaded = [load_artifact(each, build="fp32") for each in (left, right)]
        require_same_spaces(*loaded)
        builds = [(each.folder, build) for each in (left, right) for build in verify_artifact(each).builds()]
    except ExtraMissing as error:
        say(f"Not run on fresh texts: {error}")
        return ""
    except (BuildError, ArtifactError) as error:
        return str(error)
    for folder, build in builds:
        what = f"{folder}: {build.where}{build.name} on {build.runtime}"
        if build.worst is None:
            say(f"Not run: {what}: {build.error}")
        elif not build.right:
            return f"{what}: 1 - cos {build.worst:.2g} at worst, it may have {build.bound:.2g}. {build.error}".rstrip()
    return ""
