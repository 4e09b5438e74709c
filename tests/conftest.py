"""Fixtures of all tests, and the list of what was skipped at the end of the run.

Encoders in tests are tiny random ones, made here: nothing is downloaded.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.models.encoders import save_tiny_bert

SEED, OTHER_SEED = 1, 2

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker for each core: pools of threads in each would wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is kept between starts is kept for this run, and not in the home of who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        # `train` in this process would settle torch's threads by the load, for all tests after it.
        patch.setattr("samespace.training.threads.free_threads", lambda own, machine, load: own)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def imports_are_not_garbage() -> None:
    """All modules are imported by now, torch too: collections pass over their millions of objects."""
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder of a tiny random BERT: 32 dims, 2 layers, token limit 32, mean pooling."""
    return save_tiny_bert(tmp_path_factory.mktemp("checkpoint") / "tiny", seed=SEED)


@pytest.fixture(scope="session")
def tiny_artifact(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """The artifact of `tiny_checkpoint`."""
    return _exported(tiny_checkpoint, tmp_path_factory.mktemp("artifact") / "tiny")


@pytest.fixture(scope="session")
def other_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of equal dims and tokenizer, but other weights: another space."""
    checkpoint = save_tiny_bert(tmp_path_factory.mktemp("checkpoint") / "other", seed=OTHER_SEED)
    return _exported(checkpoint, tmp_path_factory.mktemp("artifact") / "other")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real retrieval sets: SAMESPACE_DATA, or shared/data beside the checkout; skips where absent."""
    places = [Path(os.environ["SAMESPACE_DATA"])] if os.environ.get("SAMESPACE_DATA") else []
    places.append(Path(__file__).resolve().parents[2] / "shared" / "data")
    for place in places:
        if (place / "scifact" / "corpus.jsonl").is_file():
            return place
    pytest.skip("no retrieval sets: set SAMESPACE_DATA to a folder with scifact in the BEIR layout")


@pytest.fixture(scope="session")
def mpnet() -> Path:
    """all-mpnet-base-v2 as published in 2021: the folder that SAMESPACE_MPNET names; skips where it is not set."""
    named = os.environ.get("SAMESPACE_MPNET")
    if not named or not (Path(named) / "modules.json").is_file():
        pytest.skip("no all-mpnet-base-v2: set SAMESPACE_MPNET to its folder")
    return Path(named)


def _exported(checkpoint: Path, out: Path) -> Path:
    from samespace.exporting.package import export_artifact
    from samespace.model.checkpoint import load_checkpoint

    export_artifact(load_checkpoint(checkpoint), out)
    return out


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="also run tests that take many minutes on two cores")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked slow run when they are asked for; otherwise they are in the list of what was skipped."""
    if not config.getoption("--run-slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes many minutes: pass --run-slow"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End the run with what was skipped and why, so that green is not mistaken for everything."""
    skipped = terminalreporter.stats.get("skipped", [])
    terminalreporter.section("skipped tests and why")
    if not skipped:
        terminalreporter.write_line("none: every collected test ran")
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"{report.nodeid}: {reason}")
