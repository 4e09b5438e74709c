"""Teachers: who scores (query, passage) pairs so that an encoder in training may learn from it.

file of scores   JSON lines of {"query", "passage", "score"}, made elsewhere
table            scores of all queries and passages (`score_table`)
larger encoder   cosines of its vectors, in exact fp32 on the fastest runtime that agrees with torch (`heads.frozen`)
cross-encoder    a sequence classifier with one output that reads both texts; its logits, by torch
reranker         the artifact of one; its logits, without torch

What a model has said is kept in the cache, under the digest of its weights and of the texts.

What it leaves to others: which pairs are asked about (`mining`, `adapting.distill`), the losses (`losses.kinds`).
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from ...artifact.layout import file_digest, open_artifact
from ...artifact.manifest import MANIFEST
from ...errors import DataInvalid, ModelUnsupported
from ...evaluation.excerpts import clipped
from ...evaluation.json_rows import KeyTwiceError, parsed_json
from ...model.hub import read_json, resolve_model
from ...model.quiet import quiet
from ...progress import Advance
from ...reranking.reranker import Reranker
from ...text import digest_texts
from ...vectors import Float32
from ..heads.frozen import FrozenEncoder, default_cache, open_frozen
from .score_table import SUFFIX, read_table

_READ_AT_ONCE: Final = 32
_SCORED: Final = ("*.safetensors", "*.json", "*.txt", "*.model")

TextPair = tuple[str, str]


class Teacher(Protocol):
    """Scores pairs.

    Attributes:
        name: for people.
        cosines: whether its scores are cosines, and not logits.
    """

    @property
    def name(self) -> str: ...

    @property
    def cosines(self) -> bool: ...

    def read(self, queries: Sequence[str], passages: Sequence[str], advance: Advance) -> None:
        """All the texts of which pairs will be asked: whoever makes vectors makes them now, at once."""

    def scores(self, pairs: Sequence[TextPair]) -> list[float | None]:
        """The score of each (query, passage); None for what it cannot know."""


@dataclass(frozen=True, slots=True)
class ScoreFile:
    """Scores that were made elsewhere."""

    name: str
    known: dict[TextPair, float]
    cosines: bool = False

    def read(self, queries: Sequence[str], passages: Sequence[str], advance: Advance) -> None:
        """Nothing: all is known."""

    def scores(self, pairs: Sequence[TextPair]) -> list[float | None]:
        """Of the pairs that the file has."""
        return [self.known.get(pair) for pair in pairs]


@dataclass
class EncoderTeacher:
    """Cosines of another encoder."""

    frozen: FrozenEncoder
    cosines: bool = True
    _queries: dict[str, Float32] = field(default_factory=dict)
    _passages: dict[str, Float32] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The encoder's."""
        return self.frozen.name

    def read(self, queries: Sequence[str], passages: Sequence[str], advance: Advance) -> None:
        """Make the vectors of all texts that are new."""
        for done, texts, role in ((self._queries, queries, "query"), (self._passages, passages, "passage")):
            new = [text for text in dict.fromkeys(texts) if text not in done]
            if new:
                rows = self.frozen.embed(new, "query" if role == "query" else "passage", progress=advance).pooled()
                done.update(zip(new, rows, strict=True))

    def vectors(self, queries: Sequence[str], passages: Sequence[str]) -> tuple[Float32, Float32]:
        """(queries, dim) and (passages, dim), unit rows; of texts that were read."""
        q, p = [self._queries[text] for text in queries], [self._passages[text] for text in passages]
        return np.stack(q), np.stack(p)

    def scores(self, pairs: Sequence[TextPair]) -> list[float | None]:
        """Cosines; None where a text was not read."""
        return [
            float(self._queries[query] @ self._passages[passage])
            if query in self._queries and passage in self._passages
            else None
            for query, passage in pairs
        ]


@dataclass
class PairTeacher(ABC):
    """Logits of a model that reads both texts, kept in a file.

    Attributes:
        model: what gives them.
        cache: file of what it said; None for none.
    """

    name: str
    model: Any
    cache: Path | None
    cosines: bool = False
    asked: int = field(default=0, init=False)
    """Pairs that the model read, and that were not found in the cache."""

    def read(self, queries: Sequence[str], passages: Sequence[str], advance: Advance) -> None:  # noqa: B027 - there is nothing to read
        """Nothing: it reads pairs, and only those that it is asked about."""

    def scores(self, pairs: Sequence[TextPair]) -> list[float | None]:
        """The model's logits, before any sigmoid."""
        keys = [_pair_digest(pair) for pair in pairs]
        known = _kept(self.cache, keys)
        new = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in known}
        if new:
            said = self.logits(list(new.values()))
            made = dict(zip(new, said, strict=True))
            self.asked += len(made)
            _keep(self.cache, made)
            known |= made
        return [known[key] for key in keys]

    @abstractmethod
    def logits(self, pairs: Sequence[TextPair]) -> list[float]:
        """What the model says of pairs that are not kept."""


class CrossEncoderTeacher(PairTeacher):
    """A folder's cross-encoder: sentence-transformers' CrossEncoder with one output."""

    def logits(self, pairs: Sequence[TextPair]) -> list[float]:
        """By torch."""
        return _logits(self.model, self.name, pairs)


