"""int8 in two ways: calibrated (one file for onnxruntime and OpenVINO), and dynamic (onnxruntime only).

Calibrated is nncf's post-training quantisation with SmoothQuant: scales are fixed while the file is made, so a
text's vector does not depend on its neighbours in a batch. Dynamic needs neither nncf nor texts: it scales
activations per batch at run time. Both quantise matrix products with weights, per output channel, and leave
attention itself alone. Both give standard operators only.

What it leaves to others: which texts (`calibration`), and whether the result is good enough (`gate`).
"""

from __future__ import annotations

import logging
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...errors import BuildUnavailable
from ...extras import require_extra
from ...progress import SaidRarely
from ...text import Int64

SMOOTHING: Final = 0.8
"""SmoothQuant's alpha: how much of the activations' range moves into the weights; see benchmarks/LOG.md."""

_PRODUCTS: Final = frozenset({"MatMul", "Gemm", "Conv"})


class CountedRows:
    """Rows that tell how many of them were taken: nncf goes over its texts several times, and says nothing itself."""

    def __init__(self, rows: Sequence[Any], say: Callable[[str], None]) -> None:
        self._rows, self._say = rows, say
        self._passes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Any]:
        self._passes += 1
        for place, row in enumerate(self._rows, start=1):
            yield row
            self._say(f"int8: pass {self._passes}, text {place} of {len(self._rows)}")


def calibrated(
    data: bytes, inputs: Sequence[tuple[Int64, Int64]], say: Callable[[str], None] = lambda _: None
) -> bytes:
    """The bytes of an fp32 ONNX file with its matrix products in int8, scaled by what *inputs* show.

    The same bytes, inputs and versions give the same file.

    Args:
        inputs: ids and mask of each calibration text, (1, tokens) int64.
        say: gets a sentence every ten seconds: how far it is.

    Raises:
        ExtraMissing: nncf is not installed.
        BuildUnavailable: nncf cannot quantise this graph.
    """
    require_extra("train", feature="calibrated int8", modules=("nncf", "onnx"))
    import onnx

    out, err = sys.stdout, sys.stderr

    def aloud(sentence: str) -> None:
        with redirect_stdout(out), redirect_stderr(err):
            say(sentence)

    with _quiet_nncf() as nncf:
        advanced = nncf.AdvancedQuantizationParameters(
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=SMOOTHING), disable_bias_correction=True
        )
        rows = [{"input_ids": ids, "attention_mask": mask} for ids, mask in inputs]
        try:
            model = nncf.quantize(
                onnx.ModelProto.FromString(data),
                nncf.Dataset(CountedRows(rows, SaidRarely(aloud))),
                model_type=nncf.ModelType.TRANSFORMER,
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(rows),
                advanced_parameters=advanced,
            )
        except Exception as error:  # nncf and onnxruntime share no base class for what they cannot do
            raise BuildUnavailable(
                wanted="int8", available=(), reason=f"nncf {nncf.__version__} cannot quantise the graph: {error}"
            ) from error
    _only_products(model.graph)
    _unsigned_activations(model.graph)
    _plain(model)
    return bytes(model.SerializeToString(deterministic=True))


def dynamic(data: bytes) -> bytes:
    """The bytes of an fp32 ONNX file with its weights in int8, activations quantised at run time.

    Only matrix products with weights are quantised: onnxruntime's quantiser would rewrite opset 23's
    `Attention` wrongly, and embeddings lose more than they save.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _without_advice():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(data)
        quantize_dynamic(
            str(source), str(target), op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8
        )
        return target.read_bytes()


def _only_products(graph: Any) -> None:
    """Give back their floats to all who read a quantised activation and are no product with weights.

    nncf also quantises attention's queries and keys. Both runtimes compute attention in floats, so that costs time
    and accuracy for nothing; and onnxruntime 1.31 moves such a quantiser past the following `Reshape`, gives it an
    `output_dtype` that then contradicts its zero point, and refuses the file.
    """
    constants = {each.name for each in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    floats: dict[str, str] = {}  # a dequantised activation -> the value that was quantised
    weights: set[str] = set()
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            if node.input[0] in constants:
                weights.add(node.output[0])
            else:
                floats[node.output[0]] = makers[node.input[0]].input[0]
    for node in graph.node:
        if node.op_type not in _PRODUCTS or not weights.intersection(node.input):
            for place, name in enumerate(node.input):
                node.input[place] = floats.get(name, name)
    _drop_unused(graph)


def _unsigned_activations(graph: Any) -> None:
    """Give activations uint8 in place of int8, with zero points moved by 128: the same numbers.

    CPUs multiply uint8 by int8. From a signed file onnxruntime runs a quarter slower; OpenVINO does not mind.
    """
    from onnx import numpy_helper

    constants = {each.name: each for each in graph.initializer}
    zeros: set[str] = set()
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[0] not in constants:
            zeros.add(node.input[2])
    for name in sorted(zeros):
        zero = numpy_helper.to_array(constants[name])
        if zero.dtype == np.int8:
            moved = (zero.astype(np.int16) + 128).astype(np.uint8)
            constants[name].CopyFrom(numpy_helper.from_array(moved, name))


def _drop_unused(graph: Any) -> None:
    """Remove nodes whose outputs nobody reads, then constants that nobody reads."""
    used = {each.name for each in graph.output}
    kept = []
    for node in reversed(graph.node):
        if used.intersection(node.output):
            kept.append(node)
            used.update(node.input)
    constants = [each for each in graph.initializer if each.name in used]
    for field, values in (("node", reversed(kept)), ("initializer", constants)):
        copies = list(values)
        graph.ClearField(field)
        getattr(graph, field).extend(copies)


def _plain(model: Any) -> None:
    """Leave out intermediate types, which moved, and what tells about the exporting machine."""
    model.graph.ClearField("value_info")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")


@contextmanager
def _quiet_nncf() -> Iterator[Any]:
    """nncf without its progress bars on stdout, which belongs to results, and without its messages to its makers.

    It sends usage data unless this variable stands when it is first imported. Random numbers start from a fixed
    seed, and whoever drew them before goes on where they were.
    """
    before, randoms = np.random.get_state(), random.getstate()
    os.environ.setdefault("NNCF_CI", "1")
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        import nncf

        logger = logging.getLogger("nncf")
        level = logger.level
        try:
            nncf.set_log_level(logging.ERROR)
            np.random.seed(0)
            random.seed(0)
            yield nncf
        finally:
            np.random.set_state(before)
            random.setstate(randoms)
            nncf.set_log_level(level)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep onnxruntime's advice to preprocess, which fails on such graphs, off the root logger, and that as it was."""
    handler, root = logging.NullHandler(), logging.getLogger()
    others = root.handlers[:]
    root.handlers[:] = [handler]
    try:
        yield
    finally:
        root.handlers[:] = others
