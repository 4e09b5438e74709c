"""Rounded shapes: few of them, never too small, and without any effect on the vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samespace.artifact import open_artifact
from samespace.runtime import Placement, load_build, open_session
from samespace.runtime.shapes import lengths, padded, rounded, rounded_length
from samespace.vectors import cosine_distance

PADDING = 1e-6  # 1 - cos of a text in a wider batch: float32's rounding


@given(st.integers(1, 100_000), st.sampled_from([1, 8, 16]))
def test_a_rounded_count_is_a_little_larger(count: int, finest: int) -> None:
    """Never smaller, at most an eighth larger beyond eight steps, and rounding twice changes nothing."""
    up = rounded(count, finest=finest)
    assert count <= up < count + max(finest, count / 8)
    assert rounded(up, finest=finest) == up


@given(st.integers(1, 2048), st.integers(1, 2048))
def test_no_length_is_rounded_beyond_what_the_encoder_takes(tokens: int, longest: int) -> None:
    """Positions end at the limit; what is longer than it already is left as it is."""
    assert rounded_length(tokens, longest) in (*lengths(longest), tokens)
    assert tokens <= rounded_length(tokens, longest) <= max(tokens, longest)


def test_the_lengths_of_a_usual_encoder_are_few() -> None:
    """256 lengths become 24; the last is the limit, whatever it is."""
    assert len(lengths(256)) == 24 and lengths(256)[-1] == 256
    assert lengths(300)[-2:] == (288, 300)
    assert lengths(5) == (5,)
    assert {rounded_length(tokens, 300) for tokens in range(1, 301)} == set(lengths(300))


def test_padding_is_masked() -> None:
    """Real entries stay where they are, added tokens are masked, added rows attend to one token."""
    ids, mask = np.full((2, 3), 7), np.ones((2, 3), dtype=np.int64)
    wide_ids, wide_mask = padded(ids, mask, rows=3, tokens=5)
    assert wide_ids.tolist() == [[7, 7, 7, 0, 0]] * 2 + [[0] * 5]
    assert wide_mask.tolist() == [[1, 1, 1, 0, 0]] * 2 + [[1, 0, 0, 0, 0]]
    assert padded(ids, mask, rows=2, tokens=3)[0] is ids


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_rounding_does_not_change_a_vector(tiny_artifact: Path, runtime: str) -> None:
    """A batch has the vectors of an exact shape, at every length up to the token limit."""
    artifact = open_artifact(tiny_artifact)
    build = artifact.manifest.build("fp32")
    assert build is not None
    measured = next(each for each in build.measured if each.runtime == runtime)
    exact = open_session(artifact, build, measured, place=Placement(threads=1))
    rounds = load_build(artifact, build="fp32", runtime=runtime, threads=1).session
    for tokens in range(1, artifact.recipe.token_limit + 1):
        ids = np.arange(3 * tokens).reshape(3, tokens) % 20 + 3
        mask = np.ones_like(ids)
        mask[0, 1 + tokens // 2 :] = 0
        assert cosine_distance(rounds(ids, mask), exact(ids, mask)).max() <= PADDING


def test_rows_that_are_added_are_not_in_the_answer(tiny_artifact: Path) -> None:
    """33 rows run as 36 and come back as 33, each with the vector that it has alone."""
    artifact = open_artifact(tiny_artifact)
    session = load_build(artifact, build="fp32", runtime="openvino", threads=1).session
    for rows in (1, 16, 17, 33):
        ids = (np.arange(rows * 9).reshape(rows, 9) * 7) % 20 + 3
        found = session(ids, np.ones_like(ids))
        alone = np.concatenate([session(row[None], np.ones_like(row[None])) for row in ids])
        assert found.shape == alone.shape and cosine_distance(found, alone).max() <= PADDING


def test_openvino_meets_only_rounded_lengths(tiny_artifact: Path) -> None:
    """Texts of all lengths reach OpenVINO in a handful of shapes."""
    artifact = open_artifact(tiny_artifact)
    session = load_build(artifact, build="fp32", runtime="openvino", threads=1).session
    seen: set[tuple[int, ...]] = set()
    infer = session._compiled.create_infer_request  # type: ignore[attr-defined]

    class Watched:
        def __init__(self) -> None:
            self.request = infer()

        def infer(self, inputs: dict[str, np.ndarray]) -> object:
            seen.add(inputs["input_ids"].shape)
            return self.request.infer(inputs)

    session._requests.get_nowait()  # type: ignore[attr-defined]
    session._requests.put(Watched())  # type: ignore[attr-defined]
    for tokens in range(1, artifact.recipe.token_limit + 1):
        ones = np.ones((1, tokens), dtype=np.int64)
        session(ones, ones)
    assert seen == {(1, length) for length in lengths(artifact.recipe.token_limit)}
    seen.clear()
    for rows in range(1, 65):
        ones = np.ones((rows, 8), dtype=np.int64)
        session(ones, ones)
    assert {rows for rows, _ in seen} == {*range(1, 17), *range(18, 33, 2), *range(36, 65, 4)}
