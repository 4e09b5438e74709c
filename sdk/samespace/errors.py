"""Every error that samespace raises, in one tree.

    SamespaceError
    ├── SpaceMismatch          vectors or a request of one space met another space
    ├── VectorsDisagree        two sides say one space, and give different vectors
    ├── UnknownSpace           a space was asked for that is not loaded here
    ├── UnknownReranker        a reranker was asked for that is not loaded here
    ├── WrongKind              a reranker where an encoder is needed, or the other way round
    ├── ArtifactError          an artifact cannot be trusted
    │   ├── ArtifactDamaged    a file is missing, truncated or altered
    │   ├── ManifestInvalid    the manifest does not say what a manifest has to say
    │   ├── ArtifactUntrusted  nobody who is trusted vouches for it
    │   ├── GraphsDiffer       it has the id of another, and another graph
    │   └── FormatTooNew       written by a newer samespace
    ├── BuildError             an ONNX file cannot be used here
    │   ├── BuildUnavailable   the artifact has no such build, or no runtime here can run it
    │   ├── GateFailed         a build missed its agreement gate and was not written
    │   └── ProbesFailed       this machine computes other vectors than the artifact recorded
    ├── ModelUnsupported       a checkpoint that cannot be exported faithfully
    ├── RequestInvalid         a request or an argument is malformed
    │   └── TextTooLong        a text is longer than the token limit and the caller asked to reject it
    ├── Unauthenticated        the server wants a token, and none that it knows was sent
    ├── Overloaded             the server refuses work early; try again after `retry_after_ms`
    ├── ServerUnavailable      no server answers at the address
    │   └── SpaceNotReady      the server is there, and cannot be trusted with this space for the moment
    ├── DeadlineExceeded       the answer did not come in time
    ├── ConfigInvalid          a configuration key is wrong
    ├── DataInvalid            a data set cannot be used
    ├── OutputFailed           an output cannot be written: the disk is full, read-only or broken
    │   └── OutputBusy         another process is writing it
    ├── TrainingFailed         training ended without an encoder worth keeping
    ├── PushFailed             a hub does not have what was pushed
    ├── ExtraMissing           a part of samespace that is not installed
    └── WeaviateError          Weaviate refused, or is not what the plan expects
        ├── WeaviateUnavailable
        ├── PinBroken          a collection is not pinned to the space it has to be pinned to
        ├── ReplicasDiffer     replicas of a collection hold different objects
        ├── ReplicasUnknown    not every node's address is known, so replicas cannot be compared
        └── MigrationBlocked   a migration cannot go on before somebody decides or mends something

Messages say what is wrong, with both values, and what to do next. Each error keeps its values as attributes.
"""

from __future__ import annotations

from collections.abc import Callable

SHORT_ID = 12
"""How many hex digits of a space id people are shown."""


def short(space_id: str) -> str:
    """The first 12 hex digits of a space id."""
    return space_id[:SHORT_ID]


class SamespaceError(Exception):
    """The root of the tree: catch this to catch everything that samespace raises."""

    def __reduce__(self) -> tuple[Callable[..., SamespaceError], tuple[object, ...]]:
        # Errors travel between processes. By default pickle would call the class with the message alone.
        return _restored, (type(self), self.args, dict(self.__dict__))


def _restored(kind: type[SamespaceError], args: tuple[object, ...], fields: dict[str, object]) -> SamespaceError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class SpaceMismatch(SamespaceError):
    """Vectors or a request of one space met another space."""

    def __init__(self, *, expected: str, found: str, where: str) -> None:
        self.expected, self.found, self.where = expected, found, where
        super().__init__(
            f"{where}: expected space {expected}, found space {found}; vectors of different spaces "
            "cannot be compared: encode both sides with the same encoder"
        )


