"""From a checkpoint to one ONNX graph: ids and mask in, unit vectors out.

Exported with torch's dynamo exporter. Opset 23 has an `Attention` operator of its own, which onnxruntime runs
faster; the rotary family's opset-23 graphs fail on batches above one (their `RotaryEmbedding` caches have batch
one), so the opset is not chosen by a table but by trying: the first that passes parity is taken.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch

from ..errors import ModelUnsupported
from .checkpoint import Checkpoint

OPSETS: Final = (23, 20)
INPUTS: Final = ["input_ids", "attention_mask"]
OUTPUT: Final = "vectors"


def to_onnx(checkpoint: Checkpoint, opset: int) -> bytes:
    """The bytes of an ONNX file that takes any batch and up to the token limit of tokens.

    Raises:
        ModelUnsupported: torch cannot export this architecture at this opset.
    """
    # Two rows of unlike length: the exporter specialises sizes of 0 and 1, and a mask of ones folds away.
    ids = torch.ones((2, min(9, checkpoint.recipe.token_limit)), dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, -2:] = 0
    batch, tokens = torch.export.Dim("batch", min=1, max=65_536), torch.export.Dim("tokens", min=1, max=1_048_576)
    if getattr(checkpoint.config, "max_position_embeddings", 0):
        tokens = torch.export.Dim("tokens", min=1, max=checkpoint.config.max_position_embeddings)
    shapes = {name: {0: batch, 1: tokens} for name in INPUTS}
    try:
        with _quiet():
            program = torch.onnx.export(
                checkpoint.module,
                (ids, mask),
                dynamo=True,
                opset_version=opset,
                input_names=INPUTS,
                output_names=[OUTPUT],
                dynamic_shapes=shapes,
                verbose=False,
                external_data=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        raise ModelUnsupported(
            model=checkpoint.source,
            reason=f"{checkpoint.config.model_type} does not export at opset {opset}: {_first_line(error)}",
            remedy="please report the architecture",
        ) from error
    assert program is not None
    return _plain(program)


def _plain(program: Any) -> bytes:
    """Serialise without what differs from run to run or tells about the exporting machine."""
    model = program.model_proto
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    buffer = io.BytesIO()
    buffer.write(model.SerializeToString(deterministic=True))
    return buffer.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns about its own internals and about torchvision: nothing a user can act on."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    cause = error.__cause__ or error
    return next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)[:300]
