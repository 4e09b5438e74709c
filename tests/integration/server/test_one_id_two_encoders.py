"""Two real servers say one space id; one of them serves a forged artifact, whose graph wires the weights otherwise.

Each loads: the weights of the id are all there and used, and the probes are those of what the graph computes now.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from attacks.test_identity_attacks import forge, layers_swapped
from fakes.server.process import Running, serving
from samespace import Encoder
from samespace.errors import VectorsDisagree
from samespace_weaviate import CollectionSpec, Severity
from samespace_weaviate.pinning.check import Inventory, check_all
from samespace_weaviate.pinning.sameness import SpaceSide
from samespace_weaviate.pinning.served import Servers

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def two(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    """The honest one, and the forged one."""
    forged = Path(shutil.copytree(tiny_artifact, tmp_path_factory.mktemp("forged") / "tiny"))
    forge(forged, layers_swapped)
    with serving(tiny_artifact) as honest, serving(forged) as other:
        assert honest.space_ids == other.space_ids
        yield honest, other


def test_a_client_of_both_is_refused(two: tuple[Running, Running]) -> None:
    """Before anything is encoded."""
    honest, other = two
    with pytest.raises(VectorsDisagree, match="both say space"):
        Encoder.connect(f"{honest.grpc},{other.grpc}")
    Encoder.connect(f"{honest.grpc},{honest.grpc.replace('127.0.0.1', 'localhost')}").close()


def test_check_tells_the_forged_one(two: tuple[Running, Running], tiny_artifact: Path) -> None:
    """Held against the artifact, and without one against each other."""
    honest, other = two
    space = honest.space_ids[0]
    specs = CollectionSpec("Honest", space, honest.http), CollectionSpec("Other", space, other.http)
    inventory = Inventory(tuple(spec.schema() for spec in specs), {})
    encoder = Encoder.load(tiny_artifact, build="fp32")
    right = SpaceSide(space, "mine", encoder.bound, lambda texts: np.asarray(encoder.encode(list(texts), "passage")))
    for servers in (Servers(right=right), Servers()):
        first, second = check_all(inventory, servers=servers)
        assert first.worst is not Severity.BROKEN and second.worst is Severity.BROKEN
        (broken,) = [each.message for each in second.findings if each.severity is Severity.BROKEN]
        assert "gives other vectors than" in broken