class RerankerTeacher(PairTeacher):
    """An artifact that `samespace export` made of a cross-encoder; long passages are read in windows."""

    def logits(self, pairs: Sequence[TextPair]) -> list[float]:
        """By the artifact's fastest build that is right here."""
        by_query: dict[str, list[str]] = {}
        for query, passage in pairs:
            by_query.setdefault(query, []).append(passage)
        found = {
            (query, passage): logit
            for query, passages in by_query.items()
            for passage, logit in zip(passages, self.model.score(query, passages).logits, strict=True)
        }
        return [found[pair] for pair in pairs]


def open_teacher(name: str, cache: Path | None = None) -> Teacher:
    """The teacher that *name* means: a file of scores, a folder, or a hub name.

    Args:
        cache: folder of what models have said; None for the user's own.

    Raises:
        DataInvalid: the file of scores cannot be read.
        ModelUnsupported: there is no such model, or it is no encoder and no cross-encoder with one output.
    """
    if name.endswith(SUFFIX):
        return read_table(Path(name))
    if Path(name).is_file() or name.endswith(".jsonl"):
        return ScoreFile(name, read_scores(Path(name)))
    where = cache or default_cache()
    if (Path(name) / MANIFEST).is_file():
        opened = open_artifact(name, kind="any")
        if opened.manifest.reranker is not None:
            return RerankerTeacher(name, Reranker.load(opened), where.parent / "teacher" / f"{opened.space_id}.sqlite")
    else:
        folder = resolve_model(name)
        if is_cross_encoder(folder, name):
            return _cross_encoder(folder, name, where.parent / "teacher")
    return EncoderTeacher(open_frozen(name, cache=where))


def is_cross_encoder(folder: Path, name: str) -> bool:
    """Whether the model's own configuration calls it a sequence classifier."""
    file = folder / "config.json"
    architectures = read_json(file, name).get("architectures") or [] if file.is_file() else []
    return any(str(each).endswith("ForSequenceClassification") for each in architectures)


def read_scores(path: Path) -> dict[TextPair, float]:
    """A teacher's scores: (query, passage) -> score, out of JSON lines.

    Raises:
        DataInvalid: the file cannot be read, or a line is not what it has to be, with its number.
    """
    scores: dict[TextPair, float] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataInvalid(path=str(path), reason=f"cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = parsed_json(line)
            pair = (str(entry["query"]).strip(), str(entry["passage"]).strip())
            score = float(entry["score"])
        except KeyTwiceError as error:
            raise DataInvalid(path=f"{path}, line {number}", reason=str(error)) from error
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise DataInvalid(
                path=f"{path}, line {number}", reason='expected {"query": text, "passage": text, "score": number}'
            ) from error
        if not math.isfinite(score) or scores.setdefault(pair, score) != score:
            said = f"{clipped(pair[0])} and {clipped(pair[1])} have the score {score:g}"
            before = f", and {scores[pair]:g} before; keep one" if math.isfinite(score) else "; expected a number"
            raise DataInvalid(path=f"{path}, line {number}", reason=said + before)
    return scores


def _cross_encoder(folder: Path, name: str, cache: Path) -> CrossEncoderTeacher:
    import torch
    from sentence_transformers import CrossEncoder

    with quiet("sentence_transformers", "transformers"):
        model = CrossEncoder(str(folder), trust_remote_code=False, model_kwargs={"dtype": torch.float32})
    if model.num_labels != 1:
        raise ModelUnsupported(
            model=name,
            reason=f"has {model.num_labels} outputs; a teacher has one score for a query and a passage",
            remedy="name a cross-encoder for retrieval, or a larger encoder",
        )
    digest = hashlib.sha256()
    for file in sorted({file for pattern in _SCORED for file in folder.glob(pattern)}):
        digest.update(f"{file.name} {file_digest(file)}\n".encode())
    return CrossEncoderTeacher(name, model, cache / f"{digest.hexdigest()[:32]}.sqlite")


def _logits(model: Any, name: str, pairs: Sequence[TextPair]) -> list[float]:
    import torch

    with quiet("sentence_transformers", "transformers"):
        said = model.predict(
            list(pairs), batch_size=_READ_AT_ONCE, activation_fn=torch.nn.Identity(), show_progress_bar=False
        )
    scores = [float(each) for each in said]
    if not np.isfinite(scores).all():
        raise ModelUnsupported(model=name, reason="gives scores that are no numbers", remedy="name another teacher")
    return scores


def _pair_digest(pair: TextPair) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    digest_texts(digest, pair)
    return digest.digest()


def _kept(cache: Path | None, keys: Sequence[bytes]) -> dict[bytes, float]:
    """What the cache has of *keys*; a cache that cannot be read has nothing."""
    if cache is None or not cache.is_file():
        return {}
    found: dict[bytes, float] = {}
    try:
        with closing(sqlite3.connect(cache, timeout=60)) as store:
            for key in keys:
                row = store.execute("SELECT score FROM scores WHERE pair = ?", (key,)).fetchone()
                if row is not None:
                    found[key] = float(row[0])
    except sqlite3.DatabaseError:
        return {}
    return found


def _keep(cache: Path | None, scores: dict[bytes, float]) -> None:
    """Add *scores* to the cache; without one where the disk does not want it: they are only slower to have again."""
    if cache is None:
        return
    try:
        cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with closing(sqlite3.connect(cache, timeout=60)) as store, store:
            store.execute("CREATE TABLE IF NOT EXISTS scores (pair BLOB PRIMARY KEY, score REAL NOT NULL)")
            store.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", scores.items())
    except (OSError, sqlite3.DatabaseError):
        return
