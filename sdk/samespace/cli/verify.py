"""`samespace verify`: is the artifact whole, and does this machine compute its space?"""

from __future__ import annotations

from pathlib import Path

import click

from .console import say, table


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
def verify(artifact: Path) -> None:
    """Check an artifact's files and recompute its probes.

    Every file is hashed and compared with the manifest; then each build that a runtime on this machine can run
    recomputes the reference vectors. Exit code 1 if anything differs, or if no build can be run here.

    \b
    Example:
      samespace verify artifacts/pydoc
    """
    from ..artifact import open_artifact, verify_files
    from ..errors import BuildError, ExtraMissing, SamespaceError
    from ..runtime import load_artifact, open_session, probe_vectors

    opened = open_artifact(artifact)
    say(f"{len(verify_files(opened))} files are what the manifest says.")
    rows: list[list[str]] = []
    ran = failed = 0
    for part in opened.parts or (opened,):
        text_encoder, probes = part.text_encoder(), part.probes()
        where = f"{part.folder.name}/" if opened.parts else ""
        for build in part.manifest.builds:
            for measured in build.measured:
                label = [f"{where}{build.name}", measured.runtime, measured.precision]
                try:
                    session = open_session(part, build, measured)
                    worst = probes.worst(probe_vectors(part, session, text_encoder))
                except (BuildError, ExtraMissing) as error:
                    rows.append([*label, "-", f"{measured.bound:.1e}", "cannot run here"])
                    say(f"{label[0]} on {measured.runtime}: {error}")
                    continue
                ran += 1
                good = worst <= measured.bound
                failed += not good
                rows.append([*label, f"{worst:.1e}", f"{measured.bound:.1e}", "ok" if good else "DIFFERS"])
    if opened.parts and ran and not failed:
        whole = load_artifact(opened)
        rows.append(["whole", whole.runtime, whole.precision, f"{whole.worst:.1e}", f"{whole.bound:.1e}", "ok"])
    click.echo(table(["build", "runtime", "computes", "worst 1-cos", "bound", ""], rows))
    if failed:
        raise SamespaceError(f"{artifact}: {failed} of {ran} builds compute other vectors here than they should")
    if not ran:
        raise SamespaceError(f"{artifact}: no build can be run here: pip install 'samespace[cpu]'")
    click.echo(f"verified: space {opened.space_id}")
