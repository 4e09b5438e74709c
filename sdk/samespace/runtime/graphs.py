"""Is what is loaded under an id the graph that was loaded under it before?

Vectors on some texts leave room for a graph that behaves otherwise on others; the same structure leaves none. So a
process that reloads a space remembers its graphs: the folder of what runs may hold another artifact by then.

The fp32 graph is compared by structure, so that another name or order of nodes changes nothing. Any other build is
compared by the digest of its file: what quantised it cannot be told from the file.

What it gives up: the first artifact of an id is compared with nothing here; `samespace verify` is for that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..artifact import Artifact
from ..artifact.structure import Structure, describe
from ..errors import GraphsDiffer
from .composite import LoadedParts, each_build
from .load import LoadedBuild


@dataclass(frozen=True, slots=True)
class KnownGraphs:
    """What can run of one encoder.

    Attributes:
        fp32: the structure of its exact graph.
        others: sha256 of the file of each build that has one of its own, by the build's name.
    """

    fp32: Structure
    others: Mapping[str, str]


def known_graphs(artifact: Artifact) -> tuple[KnownGraphs, ...]:
    """Those of an encoder, or of each part of a composite.

    The fp32 files are read and hashed: a second for 400 MB.

    Raises:
        ArtifactDamaged: a file is not what the manifest says.
    """
    return tuple(_known(each) for each in artifact.parts or (artifact,))


def require_same_graphs(
    former: Sequence[KnownGraphs], new: Sequence[KnownGraphs], loaded: LoadedBuild | LoadedParts
) -> None:
    """Hold the graphs of *loaded*, which are *new*, against those that had its id before.

    Raises:
        GraphsDiffer: an fp32 graph is another computation, or a build that runs is a file that was not there before.
    """
    for before, now, running in zip(former, new, each_build(loaded), strict=True):
        if difference := now.fp32.differences(before.fp32):
            raise GraphsDiffer(folder=str(running.artifact.folder), build="fp32", reason=f"it {difference}")
        name = running.build_name
        if now.others.get(name) != before.others.get(name) and name in now.others:
            reason = "its file is another" if name in before.others else "there was none before"
            raise GraphsDiffer(folder=str(running.artifact.folder), build=name, reason=reason)


def _known(encoder: Artifact) -> KnownGraphs:
    files = {build.name: build.file for build in encoder.manifest.builds}
    exact = files["fp32"]  # `prove` has found it
    structure = describe(encoder.graph(exact).data, file=str(encoder.folder / exact))
    digests = encoder.manifest.files
    return KnownGraphs(structure, {name: digests[file].sha256 for name, file in files.items() if file != exact})
