"""Frozen encoders: texts to window vectors, once. What was encoded is kept on disk and read back the next time.

A cache file's name is a digest of the space id, the role and the texts, so it cannot be out of date: another
encoder, prompt, token limit or text is another file. Texts are not written; vectors are, into a folder that only
this user can read, because vectors tell much about their texts. Delete the folder whenever you like.

Windows are kept apart, because a head sits in the graph, before windows become one vector: a long text is scored as
the exported artifact encodes it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...artifact import Artifact, open_artifact
from ...artifact import manifest as manifests
from ...errors import ModelUnsupported
from ...exporting.fastest import exact_session
from ...exporting.transforms.choice import encode_windows
from ...folders import cache_home
from ...heads import Head
from ...model.checkpoint import Checkpoint, Overrides, load_checkpoint
from ...npz import read_arrays
from ...progress import Advance
from ...text import Role, digest_texts
from ...vectors import Float32, normalise

_ARRAYS: Final = {"vectors": "<f4", "windows": "<i8", "weights": "<i8"}


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """Texts as the vectors of their windows, in order.

    Attributes:
        vectors: (windows, dims), float32, unit rows.
        windows: (texts,), int64, how many windows each text has; 1 or more.
        weights: (windows,), int64, tokens of its own that each window has.
    """

    vectors: Float32
    windows: npt.NDArray[np.int64]
    weights: npt.NDArray[np.int64]

    @staticmethod
    def of_rows(vectors: npt.NDArray[Any]) -> EmbeddedTexts:
        """One window a text: vectors that somebody else made, scaled to unit length."""
        ones = np.ones(len(vectors), dtype=np.int64)
        return EmbeddedTexts(normalise(vectors), ones, ones)

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def pooled(self, head: Head | None = None) -> Float32:
        """(texts, dims), float32, unit rows: what the encoder, with *head* behind it, gives for the texts."""
        rows = self.vectors if head is None else head.apply(self.vectors)
        if len(self.windows) == len(rows):
            return rows
        starts = np.concatenate([[0], np.cumsum(self.windows)[:-1]])
        return normalise(np.add.reduceat(rows.astype(np.float64) * self.weights[:, None], starts, axis=0))


@dataclass
class FrozenEncoder:
    """An encoder whose weights stay as they are, and the vectors that it has given.

    Attributes:
        source: the checkpoint or artifact; a head is folded into it later.
        cache: folder of the files; None for no files.
    """

    name: str
    source: Checkpoint | Artifact
    cache: Path | None
    encoded: int = field(default=0, init=False)
    """Texts that were encoded, and not found in a file."""

    @property
    def space_id(self) -> str:
        """The full space id."""
        return self.source.identity.space_id() if isinstance(self.source, Checkpoint) else self.source.space_id

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return self.source.dims if isinstance(self.source, Checkpoint) else self.source.manifest.identity.dims

    def embed(self, texts: Sequence[str], role: Role, *, progress: Advance = lambda _: None) -> EmbeddedTexts:
        """The vectors of *texts*, in exact fp32; *progress* gets each number of texts done."""
        file = None if self.cache is None else self.cache / f"{_digest(self.space_id, role, texts)}.npz"
        if file is not None and (found := _read(file, len(texts), self.dims)) is not None:
            progress(len(texts))
            return found
        source = self.source
        text_encoder = source.text_encoder if isinstance(source, Checkpoint) else source.text_encoder()
        with exact_session(source) as session:
            windows = encode_windows(session, text_encoder, texts, role, dims=self.dims, progress=progress)
        counts = [len(text.windows) for text in windows.texts]
        weights = [window.content for text in windows.texts for window in text.windows]
        made = EmbeddedTexts(windows.vectors, np.array(counts, np.int64), np.array(weights, np.int64))
        self.encoded += len(texts)
        if file is not None:
            _write(file, made)
        return made


def open_frozen(name: str, overrides: Overrides | None = None, *, cache: Path | None = None) -> FrozenEncoder:
    """The encoder that *name* means: an artifact's folder, a checkpoint's folder, or a hub name.

    Args:
        overrides: which encoder a checkpoint is; an artifact is what it is.

    Raises:
        ModelUnsupported: there is none, it cannot be exported, or is a composite.
        ArtifactError: the artifact cannot be trusted.
    """
    folder = Path(name)
    if not (folder / manifests.MANIFEST).is_file():
        return FrozenEncoder(name, load_checkpoint(name, overrides), cache)
    artifact = open_artifact(folder)
    if overrides is not None and overrides != Overrides():
        raise ModelUnsupported(
            model=name, reason="is an artifact, whose prompts, limits and pooling are settled", remedy="leave them out"
        )
    if artifact.parts:
        raise ModelUnsupported(model=name, reason="is a composite of several encoders", remedy="name one of its parts")
    return FrozenEncoder(artifact.manifest.name, artifact, cache)


def default_cache() -> Path:
    """`embeddings` below XDG_CACHE_HOME/samespace, or below ~/.cache/samespace."""
    return cache_home() / "samespace" / "embeddings"


def _digest(space_id: str, role: str, texts: Sequence[str]) -> str:
    digest = hashlib.sha256(f"1 {space_id} {role} {len(texts)}\n".encode("ascii"))
    digest_texts(digest, texts)
    return digest.hexdigest()[:40]


def _read(file: Path, texts: int, dims: int) -> EmbeddedTexts | None:
    """What `_write` wrote; None where there is no such file or it is damaged: then it is written anew."""
    try:
        with file.open("rb") as stream:
            arrays = read_arrays(stream, _ARRAYS, most_bytes=file.stat().st_size)
    except (OSError, ValueError):
        return None
    made = EmbeddedTexts(**arrays)
    rows = int(made.windows.sum()) if len(made.windows) else 0
    fits = made.vectors.shape == (rows, dims) and made.weights.shape == (rows,) and len(made.windows) == texts
    return made if fits and np.isfinite(made.vectors).all() else None


def _write(file: Path, made: EmbeddedTexts) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    work = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(work, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            np.savez(stream, vectors=made.vectors, windows=made.windows, weights=made.weights)
        work.replace(file)
    finally:
        work.unlink(missing_ok=True)
