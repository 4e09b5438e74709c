"""samespace: train, export and serve a text bi-encoder, and never mix vectors of different encoders.

Names of `samespace.api` are imported when they are first used: most programs need an `Encoder`
alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .encoder import Encoded, Encoder
from .errors import SamespaceError, SpaceMismatch
from .reranking.reranker import Reranker
from .rpc.access import Access, Tls
from .vector_files import StoredVectors, read_vectors, write_vectors
from .vectors import Vectors

if TYPE_CHECKING:
    from .api import weaviate
    from .api.asynchronous import AsyncEncoder
    from .api.commands import adapt, evaluate, export, serve, train

__version__ = "0.1.0"
__all__ = [
    "Access", "AsyncEncoder", "Encoded", "Encoder", "Reranker", "SamespaceError", "SpaceMismatch", "StoredVectors",
    "Tls", "Vectors", "__version__", "adapt", "evaluate", "export", "read_vectors", "serve", "train", "weaviate",
    "write_vectors",
]  # fmt: skip
_LATER = dict.fromkeys(("adapt", "evaluate", "export", "serve", "train"), "commands") | {"AsyncEncoder": "asynchronous"}


def __getattr__(name: str) -> Any:
    # By name: the layers of the packages are checked by their import statements, and the base has none upwards.
    if name in _LATER:
        return getattr(import_module(f"{__name__}.api.{_LATER[name]}"), name)
    if name == "weaviate":
        return import_module(f"{__name__}.api.weaviate")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
