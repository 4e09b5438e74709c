"""The load generator against a real server: every door gives the same vectors, and refusals are seen as such."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from fakes.server.process import serving
from loadgen.dialects import DIALECTS
from loadgen.loops import Window
from loadgen.measure import Load, Target, measure
from loadgen.texts import Source

pytestmark = pytest.mark.integration
FP32 = 1e-5  # largest difference of a component between batches


def test_every_door_is_loaded_and_gives_the_same_vectors(tiny_artifact: Path) -> None:
    """Raw HTTP and raw gRPC, unary and streamed, alone and in batches: all texts answered, all vectors alike."""
    tokenizer = Tokenizer.from_file(str(tiny_artifact / "tokenizer.json"))
    texts = Source(tokenizer).texts("short", 48)
    found = {}
    with serving(tiny_artifact) as server:
        space = server.space_ids[0]
        for door, dialect in DIALECTS.items():
            target = Target(
                dialect=door,
                host="127.0.0.1",
                port=server.told["http_port" if dialect.path else "grpc_port"],
                path=f"/e/{space}{dialect.path}" if dialect.path else "",
                model=space,
                pid=server.told["pid"],
                metrics=f"{server.http}/metrics",
            )
            load = Load(
                Window(0.1, 0.5), clients=4, batch=1 if dialect.one_text else 12, depth=2 if door == "stream" else 1
            )
            measured = measure(target, texts, load)
            assert measured.numbers["errors"] == {}, door
            assert measured.numbers["server_cpu_s"] > 0
            assert measured.numbers["stages"]["run_mean_ms"] > 0
            assert measured.answered == list(range(48)), door
            found[door] = measured.vectors
    for door, vectors in found.items():
        np.testing.assert_allclose(vectors, found["vectors"], atol=FP32, err_msg=door)


def test_refusals_are_counted_as_refusals_on_both_wires(tiny_artifact: Path) -> None:
    """A server whose queue takes next to nothing refuses, and that is no error of the measurement."""
    tokenizer = Tokenizer.from_file(str(tiny_artifact / "tokenizer.json"))
    texts = Source(tokenizer).texts("medium", 32)
    with serving(tiny_artifact, options=("--max-queued-tokens", "400")) as server:
        space = server.space_ids[0]
        for door, path, port in (("vectors", f"/e/{space}/vectors", "http_port"), ("grpc", "", "grpc_port")):
            target = Target(door, "127.0.0.1", server.told[port], path, space)
            measured = measure(target, texts, Load(Window(0.1, 0.5), clients=64, rate=4000.0))
            assert measured.numbers["rejected_share"] > 0, door
            assert measured.numbers["errors"] == {}, door
