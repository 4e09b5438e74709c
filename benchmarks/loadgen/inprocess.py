"""A runtime or a library in a process of its own, without any server: what the servers are held against.

    python -m loadgen.inprocess bare ARTIFACT BUILD RUNTIME
    python -m loadgen.inprocess sentence-transformers MODEL_FOLDER

Prints one JSON line when ready and one for each command that it reads, until its input ends. Commands:

    {"do": "texts", "kind": "short", "texts": [...], "file": ...}   keeps the texts, writes their vectors as .npy
    {"do": "load", "kind": "short", "seconds": 2.5}                 texts a second in the best batches
    {"do": "alone", "kind": "short", "seconds": 1}                  median time of one text
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
BATCH_TOKENS: Final = (256, 512, 1024, 2048)
_TRY_TOKENS: Final = 4096  # what each way of running is tried with
_TRY_S: Final = 0.2


class Contestant(Protocol):
    """What can be measured."""

    told: dict[str, Any]

    def vectors(self, texts: Sequence[str]) -> Float32:
        """One row a text."""

    def load(self, kind: str, texts: Sequence[str], seconds: float) -> dict[str, Any]:
        """How fast it is with many texts."""

    def alone(self, texts: Sequence[str], seconds: float) -> dict[str, float]:
        """How fast it is with one."""


class Bare:
    """The sessions of one build on one runtime, with ideal batches: of like length, of the size that is fastest here.

    Two ways to use the cores are tried, one session on all of them and one session a core, with batches of 256 to
    2048 tokens; the fastest is kept for each class of texts. Texts are tokenised before the time is taken for
    `texts_per_s`, and in it for `texts_per_s_with_tokenizing`.
    """

    def __init__(self, artifact: str, build: str, runtime: str) -> None:
        """Load it; the build's name and the runtime as in the manifest."""
        from samespace.artifact import open_artifact
        from samespace.runtime import Placement, load_build, open_session

        loaded = load_build(open_artifact(Path(artifact)), build=build, runtime=runtime)
        self._text_encoder, session = loaded.text_encoder, loaded.session
        self.told = {"build": build, "runtime": f"{session.runtime} {session.version}", "precision": session.precision}
        cores, limit = os.cpu_count() or 1, loaded.artifact.recipe.token_limit
        each_core = [
            open_session(loaded.artifact, loaded.build, loaded.measured, place=Placement(threads=1, longest=limit))
            for _ in range(cores if cores > 1 else 0)
        ]
        self._ways = [[session], *([each_core] if each_core else [])]
        self._pool = ThreadPoolExecutor(cores)
        self._best: dict[str, tuple[int, int]] = {}

    def vectors(self, texts: Sequence[str]) -> Float32:
        """One row a text, in batches of up to 2048 tokens."""
        windows = self._windows(texts)
        rows: Float32 | None = None
        for chosen, ids, mask in self._batches(windows, 2048):
            found = self._ways[0][0](ids, mask)
            rows = np.empty((len(texts), found.shape[1]), np.float32) if rows is None else rows
            rows[chosen] = found
        assert rows is not None
        return rows

    def load(self, kind: str, texts: Sequence[str], seconds: float) -> dict[str, Any]:
        """Whole passes over all texts, with and without tokenising."""
        windows = self._windows(texts)
        way, budget = self._find_best(kind, windows)
        batches = self._batches(windows, budget)
        sessions = self._ways[way]
        runs = _repeat(lambda: self._run(sessions, batches), seconds * 0.6)
        whole = _repeat(lambda: self._run(sessions, self._batches(self._windows(texts), budget)), seconds * 0.4)
        return {
            "texts_per_s": len(texts) / median(runs),
            "texts_per_s_with_tokenizing": len(texts) / median(whole),
            "tokens_per_s": sum(len(each.ids) for each in windows) / median(runs),
            "batch_tokens": budget,
            "sessions": len(sessions),
        }

    def alone(self, texts: Sequence[str], seconds: float) -> dict[str, float]:
        """One text a run: the median of the run, and with its tokenising."""
        from samespace.text import pad

        session = self._ways[0][0]
        runs, wholes = [], []
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            text = texts[len(runs) % len(texts)]
            first = time.perf_counter()
            ids, mask = pad(self._windows([text]))
            second = time.perf_counter()
            session(ids, mask)
            third = time.perf_counter()
            runs.append(third - second)
            wholes.append(third - first)
        return {"latency_p50_ms": 1000 * median(runs), "latency_p50_ms_with_tokenizing": 1000 * median(wholes)}

    def _windows(self, texts: Sequence[str]) -> list[Any]:
        # Texts of the benchmark are within the token limit: one window each.
        return [text.windows[0] for text in self._text_encoder.tokenize(list(texts), "passage")]

    def _batches(self, windows: Sequence[Any], budget: int) -> list[tuple[list[int], Any, Any]]:
        from samespace.embed import length_batches
        from samespace.text import pad

        chosen = length_batches([len(each.ids) for each in windows], budget)
        return [(list(rows), *pad([windows[row] for row in rows])) for rows in chosen]

    def _run(self, sessions: Sequence[Any], batches: Sequence[tuple[list[int], Any, Any]]) -> None:
        if len(sessions) == 1:
            for _, ids, mask in batches:
                sessions[0](ids, mask)
            return
        waiting = iter(batches)  # `next` of a list's iterator is atomic

        def work(session: Any) -> None:
            for _, ids, mask in waiting:
                session(ids, mask)

        list(self._pool.map(work, sessions))

    def _find_best(self, kind: str, windows: Sequence[Any]) -> tuple[int, int]:
        if kind not in self._best:
            mean = sum(len(each.ids) for each in windows) / len(windows)
            some = windows[: max(1, int(_TRY_TOKENS / mean))]
            times: dict[tuple[int, int], float] = {}
            for way, sessions in enumerate(self._ways):
                for budget in BATCH_TOKENS:
                    run = partial(self._run, sessions, self._batches(some, budget))
                    run()  # the runtime makes its kernels for these shapes
                    times[way, budget] = min(_repeat(run, _TRY_S))
            self._best[kind] = min(times, key=lambda each: times[each])
        return self._best[kind]


