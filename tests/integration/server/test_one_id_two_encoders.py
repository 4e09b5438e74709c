"""Two real servers say one space id; one of them serves a forged artifact, whose graph wires the weights otherwise.

Each loads: the weights of the id are all there and used, and the probes are those of what the graph computes now.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from attacks.test_identity_attacks import forge, layers_swapped
from fakes.models.forgery import forge_file, forge_manifest
from fakes.server.process import Running, serving
from samespace import Encoder
from samespace.artifact import Probes, open_artifact
from samespace.errors import VectorsDisagree
from samespace.exporting.composites.concatenate import join_towers
from samespace_weaviate import CollectionSpec, Severity
from samespace_weaviate.pinning.check import Inventory, check_all
from samespace_weaviate.pinning.sameness import SpaceSide
from samespace_weaviate.pinning.served import Servers

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=["an encoder", "queries of a two-tower", "passages of a two-tower"])
def right(
    request: pytest.FixtureRequest, tiny_artifact: Path, other_artifact: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """An honest artifact, and which part of it the other server has forged; "" for all."""
    if request.param == "an encoder":
        return tiny_artifact, ""
    out = tmp_path_factory.mktemp("towers") / "both"
    join_towers(open_artifact(tiny_artifact), open_artifact(other_artifact), out, anyway=True)
    return out, "query" if "queries" in request.param else "passage"


@pytest.fixture(scope="module")
def two(right: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    """The honest one, and the forged one."""
    folder, part = right
    forged = Path(shutil.copytree(folder, tmp_path_factory.mktemp("forged") / "tiny"))
    forge(forged / part, layers_swapped)
    if part:
        sign_again(forged, part)
    with serving(folder) as honest, serving(forged) as other:
        assert honest.space_ids == other.space_ids
        yield honest, other


def sign_again(towers: Path, part: str) -> None:
    """Have the whole name its forged part, with probes as its parts make them."""
    digest = hashlib.sha256((towers / part / "manifest.json").read_bytes()).hexdigest()
    forge_manifest(towers, lambda manifest: manifest["parts"].__setitem__(part, digest))
    whole = open_artifact(towers)
    probes, made = whole.probes(), {each.folder.name: each.probes() for each in whole.parts}
    rows = {
        role: {key: row for row, key in enumerate(zip(each.texts, each.roles, strict=True))}
        for role, each in made.items()
    }
    vectors = [
        made[role].vectors[rows[role][text, role]] for text, role in zip(probes.texts, probes.roles, strict=True)
    ]
    forge_file(towers, "probes.npz", Probes(probes.texts, probes.roles, np.stack(vectors)).to_bytes())


def test_a_client_of_both_is_refused(two: tuple[Running, Running]) -> None:
    """Before anything is encoded."""
    honest, other = two
    with pytest.raises(VectorsDisagree, match="both say space"):
        Encoder.connect(f"{honest.grpc},{other.grpc}")
    Encoder.connect(f"{honest.grpc},{honest.grpc.replace('127.0.0.1', 'localhost')}").close()


def test_check_tells_the_forged_one(two: tuple[Running, Running], right: tuple[Path, str]) -> None:
    """Held against the artifact, and without one against each other."""
    honest, other = two
    space = honest.space_ids[0]
    specs = CollectionSpec("Honest", space, honest.http), CollectionSpec("Other", space, other.http)
    inventory = Inventory(tuple(spec.schema() for spec in specs), {})
    encoder = Encoder.load(right[0], build="fp32")
    mine = SpaceSide(space, "mine", encoder.bound, lambda texts, role: np.asarray(encoder.encode(list(texts), role)))
    for servers in (Servers(right=mine), Servers()):
        first, second = check_all(inventory, servers=servers)
        assert first.worst is not Severity.BROKEN and second.worst is Severity.BROKEN
        (broken,) = [each.message for each in second.findings if each.severity is Severity.BROKEN]
        assert "gives other vectors than" in broken
