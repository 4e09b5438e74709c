"""All parts by actors of Ray Data, on this machine or on a cluster.

A block of the data set is the number of one part; the actor that gets it reads the rows and writes the file by itself,
so neither texts nor vectors pass through Ray's object store or the driver, and memory stays flat whatever the corpus.
Ray Data starts and stops actors between the bounds (its autoscaler asks the cluster for nodes), hands each no more
parts than it can work on, and gives the parts of an actor or node that died to others. A part that died half made
leaves no file; one that was made twice is the same file.

What it leaves to others: storage that fails for a moment (pyarrow's filesystems try again), servers that do
(`rpc.client`). What is wrong with the data ends the job: trying again cannot help.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from ..encoder import Encoder
from ..errors import RequestInvalid, SamespaceError
from ..extras import require_extra
from ..progress import Advance
from .local import Made
from .plan import BulkPart, Options
from .work import existing, make_part

_OBJECT_STORE_BYTES: Final = 100 << 20
"""Of a Ray that is started here: numbers of parts are all that goes through it. Ray takes no less than 75 MB."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where and with how much.

    Attributes:
        address: of a running Ray ("auto", "10.0.0.5:6379"); None starts one on this machine for this job.
        workers: the most actors at a time. Each has a session of its own, so each takes the encoder's memory.
        min_workers: actors that are there from the beginning.
        cores: of each actor; that many parts at a time share its session.
        gpus: of each actor; may be a fraction where several share one.
    """

    address: str | None = None
    workers: int = 1
    min_workers: int = 1
    cores: int = 1
    gpus: float = 0

    def __post_init__(self) -> None:
        if not 1 <= self.min_workers <= self.workers:
            raise RequestInvalid(
                field="workers",
                reason=f"at least {self.min_workers} and at most {self.workers}; expected 1 <= MIN <= MAX",
            )
        if self.cores < 1:
            raise RequestInvalid(field="cores", reason=f"{self.cores}; expected 1 or more")


def require_ray() -> None:
    """Raise `ExtraMissing` where Ray Data is not installed."""
    require_extra("ray", feature="--engine ray", modules=("ray", "pyarrow"))


@contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """A Ray to work with: the one that this process has, the one at the address, or one started for the block."""
    require_ray()
    # Ray reports what runs on it to its makers unless this is set before it starts.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if cluster.address is None:
        # A Ray that takes no other nodes listens on the loopback; in spite of its name, on Linux too.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    if ray.is_initialized():
        yield
        return
    if cluster.address is None:
        ray.init(
            address="local",
            num_cpus=cluster.workers * cluster.cores,
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    else:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()


def run_on_ray(
    parts: Sequence[BulkPart],
    options: Options,
    out: str,
    open_encoder: Callable[[int], Encoder],
    *,
    cluster: Cluster,
    progress: Advance,
) -> Iterator[Made]:
    """Make what is missing of *parts*; each as it ends, in any order. Everything has to be importable on the workers.

    Raises:
        SamespaceError: what was wrong with the first part that failed.
    """
    for number, result in map_numbers(
        len(parts), _PartWorker, (parts, options, out, open_encoder, cluster.cores), cluster
    ):
        done, was_there = result
        progress(parts[number].rows)
        yield parts[number], done, was_there


class _PartWorker:
    """What an actor does: parts, one after the other."""

    def __init__(
        self, parts: Sequence[BulkPart], options: Options, out: str, open_encoder: Callable[[int], Encoder], cores: int
    ) -> None:
        self.parts, self.options, self.out = parts, options, out
        self.encoder = open_encoder(cores)

    def work(self, number: int) -> Any:
        """(what is in the part, whether it was there)."""
        done = existing(self.parts[number], self.options, self.out)
        if done is not None:
            return done, True
        return make_part(self.parts[number], self.options, self.out, self.encoder), False


def map_numbers(
    count: int, worker: Callable[..., Any], arguments: tuple[Any, ...], cluster: Cluster
) -> Iterator[tuple[int, Any]]:
    """(number, `worker(*arguments).work(number)`) for each number below *count*, by a pool of actors, as they come.

    Raises:
        SamespaceError: what the first call raised that raised one of ours.
    """
    with connected(cluster):
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        pool = ray.data.ActorPoolStrategy(
            min_size=cluster.min_workers,
            max_size=cluster.workers,
            max_tasks_in_flight_per_actor=2 * cluster.cores,
            max_concurrent_calls_per_actor=cluster.cores,
            enable_true_multi_threading=cluster.cores > 1,
        )
        # One part a block, which is what is tried again. Made here: a task for it would wait for an actor's core.
        numbers = ray.data.from_items([{"id": number} for number in range(count)], override_num_blocks=count)
        results = numbers.map_batches(
            _Actor,
            batch_size=1,
            compute=pool,
            fn_constructor_args=(worker, arguments, cluster.cores),
            num_cpus=cluster.cores,
            num_gpus=cluster.gpus or None,
        )
        for batch in results.iter_batches(batch_size=1, prefetch_batches=0, batch_format="numpy"):
            result = pickle.loads(batch["result"][0])
            if isinstance(result, SamespaceError):
                raise result
            yield int(batch["id"][0]), result


class _Actor:
    """A worker, as Ray Data calls it."""

    def __init__(self, worker: Callable[..., Any], arguments: tuple[Any, ...], cores: int) -> None:
        # Threads of the tokenizer: as many as Ray was asked for, not as many as the machine has.
        os.environ.setdefault("RAYON_NUM_THREADS", str(cores))
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self.worker, self.failure = None, None
        try:
            self.worker = worker(*arguments)
        except SamespaceError as error:
            self.failure = error  # told with the first part: an actor that cannot start would be started for ever

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        try:
            if self.failure is not None:
                raise self.failure
            assert self.worker is not None
            result = self.worker.work(int(batch["id"][0]))
        except SamespaceError as error:
            result = error
        return {"id": batch["id"], "result": np.array([pickle.dumps(result)], dtype=object)}
