"""A disk that is full or broken at any write: a sentence, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from fakes.disk import Failure, failing, library
from samespace.artifact import open_artifact, verify_files

pytestmark = pytest.mark.integration

FAULTS = [(errno.ENOSPC, False), (errno.EIO, True)]
NAMES = ["full", "broken-once"]


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return library(tmp_path_factory.mktemp("faults"))


def check(failures: list[Failure], error: int, at_least: int) -> list[Failure]:
    """Those that fired, each with one sentence about the disk and nothing raised."""
    *fired, last = failures
    assert not last.fired and last.code == 0, last
    assert len(fired) >= at_least and all(each.fired for each in fired)
    for each in fired:
        if each.code == 0:
            assert each.left == last.left  # making a folder that is there, or tidying up: nothing was lost
            continue
        assert not each.error, (each.n, each.error)
        said = each.lines[-1]
        # torch's own writer tells no number.
        about_it = os.strerror(error) in said or "the disk did not take it" in said
        assert each.code == 1 and said.startswith("error: ") and about_it, (each.n, each.lines)
    return fired


@pytest.mark.parametrize(("error", "once"), FAULTS, ids=NAMES)
def test_combine_at_every_write(
    faults: Path, tiny_artifact: Path, other_artifact: Path, tmp_path: Path, error: int, once: bool
) -> None:
    """No artifact, and nothing beside it."""
    arguments = ["combine", str(tiny_artifact), str(other_artifact), "-o", "OUT"]
    for failure in check(failing(faults, arguments, tmp_path, error=error, once=once), error, 20):
        assert not failure.code or failure.left == (), failure


@pytest.mark.parametrize(("error", "once"), FAULTS, ids=NAMES)
def test_replacing_at_every_write(
    faults: Path, tiny_artifact: Path, other_artifact: Path, tmp_path: Path, error: int, once: bool
) -> None:
    """What was there before is there, whole, at every write that fails."""
    arguments = ["combine", str(tiny_artifact), str(other_artifact), "-o", "OUT", "--replace"]
    failures = failing(faults, arguments, tmp_path, error=error, once=once, before=tiny_artifact)
    old = open_artifact(tiny_artifact).space_id
    for failure in check(failures, error, 20):
        place = tmp_path / f"{error}-{int(once)}-{failure.n}"
        found = open_artifact(place / "out")
        assert verify_files(found)
        assert (found.space_id == old) == bool(failure.code), failure
        assert {name.split("/")[0] for name in failure.left} == {"out"}, failure


@pytest.mark.slow
@pytest.mark.parametrize(("error", "once"), FAULTS, ids=NAMES)
def test_export_at_some_writes(faults: Path, tiny_checkpoint: Path, tmp_path: Path, error: int, once: bool) -> None:
    """What is exported goes the way of `combine`; here some writes of it, because each export takes seconds."""
    arguments = ["export", str(tiny_checkpoint), "OUT"]
    failures = failing(faults, arguments, tmp_path, error=error, once=once, numbers=(2, 9, 999))
    assert all(each.left == () for each in check(failures, error, 2))


@pytest.mark.slow
def test_train_at_some_writes(faults: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Whichever library writes weights, optimiser or tokenizer; the same command goes on from a whole checkpoint."""
    pytest.importorskip("sentence_transformers", reason="needs the extra train")
    data, config = tmp_path / "pairs.jsonl", tmp_path / "train.toml"
    words = [f"word{number}" for number in range(32)]
    data.write_text("".join(f'{{"query": "{word}", "positive": "{word} text {word}"}}\n' for word in words))
    config.write_text(
        f'base = "{tiny_checkpoint}"\ndata = "{data}"\nepochs = 1\nbatch_size = 16\nmini_batch_size = 8\n'
        "learning_rate = 1e-3\nscore_splits = []\ncheckpoint_every = 1\n"
    )
    arguments = ["train", str(config), "--out", "OUT", "--no-doctor"]
    numbers = (9, 30, 70, 999)
    failures = failing(faults, arguments, tmp_path, error=errno.ENOSPC, numbers=numbers, again=True)
    for failure in check(failures, errno.ENOSPC, 2):
        assert all(name.startswith(".out.checkpoints/") for name in failure.left), failure
        assert failure.again == 0 and set(failure.whole) == set(failures[-1].left), failure


@pytest.mark.parametrize(("error", "once"), FAULTS, ids=NAMES)
def test_embed_at_every_write(faults: Path, tiny_artifact: Path, tmp_path: Path, error: int, once: bool) -> None:
    """Parts that are whole stay, and nothing else; the same command makes the rest."""
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"id": str(n), "text": f"text {n}"}) + "\n" for n in range(30)))
    arguments = ["embed", str(texts), "--out", "OUT", "--encoder", str(tiny_artifact), "--part-rows", "10"]
    arguments += ["--build", "fp32", "--runtime", "onnxruntime", "--cores", "1"]
    failures = failing(faults, arguments, tmp_path, error=error, once=once, again=True)
    whole = failures[-1].left
    assert len(whole) == 4
    for failure in check(failures, error, 20):
        if failure.code:
            assert set(failure.left) <= set(whole), failure
            assert "out/embed.json" not in failure.left or failure.left == whole, failure
        assert failure.again == 0 and failure.whole == whole
        for name in whole:
            place = tmp_path / f"{error}-{int(once)}-{failure.n}" / name
            assert (
                place.read_bytes() == (place.parents[2] / f"{error}-{int(once)}-{failures[-1].n}" / name).read_bytes()
            )
