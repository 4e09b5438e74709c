"""`samespace verify`: is the artifact whole, and does this machine compute its space?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..console import say, table

if TYPE_CHECKING:
    from ...artifact import Artifact

OK, DIFFERS = "ok", "DIFFERS"
FASTER: Final = 1.3
"""Another build is recommended from here on: on a machine that does other things too, less may be chance."""


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
def verify(artifact: Path) -> None:
    """Check an artifact's files and recompute its probes.

    Every file is hashed and compared with the manifest; then each build that a runtime on this machine can run
    recomputes the reference vectors, which is also timed. Exit code 1 if anything differs, or if no build can be run
    here.

    \b
    Example:
      samespace verify artifacts/pydoc
    """
    from ...artifact import open_artifact, verify_files
    from ...errors import SamespaceError
    from ...runtime import load_artifact

    opened = open_artifact(artifact)
    say(f"{len(verify_files(opened))} files are what the manifest says.")
    rows: list[list[str]] = []
    for part in opened.parts or (opened,):
        rows += _builds(part, f"{part.folder.name}/" if opened.parts else "")
    ran, failed = (sum(row[-1] in verdicts for row in rows) for verdicts in ((OK, DIFFERS), (DIFFERS,)))
    if opened.parts and ran and not failed:
        whole = load_artifact(opened)
        rows.append(["whole", whole.runtime, whole.precision, f"{whole.worst:.1e}", f"{whole.bound:.1e}", "", OK])
    click.echo(table(["build", "runtime", "computes", "worst 1-cos", "bound", "ms", ""], rows))
    if failed:
        raise SamespaceError(f"{artifact}: {failed} of {ran} builds compute other vectors here than they should")
    if not ran:
        raise SamespaceError(f"{artifact}: no build can be run here: pip install 'samespace[cpu]'")
    click.echo(f"verified: space {opened.space_id}")


def _builds(part: Artifact, where: str) -> list[list[str]]:
    """The table's rows of one encoder, and, said aside, which of its builds `auto` takes and why."""
    from ...errors import BuildError, ExtraMissing
    from ...runtime import open_session, probe_vectors

    text_encoder, probes = part.text_encoder(), part.probes()
    rows: list[list[str]] = []
    times_ms: dict[tuple[str, str], int] = {}
    for build in part.manifest.builds:
        for measured in build.measured:
            label, bound = [f"{where}{build.name}", measured.runtime, measured.precision], f"{measured.bound:.1e}"
            try:
                session = open_session(part, build, measured)
                worst = probes.worst(probe_vectors(part, session, text_encoder))
                began_ns = time.monotonic_ns()
                probe_vectors(part, session, text_encoder)  # again, now that its kernels are there
                taken_ms = max(1, (time.monotonic_ns() - began_ns) // 1_000_000)
            except (BuildError, ExtraMissing) as error:
                rows.append([*label, "-", bound, "-", "cannot run here"])
                say(f"{label[0]} on {measured.runtime}: {error}")
                continue
            good = worst <= measured.bound
            if good:
                times_ms[build.name, measured.runtime] = taken_ms
            rows.append([*label, f"{worst:.1e}", bound, str(taken_ms), OK if good else DIFFERS])
    _tell_choice(part, where, times_ms)
    return rows


def _tell_choice(part: Artifact, where: str, times_ms: Mapping[tuple[str, str], int]) -> None:
    from ...runtime.choice import candidates
    from ...runtime.cpu import this_cpu

    ways = [(each.build.name, each.measured.runtime, each.why) for each in candidates(part.manifest, cpu=this_cpu())]
    first = next((way for way in ways if way[:2] in times_ms), None)
    if first is None:
        return
    say(f"{where}auto takes {first[0]} on {first[1]}: {first[2]}.")
    best = min(times_ms, key=lambda each: times_ms[each])
    if (ratio := times_ms[first[:2]] / times_ms[best]) > FASTER:
        say(f"{where}Here {ratio:.1f} times as fast is --build {best[0]} --runtime {best[1]}.")
