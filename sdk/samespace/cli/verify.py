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
    from ..runtime import open_session, probe_vectors

    opened = open_artifact(artifact)
    say(f"{len(verify_files(opened))} files are what the manifest says.")
    text_encoder, probes = opened.text_encoder(), opened.probes()
    rows: list[list[str]] = []
    ran = failed = 0
    for build in opened.manifest.builds:
        for measured in build.measured:
            label = [build.name, measured.runtime, measured.precision]
            try:
                session = open_session(opened, build, measured)
                worst = probes.worst(probe_vectors(opened, session, text_encoder))
            except (BuildError, ExtraMissing) as error:
                rows.append([*label, "-", f"{measured.bound:.1e}", "cannot run here"])
                say(f"{build.name} on {measured.runtime}: {error}")
                continue
            ran += 1
            good = worst <= measured.bound
            failed += not good
            rows.append([*label, f"{worst:.1e}", f"{measured.bound:.1e}", "ok" if good else "DIFFERS"])
    click.echo(table(["build", "runtime", "computes", "worst 1-cos", "bound", ""], rows))
    if failed:
        raise SamespaceError(f"{artifact}: {failed} of {ran} builds compute other vectors here than they should")
    if not ran:
        raise SamespaceError(f"{artifact}: no build can be run here: pip install 'samespace[cpu]'")
    click.echo(f"verified: space {opened.space_id}")
