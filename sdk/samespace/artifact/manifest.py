"""The manifest: what an artifact says of itself, parsed once and then trusted.

Format 1. `read` refuses what does not fit, with the file and the reason, before any other file of the
artifact is touched. Every format that was ever released stays readable here; the newest is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import ArtifactDamaged, FormatTooNew, ManifestInvalid
from ..text import printable
from .composite import Composite, composite_from_dict
from .fingerprint import Identity
from .reranker import RERANKER, RerankerIdentity, reranker_from_dict

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
PROVIDER: Final = "provider.json"
"""What a pinned provider (`samespace.providers`) has in its folder instead."""
TOKENIZER: Final = "tokenizer.json"
PROBES: Final = "probes.npz"
MAX_MANIFEST_BYTES: Final = 16 * 1024 * 1024

# One folder, plain names: no separators, no leading dot, nothing that a file system treats specially.
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_BUILD_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the artifact, as it has to be."""

    sha256: str
    bytes: int


MOST_ALLOWED: Final[Mapping[str, float]] = {"fp32": 1e-4, "fp16": 1e-3, "bf16": 1e-3, "int8": 0.1}
"""1 - cos. Exports show 1e-10, 1e-4, 2e-4, and 0.01 (MiniLM) to 0.06 (mpnet); other encoders are far beyond."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How far one build on one runtime and precision is from the fp32 reference.

    Attributes:
        runtime: "onnxruntime" or "openvino".
        precision: what the runtime computes in: "fp32", "bf16", "int8", ...
        version: the runtime's version at the time.
        worst: largest 1 - cos over the probes, as measured.
        bound: largest 1 - cos that a machine may show at load, as whoever made the artifact wrote it; see `allowed`.
        ndcg_change: nDCG@10 of the build minus that of fp32 on the gate data, in points (0.01); or None.
        gate_data: which data that was, or None.
    """

    runtime: str
    precision: str
    version: str
    worst: float
    bound: float
    ndcg_change: float | None = None
    gate_data: str | None = None

    @property
    def allowed(self) -> float:
        """The bound, and no more than right builds of its precision need: its author might have written any number."""
        return min(self.bound, MOST_ALLOWED.get(self.precision, MOST_ALLOWED["int8"]))


@dataclass(frozen=True, slots=True)
class Build:
    """One model file with the runtimes that it was measured with."""

    name: str
    file: str
    opset: int
    measured: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole manifest, valid from birth.

    Attributes:
        identity: of an encoder or a reranker, which have builds, or of a composite, which has parts.
        parts: sub-folder -> sha256 of the part's own manifest, which pins everything else in it.
    """

    name: str
    identity: Identity | Composite
    files: Mapping[str, FileEntry]
    builds: tuple[Build, ...]
    matryoshka_dims: tuple[int, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    scores: tuple[Mapping[str, Any], ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def encoder(self) -> Identity:
        """The identity of an encoder or a reranker; only for manifests that have builds."""
        assert isinstance(self.identity, Identity)
        return self.identity

    @property
    def composite(self) -> Composite | None:
        """The identity of a composite, or None for an encoder."""
        return self.identity if isinstance(self.identity, Composite) else None

    @property
    def reranker(self) -> RerankerIdentity | None:
        """The identity of a reranker, or None for what gives vectors."""
        return self.identity if isinstance(self.identity, RerankerIdentity) else None

    @property
    def space_id(self) -> str:
        """Of an encoder the space id, of a reranker its own id; recomputed from the identity, never read."""
        return self.identity.space_id()

    def build(self, name: str) -> Build | None:
        """The build of that name, or None."""
        return next((build for build in self.builds if build.name == name), None)

    def to_json(self) -> bytes:
        """The file's bytes: indented for people, keys in a fixed order."""
        data = {
            "format": FORMAT,
            "name": self.name,
            _id_key(self.identity): self.space_id,
            "dims": self.identity.dims,
            "matryoshka_dims": list(self.matryoshka_dims),
            "identity": self.identity.to_dict(),
            "files": {name: {"sha256": f.sha256, "bytes": f.bytes} for name, f in sorted(self.files.items())},
            "builds": [
                {
                    "name": build.name,
                    "file": build.file,
                    "opset": build.opset,
                    "measured": [asdict(measured) for measured in build.measured],
                }
                for build in self.builds
            ],
            "provenance": dict(self.provenance),
            "scores": [dict(score) for score in self.scores],
        }
        if self.parts:
            data["parts"] = dict(self.parts)
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"