class SentenceTransformers:
    """The library as people use it: `encode` with its defaults, in fp32."""

    def __init__(self, folder: str) -> None:
        """Load a model folder."""
        import sentence_transformers
        import torch

        self._model = sentence_transformers.SentenceTransformer(folder, device="cpu")
        self.told = {
            "build": "fp32",
            "runtime": f"torch {torch.__version__.partition('+')[0]}",
            "precision": "fp32",
            "version": sentence_transformers.__version__,
        }

    def vectors(self, texts: Sequence[str]) -> Float32:
        """One row a text, unit length."""
        found = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float32)

    def load(self, kind: str, texts: Sequence[str], seconds: float) -> dict[str, Any]:
        """Whole passes over all texts; batches of 32 of like length, as it makes them."""
        passes = _repeat(lambda: self.vectors(texts), seconds)
        return {"texts_per_s": len(texts) / median(passes)}

    def alone(self, texts: Sequence[str], seconds: float) -> dict[str, float]:
        """The median of one text."""
        waiting = cycle(texts)
        times = _repeat(lambda: self.vectors([next(waiting)]), seconds)
        return {"latency_p50_ms": 1000 * median(times)}


def _repeat(act: Callable[[], object], seconds: float) -> list[float]:
    """The times of as many runs as begin within *seconds*; at least one."""
    times: list[float] = []
    began = time.perf_counter()
    while not times or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    """Load what the arguments name, and answer commands."""
    kind, *arguments = sys.argv[1:]
    kinds: dict[str, Callable[..., Contestant]] = {"bare": Bare, "sentence-transformers": SentenceTransformers}
    contestant = kinds[kind](*arguments)
    _say(contestant.told)
    texts: dict[str, list[str]] = {}
    for line in sys.stdin:
        command = json.loads(line)
        kind = command["kind"]
        if command["do"] == "texts":
            texts[kind] = command["texts"]
            np.save(command["file"], contestant.vectors(texts[kind]))
            _say({})
        elif command["do"] == "load":
            _say(contestant.load(kind, texts[kind], command["seconds"]))
        else:
            _say(contestant.alone(texts[kind], command["seconds"]))


def _say(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
