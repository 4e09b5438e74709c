"""What Ray's workers import for the tests of bulk jobs: an encoder that dies once, in the middle of a part."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from samespace.encoder import Encoded, EncodeOptions, Encoder, LocalEncoder
from samespace.text import Role


@dataclass(frozen=True)
class Opener:
    """Opens the exact build of an artifact; where *deadly* is given, the process that first encodes *word* dies."""

    artifact: Path
    deadly: Path | None = None
    word: str = ""

    def __call__(self, streams: int) -> Encoder:
        encoder = Encoder.load(self.artifact, build="fp32", runtime="onnxruntime", threads=streams, streams=streams)
        assert isinstance(encoder, LocalEncoder)
        return encoder if self.deadly is None else DeadlyEncoder(encoder, self.deadly, self.word)


class DeadlyEncoder(LocalEncoder):
    """Kills its process with SIGKILL when it first sees a word; a file remembers that it did."""

    def __init__(self, encoder: LocalEncoder, done: Path, word: str) -> None:
        super().__init__(encoder.loaded)
        self.done, self.word = done, word

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        if any(self.word in text for text in texts) and not self.done.exists():
            self.done.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_with(texts, role, options)