def read(path: Path) -> bytes:
    """The bytes of a manifest file, for `parse`; read once.

    Raises:
        ArtifactDamaged: there is no such file.
        ManifestInvalid: it is too large for one, or the folder is a pinned provider's.
    """
    try:
        if path.is_symlink():
            raise ArtifactDamaged(file=str(path), reason="is a symbolic link, an artifact holds plain files only")
        with path.open("rb") as stream:
            data = stream.read(MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError as error:
        if (path.parent / PROVIDER).is_file():
            raise ManifestInvalid(
                file=str(path.parent),
                reason="is a pinned provider, a hosted encoder of which nothing is here: no artifact. `samespace "
                "provider check` asks whether it is the same; embed, evaluate and `samespace weaviate` take it for an "
                "encoder",
            ) from error
        raise ArtifactDamaged(
            file=str(path), reason="there is no manifest, so this folder is not an artifact, or only half of one"
        ) from error
    except OSError as error:
        raise ArtifactDamaged(file=str(path), reason=f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(file=str(path), reason=f"has more bytes than at most are read: {MAX_MANIFEST_BYTES}")
    return data


def parse(data: bytes, *, file: str = MANIFEST) -> Manifest:
    """Validate a manifest's bytes; *file* is the name that errors give.

    Raises:
        ArtifactDamaged: it is not JSON.
        ManifestInvalid: it is JSON but no manifest.
        FormatTooNew: written by a newer samespace.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ArtifactDamaged(file=file, reason=f"is not JSON: {error}") from error
    except ValueError as error:
        raise ManifestInvalid(file=file, reason=str(error)) from error
    if not isinstance(value, dict):
        raise ManifestInvalid(file=file, reason="expected a JSON object")
    number = value.get("format")
    if type(number) is not int or number < 1:
        raise ManifestInvalid(file=file, reason=f"format is {number!r}, expected a whole number from 1")
    if number > FORMAT:
        raise FormatTooNew(file=file, found=number, supported=FORMAT)
    try:
        manifest = _manifest(value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ManifestInvalid(file=file, reason=f"does not fit format {number}: {error!r}") from error
    except ManifestInvalid as error:
        raise ManifestInvalid(file=file, reason=error.reason) from error
    key = _id_key(manifest.identity)
    if value[key] != manifest.space_id:
        raise ManifestInvalid(
            file=file,
            reason=f"says {key.replace('_', ' ')} {value[key]}, but its identity gives {manifest.space_id}: "
            "it was edited",
        )
    if value["dims"] != manifest.identity.dims:
        raise ManifestInvalid(file=file, reason=f"says {value['dims']} dims, its identity {manifest.identity.dims}")
    return manifest


def _manifest(value: Mapping[str, Any]) -> Manifest:
    identity = _identity(value["identity"])
    known = {
        "format", "name", _id_key(identity), "dims", "matryoshka_dims", "identity", "files", "builds", "provenance",
        "scores",
    }  # fmt: skip
    if set(value) - {"parts"} != known:
        raise ValueError(f"keys {sorted(set(value) ^ known)} are missing or unknown")
    files = {_name(name): _file(entry) for name, entry in value["files"].items()}
    builds = tuple(_build(entry) for entry in value["builds"])
    if len({build.name for build in builds}) != len(builds):
        raise ValueError("two builds have the same name")
    parts = {str(folder): _digest(digest) for folder, digest in value.get("parts", {}).items()}
    encoder_files = (TOKENIZER, *(build.file for build in builds)) if isinstance(identity, Identity) else ()
    for needed in (PROBES, *encoder_files):
        if needed not in files:
            raise ValueError(f"files does not list {needed}")
    if isinstance(identity, Identity):
        if files[TOKENIZER].sha256 != identity.tokenizer:
            raise ValueError(f"files lists another {TOKENIZER} than the identity")
        if parts:
            raise ValueError("an encoder has no parts")
    elif builds or sorted(parts) != sorted(identity.folders):
        raise ValueError(f"a {identity.kind} has the parts {identity.folders} and no builds, this one {sorted(parts)}")
    name = value["name"]
    if not isinstance(name, str) or not 1 <= len(name) <= 200:
        raise ValueError(f"name {name!r}: expected 1 to 200 characters")
    if printable(name) != name or "\n" in name or "\t" in name:
        raise ValueError(f"name {name!r} has control characters")
    dims = tuple(_integer(size) for size in value["matryoshka_dims"])
    if any(not 1 <= size < identity.dims for size in dims):
        raise ValueError(f"matryoshka_dims {dims}: each has to be below {identity.dims}")
    if not isinstance(value["provenance"], dict) or not all(isinstance(s, dict) for s in value["scores"]):
        raise ValueError("provenance and each score have to be tables")
    return Manifest(name, identity, files, builds, dims, value["provenance"], tuple(value["scores"]), parts)


def _identity(value: Mapping[str, Any]) -> Identity | Composite:
    if isinstance(value, dict) and value.get("kind") in ("concatenation", "two_tower"):
        return composite_from_dict(value)
    if isinstance(value, dict) and value.get("kind") == RERANKER:
        return reranker_from_dict(value)
    return Identity.from_dict(value)


def _id_key(identity: Identity | Composite) -> str:
    """The manifest's name for the id: what is no space is not called one."""
    return "reranker_id" if isinstance(identity, RerankerIdentity) else "space_id"


def _build(entry: Mapping[str, Any]) -> Build:
    name = entry["name"]
    if not isinstance(name, str) or not _BUILD_NAME.fullmatch(name):
        raise ValueError(f"build name {name!r}")
    measured = tuple(
        Measured(
            runtime=str(m["runtime"]),
            precision=str(m["precision"]),
            version=str(m["version"]),
            worst=_distance(m["worst"]),
            bound=_distance(m["bound"]),
            ndcg_change=None if m["ndcg_change"] is None else float(m["ndcg_change"]),
            gate_data=None if m["gate_data"] is None else str(m["gate_data"]),
        )
        for m in entry["measured"]
    )
    if not measured:
        raise ValueError(f"build {name} was measured with nothing")
    return Build(name, _name(entry["file"]), _integer(entry["opset"]), measured)


def _file(entry: Mapping[str, Any]) -> FileEntry:
    size = _integer(entry["bytes"])
    if size < 0:
        raise ValueError(f"a file of {size} bytes")
    return FileEntry(_digest(entry["sha256"]), size)


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(f"digest {value!r}")
    return value


def _name(name: Any) -> str:
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name) or name == MANIFEST:
        raise ValueError(f"file name {name!r}: expected a plain name in the artifact's own folder")
    return name


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"expected a whole number, got {value!r}")
    return value


def _distance(value: Any) -> float:
    number = float(value)
    if not 0.0 <= number <= 2.0:
        raise ValueError(f"{number} is no 1 - cos")
    return number


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"key {key!r} stands twice")
        result[key] = value
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
