"""Lossy builds: what is written agrees with fp32 within its gate on every runtime that it claims."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

from fakes.models.encoders import save_tiny_bert
from samespace.artifact import Artifact, open_artifact
from samespace.artifact.graph_check import check_bytes
from samespace.artifact.manifest import Measured
from samespace.cli import cli
from samespace.errors import BuildUnavailable, DataInvalid, ExtraMissing, GateFailed, RequestInvalid
from samespace.evaluation import load_dataset
from samespace.exporting import package
from samespace.exporting.builds import exact as builds
from samespace.exporting.builds import gate, int8, quantise
from samespace.exporting.builds.calibration import Calibration, load_calibration
from samespace.exporting.builds.exact import GATES, BuildFile, session_over
from samespace.exporting.builds.int8 import build_int8
from samespace.exporting.builds.parity import ParityReference, reference
from samespace.model.checkpoint import load_checkpoint
from samespace.runtime import Placement, load_build
from samespace.text import pad
from samespace.vectors import cosine_distance

RUNTIMES = ("onnxruntime", "openvino")
ALONE = 1e-6  # 1 - cos of one text, alone and in a batch: float32's rounding
TWO_RUNTIMES = 2e-3  # 1 - cos between runtimes on one int8 file: bf16 moves a few activations by one step of 256

PASSAGES = ["reset the password", "flatten a list of index value", "error code file text", "what is a vector space",
            "install the model update", "refund user name"]  # fmt: skip
QUERIES = {
    "train": ["when do i install data", "query text error"],
    "dev": ["refund the user"],
    "test": ["how do i reset password", "why error file"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BEIR folder with three splits; query N of a split is answered by passage N."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    (folder / "qrels").mkdir(parents=True)
    write_lines(folder / "corpus.jsonl", [{"_id": f"p{n}", "text": text} for n, text in enumerate(PASSAGES)])
    rows = [(split, f"{split}{n}", n, text) for split, texts in QUERIES.items() for n, text in enumerate(texts)]
    write_lines(folder / "queries.jsonl", [{"_id": name, "text": text} for _, name, _, text in rows])
    for split in QUERIES:
        lines = [f"{name}\tp{n}\t1\n" for kind, name, n, _ in rows if kind == split]
        (folder / "qrels" / f"{split}.tsv").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def exported(tiny_checkpoint: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, str]:
    """The tiny checkpoint with every build, written by the command, and what the command printed."""
    out = tmp_path_factory.mktemp("artifact") / "tiny"
    result = CliRunner().invoke(
        cli,
        ["export", str(tiny_checkpoint), str(out), "--build", "fp16", "--build", "int8", "--gate-data", str(data)],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    return open_artifact(out), result.stdout


@pytest.fixture(scope="module")
def artifact(exported: tuple[Artifact, str]) -> Artifact:
    return exported[0]


@pytest.fixture(scope="module")
def wanted(tiny_checkpoint: Path) -> ParityReference:
    return reference(load_checkpoint(tiny_checkpoint))


@pytest.fixture(scope="module")
def fp32(artifact: Artifact) -> BuildFile:
    return build_file(artifact, "fp32")


@pytest.fixture
def calibration() -> Calibration:
    return Calibration("six passages", tuple(PASSAGES), ("passage",) * len(PASSAGES))


def build_file(artifact: Artifact, name: str) -> BuildFile:
    """A build of an artifact, as it was before it was written."""
    build = artifact.manifest.build(name)
    assert build is not None
    return BuildFile(build.name, build.file, artifact.path(build.file).read_bytes(), build.opset, build.measured)


def write_lines(path: Path, entries: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")


def test_one_int8_file_serves_both_runtimes(artifact: Artifact, wanted: ParityReference) -> None:
    """The calibrated file is measured and gated on onnxruntime and OpenVINO, and they agree on it."""
    build = artifact.manifest.build("int8")
    assert build is not None and build.file == "model.int8.onnx"
    assert [each.runtime for each in build.measured] == list(RUNTIMES)
    assert all(each.ndcg_change is not None and each.gate_data == "tiny/test" for each in build.measured)
    data = artifact.path(build.file).read_bytes()
    with session_over(data, RUNTIMES[0], "int8") as one, session_over(data, RUNTIMES[1], "int8") as other:
        for ids, mask, _ in wanted.batches:
            assert cosine_distance(one(ids, mask), other(ids, mask)).max() <= TWO_RUNTIMES


def test_an_int8_vector_does_not_depend_on_its_batch(artifact: Artifact) -> None:
    """Scales are fixed when the file is made: alone or padded beside longer texts, a text's vector is the same."""
    session = load_build(artifact, build="int8", runtime="onnxruntime").session
    windows = [text.windows[0] for text in artifact.text_encoder().tokenize(PASSAGES, "passage")]
    together = session(*pad(windows))
    alone = np.concatenate([session(*pad([window])) for window in windows])
    assert cosine_distance(together, alone).max() <= ALONE


