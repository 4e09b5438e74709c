"""Loading a checkpoint says nothing of its own, and leaves the user's logging and bars as they were."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from samespace.model.backbone import load_backbone, load_config
from samespace.model.quiet import quiet


class Kept(logging.Handler):
    """Messages in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What transformers logs, with its logger and bars as they are in a fresh process."""
    from transformers.utils import logging as transformers_logging

    monkeypatch.setattr(transformers_logging, "_tqdm_active", True)
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_warning()
    handler = Kept()
    logging.getLogger("transformers").addHandler(handler)
    yield handler.messages
    logging.getLogger("transformers").removeHandler(handler)
    transformers_logging.set_verbosity(before)


@pytest.fixture
def with_a_head(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A folder with a weight that nobody reads: transformers reports it."""
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "with_a_head"))
    weights = load_file(folder / "model.safetensors") | {"pooler.dense.weight": torch.zeros(32, 32)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_loading_says_nothing(with_a_head: Path, said: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """No report and no bar while it loads; transformers itself shows both, before and after."""
    from transformers import BertModel

    for _ in range(2):
        BertModel.from_pretrained(with_a_head)
        assert "Loading weights" in capfd.readouterr().err
        assert any("LOAD REPORT" in message for message in said)
        said.clear()
        load_backbone(with_a_head, load_config(with_a_head, "tiny"), "tiny")
        assert tuple(capfd.readouterr()) == ("", "") and not said


def test_what_the_user_chose_comes_back_after_an_error_too(said: list[str]) -> None:
    """Levels and the hook of bars; a logger that is quieter than ours stays so."""
    from transformers.utils import logging as transformers_logging

    loud, mute = logging.getLogger("transformers"), logging.getLogger("tests.mute")
    mute.setLevel(logging.CRITICAL)
    with pytest.raises(KeyError), quiet("transformers", "tests.mute"):
        assert (loud.level, mute.level) == (logging.ERROR, logging.CRITICAL)
        raise KeyError
    assert (loud.level, mute.level) == (logging.WARNING, logging.CRITICAL)
    assert transformers_logging.set_tqdm_hook(None) is None
