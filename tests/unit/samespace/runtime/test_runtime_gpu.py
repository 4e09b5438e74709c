"""GPU sessions, as far as a machine without a GPU can tell: buffers, shapes and lanes run on the CPU provider."""

from __future__ import annotations

import ctypes
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from samespace.artifact import open_artifact
from samespace.artifact.graph_check import GraphFile
from samespace.errors import BuildUnavailable
from samespace.runtime import Placement, check_probes, cuda, load_build
from samespace.runtime.bound import BoundSession
from samespace.runtime.cuda import driver_problem, tensorrt_settings
from samespace.runtime.folder import private_folder
from samespace.runtime.onnx import open_inference
from samespace.vectors import cosine_distance

PADDING = 1e-6  # 1 - cos of a text in a larger batch: float32's rounding
LIMIT = 32  # the tiny encoder's token limit


def bound(artifact: Path, *, streams: int = 1, longest: int | None = LIMIT, most_rows: int = 0) -> BoundSession:
    """The session of a GPU over the CPU provider."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    file = open_artifact(artifact).graph("model.fp32.onnx")
    session = open_inference(onnxruntime, file, options, [("CPUExecutionProvider", {})])
    place = Placement(streams=streams, longest=longest)
    return BoundSession(onnxruntime, session, "fp32", place, memory="cpu", most_rows=most_rows)


def batch(rows: int, tokens: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random ids, and a mask that leaves each row another length."""
    ids = np.random.default_rng(seed).integers(3, 23, size=(rows, tokens))
    mask = (np.arange(tokens) < 1 + np.arange(rows)[:, None] % tokens).astype(np.int64)
    return ids, mask


def test_its_probes_pass(tiny_artifact: Path) -> None:
    """Texts of both roles, short, long and windowed, have the vectors of the artifact."""
    artifact = open_artifact(tiny_artifact)
    assert check_probes(artifact, bound(tiny_artifact), artifact.text_encoder(), "fp32", bound=1e-6) <= 1e-6


@pytest.mark.parametrize("most_rows", [0, 4])
def test_padding_and_cutting_do_not_change_a_vector(tiny_artifact: Path, most_rows: int) -> None:
    """Rows that were added are cut off, rows that are too many run after the others, in order."""
    exact = load_build(open_artifact(tiny_artifact), build="fp32", runtime="onnxruntime", threads=1).session
    session = bound(tiny_artifact, most_rows=most_rows)
    for rows, tokens in ((1, 1), (3, 5), (7, 17), (19, 31), (18, 32)):
        ids, mask = batch(rows, tokens)
        found = session(ids, mask)
        assert found.shape == (rows, 32) and found.dtype == np.float32
        assert cosine_distance(found, exact(ids, mask)).max() <= PADDING


def test_shapes_are_few(tiny_artifact: Path) -> None:
    """Lengths go in steps of 16 up to the limit, rows one by one up to 16 and then in eighths of a doubling."""
    session = bound(tiny_artifact, longest=24)
    assert {session.shape(1, tokens)[1] for tokens in range(1, 25)} == {16, 24}
    assert [session.shape(rows, 16)[0] for rows in (1, 3, 16, 17, 33, 1000)] == [1, 3, 16, 18, 36, 1024]
    assert bound(tiny_artifact, longest=None).shape(3, 5) == (3, 5)


def test_an_answer_is_not_overwritten_by_the_next_run(tiny_artifact: Path) -> None:
    """Buffers are used again; what was given out is a copy."""
    session = bound(tiny_artifact)
    first = session(*batch(3, 9))
    kept = first.copy()
    assert not np.array_equal(session(*batch(3, 9, seed=1)), kept)
    np.testing.assert_array_equal(first, kept)


