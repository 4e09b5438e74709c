"""What `samespace embed` made goes into a running Weaviate, from one process and from Ray's actors."""

from __future__ import annotations

import gc
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from samespace import Encoder
from samespace.bulk.cluster import Cluster, connected
from samespace.cli import cli
from samespace.errors import SpaceMismatch
from samespace_weaviate import CollectionSpec, PinnedCollection, Store, create

pytestmark = [
    pytest.mark.weaviate,
    # Ray leaves sockets and files to the garbage collector, and warns of its own future.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::UserWarning"),
]
COUNT = 300
TEXTS = [" ".join([f"user {number}", "file index value"] * (1 + 12 * (number % 10 == 0))) for number in range(COUNT)]


def ran(*arguments: str) -> str:
    """The command's stderr."""
    result = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One Ray for all commands."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("no Ray: pip install 'samespace[ray]'")
    with connected(Cluster(workers=2)):
        yield
    gc.collect()  # what Ray left unclosed is told here, where it is ignored, and not in other tests


@pytest.mark.parametrize("engine", ["process", "ray"])
def test_a_folder_of_vectors_is_searched_like_an_import(
    store: Store,
    spec: CollectionSpec,
    encoder: Encoder,
    tiny_artifact: Path,
    other_artifact: Path,
    tmp_path: Path,
    engine: str,
    request: pytest.FixtureRequest,
) -> None:
    """Every slice is there once and found by its own text, through Weaviate's module; again changes nothing, and a
    folder of another space is refused."""
    if engine == "ray":
        request.getfixturevalue("ray_here")
    lines = tmp_path / "texts.jsonl"
    lines.write_text("".join(json.dumps({"id": f"d{n}", "text": text}) + "\n" for n, text in enumerate(TEXTS)))
    for artifact in (tiny_artifact, other_artifact):
        out = str(tmp_path / artifact.name)
        more = ("--part-rows", "64", "--long-texts", "slices", "--build", "fp32")
        ran("embed", str(lines), "--out", out, "--encoder", str(artifact), *more)
    create(store, spec)
    where = ("--url", store.address, "--grpc-port", str(store.grpc_port), "--state", str(tmp_path / "state"))
    work = ("--engine", engine, *(("--workers", "2") if engine == "ray" else ()))
    command = ("weaviate", "import", spec.name)
    told = ran(*command, str(tmp_path / tiny_artifact.name), *where, *work)
    collection = PinnedCollection.open(store, spec.name, encoder)
    count = len(collection)
    assert count > COUNT and f"{count} objects written" in told
    for number in (0, 7, COUNT - 1):
        (hit,) = collection.search(TEXTS[number], 1, group_by="document")
        assert hit.properties["documentId"] == f"d{number}"
    ran(*command, str(tmp_path / tiny_artifact.name), *where, *work)
    assert len(collection) == count
    with pytest.raises(SpaceMismatch):
        ran(*command, str(tmp_path / other_artifact.name), *where, *work)
    assert len(collection) == count
