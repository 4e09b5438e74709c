"""samespace: train, export and serve a text bi-encoder, and never mix vectors of different encoders."""

from .encoder import Encoded, Encoder
from .errors import SamespaceError, SpaceMismatch
from .rpc.access import Access, Tls
from .vector_files import StoredVectors, read_vectors, write_vectors
from .vectors import Vectors

__version__ = "0.1.0"
__all__ = [
    "Access", "Encoded", "Encoder", "SamespaceError", "SpaceMismatch", "StoredVectors", "Tls", "Vectors", "__version__",
    "read_vectors", "write_vectors",
]  # fmt: skip
