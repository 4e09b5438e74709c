"""The artifact on disk: opened, verified, and written whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from tokenizers import Tokenizer

from ..errors import ArtifactDamaged, ArtifactError, ManifestInvalid, RequestInvalid, WrongKind
from ..folders import require_room, whole_folder
from ..reranking.pairs import PairEncoder
from ..text import Recipe, TextEncoder
from ..vectors import cosine_distance
from . import manifest as manifests
from .fingerprint import Identity
from .graph_check import Graph, GraphFile, check_file
from .manifest import FileEntry, Manifest
from .probes import Probes
from .proof import IdentityProof, prove_identity
from .tokenizer_check import largest_id, read_tokenizer

_CHUNK_BYTES: Final = 1 << 20
MAX_TOKENIZER_BYTES: Final = 64 << 20  # the largest published ones have half of it
MAX_PROBES_BYTES: Final = 64 << 20
_EMBEDDING_NAMES: Final = ("word_embeddings.weight", "embed_tokens.weight", "tok_embeddings.weight", "shared.weight")


@dataclass(frozen=True)
class Artifact:
    """A folder whose manifest was read and whose listed files are there in the right size.

    Each file's digest is checked when the file is used, over the bytes that are used: `read(name)` reads it once.

    Attributes:
        listing: the bytes that the manifest was parsed from.
        parts: of a composite, in the order of its identity; empty for an encoder.
    """

    folder: Path
    manifest: Manifest
    listing: bytes = field(repr=False)
    parts: tuple[Artifact, ...] = ()

    @property
    def space_id(self) -> str:
        """The full space id, 64 hex digits."""
        return self._space_id

    @cached_property
    def _space_id(self) -> str:
        return self.manifest.space_id

    @property
    def recipe(self) -> Recipe:
        """The text recipe of an encoder; a composite has one in each part."""
        return self.manifest.encoder.recipe

    @property
    def token_limit(self) -> int:
        """Longer texts are windowed, by at least one part of a composite."""
        return min((part.token_limit for part in self.parts), default=0) or self.recipe.token_limit

    @property
    def prompts(self) -> Mapping[str, str]:
        """What is put in front of a text, by role; empty where the parts of a composite do not agree on it."""
        if not self.parts:
            return self.recipe.prompts
        first = self.parts[0].prompts
        return first if all(part.prompts == first for part in self.parts) else {}

    @property
    def role_matters(self) -> bool:
        """Whether the same text can have another vector as a query than as a passage."""
        if self.parts:
            composite = self.manifest.composite
            assert composite is not None
            return composite.kind == "two_tower" or any(part.role_matters for part in self.parts)
        return len(set(self.recipe.prompts.values())) > 1

    def read(self, name: str) -> bytes:
        """The bytes of a file of the artifact, read once, after their digest was checked.

        Raises:
            ArtifactDamaged: missing, of another size, a link, or other bytes than the manifest says.
        """
        path, entry = self.folder / name, self.manifest.files[name]
        _check_plain(path, entry)
        try:
            with path.open("rb") as stream:
                data = stream.read(entry.bytes + 1)
        except OSError as error:
            raise ArtifactDamaged(file=str(path), reason=f"cannot be read: {error.strerror}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != entry.sha256:
            raise ArtifactDamaged(file=str(path), reason=f"sha256 is {found}, the manifest says {entry.sha256}")
        return data

    def path(self, name: str) -> Path:
        """The path of a file of the artifact, after its digest was checked; whoever opens it reads it a second time.

        Raises:
            ArtifactDamaged: missing, of another size, a link, or other bytes than the manifest says.
        """
        path = self.folder / name
        entry = self.manifest.files[name]
        _check_plain(path, entry)
        try:
            found = file_digest(path)
        except OSError as error:
            raise ArtifactDamaged(file=str(path), reason=f"cannot be read: {error.strerror}") from error
        if found != entry.sha256:
            raise ArtifactDamaged(file=str(path), reason=f"sha256 is {found}, the manifest says {entry.sha256}")
        return path

    def graph(self, name: str) -> GraphFile:
        """A build's ONNX file, after its digest and what is in it were checked: a runtime may open these bytes.

        Raises:
            ArtifactDamaged: as for `read`, or the file holds what no encoder needs, or the tokenizer does not fit it.
        """
        return self._checked_graph(name)[0]

    def _checked_graph(self, name: str) -> tuple[GraphFile, Graph]:
        file = GraphFile(name, self.read(name))
        tokenizer_file = self.folder / manifests.TOKENIZER
        identity = self.manifest.encoder
        return file, _check_build(file, self.folder / name, identity, self._tokenizer, tokenizer_file=tokenizer_file)

    def prove(self) -> None:
        """Find the weights that the identity names in the fp32 graph; see `proof`. Done once, for an encoder.

        Raises:
            ArtifactDamaged: they are not there, not used, or not alone; or as for `graph`.
        """
        _ = self._is_proven

    @cached_property
    def _is_proven(self) -> bool:
        return bool(self.find_weights().weights)  # which are let go: a server has no use for 90 MB of them

    def find_weights(self) -> IdentityProof:
        """What `prove` finds, read anew."""
        build = self.manifest.build("fp32")
        if build is None:
            raise ArtifactDamaged(file=str(self.folder), reason="has no fp32 build, so nothing shows its identity")
        _, graph = self._checked_graph(build.file)
        return prove_identity(graph, self.manifest.encoder, str(self.folder / build.file))

    def text_encoder(self) -> TextEncoder:
        """The text path, from the verified tokenizer."""
        kind = TextEncoder if self.manifest.reranker is None else PairEncoder
        try:
            return kind(self._tokenizer, self.recipe)
        except RequestInvalid as error:
            file = self.folder / manifests.MANIFEST
            raise ManifestInvalid(file=str(file), reason=f"does not fit {manifests.TOKENIZER}: {error}") from error

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return read_tokenizer(self.read(manifests.TOKENIZER), file=str(self.folder / manifests.TOKENIZER))

    def probes(self) -> Probes:
        """The verified probes; read once."""
        return self._probes

    @cached_property
    def _probes(self) -> Probes:
        file = str(self.folder / manifests.PROBES)
        identity = self.manifest.identity
        distance = identity.distance if isinstance(identity, Identity) else cosine_distance
        return Probes.from_bytes(self.read(manifests.PROBES), dims=identity.dims, file=file, distance=distance)


Kind = Literal["encoder", "reranker", "any"]


def open_artifact(folder: Path | str, *, kind: Kind = "encoder") -> Artifact:
    """Read the manifest and look at every file that it lists, without hashing the big ones yet.

    Args:
        kind: what the caller can use; a composite is an encoder too.

    Raises:
        ArtifactError: with the file and what is wrong with it.
        WrongKind: it is a reranker where an encoder is needed, or the other way round.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ArtifactDamaged(file=str(root), reason="no such folder; check the path")
    listing = _listing(root / manifests.MANIFEST)
    manifest = _parsed(listing, root / manifests.MANIFEST)
    found: Kind = "encoder" if manifest.reranker is None else "reranker"
    if kind not in ("any", found):
        raise WrongKind(where=str(root), found=found, wanted=kind)
    return _opened(root, manifest, listing)