def test_buffers_are_made_once_for_a_shape(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that are rounded to the same shape share buffers; those unused for longest go first."""
    monkeypatch.setattr("samespace.runtime.bound.SHAPES_KEPT", 2)
    session = bound(tiny_artifact)
    (lane,) = session._lanes.queue
    session(*batch(2, 3))
    (buffers,) = lane._kept.values()
    session(*batch(2, 11))
    assert list(lane._kept.values()) == [buffers]
    session(*batch(3, 3))
    session(*batch(2, 5))
    session(*batch(4, 3))
    assert list(lane._kept) == [(2, 16), (4, 16)]


def test_lanes_run_at_once_and_no_more_than_there_are(tiny_artifact: Path) -> None:
    """Two lanes: two runs are under way together, the third waits; every caller gets its own vectors."""
    session = bound(tiny_artifact, streams=2)
    wanted = [session(*batch(2, 5, seed)) for seed in range(8)]
    together, most = threading.Barrier(2), []
    at_work = 0
    lock = threading.Lock()

    def watched(lane: Any) -> Any:
        run = lane.run

        def inner(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
            nonlocal at_work
            with lock:
                at_work += 1
                most.append(at_work)
            together.wait(timeout=30)  # breaks where runs come one after the other
            try:
                return run(ids, mask)
            finally:
                with lock:
                    at_work -= 1

        return inner

    for lane in list(session._lanes.queue):
        lane.run = watched(lane)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: session(*batch(2, 5, seed)), range(8)))
    assert max(most) == 2
    for vectors, right in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(vectors, right)


def test_warming_up_covers_each_length(tiny_artifact: Path) -> None:
    """The smallest and the largest batch of each length are run before anybody asks; without a limit nothing is."""
    session = bound(tiny_artifact)
    assert session.warm_up(128) == 4
    (lane,) = session._lanes.queue
    assert set(lane._kept) == {(1, 16), (8, 16), (1, 32), (4, 32)}
    assert bound(tiny_artifact, longest=None).warm_up(128) == 0
    assert bound(tiny_artifact, most_rows=2).warm_up(128) == 4


def test_what_the_device_left_to_the_cpu_is_told(tiny_artifact: Path) -> None:
    """Matrix products on the CPU are named; here all of them are."""
    assert "MatMul" in bound(tiny_artifact).on_cpu()


class Driver:
    """The NVIDIA driver's two functions."""

    def __init__(self, error: int = 0, devices: int = 1) -> None:
        self.error, self.devices = error, devices

    def cuInit(self, _: int) -> int:
        return self.error

    def cuDeviceGetCount(self, count: Any) -> int:
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = self.devices
        return 0


@pytest.mark.parametrize(
    ("driver", "words"),
    [(None, "no NVIDIA driver"), (Driver(error=100), "cuInit gives 100"), (Driver(devices=0), "sees no GPU")],
)
def test_a_driver_without_a_gpu_says_what_is_missing(driver: Driver | None, words: str) -> None:
    """No driver, a driver that does not start, and no device are told apart."""

    def load(_: str) -> Driver:
        if driver is None:
            raise OSError
        return driver

    assert words in str(driver_problem(load))


def test_a_driver_with_a_gpu_is_no_problem() -> None:
    """Nothing is wrong where the driver counts a device."""
    assert driver_problem(lambda _: Driver()) is None


class Falling:
    """An onnxruntime whose GPU provider is listed and does not start."""

    __version__ = "1"
    SessionOptions = onnxruntime.SessionOptions

    @staticmethod
    def get_available_providers() -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    @staticmethod
    def preload_dlls(directory: str) -> None:
        sys.stdout.write("Failed to load libcudnn.so.9\n")

    @staticmethod
    def InferenceSession(file: str, options: Any, providers: Any, enable_fallback: bool) -> Any:
        assert enable_fallback is False
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def test_a_gpu_that_does_not_start_is_an_error(
    tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """onnxruntime would go on with the CPU; here it is refused, with what was missing, and nothing is on stdout."""
    monkeypatch.setattr(cuda, "import_onnxruntime", lambda: Falling)
    monkeypatch.setattr(cuda, "driver_problem", lambda: None)
    with pytest.raises(BuildUnavailable, match=r"did not start.*libcudnn\.so\.9"):
        load_build(open_artifact(tiny_artifact), device="cuda")
    assert capsys.readouterr().out == ""


def test_tensorrt_has_one_profile_for_all_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one short text to the most rows of the longest; fp16 where the build is; engines in a private folder."""
    file = GraphFile("model.onnx", b"a graph")
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME")
    settings = tensorrt_settings("fp16", Placement(device="tensorrt", longest=256), 64, file)
    assert settings["trt_fp16_enable"] == "1"
    assert settings["trt_profile_min_shapes"] == "input_ids:1x16,attention_mask:1x16"
    assert settings["trt_profile_max_shapes"] == "input_ids:64x256,attention_mask:64x256"
    assert Path(settings["trt_engine_cache_path"]).is_relative_to(tmp_path / ".cache/samespace/tensorrt")
    assert tensorrt_settings("fp32", Placement(longest=256), 64, file)["trt_fp16_enable"] == "0"


def test_a_folder_that_others_can_write_to_keeps_no_engines(tmp_path: Path) -> None:
    """Machine code is taken only from folders that are this user's alone; links are not followed."""
    file = GraphFile("model.onnx", b"a graph").sha256
    good = private_folder("tensorrt", file, home=tmp_path)
    assert good is not None and good.stat().st_mode & 0o777 == 0o700
    good.chmod(0o777)
    assert private_folder("tensorrt", file, home=tmp_path) is None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    good.rmdir()
    good.symlink_to(elsewhere)
    assert private_folder("tensorrt", file, home=tmp_path) is None
    (tmp_path / "file").write_bytes(b"")
    assert private_folder("tensorrt", file, home=tmp_path / "file") is None
