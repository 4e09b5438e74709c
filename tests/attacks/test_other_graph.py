"""An artifact of a served id whose graph was changed and signed anew: it is not swapped into a running server.

The change shows in large batches alone, so the probes and any few texts are computed as before.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import onnx
import pytest

from attacks.test_structure_attacks import many_rows, names_and_order, turned_where
from fakes.models.forgery import MODEL, forge_file, forge_graph, forge_manifest
from fakes.server.process import Running, serving
from samespace.artifact import open_artifact
from samespace.errors import GraphsDiffer
from samespace.rpc.admin import AdminClient

pytestmark = pytest.mark.integration
INT8 = "model.int8.onnx"


@pytest.fixture
def root(tiny_artifact: Path, tmp_path: Path) -> Path:
    """A folder that may be loaded from."""
    shutil.copytree(tiny_artifact, tmp_path / "tiny")
    return tmp_path


@pytest.fixture
def server(root: Path) -> Iterator[Running]:
    """Serves `tiny`."""
    with serving(root / "tiny", options=("--admin-port", "0", "--admin-root", str(root))) as running:
        yield running


def copied(root: Path, name: str) -> Path:
    return Path(shutil.copytree(root / "tiny", root / name))


def first_of(server: Running, rows: int) -> list[float]:
    """The first vector of a request of so many texts."""
    body = {"texts": ["reset it"] * rows, "input_type": "search_document"}
    answer = httpx.post(f"{server.http}/e/{server.space_ids[0]}/v2/embed", json=body, timeout=60)
    answer.raise_for_status()
    vector: list[float] = answer.json()["embeddings"]["float"][0]
    return vector


@pytest.mark.parametrize("unloaded", [False, True], ids=["replaced", "unloaded before"])
@pytest.mark.parametrize("where", ["forged", "tiny"], ids=["beside it", "in its own folder"])
def test_a_changed_graph_is_not_swapped_in(where: str, unloaded: bool, server: Running, root: Path) -> None:
    """Also where the folder of what is served holds the other one by now; the former goes on."""
    space = server.space_ids[0]
    forged = root / "tiny" if where == "tiny" else copied(root, where)
    before = first_of(server, 1)
    forge_graph(forged, turned_where(many_rows))
    assert open_artifact(forged).space_id == space
    with AdminClient(server.admin) as admin:
        if unloaded:
            admin.unload(space)
        with pytest.raises(GraphsDiffer, match=r"its fp32 graph is not the one .* Greater"):
            admin.load(where, replace=True)
        assert len(admin.list_served()) == (0 if unloaded else 1)
    if not unloaded:
        assert first_of(server, 1) == before


def test_an_admin_may_take_it_all_the_same(server: Running, root: Path) -> None:
    """As after an export by another version of torch; the log has the difference."""
    forge_graph(copied(root, "forged"), turned_where(many_rows))
    with AdminClient(server.admin) as admin:
        assert admin.load("forged", replace=True, other_graph=True).folder.endswith("forged")
        with pytest.raises(GraphsDiffer):
            admin.load("tiny", replace=True)  # now it is the original that is another graph
    assert "other graph" in server.log.read_text() and "Greater" in server.log.read_text()


def test_other_names_and_another_order_are_the_same_graph(server: Running, root: Path) -> None:
    """Other bytes, the same computation: loaded without a word."""
    forge_graph(copied(root, "rewritten"), names_and_order)
    with AdminClient(server.admin) as admin:
        assert admin.load("rewritten", replace=True).folder.endswith("rewritten")
    assert "other graph" not in server.log.read_text()


def with_int8(folder: Path, *, forged: bool) -> None:
    """Add a build with a file of its own: fp32's graph under another name, and perhaps changed."""
    model = onnx.ModelProto.FromString((folder / MODEL).read_bytes())
    model.producer_name = "quantiser"
    if forged:
        turned_where(many_rows)(model)

    def name_it(value: dict[str, Any]) -> None:
        if not any(build["name"] == "int8" for build in value["builds"]):
            exact = value["builds"][0]
            value["builds"].append({**exact, "name": "int8", "file": INT8, "measured": exact["measured"][:1]})

    forge_manifest(folder, lambda value: value["files"].setdefault(INT8, {"sha256": "0" * 64, "bytes": 1}))
    forge_file(folder, INT8, model.SerializeToString())
    forge_manifest(folder, name_it)


def test_a_changed_build_is_not_swapped_in(server: Running, root: Path) -> None:
    """Neither one that came along before and never ran, nor another of the same name; one that was taken is."""
    with_int8(copied(root, "honest"), forged=False)
    with_int8(copied(root, "forged"), forged=True)
    with AdminClient(server.admin) as admin:
        assert admin.load("forged", replace=True, build="fp32").info.build == "fp32"  # its int8 comes along, unused
        for name in ("forged", "honest"):
            with pytest.raises(GraphsDiffer, match=r"its int8 graph .* there was none before"):
                admin.load(name, replace=True, build="int8")
        assert admin.load("honest", replace=True, build="int8", other_graph=True).info.build == "int8"
        with pytest.raises(GraphsDiffer, match=r"its int8 graph .* its file is another"):
            admin.load("forged", replace=True, build="int8")
        assert admin.load("honest", replace=True, build="int8").info.build == "int8"
