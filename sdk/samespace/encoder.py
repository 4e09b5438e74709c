"""`Encoder`: an artifact or a server address in, `Vectors` out. What most programs import.

encoder = Encoder.load("artifacts/pydoc")          # in this process, no torch
encoder = Encoder.connect("localhost:8081")        # the same, from a server, or from several: "a:8081,b:8081"
vectors = encoder.encode(["how do I flatten a list"], role="query")
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .artifact import Artifact, open_artifact
from .combine import concatenate_embedded
from .embed import Embedded, embed_texts
from .errors import RequestInvalid, short
from .progress import Advance
from .rpc.access import OPEN, Access
from .rpc.bulk import in_messages, in_streams
from .runtime import Device, LoadedBuild, LoadedParts, load_artifact, parts_of
from .text import LongTexts, Role, check_role
from .vectors import Vectors, normalise

if TYPE_CHECKING:
    from .rpc.client import Client
    from .rpc.messages import Reply, SpaceInfo


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors of some texts, and what became of each text.

    Attributes:
        vectors: one row a text, or one a window where windows or slices were asked for.
        tokens: tokens of each text in one piece.
        windows: how many windows each text had.
        spans: one (text, first character, one past the last) a row.
    """

    vectors: Vectors
    tokens: tuple[int, ...]
    windows: tuple[int, ...]
    spans: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How texts are encoded; see `Encoder.encode`, whose keywords these are.

    Attributes:
        long_texts: what becomes of texts beyond the token limit.
        dims: fewer dimensions; None for all.
        progress: gets each number of texts done.
    """

    long_texts: LongTexts = "pool"
    dims: int | None = None
    progress: Advance | None = None


class Encoder(ABC):
    """Maps a text and a role to a vector of one space."""

    @staticmethod
    def load(
        artifact: Artifact | Path | str,
        *,
        build: str = "auto",
        runtime: str = "auto",
        threads: int = 0,
        device: Device = "cpu",
        streams: int = 1,
    ) -> LocalEncoder | CompositeEncoder:
        """Run an artifact in this process.

        Args:
            artifact: its folder.
            build: a build's name; "auto" takes the fastest whose probes pass here, `fp32` the exact one. Which one
                that is, is measured for some seconds at the first time, and kept in `~/.cache/samespace`.
            runtime: "onnxruntime", "openvino" or "auto".
            threads: cores to keep busy; 0 for all that this process may use.
            device: "cpu", or with the extra `gpu` "cuda" or "tensorrt".
            streams: calls that will be under way at once, from threads of the caller, and share *threads*.

        Raises:
            ArtifactError: the artifact cannot be trusted.
            BuildError: no build runs here within its bound.
        """
        opened = artifact if isinstance(artifact, Artifact) else open_artifact(artifact)
        loaded = load_artifact(
            opened, build=build, runtime=runtime, threads=threads, device=device, streams=streams, kept=True
        )
        return LocalEncoder(loaded) if isinstance(loaded, LoadedBuild) else CompositeEncoder(loaded)

    @staticmethod
    def connect(
        address: str, *, space: str | None = None, access: Access = OPEN, timeout_ms: int = 60_000
    ) -> RemoteEncoder:
        """Use a server, or replicas of one, over gRPC.

        Args:
            address: "host:port"; "a:8081,b:8081" for replicas that take turns; "host:port/SPACE" names the space too;
                "grpcs://host:port" is over TLS with public authorities.
            space: the space to use, full id or at least 12 hex digits; may be left out where only one is served.
            access: TLS, certificates and a token, where the server wants them.
            timeout_ms: the longest wait for an answer, over all tries.

        Raises:
            ServerUnavailable: nothing answers there.
            UnknownSpace: the space is not served, or several are and none was named.
            SpaceMismatch: the replicas do not all serve the space.
            ConfigInvalid: the token would travel in the clear to another machine.
        """
        from .rpc.client import Client

        client = Client(address, access=access, timeout_ms=timeout_ms)
        try:
            return RemoteEncoder(client, space)
        except BaseException:
            client.close()
            raise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.dims} dims, space {short(self.space_id)})"

    @property
    @abstractmethod
    def space_id(self) -> str:
        """The full space id, 64 hex digits."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The display name."""

    @property
    @abstractmethod
    def dims(self) -> int:
        """Length of a vector."""

    @property
    @abstractmethod
    def token_limit(self) -> int:
        """Longer texts are windowed."""

    @property
    def bound(self) -> float:
        """The largest 1 - cos to the fp32 reference that its build was measured to have; 0 for the reference itself."""
        return 0.0

    @property
    def computed_by(self) -> str:
        """The build and the runtime that give the vectors, such as "int8 on openvino"; "" where it has no builds."""
        return ""

    @property
    def confirmations(self) -> int | None:
        """How often it was seen to be this encoder still, so that what it gave before the last time can be relied on.

        None for an encoder that cannot become another one while it is used.
        """
        return None

    @abstractmethod
    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        """Vectors with token and window counts; what an encoder has to implement."""

    def encode_detailed(
        self,
        texts: Sequence[str],
        role: Role,
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        progress: Advance | None = None,
    ) -> Encoded:
        """Vectors with token and window counts; see `encode`. *progress* gets each number of texts done."""
        return self.encode_with(texts, role, EncodeOptions(long_texts, dims, progress))

    def encode(
        self,
        texts: Sequence[str],
        role: Role,
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        progress: Advance | None = None,
    ) -> Vectors:
        """One vector a text, in order; float32 (n, dims), unit length.

        Args:
            texts: any length; a text beyond the token limit is windowed, never cut.
            role: "query" for what is searched with, "passage" for what is searched.
            long_texts: "pool" for one vector a text; "windows" for one a window; "slices" for one a piece that begins
                and ends with a word, each the vector of that piece as a text of its own; "reject" to raise instead.
            dims: fewer dimensions, where the encoder was trained for it.

        Raises:
            RequestInvalid: unknown role, not a list of strings, dims that the manifest does not list.
            TextTooLong: with "reject".
        """
        return self.encode_detailed(texts, role, long_texts=long_texts, dims=dims, progress=progress).vectors

    def confirm(self) -> None:  # noqa: B027 - only what somebody else runs can have become another
        """Raise where what it gave so far may be of another encoder than this one; jobs ask at their end."""

    def close(self) -> None:  # noqa: B027 - most encoders hold nothing that has to be let go
        """Let go of what is held; the encoder is not usable afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LocalEncoder(Encoder):
    """An artifact that runs in this process."""

    def __init__(self, loaded: LoadedBuild) -> None:
        self.loaded = loaded
        self._space_id = loaded.artifact.space_id

    @property
    def space_id(self) -> str:
        return self._space_id

    @property
    def name(self) -> str:
        return self.loaded.artifact.manifest.name

    @property
    def dims(self) -> int:
        return self.loaded.artifact.manifest.identity.dims

    @property
    def token_limit(self) -> int:
        return self.loaded.artifact.recipe.token_limit

    @property
    def bound(self) -> float:
        return self.loaded.bound

    @property
    def computed_by(self) -> str:
        return f"{self.loaded.build_name} on {self.loaded.runtime}"

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        check_dims(options.dims, self.dims, self.loaded.artifact.manifest.matryoshka_dims)
        embedded = embed_texts(
            self.loaded.session,
            self.loaded.text_encoder,
            texts,
            role,
            dims=self.dims,
            long_texts=options.long_texts,
            progress=options.progress,
        )
        return _encoded(embedded, self._space_id, options.dims)


class CompositeEncoder(Encoder):
    """A composite that runs in this process: each text goes through its parts, one after the other."""

    def __init__(self, loaded: LoadedParts) -> None:
        self.loaded = loaded
        self._space_id = loaded.artifact.space_id

    @property
    def space_id(self) -> str:
        return self._space_id

    @property
    def name(self) -> str:
        return self.loaded.artifact.manifest.name

    @property
    def dims(self) -> int:
        return self.loaded.composite.dims

    @property
    def token_limit(self) -> int:
        return self.loaded.artifact.token_limit

    @property
    def bound(self) -> float:
        return self.loaded.bound

    @property
    def computed_by(self) -> str:
        return f"{self.loaded.build_name} on {self.loaded.runtime}"

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        check_dims(options.dims, self.dims, ())
        check_role(role)
        chosen = parts_of(self.loaded, role)
        embedded = [
            embed_texts(
                part.session,
                part.text_encoder,
                texts,
                role,
                dims=part.artifact.manifest.identity.dims,
                long_texts=options.long_texts,
                # A text is done when its last part is.
                progress=options.progress if part is chosen[-1] else None,
            )
            for part in chosen
        ]
        if self.loaded.composite.kind == "two_tower":
            return _encoded(embedded[0], self._space_id, options.dims)
        weights = [part.weight for part in self.loaded.composite.parts]
        return _encoded(concatenate_embedded(embedded, weights, options.long_texts), self._space_id, options.dims)


class RemoteEncoder(Encoder):
    """A space of a server, or of replicas: many texts at once go to all that are listed, at the same time."""

    def __init__(self, client: Client, space: str | None) -> None:
        self._client = client
        self._info = client.find_space(space)

    @property
    def info(self) -> SpaceInfo:
        """The space as the server ran it when this connected: its build, and what the probes showed there."""
        return self._info

    @property
    def space_id(self) -> str:
        return self._info.space_id

    @property
    def name(self) -> str:
        return self._info.name

    @property
    def dims(self) -> int:
        return self._info.dims

    @property
    def token_limit(self) -> int:
        return self._info.token_limit

    @property
    def bound(self) -> float:
        return self._info.probe_bound

    @property
    def computed_by(self) -> str:
        return f"{self._info.build} on {self._info.runtime}"

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        if isinstance(texts, str):
            raise RequestInvalid(field="texts", reason="expected a list of strings, got one string")
        batches = list(in_messages(texts)) or [[]]
        firsts = list(accumulate(map(len, batches), initial=0))

        def stream(some: Iterable[Sequence[str]]) -> Iterator[Reply]:
            return self._client.embed_stream(
                self.space_id, role, some, long_texts=options.long_texts, dims=options.dims
            )

        found: dict[int, Encoded] = {}
        for number, part in in_streams(stream, batches, min(len(self._client.address.replicas), len(batches))):
            shifted = tuple((text + firsts[number], start, end) for text, start, end in part.spans)
            found[number] = Encoded(part.vectors, part.tokens, part.windows, shifted)
            if options.progress is not None:
                options.progress(len(part.tokens))
        parts = [found[number] for number in range(len(batches))]
        if len(parts) == 1:
            return parts[0]
        return Encoded(
            vectors=Vectors.stack([part.vectors for part in parts]),
            tokens=tuple(count for part in parts for count in part.tokens),
            windows=tuple(count for part in parts for count in part.windows),
            spans=tuple(span for part in parts for span in part.spans),
        )

    def close(self) -> None:
        self._client.close()


def check_dims(asked: int | None, full: int, listed: Sequence[int]) -> None:
    """Raise `RequestInvalid` for a size that the encoder was not trained for."""
    if asked is not None and asked != full and asked not in listed:
        offered = ", ".join(str(size) for size in (*listed, full))
        raise RequestInvalid(field="dims", reason=f"{asked}; this encoder offers {offered}")


def _encoded(embedded: Embedded, space_id: str, dims: int | None) -> Encoded:
    rows = embedded.vectors if dims is None else normalise(embedded.vectors[:, :dims])
    return Encoded(Vectors(rows, space_id), embedded.tokens, embedded.windows, embedded.spans)