def test_only_products_with_weights_are_quantised(artifact: Artifact) -> None:
    """Standard operators, int8 weights per output channel, uint8 activations, attention in floats."""
    data = artifact.path("model.int8.onnx").read_bytes()
    check_bytes(data, dims=32, file="model.int8.onnx")
    graph = onnx.ModelProto.FromString(data).graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    readers = {name: node.op_type for node in graph.node for name in node.input}
    quantised = [node for node in graph.node if node.op_type == "DequantizeLinear"]
    weights = [node for node in quantised if node.input[0] in constants]
    products = [node for node in quantised if readers[node.output[0]] == "MatMul"]
    assert len(products) >= 12 + 4  # six weights in each of two layers; activations may be shared
    assert all(readers[node.output[0]] != "Attention" for node in quantised)
    assert any(constants[node.input[1]].size > 1 for node in weights)
    zeros = {constants[node.input[2]].dtype.name for node in quantised if node not in weights}
    assert zeros == {"uint8"}


def test_int8_is_the_same_bytes_in_another_process(
    artifact: Artifact, tiny_checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    """Nothing random and no hash order reaches the file, and no progress bar stdout."""
    calibration = load_calibration(data, gate=load_dataset(data))
    inputs = [[ids.tolist(), mask.tolist()] for ids, mask in calibration.inputs(load_checkpoint(tiny_checkpoint))]
    (tmp_path / "inputs.json").write_text(json.dumps(inputs))
    program = (
        "import hashlib, json, sys; from pathlib import Path; import numpy as np\n"
        "from samespace.exporting.builds.quantise import calibrated\n"
        "rows = [(np.array(ids), np.array(mask)) for ids, mask in json.loads(Path(sys.argv[2]).read_text())]\n"
        "print(hashlib.sha256(calibrated(Path(sys.argv[1]).read_bytes(), rows)).hexdigest())"
    )
    files = [str(artifact.path("model.fp32.onnx")), str(tmp_path / "inputs.json")]
    again = subprocess.run([sys.executable, "-c", program, *files], capture_output=True, text=True, check=True)
    assert again.stdout == artifact.manifest.files["model.int8.onnx"].sha256 + "\n"


def test_fp16_is_half_as_large_and_within_its_gate(artifact: Artifact, fp32: BuildFile) -> None:
    """Inputs stay int64 and the output float32, so that nobody who runs the file has to know."""
    half = build_file(artifact, "fp16")
    (measured,) = half.measured
    assert (measured.runtime, measured.precision) == ("onnxruntime", "fp16")
    assert measured.worst <= measured.bound == GATES["fp16"]
    graph = onnx.ModelProto.FromString(half.data).graph
    assert {each.type.tensor_type.elem_type for each in graph.input} == {onnx.TensorProto.INT64}
    assert {each.type.tensor_type.elem_type for each in graph.output} == {onnx.TensorProto.FLOAT}
    large = {each.data_type for each in graph.initializer if len(each.raw_data) > 1024}
    assert large == {onnx.TensorProto.FLOAT16}
    assert len(half.data) < 0.6 * len(fp32.data)
    check_bytes(half.data, dims=32, file=half.file)


def test_fp16_that_differs_is_refused(
    fp32: BuildFile, wanted: ParityReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate of fp16 can fail."""
    monkeypatch.setitem(GATES, "fp16", 1e-12)
    with pytest.raises(GateFailed, match="fp16 is refused"):
        builds.build_fp16(fp32, wanted)


def test_auto_takes_fp16_on_cuda_only(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU fp16 has to be asked for; on CUDA it is tried before fp32; other builds are not."""
    kept = tuple(build for build in artifact.manifest.builds if build.name in ("fp32", "fp16"))
    both = replace(artifact, manifest=replace(artifact.manifest, builds=kept))
    assert load_build(both).build_name == "fp32"
    assert load_build(both, build="fp16").precision == "fp16"
    tried: list[tuple[str, str]] = []

    def no_cuda(artifact: Artifact, build: object, measured: Measured, *, place: Placement) -> None:
        tried.append((measured.precision, place.device))
        raise BuildUnavailable(wanted=measured.precision, available=(), reason="no CUDA here")

    monkeypatch.setattr("samespace.runtime.load.open_session", no_cuda)
    with pytest.raises(BuildUnavailable, match="no CUDA here"):
        load_build(artifact, device="cuda")
    assert tried == [("fp16", "cuda"), ("fp32", "cuda")]
    with pytest.raises(BuildUnavailable, match="int8 on auto on cuda"):
        load_build(artifact, build="int8", device="cuda")
    with pytest.raises(RequestInvalid, match="tpu"):
        load_build(artifact, device="tpu")  # type: ignore[arg-type]


def test_without_cuda_the_answer_names_the_extra(artifact: Artifact) -> None:
    """A CPU build of onnxruntime says which one to install, and does not run on the CPU instead."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(BuildUnavailable, match=r"samespace\[gpu\]"):
        load_build(artifact, device="cuda")


@pytest.mark.parametrize("reason", ["no nncf", "gate"])
def test_dynamic_int8_is_what_is_left(
    reason: str, fp32: BuildFile, wanted: ParityReference, calibration: Calibration, data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Without nncf, or past the gate, the dynamic build is made, and the reason is said and kept."""
    monkeypatch.setattr(int8, "ndcg", lambda *_: 0.5)
    if reason == "no nncf":
        monkeypatch.setattr(quantise, "calibrated", raises(ExtraMissing(feature="int8", extra="train", module="nncf")))
        monkeypatch.setattr(gate, "ndcg", lambda *_: 0.5)
    else:
        monkeypatch.setattr(quantise, "calibrated", lambda *_: quantise.dynamic(fp32.data))
        monkeypatch.setattr(gate, "ndcg", lambda build, *_: 0.4 if build.method["way"] == "calibrated" else 0.498)
    said: list[str] = []
    made = build_int8(fp32, wanted, calibration, load_dataset(data), say=said.append)
    assert made.build is not None and made.build.method == {"way": "dynamic"}
    assert [each.runtime for each in made.build.measured] == ["onnxruntime"]
    assert said == ["fp32 has nDCG@10 0.5000 on 2 questions of tiny/test; 100 or more would show more than chance.",
                    *map(str, made.failed)]  # fmt: skip
    assert len(made.failed) == 1
    expected = (
        "needs nncf" if reason == "no nncf" else r"calibrated int8 .* nDCG@10 lost on tiny/test.* is 10, the gate"
    )
    with pytest.raises(type(made.failed[0]), match=expected):
        raise made.failed[0]


def test_a_gate_on_which_fp32_finds_nothing_shows_nothing(
    fp32: BuildFile, wanted: ParityReference, calibration: Calibration, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss could not be seen: int8 "+0.00" was exported."""
    monkeypatch.setattr(int8, "ndcg", lambda *_: 0.0)
    made = build_int8(fp32, wanted, calibration, load_dataset(data), say=lambda _: None)
    assert made.build is None
    with pytest.raises(BuildUnavailable, match=r"fp32 itself has nDCG@10 0.0000 on 2 questions of tiny/test"):
        raise made.failed[0]


def test_a_runtime_that_loses_too_much_is_not_claimed(
    artifact: Artifact, fp32: BuildFile, wanted: ParityReference, calibration: Calibration, data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Gated runtime by runtime: the others keep the calibrated build."""
    ready = artifact.path("model.int8.onnx").read_bytes()
    monkeypatch.setattr(quantise, "calibrated", lambda *_: ready)
    monkeypatch.setattr(int8, "ndcg", lambda *_: 0.5)
    monkeypatch.setattr(gate, "ndcg", lambda _, measured, *__: 0.5 if measured.runtime == "onnxruntime" else 0.49)
    made = build_int8(fp32, wanted, calibration, load_dataset(data), say=lambda _: None)
    assert made.build is not None and made.build.method["way"] == "calibrated"
    assert [each.runtime for each in made.build.measured] == ["onnxruntime"]
    (failed,) = made.failed
    assert isinstance(failed, GateFailed) and failed.build == "calibrated int8 on openvino"


def test_an_int8_that_fails_its_gate_is_not_written(
    artifact: Artifact, fp32: BuildFile, tiny_checkpoint: Path, data: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Both ways refused: the command names the reasons and exits 1; the artifact holds what passed."""
    ready = artifact.path("model.int8.onnx").read_bytes()
    monkeypatch.setattr(quantise, "calibrated", lambda *_: ready)
    monkeypatch.setattr(package, "build_fp32", lambda *_: fp32)
    monkeypatch.setattr(gate, "INT8_POINTS", -101.0)
    command = ["export", str(tiny_checkpoint), str(tmp_path / "out"), "--build", "int8", "--gate-data", str(data)]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1 and isinstance(result.exception, GateFailed)
    assert "calibrated int8 on onnxruntime is refused" in result.stderr
    assert "dynamic int8 on onnxruntime is refused" in result.stderr
    written = open_artifact(tmp_path / "out")
    assert written.manifest.build("fp32") is not None and written.manifest.build("int8") is None
    assert "Not used: build calibrated int8" in (tmp_path / "out" / "README.md").read_text()


def test_the_command_shows_each_build_in_80_columns(exported: tuple[Artifact, str]) -> None:
    """One row for each build and runtime, with its change of nDCG@10."""
    table = exported[1].splitlines()[:-1]
    assert max(len(line) for line in table) <= 80
    assert " ".join(table[0].split()) == "build runtime MB worst 1-cos mean 1-cos nDCG@10 points texts/s"
    shown = [tuple(line.split()[:2]) for line in table[2:]]
    assert shown == [(b.name, m.runtime) for b in exported[0].manifest.builds for m in b.measured]
    assert [line.split()[-2] != "-" for line in table[2:]] == [name == "int8" for name, _ in shown]


def test_the_manifest_says_what_was_calibrated_with(artifact: Artifact, data: Path) -> None:
    """Name, counts and digest; no text and no path."""
    record = artifact.manifest.provenance["int8"]
    assert record["way"] == "calibrated"
    assert record["calibration"] == load_calibration(data, gate=load_dataset(data)).record()
    assert record["calibration"] | {"sha256": ""} == {
        "name": "tiny: passages, train queries", "texts": 8, "queries": 2, "sha256": ""
    }  # fmt: skip
    card = artifact.path("README.md").read_text()
    assert "8 unlabelled texts (tiny: passages, train queries)" in card
    assert "points on tiny/test" in card


def test_calibration_never_sees_what_the_gate_asks(data: Path, tmp_path: Path) -> None:
    """Train queries, dev ones where the gate has the train split, never test; nor the gate's queries from a file."""
    gates = {split: load_dataset(data, split) for split in QUERIES}
    assert queries_of(load_calibration(data, gate=gates["test"])) == set(QUERIES["train"])
    assert queries_of(load_calibration(data, gate=gates["dev"])) == set(QUERIES["train"])
    assert queries_of(load_calibration(data, gate=gates["train"])) == set(QUERIES["dev"])
    write_lines(
        tmp_path / "log.jsonl",
        [{"role": "query", "text": text} for texts in QUERIES.values() for text in texts] + [{"text": "a passage"}],
    )
    found = load_calibration(tmp_path / "log.jsonl", gate=gates["test"])
    assert queries_of(found) == {*QUERIES["train"], *QUERIES["dev"]} and "a passage" in found.texts


def test_calibration_reads_plain_text_and_samples_by_a_seed(tmp_path: Path) -> None:
    """One text a line; the same texts in any order give the same sample."""
    lines = [f"text {n}" for n in range(40)]
    (tmp_path / "a.txt").write_text("\n".join(lines) + "\n\n")
    (tmp_path / "b.txt").write_text("\n".join(reversed(lines)))
    one, other = (load_calibration(tmp_path / name, count=10) for name in ("a.txt", "b.txt"))
    assert one.texts == other.texts and len(set(one.texts)) == 10 and set(one.roles) == {"passage"}
    assert one.record()["sha256"] == other.record()["sha256"]
    assert "text 1" not in json.dumps(one.record())


def test_calibration_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    """No file, no text, no JSON, an unknown role: each with the place."""
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n{"text": 3}\n')
    (tmp_path / "role.jsonl").write_text('{"text": "fine", "role": "author"}\n')
    for name, reason in (
        ("absent.txt", "cannot be read"), ("empty.txt", "no text"), ("bad.jsonl", "line 2"), ("role.jsonl", "role"),
    ):  # fmt: skip
        with pytest.raises(DataInvalid, match=reason):
            load_calibration(tmp_path / name)


def test_calibration_goes_through_the_text_path(tmp_path: Path) -> None:
    """A query brings its role's prompt; of a long text one whole window is taken, nothing is cut."""
    checkpoint = load_checkpoint(save_tiny_bert(tmp_path / "prompted", seed=4, prompts={"query": "query "}))
    long_text = "vector " * 200
    texts = Calibration("two", ("reset password", long_text), ("query", "passage"))
    short, long = texts.inputs(checkpoint)
    encoder = checkpoint.text_encoder
    assert tuple(short[0][0]) == encoder.tokenize(["reset password"], "query")[0].windows[0].ids
    assert tuple(long[0][0]) in {window.ids for window in encoder.tokenize([long_text], "passage")[0].windows}
    assert all(ids.shape == mask.shape and mask.all() for ids, mask in (short, long))


def queries_of(calibration: Calibration) -> set[str]:
    return {text for text, role in zip(calibration.texts, calibration.roles, strict=True) if role == "query"}


def raises(error: Exception) -> Callable[..., bytes]:
    def function(*_: object) -> bytes:
        raise error

    return function
