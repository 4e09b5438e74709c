"""Model folders that are cut, empty, pointers of git lfs or of another shape: refused by file, never a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fakes.models.architectures import DIMS
from fakes.models.layouts import dense, encoder
from samespace.errors import ModelUnsupported
from samespace.model.checkpoint import load_checkpoint

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90\n"
CONTENTS = {"pointer": POINTER, "empty": b"", "array": b"[]", "null": b"null", "UTF-16": "{}".encode("utf-16")}
FILES = (
    "model.safetensors", "2_Dense/model.safetensors", "tokenizer.json", "config.json", "1_Pooling/config.json",
    "2_Dense/config.json", "sentence_bert_config.json", "config_sentence_transformers.json", "tokenizer_config.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "model"
    encoder(folder, after=("Pooling", "Dense"))
    dense(folder, 2, DIMS, 24)
    return folder


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_what_it_should_be_is_refused(name: str, content: str, whole: Path, tmp_path: Path) -> None:
    """With its name."""
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    (folder / name).write_bytes(CONTENTS[content])
    with pytest.raises(ModelUnsupported):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "2_Dense/model.safetensors"])
def test_weights_that_were_cut_are_refused(name: str, whole: Path, tmp_path: Path) -> None:
    """As a download that was broken off leaves them."""
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelUnsupported, match="cannot be read"):
        load_checkpoint(folder)


def test_a_layer_without_its_size_is_refused(whole: Path, tmp_path: Path) -> None:
    """By the key."""
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    (folder / "2_Dense" / "config.json").write_text("{}")
    with pytest.raises(
        ModelUnsupported, match=r"2_Dense/config.json says in_features = None, expected a number of dims"
    ):
        load_checkpoint(folder)


def test_a_folder_without_its_vocabulary_is_refused(whole: Path, tmp_path: Path) -> None:
    """Transformers makes a tokenizer of special tokens alone, to which all words are one; it was exported."""
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    for name in ("tokenizer.json", "vocab.txt"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(ModelUnsupported, match="of its vocabulary no file is there, and every word would be the same"):
        load_checkpoint(folder)
