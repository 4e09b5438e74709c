"""A concatenation behind the server: one space among others, with the vectors that it has in process."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest

from fakes.server.process import serving
from samespace import Encoder
from samespace.artifact import open_artifact
from samespace.errors import SpaceMismatch, TextTooLong
from samespace.exporting.composites.concatenate import combine, join_towers
from samespace.rpc.client import Client
from samespace.vectors import cosine_distance

pytestmark = pytest.mark.integration

FP32_CPU = 1e-6  # 1 - cosine: what batch shapes may change in float32
TEXTS = ["reset the password", "", "the value of the index is in the file " * 20]


def test_composites_are_served_like_encoders(tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> None:
    """gRPC, stream and HTTP give the composite's vectors; a two-tower needs the role; parts do not compare with it."""
    parts = [open_artifact(tiny_artifact), open_artifact(other_artifact)]
    both, towers = combine(parts, tmp_path / "both"), join_towers(*parts, tmp_path / "towers", anyway=True)
    with serving(both.folder, towers.folder, tiny_artifact) as server:
        for artifact, role in ((both, "query"), (both, "passage"), (towers, "query"), (towers, "passage")):
            expected = np.asarray(Encoder.load(artifact, build="fp32").encode(TEXTS, role))
            space = artifact.space_id
            with Encoder.connect(server.grpc, space=space) as remote, Client(server.grpc) as client:
                found = [remote.encode(TEXTS, role), client.embed(space, role, TEXTS).vectors]
            body = {"text": TEXTS[2], "config": {"task_type": role}}
            reply = httpx.post(f"{server.http}/e/{space}/vectors", json=body).json()
            assert cosine_distance(np.array([reply["vector"]]), expected[2:]).max() <= FP32_CPU
            for vectors in found:
                assert vectors.space_id == space
                assert cosine_distance(np.asarray(vectors), expected).max() <= FP32_CPU
        untold = httpx.post(f"{server.http}/e/{towers.space_id}/vectors", json={"text": "a"})
        assert untold.status_code == 400 and "task_type" in untold.json()["error"]
        with Client(server.grpc) as client:
            with pytest.raises(TextTooLong):
                client.embed(both.space_id, "passage", TEXTS, long_texts="reject")
            whole = client.embed(both.space_id, "query", ["a"]).vectors
            part = client.embed(parts[0].space_id, "query", ["a"]).vectors
        with pytest.raises(SpaceMismatch):
            whole.compare(part)