class VectorsDisagree(SamespaceError):
    """Two sides say one space and give different vectors, so at least one of them is not what it says."""

    def __init__(self, *, space: str, first: str, second: str, worst: float, bound: float) -> None:
        self.space, self.first, self.second, self.worst, self.bound = space, first, second, worst, bound
        super().__init__(
            f"{second} gives other vectors than {first}, and both say space {space}: on texts made for this check "
            f"1 - cos is up to {worst:.3g}, expected at most {bound:.3g}. Their vectors cannot be compared; run "
            "samespace verify on the artifact of each"
        )


class UnknownSpace(SamespaceError):
    """A space was asked for that is not loaded here, or (*requested* is empty) none where one has to be named."""

    def __init__(self, *, requested: str, served: tuple[str, ...]) -> None:
        self.requested, self.served = requested, served
        have = ", ".join(served) if served else "none"
        if not requested:
            super().__init__(
                f"no space is named; over HTTP the path begins with /e/SPACE_ID, over gRPC the address is "
                f"HOST:PORT/SPACE_ID; served: {have}"
            )
            return
        few = f" (an id is told by {SHORT_ID} of its digits or more)" if len(requested) < SHORT_ID else ""
        super().__init__(
            f"space {requested} is not served here{few}; served: {have}. Use the encoder that wrote the "
            "vectors, or start a server with its artifact: `samespace serve ARTIFACT`"
        )


class UnknownReranker(SamespaceError):
    """A reranker was asked for that is not loaded here, or (*requested* is empty) none was named."""

    def __init__(self, *, requested: str, served: tuple[str, ...]) -> None:
        self.requested, self.served = requested, served
        what = f"reranker {requested} is not served here" if requested else "no reranker is named: /e/ID/rerank"
        super().__init__(f"{what}; served: {', '.join(served) or 'none'}. Serve one: `samespace serve RERANKER`")


class WrongKind(SamespaceError):
    """A reranker where an encoder is needed, or the other way round."""

    def __init__(self, *, where: str, found: str, wanted: str) -> None:
        self.where, self.found, self.wanted = where, found, wanted
        names = {"encoder": "an encoder, which gives vectors", "reranker": "a reranker, which gives scores of pairs"}
        super().__init__(f"{where}: is {names.get(found, found)}; needed is {names.get(wanted, wanted)}: name one")


class ArtifactError(SamespaceError):
    """An artifact cannot be trusted."""


class ArtifactDamaged(ArtifactError):
    """A file of an artifact is missing, truncated or altered."""

    def __init__(self, *, file: str, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file}: {reason}; copy the artifact again or export it anew")


class ManifestInvalid(ArtifactError):
    """The manifest does not say what a manifest has to say."""

    def __init__(self, *, file: str, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file}: {reason}")


class ArtifactUntrusted(ArtifactError):
    """Nobody who is trusted vouches for an artifact."""

    def __init__(self, *, folder: str, reason: str, remedy: str = "") -> None:
        self.folder, self.reason, self.remedy = folder, reason, remedy
        told = remedy or "have it signed by whoever made it (`samespace certify`), or trust the key that signed it"
        super().__init__(f"{folder}: {reason}; {told}")


class GraphsDiffer(ArtifactError):
    """An artifact has the id of one that was loaded before, and another graph."""

    def __init__(self, *, folder: str, build: str, reason: str) -> None:
        self.folder, self.build, self.reason = folder, build, reason
        super().__init__(
            f"{folder}: its {build} graph is not the one that was served under this id: {reason}; only texts show that "
            "it is the same space. Look at it with `samespace verify`, then load it with --other-graph"
        )


class FormatTooNew(ArtifactError):
    """The artifact was written by a newer samespace."""

    def __init__(self, *, file: str, found: int, supported: int) -> None:
        self.file, self.found, self.supported = file, found, supported
        super().__init__(
            f"{file}: manifest format {found}, this samespace reads up to {supported}; upgrade with "
            "`pip install -U samespace`"
        )


class BuildError(SamespaceError):
    """An ONNX file cannot be used here."""


class BuildUnavailable(BuildError):
    """The artifact has no such build, or no runtime that is installed can run it."""

    def __init__(self, *, wanted: str, available: tuple[str, ...], reason: str) -> None:
        self.wanted, self.available, self.reason = wanted, available, reason
        have = ", ".join(available) if available else "none"
        super().__init__(f"build {wanted}: {reason}; available: {have}")


