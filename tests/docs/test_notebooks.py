"""The notebooks run from top to bottom in a real kernel, with a tiny model; they are committed without outputs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.doc_pages import ROOT
from fakes.models.encoders import save_tiny_bert
from fakes.weaviate.nodes import weaviate_nodes

NOTEBOOKS = ROOT / "notebooks"
NEED_WEAVIATE = ("change-encoders-under-load", "rescue-a-collection")
CELL_S = 1200


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random encoder in the place of MiniLM, for documents of some length."""
    return save_tiny_bert(tmp_path_factory.mktemp("notebooks") / "model", seed=1, token_limit=64)


@pytest.fixture(scope="module")
def weaviate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where a Weaviate of this run answers, as environment variables."""
    binary = os.environ.get("WEAVIATE_BINARY")
    if not binary:
        pytest.skip("needs a Weaviate of its own: set WEAVIATE_BINARY")
    with weaviate_nodes(Path(binary), tmp_path_factory.mktemp("weaviate")) as nodes:
        yield {"WEAVIATE_URL": nodes[0].url, "WEAVIATE_GRPC_PORT": str(nodes[0].grpc_port)}


def names() -> list[str]:
    return sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def run(name: str, environment: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every cell in a kernel of its own; all that was printed. Raises where a cell fails."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: it is in the group dev")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(notebook, timeout=CELL_S, resources={"metadata": {"path": str(folder)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(str(output.get("text", "") or output.get("data", "")) for output in outputs)


def test_there_are_notebooks_and_each_is_linked() -> None:
    """The page that lists them names every file."""
    page = (ROOT / "docs" / "tutorials" / "notebooks.md").read_text(encoding="utf-8")
    assert len(names()) == 3
    assert all(f"notebooks/{name}.ipynb" in page for name in names())


@pytest.mark.parametrize("name", names())
def test_outputs_are_stripped(name: str) -> None:
    """What a run left says where it ran, and changes with each."""
    for cell in json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None and cell["metadata"] == {}


@pytest.mark.slow
@pytest.mark.integration
def test_documents_to_a_better_encoder(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with an artifact, whatever the verdict is."""
    said = run(
        "documents-to-a-better-encoder",
        {"SAMESPACE_MODEL": str(model), "SAMESPACE_STEPS": "6", "TMPDIR": str(tmp_path)},
        tmp_path,
        monkeypatch,
    )
    assert list(tmp_path.glob("samespace-*/artifact/manifest.json"))
    assert "han its base" in said or "keep the base" in said


@pytest.mark.slow
@pytest.mark.weaviate
@pytest.mark.parametrize("name", NEED_WEAVIATE)
def test_with_weaviate(
    name: str, model: Path, weaviate: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real one, with the encoder's own server where the notebook starts it."""
    said = run(name, {"SAMESPACE_MODEL": str(model), "TMPDIR": str(tmp_path), **weaviate}, tmp_path, monkeypatch)
    assert ("0 failed" in said) if name.startswith("change") else ("adopt" in said)