def _listing(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
        raise ArtifactDamaged(file=str(path), reason="is not a plain file")
    return manifests.read(path)


def _parsed(listing: bytes, path: Path) -> Manifest:
    try:
        return manifests.parse(listing, file=str(path))
    except RecursionError as error:
        raise ManifestInvalid(file=str(path), reason="is nested too deeply") from error


def _opened(root: Path, manifest: Manifest, listing: bytes) -> Artifact:
    for name, entry in manifest.files.items():
        _check_plain(root / name, entry)
    for name, most in ((manifests.TOKENIZER, MAX_TOKENIZER_BYTES), (manifests.PROBES, MAX_PROBES_BYTES)):
        if name in manifest.files and manifest.files[name].bytes > most:
            raise ArtifactDamaged(file=name, reason=f"{manifest.files[name].bytes} bytes, at most {most} are read")
    return Artifact(root, manifest, listing, _open_parts(root, manifest))


def _open_parts(root: Path, manifest: Manifest) -> tuple[Artifact, ...]:
    composite = manifest.composite
    if composite is None:
        return ()
    opened = []
    for name, part in zip(composite.folders, composite.parts, strict=True):
        folder = root / name
        if folder.is_symlink() or not folder.is_dir():
            raise ArtifactDamaged(file=str(folder), reason="is not a plain folder, and this composite needs it")
        wanted, listed = manifest.parts[name], folder / manifests.MANIFEST
        listing = _listing(listed)
        found = hashlib.sha256(listing).hexdigest()
        if found != wanted:
            raise ArtifactDamaged(file=str(listed), reason=f"sha256 is {found}, the composite says {wanted}")
        inner = _parsed(listing, listed)
        if inner.composite is not None:
            raise ArtifactDamaged(file=str(listed), reason="is a composite itself; the parts have to be encoders")
        if inner.reranker is not None:
            raise ArtifactDamaged(file=str(listed), reason="is a reranker; the parts have to be encoders")
        if (inner.space_id, inner.identity.dims) != (part.space_id, part.dims):
            raise ArtifactDamaged(
                file=str(listed),
                reason=f"is space {inner.space_id} with {inner.identity.dims} dims, the composite names "
                f"{part.space_id} with {part.dims}",
            )
        opened.append(_opened(folder, inner, listing))
    return tuple(opened)


def verify_files(artifact: Artifact) -> dict[str, str]:
    """Hash every listed file; name -> sha256. Raises `ArtifactDamaged` at the first that differs."""
    digests = {}
    for name in sorted(artifact.manifest.files):
        artifact.path(name)
        digests[name] = artifact.manifest.files[name].sha256
    for part in artifact.parts:
        digests |= {f"{part.folder.name}/{name}": digest for name, digest in verify_files(part).items()}
    return digests


def write_artifact(
    folder: Path | str,
    files: Mapping[str, Path | bytes],
    manifest: Callable[[Mapping[str, FileEntry]], Manifest],
    *,
    parts: Mapping[str, Artifact] | None = None,
    replace: bool = False,
) -> Artifact:
    """Write an artifact whole: into a temporary folder beside the target, the manifest last, then one rename.

    Args:
        folder: where it shall be; must not exist unless *replace*.
        files: name -> bytes, or a path to copy from.
        manifest: makes the manifest from the digests of the written files.
        parts: of a composite: sub-folder -> the artifact that is copied there.
        replace: put the new artifact in place of an old one.

    Raises:
        ArtifactError: the target exists and *replace* is off, or is no artifact.
        OutputFailed: the disk does not take it; what was there before is there.
    """
    target = Path(folder)
    check_target(target, replace=replace)
    copied = [each.folder / name for each in (parts or {}).values() for name in each.manifest.files]
    sizes = [len(each) if isinstance(each, bytes) else each.stat().st_size for each in (*files.values(), *copied)]
    require_room(target, sum(sizes))
    with whole_folder(target, replace=replace) as work:
        entries = {}
        for name, source in files.items():
            path = work / name
            if isinstance(source, bytes):
                path.write_bytes(source)
            else:
                shutil.copyfile(source, path)
            entries[name] = FileEntry(file_digest(path), path.stat().st_size)
        for name, part in (parts or {}).items():
            _copy_part(part, work / name)
        # The bytes go through the reader once, so nothing is written that could not be read.
        made = manifest(entries)
        data = made.to_json()
        manifests.parse(data)
        _check_builds(work, made)
        (work / manifests.MANIFEST).write_bytes(data)
    return open_artifact(target, kind="any")


def _copy_part(part: Artifact, folder: Path) -> None:
    """What the manifest lists, each file checked, and the manifest itself."""
    folder.mkdir()
    for name in part.manifest.files:
        (folder / name).write_bytes(part.read(name))
    (folder / manifests.MANIFEST).write_bytes(part.listing)


def check_target(target: Path, *, replace: bool) -> None:
    """Raise `ArtifactError` where an artifact may not be written; cheap, so that it can be asked first."""
    if not target.exists():
        return
    if not target.is_dir():
        raise ArtifactError(f"{target}: is a file; name a folder")
    if any(target.iterdir()) and not (target / manifests.MANIFEST).exists():
        raise ArtifactError(f"{target}: is a folder with other things in it; name a new folder")
    if not replace and any(target.iterdir()):
        raise ArtifactError(f"{target}: is an artifact already; name another folder or pass --replace")


def _check_builds(folder: Path, manifest: Manifest) -> None:
    if not manifest.builds:
        return
    file = folder / manifests.TOKENIZER
    tokenizer = read_tokenizer(file.read_bytes(), file=str(file))
    for name in sorted({build.file for build in manifest.builds}):
        graph = GraphFile(name, (folder / name).read_bytes())
        _check_build(graph, folder / name, manifest.encoder, tokenizer, tokenizer_file=file)


def _check_build(
    graph: GraphFile, path: Path, identity: Identity, tokenizer: Tokenizer, *, tokenizer_file: Path
) -> Graph:
    """What is in a graph; refuses one that no encoder needs, and a tokenizer with ids beyond its token embedding."""
    found = check_file(graph, dims=identity.dims, file=str(path))
    rows = found.embedding_rows
    if rows is None:
        named = (weight.shape for weight in identity.weights if weight.name.endswith(_EMBEDDING_NAMES))
        rows = next((shape[0] for shape in named if shape), None)
    # Where neither tells, the probes do: they hold special tokens and several scripts.
    if rows is not None and (largest := largest_id(tokenizer)) >= rows:
        raise ArtifactDamaged(
            file=str(tokenizer_file),
            reason=f"gives token ids up to {largest}, but the token embedding of {path.name} has {rows} rows: "
            "it belongs to another encoder",
        )
    return found


def file_digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _check_plain(path: Path, entry: FileEntry) -> None:
    try:
        if path.is_symlink():
            raise ArtifactDamaged(file=str(path), reason="is a symbolic link, an artifact holds plain files only")
        if not path.is_file():
            raise ArtifactDamaged(file=str(path), reason="is missing")
        size = path.stat().st_size
    except OSError as error:
        raise ArtifactDamaged(file=str(path), reason=f"cannot be read: {error.strerror}") from error
    if size != entry.bytes:
        raise ArtifactDamaged(file=str(path), reason=f"has {size} bytes, the manifest says {entry.bytes}")
