"""The same job by Ray Data: the same bytes, whatever dies on the way. One Ray for all tests, on the loopback."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fakes.models.bulk import Opener
from samespace.artifact import open_artifact
from samespace.bulk import BulkJob, BulkResult, Options, run
from samespace.bulk.cluster import Cluster, connected, run_on_ray
from samespace.bulk.job import plan_job
from samespace.bulk.local import run_here
from samespace.errors import DataInvalid, SpaceMismatch

pytestmark = [
    pytest.mark.integration,
    pytest.mark.ray,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray: pip install 'samespace[ray]'"),
    # Ray leaves sockets and files to the garbage collector, and warns of its own future.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::UserWarning"),
]

ROWS, PART_ROWS = 3000, 250
MARK = "flatten"


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """Ray with two cores, which every test of this file uses; its workers find the fakes."""
    with pytest.MonkeyPatch.context() as patch:
        tests = str(Path(__file__).parents[2])
        patch.setenv("PYTHONPATH", os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])]))
        with connected(Cluster(workers=2)):
            yield
    gc.collect()  # what Ray left unclosed is told here, where it is ignored, and not in other tests


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of several lengths; one of them has a word that the others lack."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    texts = [" ".join(["file", "index", "value"] * (1 + number % 15)) for number in range(ROWS)]
    texts[1400] += f" {MARK}"
    path.write_text("".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts)))
    return path


def job_of(corpus: Path, out: Path, artifact: Path, **options: Any) -> BulkJob:
    return BulkJob((str(corpus),), str(out), Options(open_artifact(artifact).space_id, **options), "tiny", PART_ROWS)


def by_ray(job: BulkJob, opener: Opener, cluster: Cluster) -> BulkResult:
    engine = partial(_ray, opener, cluster)
    return run(job, plan_job(job), engine, lambda rows: None)


def _ray(opener: Opener, cluster: Cluster, parts: Any, options: Options, out: str, progress: Any) -> Any:
    return run_on_ray(parts, options, out, opener, cluster=cluster, progress=progress)


def _here(opener: Opener, parts: Any, options: Options, out: str, progress: Any) -> Any:
    return run_here(parts, options, out, opener, cores=1, progress=progress)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes of it."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    job = job_of(corpus, out, tiny_artifact)
    run(job, plan_job(job), partial(_here, Opener(tiny_artifact)), lambda rows: None)
    return bytes_of(out)


@pytest.mark.parametrize("cluster", [Cluster(workers=2, min_workers=1), Cluster(workers=1, cores=2)], ids=str)
def test_ray_gives_the_bytes_of_one_process(
    ray_here: None, corpus: Path, tiny_artifact: Path, tmp_path: Path, undisturbed: dict[str, bytes], cluster: Cluster
) -> None:
    """Two actors of one core, and one actor with two parts at a time; the second run keeps all."""
    job = job_of(corpus, tmp_path / "out", tiny_artifact)
    assert by_ray(job, Opener(tiny_artifact), cluster).made == ROWS // PART_ROWS
    assert bytes_of(tmp_path / "out") == undisturbed
    assert by_ray(job, Opener(tiny_artifact), cluster).kept == ROWS // PART_ROWS


def test_a_worker_that_is_killed_costs_nothing(
    ray_here: None, corpus: Path, tiny_artifact: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    """SIGKILL in the middle of a part: another actor makes it, and all is as if nothing had happened."""
    killed = tmp_path / "killed"
    job = job_of(corpus, tmp_path / "out", tiny_artifact)
    finished = by_ray(job, Opener(tiny_artifact, killed, MARK), Cluster(workers=2))
    assert killed.exists() and not Path(f"/proc/{killed.read_text()}").exists()
    assert finished.rows == ROWS
    assert bytes_of(tmp_path / "out") == undisturbed


def test_errors_come_through_as_they_are(
    ray_here: None, corpus: Path, tiny_artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    """A worker whose artifact is another one, and a row that cannot be used, end the job with their own classes."""
    job = job_of(corpus, tmp_path / "out", tiny_artifact)
    with pytest.raises(SpaceMismatch):
        by_ray(job, Opener(other_artifact), Cluster(workers=1))
    with pytest.raises(DataInvalid, match=r"row \d+: \d+ tokens"):
        by_ray(job_of(corpus, tmp_path / "out", tiny_artifact, long_texts="reject"), Opener(tiny_artifact), Cluster())
    assert not list((tmp_path / "out").glob("embed.json"))


def test_nothing_is_reported_to_anybody(ray_here: None) -> None:
    """Ray's usage statistics are off, and it listens on the loopback alone."""
    import ray
    from ray._common.usage import usage_lib

    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert not usage_lib.usage_stats_enabled()
    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
