"""`samespace verify`: is the artifact whole, and does this machine compute its space?"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..console import echo, say, table

if TYPE_CHECKING:
    from ...artifact import Artifact
    from ...runtime.verification import ArtifactVerification, CheckedBuild, CheckedEncoder

OK, DIFFERS = "ok", "DIFFERS"
ANOTHER_GRAPH = 3
"""Exit code: all is right but for a graph that the versions here would not have written."""


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--trusted",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM file of ed25519 public keys; one of them must have signed the artifact (see `certify`).",
)
def verify(artifact: Path, trusted: Path | None) -> None:
    """Check an artifact's files and recompute its probes.

    Every file is hashed and compared with the manifest, and the weights that the space id names are looked for in the
    fp32 graph. Then each build that a runtime on this machine can run recomputes the reference vectors, which is also
    timed, and is held against the fp32 build on texts that are made now. With samespace[train] the encoder is also
    built anew in torch and compared, and its graph is written anew and compared node by node.

    Exit code 3 if only that graph differs, as where another version of torch wrote it; 1 if anything else does, or if
    no build can be run here.

    \b
    Example:
      samespace verify artifacts/pydoc
    """
    from ...artifact import open_artifact
    from ...artifact.certificate import TrustedKeys, require_certified
    from ...extras import check_install
    from ...runtime.verification import verify_artifact

    if twice := check_install():
        say(f"note: {twice}")
    opened = open_artifact(artifact, kind="any")
    if trusted is not None:
        say(f"Signed by trusted key {require_certified(opened, TrustedKeys.read(trusted))[:12]}.")
    found = verify_artifact(opened)
    say(f"{found.files} files are what the manifest says.")
    say("The fp32 graph holds the weights that the id names, uses each of them, and has no other.")
    for encoder in found.encoders:
        for build in encoder.builds:
            if build.error:
                say(f"{build.where}{build.name} on {build.runtime}: {build.error}")
        _tell_fastest(encoder.where, _times_ms(encoder))
    worst = "worst 1-cos" if found.artifact.manifest.reranker is None else "worst"
    head = ["build", "runtime", "computes", worst, "bound", "ms", ""]
    echo(table(head, [_row(build) for build in found.builds()]))
    found.require()
    unseen, same_graph = _unseen_structure(found)
    if others := _other_graphs(found):
        say(f"{', '.join(others)}: a graph of its own, which was compared with fp32 on these texts alone.")
    echo(f"verified: {kind_of(found.artifact)} {found.artifact.space_id}{unseen}")
    if not same_graph:
        sys.exit(ANOTHER_GRAPH)


def kind_of(artifact: Artifact) -> str:
    """The word before an artifact's id: space, or reranker."""
    return "space" if artifact.manifest.reranker is None else "reranker"


def _other_graphs(found: ArtifactVerification) -> list[str]:
    """The builds that run another file than fp32."""
    return [
        f"{part.folder.name + '/' if found.artifact.parts else ''}{build.name}"
        for part in found.artifact.parts or (found.artifact,)
        for build in part.manifest.builds
        if (exact := part.manifest.build("fp32")) is not None and build.file != exact.file
    ]


def _unseen_structure(found: ArtifactVerification) -> tuple[str, bool]:
    """(what was not seen of how the weights are wired, "" where all was; False where the graph is another one).

    Raises:
        ArtifactDamaged: it computes another architecture than the identity names.
    """
    if any(find_spec(package) is None for package in ("torch", "transformers", "onnx", "onnxscript")):
        return ", but for how its weights are wired: that needs samespace[train]", True
    from ...exporting.rewritten import difference_to_rewritten
    from ...model.rebuilt import compare_rebuilt

    unseen = ""
    for encoder in found.artifact.parts or (found.artifact,):
        worst = compare_rebuilt(encoder)
        gives = "vectors" if encoder.manifest.reranker is None else "scores"
        say(f"Built anew in torch from its identity it gives the same {gives} (distance {worst:.1e}).")
        if not (difference := difference_to_rewritten(encoder)):
            say("The fp32 graph is the one that is written here for its identity, node by node.")
            continue
        say(f"The fp32 graph is another one than is written here for its identity: it {difference}.")
        unseen = ", but for its graph, which is not the one that is written here: only on these texts is it the same"
    return unseen, not unseen


def _row(build: CheckedBuild) -> list[str]:
    label = [f"{build.where}{build.name}", build.runtime, build.precision]
    if build.worst is None:
        return [*label, "-", f"{build.bound:.1e}", "-", "cannot run here"]
    taken = "" if build.taken_ms is None else str(build.taken_ms)
    return [*label, f"{build.worst:.1e}", f"{build.bound:.1e}", taken, OK if build.right else DIFFERS]


def _times_ms(encoder: CheckedEncoder) -> dict[tuple[str, str], int]:
    """(build, runtime) -> time of the probes, of those that are right."""
    return {
        (build.name, build.runtime): build.taken_ms
        for build in encoder.builds
        if build.right and build.taken_ms is not None
    }


def _tell_fastest(where: str, times_ms: Mapping[tuple[str, str], int]) -> None:
    """Which of the builds that were timed is the fastest, and that `auto` measures more than that."""
    if times_ms:
        build, runtime = min(times_ms, key=lambda each: times_ms[each])
        say(f"{where}Fastest here, by the time of its probes: {build} on {runtime}. auto measures for itself, once.")
