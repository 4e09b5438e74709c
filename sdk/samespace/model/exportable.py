"""What an export needs of an encoder: a model of reference and the encoder's identity.

A `Checkpoint` is one, whose graph torch writes (`export.graph`). `export.heads.HeadedArtifact` is another, which
brings its graph: that of an artifact with a head behind it.
"""

from __future__ import annotations

from typing import Protocol

from ..artifact.fingerprint import Identity
from ..embed import Model
from ..text import Recipe, TextEncoder
from .transform import Transform


class Exportable(Protocol):
    """An encoder in memory, ready to be exported."""

    @property
    def source(self) -> str:
        """What the user named."""

    @property
    def reference(self) -> str:
        """What `model` computes with, for people: "torch"."""

    @property
    def tokenizer(self) -> bytes:
        """The bytes of the artifact's tokenizer.json."""

    @property
    def vocabulary(self) -> int:
        """Token ids are below it."""

    @property
    def recipe(self) -> Recipe:
        """The text recipe."""

    @property
    def text_encoder(self) -> TextEncoder:
        """The text path."""

    @property
    def dims(self) -> int:
        """Length of a vector."""

    @property
    def model(self) -> Model:
        """What every build is compared with, in fp32."""

    @property
    def identity(self) -> Identity:
        """Everything that can change a vector."""

    @property
    def transform(self) -> Transform | None:
        """The linear map at the end, or None."""


class BringsGraph(Exportable, Protocol):
    """An encoder whose graph exists already, because nobody has torch's module of it any more."""

    @property
    def opsets(self) -> tuple[int, ...]:
        """Which opsets there are, the best first."""

    def graph(self, opset: int) -> bytes:
        """The bytes of an fp32 ONNX file; raises `ModelUnsupported` where there is none at this opset."""