class GateFailed(BuildError):
    """A build missed its agreement gate and was not written."""

    def __init__(self, *, build: str, measure: str, measured: float, gate: float) -> None:
        self.build, self.measure, self.measured, self.gate = build, measure, measured, gate
        super().__init__(
            f"build {build} is refused: {measure} is {measured:.3g}, the gate is {gate:.3g}; it was not written"
        )


class ProbesFailed(BuildError):
    """This machine computes other vectors than the artifact recorded."""

    def __init__(self, *, build: str, runtime: str, worst: float, bound: float, cause: str = "") -> None:
        self.build, self.runtime, self.worst, self.bound, self.cause = build, runtime, worst, bound, cause
        super().__init__(
            f"build {build} on {runtime}: the probes come out with 1 - cos up to {worst:.3g}, recorded bound "
            f"{bound:.3g}; not used, because its vectors would not belong to the space{cause and ': '}{cause}. "
            "Try another build or runtime, or export again on this machine"
        )


class ModelUnsupported(SamespaceError):
    """A checkpoint that cannot be exported faithfully."""

    def __init__(self, *, model: str, reason: str, remedy: str) -> None:
        self.model, self.reason, self.remedy = model, reason, remedy
        super().__init__(f"{model}: {reason}; {remedy}")


class RequestInvalid(SamespaceError):
    """A request or an argument is malformed."""

    def __init__(self, *, field: str, reason: str) -> None:
        self.field, self.reason = field, reason
        super().__init__(f"{field}: {reason}")


class TextTooLong(RequestInvalid):
    """A text is longer than the token limit and the caller asked to reject such texts."""

    def __init__(self, *, index: int, tokens: int, limit: int) -> None:
        self.index, self.tokens, self.limit = index, tokens, limit
        super().__init__(
            field=f"texts[{index}]",
            reason=f"{tokens} tokens, the token limit is {limit}; send long_texts=pool, windows or slices, "
            "or a shorter text",
        )


