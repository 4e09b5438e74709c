"""The request formats that are measured: payloads out of texts, vectors out of bodies. Pure.

`vectors` is Weaviate's (its container and samespace), `cohere` and `openai` are what their names say (Infinity and
samespace), `tei` is text-embeddings-inference's, `grpc` and `stream` are samespace's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from samespace.rpc.v1 import encoder_pb2 as pb

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One request format.

    Attributes:
        body: texts and the model's or space's name to a request.
        vectors: a reply's body to (texts, dims).
        path: where samespace has it below /e/SPACE_ID; "" for gRPC.
        one_text: whether a request can only carry one.
    """

    body: Callable[[Sequence[str], str], bytes]
    vectors: Callable[[bytes], Float32]
    path: str = ""
    one_text: bool = False


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode("utf-8")


def _grpc_body(texts: Sequence[str], space: str) -> bytes:
    return pb.EmbedRequest(space_id=space, role=pb.ROLE_PASSAGE, texts=texts).SerializeToString()


def _grpc_vectors(body: bytes) -> Float32:
    reply = pb.EmbedReply.FromString(body)
    return np.frombuffer(reply.vectors, dtype="<f4").reshape(reply.rows, reply.dims)


DIALECTS: Final = {
    "vectors": Dialect(
        body=lambda texts, _: _json({"text": texts[0], "config": {"task_type": "passage"}}),
        vectors=lambda body: np.asarray([json.loads(body)["vector"]], dtype=np.float32),
        path="/vectors",
        one_text=True,
    ),
    "cohere": Dialect(
        body=lambda texts, model: _json(
            {"model": model, "texts": list(texts), "input_type": "search_document", "embedding_types": ["float"]}
        ),
        vectors=lambda body: np.asarray(json.loads(body)["embeddings"]["float"], dtype=np.float32),
        path="/v2/embed",
    ),
    "openai": Dialect(
        body=lambda texts, model: _json({"model": model, "input": list(texts)}),
        vectors=lambda body: np.asarray([each["embedding"] for each in json.loads(body)["data"]], dtype=np.float32),
        path="/v1/embeddings",
    ),
    "tei": Dialect(
        body=lambda texts, _: _json({"inputs": list(texts)}),
        vectors=lambda body: np.asarray(json.loads(body), dtype=np.float32),
        path="/embed",
    ),
    "grpc": Dialect(body=_grpc_body, vectors=_grpc_vectors),
    "stream": Dialect(body=_grpc_body, vectors=_grpc_vectors),
}
