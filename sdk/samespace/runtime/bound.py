"""onnxruntime runs with inputs and outputs in buffers that are made once for each shape and used again.

For GPUs: without it every run takes memory for its inputs and outputs and gives it back. Rows and lengths are rounded
up to few shapes (`shapes`). Several lanes, each with buffers of its own, may be at work at once: while one computes,
the other's inputs and outputs travel.

The same code runs on the CPU provider, which is how it is tested where there is no GPU.
"""

from __future__ import annotations

import queue
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..errors import BuildUnavailable
from ..text import Int64
from ..vectors import Float32
from .onnx import NAME
from .session import Placement
from .shapes import lengths, padded, rounded, rounded_length

FINEST: Final = 16
"""Tokens between two lengths: the tensor cores' blocks have 16 rows."""
SHAPES_KEPT: Final = 512
"""Shapes whose buffers a lane keeps; the one that was not used for longest goes first."""
HEAVY: Final = frozenset({"MatMul", "Gemm", "FusedMatMul", "Attention", "MultiHeadAttention", "LayerNormalization"})
"""Operators that make a GPU useless when they run on the CPU; those about shapes belong there."""


@dataclass(frozen=True, slots=True)
class _Buffers:
    """Of one shape: what the run reads and writes, and onnxruntime's note of it."""

    ids: Any
    mask: Any
    vectors: Any
    binding: Any


class BoundSession:
    """An onnxruntime session behind bound buffers. Safe to call from several threads; `streams` of them run at once."""

    runtime = NAME

    def __init__(
        self, onnxruntime: Any, session: Any, precision: str, place: Placement, *, memory: str, most_rows: int = 0
    ) -> None:
        """Over an onnxruntime *session*.

        Args:
            place: `streams` has to be 1 or more here.
            memory: where the buffers are: "cuda", or "cpu" for the CPU provider.
            most_rows: rows of one run; more are run one after the other. 0 for any number.

        Raises:
            BuildUnavailable: its output has no fixed width in float32.
        """
        self.precision, self.streams = precision, place.streams
        self.version: str = onnxruntime.__version__
        self._session, self._longest, self._most_rows = session, place.longest, most_rows
        (output,) = session.get_outputs()
        dims = output.shape[-1]
        if output.type != "tensor(float)" or not isinstance(dims, int):
            raise BuildUnavailable(
                wanted=precision, available=(), reason=f"its output is {output.type} {output.shape}, not float32 rows"
            )
        self._lanes: queue.LifoQueue[_Lane] = queue.LifoQueue()
        for _ in range(self.streams):
            self._lanes.put(_Lane(onnxruntime.OrtValue, session, output.name, dims, memory))

    def __call__(self, ids: Int64, mask: Int64, /) -> Float32:
        """(batch, tokens) ids and mask, int64, to (batch, dim) unit vectors, float32."""
        if self._most_rows and len(ids) > self._most_rows:
            cuts = range(0, len(ids), self._most_rows)
            return np.concatenate(
                [self(ids[cut : cut + self._most_rows], mask[cut : cut + self._most_rows]) for cut in cuts]
            )
        rows, (high, wide) = len(ids), self.shape(*ids.shape)
        ids, mask = padded(ids, mask, rows=high, tokens=wide)
        lane = self._lanes.get()  # waits where all are at work
        try:
            return lane.run(ids, mask)[:rows]
        finally:
            self._lanes.put(lane)

    def shape(self, rows: int, tokens: int) -> tuple[int, int]:
        """The shape that a batch is padded to."""
        if self._longest is None:
            return rows, tokens
        high = rounded(rows, finest=1)
        if self._most_rows:
            high = min(high, self._most_rows)
        return high, rounded_length(tokens, self._longest, finest=FINEST)

    def warm_up(self, batch_tokens: int) -> int:
        """Run the smallest and the largest batch of each length on all lanes, so that no caller waits for it.

        Kernels are chosen and memory is taken at the first run of a shape; the largest shapes take it all.

        Returns:
            How many shapes were run; none where lengths are not rounded.
        """
        if self._longest is None:
            return 0
        shapes = set()
        for tokens in lengths(self._longest, finest=FINEST):
            rows = max(1, batch_tokens // tokens)
            shapes |= {(1, tokens), (min(rows, self._most_rows or rows), tokens)}
        with ThreadPoolExecutor(self.streams) as pool:
            for rows, tokens in sorted(shapes, key=lambda shape: -shape[0] * shape[1]):
                ones = np.ones((rows, tokens), dtype=np.int64)
                list(pool.map(self, [ones] * self.streams, [ones] * self.streams))
        return len(shapes)

    def on_cpu(self) -> str:
        """The heavy operators that the device left to the CPU, as words; empty where there are none."""
        left = Counter(
            node.op_type
            for part in self._session.get_provider_graph_assignment_info()
            if part.ep_name == "CPUExecutionProvider"
            for node in part.get_nodes()
            if node.op_type in HEAVY
        )
        return ", ".join(f"{count} {name}" for name, count in sorted(left.items()))


class _Lane:
    """Buffers of runs that come one after the other; used by one thread at a time."""

    def __init__(self, values: Any, session: Any, output: str, dims: int, memory: str) -> None:
        self._values, self._session, self._output, self._dims, self._memory = values, session, output, dims, memory
        self._kept: OrderedDict[tuple[int, ...], _Buffers] = OrderedDict()

    def run(self, ids: Int64, mask: Int64) -> Float32:
        """One run of exactly this shape; the vectors are the caller's."""
        buffers = self._kept.pop(ids.shape, None) or self._bind(*ids.shape)
        self._kept[ids.shape] = buffers  # now the last to go
        if len(self._kept) > SHAPES_KEPT:
            self._kept.popitem(last=False)
        # Both wait until the copy is done, and the run until its results are there.
        buffers.ids.update_inplace(ids)
        buffers.mask.update_inplace(mask)
        self._session.run_with_iobinding(buffers.binding)
        return np.array(buffers.vectors.numpy(), dtype=np.float32)  # a copy: the buffer is used again

    def _bind(self, rows: int, tokens: int) -> _Buffers:
        def new(width: int, kind: Any) -> Any:
            return self._values.ortvalue_from_shape_and_type([rows, width], kind, self._memory, 0)

        ids, mask, vectors = new(tokens, np.int64), new(tokens, np.int64), new(self._dims, np.float32)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("input_ids", ids)
        binding.bind_ortvalue_input("attention_mask", mask)
        binding.bind_ortvalue_output(self._output, vectors)
        return _Buffers(ids, mask, vectors, binding)
