"""`Reranker`: an artifact or a server address in, scores of a query and passages out.

reranker = Reranker.load("artifacts/reranker")        # in this process, no torch
reranker = Reranker.connect("localhost:8081")         # the same, from a server
for each in reranker.rank("how do I flatten a list", passages):
    print(each.score, passages[each.index])
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from ..artifact import Artifact, open_artifact
from ..embed import embed_texts
from ..errors import RequestInvalid, WrongKind, short
from ..rpc.access import OPEN, Access
from ..runtime import Device, LoadedBuild, load_build
from .pairs import activated, pair_text

if TYPE_CHECKING:
    from ..rpc.reranking import RerankerClient


@dataclass(frozen=True, slots=True)
class PassageScores:
    """Scores of some passages for one query, in their order.

    Attributes:
        scores: the reranker's activation of the logits.
        logits: the same before it; they tell passages apart where scores are near 1.
        tokens: of each pair in one piece.
        windows: how many windows each passage was read in; the best one counts.
    """

    reranker_id: str
    scores: tuple[float, ...]
    logits: tuple[float, ...]
    tokens: tuple[int, ...]
    windows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RankedPassage:
    """A passage by its place in the list that was given, and its score."""

    index: int
    score: float


class Reranker(ABC):
    """Scores a query and a passage that are read together. Its scores mean nothing beside those of another one."""

    @staticmethod
    def load(
        artifact: Artifact | Path | str,
        *,
        build: str = "auto",
        runtime: str = "auto",
        threads: int = 0,
        device: Device = "cpu",
    ) -> LocalReranker:
        """Run an artifact in this process; arguments are those of `Encoder.load`.

        Raises:
            ArtifactError: the artifact cannot be trusted.
            WrongKind: it is an encoder.
            BuildError: no build runs here within its bound.
        """
        opened = artifact if isinstance(artifact, Artifact) else open_artifact(artifact, kind="reranker")
        if opened.manifest.reranker is None:
            raise WrongKind(where=str(opened.folder), found="encoder", wanted="reranker")
        return LocalReranker(
            load_build(opened, build=build, runtime=runtime, threads=threads, device=device, kept=True)
        )

    @staticmethod
    def connect(
        address: str, *, reranker: str | None = None, access: Access = OPEN, timeout_ms: int = 60_000
    ) -> RemoteReranker:
        """Use a server over gRPC.

        Args:
            address: "host:port", or "host:port/RERANKER_ID".
            reranker: its full id or at least 12 hex digits; may be left out where only one is served.
            access: TLS, certificates and a token, where the server wants them.
            timeout_ms: the longest wait for an answer.

        Raises:
            ServerUnavailable: nothing answers there.
            UnknownReranker: it is not served, or several are and none was named.
        """
        from ..rpc.reranking import RerankerClient

        client = RerankerClient(address, access=access, timeout_ms=timeout_ms)
        try:
            return RemoteReranker(client, reranker)
        except BaseException:
            client.close()
            raise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, reranker {short(self.reranker_id)})"

    @property
    @abstractmethod
    def reranker_id(self) -> str:
        """The full id, 64 hex digits."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The display name."""

    @abstractmethod
    def score(self, query: str, passages: Sequence[str]) -> PassageScores:
        """Scores of *passages* for *query*, in their order; long passages are read in windows, never cut.

        Raises:
            RequestInvalid: not strings, or the query leaves no room for passages.
        """

    def rank(self, query: str, passages: Sequence[str], *, top: int | None = None) -> list[RankedPassage]:
        """*passages* from the best on, equal ones in their order; the first *top*."""
        found = self.score(query, passages)
        order = np.argsort(-np.asarray(found.logits, dtype=np.float64), kind="stable")[:top]
        return [RankedPassage(int(row), found.scores[row]) for row in order]

    def close(self) -> None:  # noqa: B027 - a local one holds nothing that has to be let go
        """Let go of what is held; the reranker is not usable afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LocalReranker(Reranker):
    """An artifact that runs in this process."""

    def __init__(self, loaded: LoadedBuild) -> None:
        self.loaded = loaded
        self._id = loaded.artifact.space_id
        identity = loaded.artifact.manifest.reranker
        assert identity is not None  # `Reranker.load` lets nothing else through
        self._activation = identity.activation

    @property
    def reranker_id(self) -> str:
        return self._id

    @property
    def name(self) -> str:
        return self.loaded.artifact.manifest.name

    def score(self, query: str, passages: Sequence[str]) -> PassageScores:
        check_pairs(query, passages)
        pairs = [pair_text(query, passage) for passage in passages]
        found = embed_texts(self.loaded.session, self.loaded.text_encoder, pairs, "passage", dims=1)
        logits = found.vectors[:, 0]
        scores = activated(logits, self._activation)
        return PassageScores(self._id, tuple(scores.tolist()), tuple(logits.tolist()), found.tokens, found.windows)


class RemoteReranker(Reranker):
    """A reranker of a server."""

    def __init__(self, client: RerankerClient, reranker: str | None) -> None:
        self._client = client
        self._info = client.find(reranker)

    @property
    def reranker_id(self) -> str:
        return self._info.reranker_id

    @property
    def name(self) -> str:
        return self._info.name

    def score(self, query: str, passages: Sequence[str]) -> PassageScores:
        check_pairs(query, passages)
        return self._client.score(self.reranker_id, query, passages)

    def close(self) -> None:
        self._client.close()


def check_pairs(query: object, passages: object) -> None:
    """Raise `RequestInvalid` for what is no query with a list of passages."""
    if not isinstance(query, str):
        raise RequestInvalid(field="query", reason=f"expected a string, got {type(query).__name__}")
    if isinstance(passages, str) or not isinstance(passages, Sequence):
        raise RequestInvalid(field="passages", reason="expected a list of strings")
    for place, passage in enumerate(passages):
        if not isinstance(passage, str):
            raise RequestInvalid(field=f"passages[{place}]", reason=f"expected a string, got {type(passage).__name__}")