class Unauthenticated(SamespaceError):
    """The server wants a token, and none that it knows was sent."""

    def __init__(self, *, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(
            f"{where}: {reason}; send `Authorization: Bearer TOKEN` with a token of this server "
            "(samespace's commands take it from SAMESPACE_TOKEN_FILE)"
        )


class Overloaded(SamespaceError):
    """The server refuses work early instead of letting everybody wait."""

    def __init__(self, *, queued: int, limit: int, unit: str, retry_after_ms: int) -> None:
        self.queued, self.limit, self.unit, self.retry_after_ms = queued, limit, unit, retry_after_ms
        super().__init__(
            f"overloaded: {queued} {unit} queued or asked for, the limit is {limit}; try again in {retry_after_ms} ms"
        )


class ServerUnavailable(SamespaceError):
    """No server answers at the address, or it takes nothing now."""

    def __init__(self, *, address: str, reason: str, remedy: str = "is `samespace serve` running there?") -> None:
        self.address, self.reason, self.remedy = address, reason, remedy
        super().__init__(f"server {address}: {reason}; {remedy}")


class SpaceNotReady(ServerUnavailable):
    """The server is there, and cannot be trusted with this space for the moment."""

    def __init__(self, *, space: str, reason: str) -> None:
        self.space, self.reason = space, reason
        when = "it answers again once its probes pass: try another replica, or this one later"
        SamespaceError.__init__(self, f"space {space} is not ready: {reason}; {when}")


class DeadlineExceeded(SamespaceError):
    """The answer did not come in time."""

    def __init__(self, *, where: str, timeout_ms: int) -> None:
        self.where, self.timeout_ms = where, timeout_ms
        super().__init__(f"{where}: no answer within {timeout_ms} ms; raise SAMESPACE_TIMEOUT, or send less at once")


class ConfigInvalid(SamespaceError):
    """A configuration key is wrong."""

    def __init__(self, *, key: str, reason: str) -> None:
        self.key, self.reason = key, reason
        super().__init__(f"{key}: {reason}")


class DataInvalid(SamespaceError):
    """A data set cannot be used."""

    def __init__(self, *, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")


class OutputFailed(SamespaceError):
    """An output cannot be written; nothing half-written is left in its place."""

    def __init__(self, *, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: cannot be written: {reason}")


class OutputBusy(OutputFailed):
    """Another process is writing the output."""

    def __init__(self, *, path: str, process: int) -> None:
        self.path, self.process = path, process
        who = f"process {process}" if process else "another process"
        SamespaceError.__init__(self, f"{path}: {who} is writing it; wait for it to end, or name another output")


class TrainingFailed(SamespaceError):
    """Training ended without an encoder worth keeping."""


class PushFailed(SamespaceError):
    """A hub does not have what was pushed, or nobody saw that it has; *state* says what of it is there."""

    def __init__(self, *, to: str, reason: str, state: str, remedy: str) -> None:
        self.to, self.reason, self.state, self.remedy = to, reason, state, remedy
        super().__init__(f"not pushed: {to}: {reason}; {state}. {remedy[:1].upper()}{remedy[1:]}")


class ExtraMissing(SamespaceError):
    """A part of samespace that is not installed."""

    def __init__(self, *, feature: str, extra: str, module: str) -> None:
        self.feature, self.extra, self.module = feature, extra, module
        super().__init__(f"{feature} needs {module}, which is not installed: pip install 'samespace[{extra}]'")


class WeaviateError(SamespaceError):
    """Weaviate refused, or is not what the plan expects."""


class WeaviateUnavailable(WeaviateError):
    """No Weaviate answers, or none can be started."""

    def __init__(self, *, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(f"Weaviate {address}: {reason}")


class PinBroken(WeaviateError):
    """A collection is not pinned to the space that it has to be pinned to."""

    def __init__(self, *, collection: str, expected: str, found: str, remedy: str) -> None:
        self.collection, self.expected, self.found, self.remedy = collection, expected, found, remedy
        super().__init__(f"collection {collection}: expected {expected}, found {found}; {remedy}")


class ReplicasDiffer(WeaviateError):
    """Replicas of a collection differ: *nodes*, as far as known, lack objects or have old ones, *ids* first of all."""

    def __init__(self, *, collection: str, found: str, nodes: tuple[str, ...] = (), ids: tuple[str, ...] = ()) -> None:
        self.collection, self.found, self.nodes, self.ids = collection, found, nodes, ids
        super().__init__(
            f"collection {collection}: its replicas differ: {found}. `samespace weaviate repair {collection} "
            "--encoder ENCODER` with a --node for each reconciles them, as asynchronous replication does; "
            "--consistency ONE takes one replica's"
        )


class ReplicasUnknown(WeaviateError):
    """The replicas of a collection cannot be compared, because not every node can be asked."""

    def __init__(self, *, collection: str, factor: int, nodes: int, known: int) -> None:
        self.collection, self.factor, self.nodes, self.known = collection, factor, nodes, known
        super().__init__(
            f"collection {collection} has {factor} replicas on {nodes} nodes, a node lists only its own, and {known} "
            "are known. Give the REST address of each with --node, or WEAVIATE_NODES; --consistency ONE takes one's"
        )


class GuardFailed(WeaviateError):
    """What readers were switched to did not hold, and they were switched back."""

    def __init__(self, *, alias: str, collection: str, reason: str) -> None:
        self.alias, self.collection, self.reason = alias, collection, reason
        super().__init__(f"{reason}. Rolled back: {alias} is {collection} again, with what was written since")


class MigrationBlocked(WeaviateError):
    """A migration cannot start or go on before somebody decides or mends something; nothing is lost."""

    def __init__(self, *, collection: str, reason: str, remedy: str) -> None:
        self.collection, self.reason, self.remedy = collection, reason, remedy
        super().__init__(f"migration, {collection}: {reason}; {remedy}")
