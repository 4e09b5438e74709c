"""What `verify` will ask of an artifact, asked before it is written: an export that nobody can load is none."""

from __future__ import annotations

from typing import Final

import numpy as np

from ...artifact.graph_check import check_bytes
from ...artifact.proof import prove_identity
from ...artifact.reranker import RERANKER
from ...embed import Model
from ...errors import ArtifactDamaged, GateFailed, ModelUnsupported
from ...model.modules import numpy_model
from ...model.rebuilt import GATE, RERANKER_GATE, rebuilt_from
from .parity import ParityReference

_SOURCE: Final = "the architecture and weights that its space id names"


def require_proven(data: bytes, wanted: ParityReference) -> None:
    """Find the identity's weights in the fp32 graph, and build the encoder anew from the identity alone.

    Args:
        data: an ONNX file that agrees with *wanted*.

    Raises:
        ModelUnsupported: a weight does not reach the vectors, or the identity cannot be built.
        GateFailed: what is built from the identity gives other vectors than the model that was read.
    """
    encoder = wanted.checkpoint
    identity, name = encoder.identity, "its fp32 graph"
    try:
        weights = prove_identity(check_bytes(data, dims=identity.dims, file=name), identity, name).weights
        model: Model = numpy_model(rebuilt_from(identity, weights, name))
    except ArtifactDamaged as error:
        raise ModelUnsupported(
            model=encoder.source,
            reason=f"exports, and no load would take the artifact: its graph {error.reason}",
            remedy="a weight that no vector passes through has no place in an artifact: please report the architecture",
        ) from error
    gate = RERANKER_GATE if identity.kind == RERANKER else GATE
    pairs = ((np.asarray(model(ids, mask)), vectors) for ids, mask, vectors in wanted.batches)
    worst = max(float(identity.distance(found, vectors).max()) for found, vectors in pairs)
    if not worst <= gate:
        raise GateFailed(build="fp32", measure=f"distance to {_SOURCE}", measured=worst, gate=gate)
