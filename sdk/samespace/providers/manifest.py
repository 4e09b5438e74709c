"""`provider.json`: what a hosted encoder was when it was pinned.

Its space id is of the kind "provider", and weaker than an encoder's: nobody outside can see the weights. It names
provider, address and model, and the vectors that the probes had, so that another model under the same name has another
id. Whether the provider is still the same is found out by asking for the probes again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..artifact.fingerprint import canonical_json
from ..artifact.manifest import PROVIDER
from ..errors import ManifestInvalid
from ..text import ROLES, Role
from ..vectors import Float32

FILE: Final = PROVIDER
FORMAT: Final = 1
MOST_BOUND: Final = 5e-3
"""1 - cos: more is no noise but another model."""
_MOST_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class ProviderManifest:
    """A pinned provider.

    Attributes:
        provider, model: of `wire.WIRES`, and the provider's name of the model.
        base_url: its address, without credentials.
        asked_dims: of each request; 0 for the model's own.
        texts, roles: of the probes.
        vectors: (probes, dims) float32, unit rows: the mean of what was answered.
        noise: the largest 1 - cos to the mean that was seen while it was pinned.
        bound: the largest 1 - cos of a probe that counts as the same.
        token_limit: as the provider says; longer texts are not sent.
        pinned_at: UTC, ISO 8601.
    """

    provider: str
    model: str
    base_url: str
    asked_dims: int
    texts: tuple[str, ...]
    roles: tuple[Role, ...]
    vectors: Float32
    noise: float
    bound: float
    token_limit: int
    pinned_at: str

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.provider}:{self.model}"

    def identity(self) -> dict[str, Any]:
        """What the id is of."""
        return {
            "scheme": 1,
            "kind": "provider",
            "provider": self.provider,
            "model": self.model,
            "base_url": self.base_url,
            "asked_dims": self.asked_dims,
            "dims": self.dims,
            "probes": [
                [text, role, hashlib.sha256(np.ascontiguousarray(row, dtype="<f4").tobytes()).hexdigest()]
                for text, role, row in zip(self.texts, self.roles, self.vectors, strict=True)
            ],
        }

    @property
    def space_id(self) -> str:
        """sha256 of the identity's canonical JSON, as for every space (docs/spec/space-id.md)."""
        return hashlib.sha256(canonical_json(self.identity())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The file's content."""
        return {
            "format": FORMAT,
            "space_id": self.space_id,
            "identity": self.identity(),
            "vectors": base64.b64encode(np.ascontiguousarray(self.vectors, dtype="<f4").tobytes()).decode(),
            "noise": self.noise,
            "bound": self.bound,
            "token_limit": self.token_limit,
            "pinned_at": self.pinned_at,
        }


def is_provider(folder: Path | str) -> bool:
    """Whether a folder holds a pinned provider."""
    return (Path(folder) / FILE).is_file()


def read_provider(folder: Path | str) -> ProviderManifest:
    """The manifest in *folder*.

    Raises:
        ManifestInvalid: it cannot be read, says something impossible, or its id is not of what it says.
    """
    path = Path(folder) / FILE
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        said = json.loads(data)
        found = _parsed(said)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise ManifestInvalid(file=str(path), reason=f"is no manifest of a provider: {error}") from error
    if said.get("format") != FORMAT:
        raise ManifestInvalid(file=str(path), reason=f"format {said.get('format')!r}, expected {FORMAT}")
    if not 0 <= found.bound <= MOST_BOUND:
        raise ManifestInvalid(
            file=str(path),
            reason=f"says that 1 - cos up to {found.bound:g} is the same; {MOST_BOUND:g} is the most that a pin allows",
        )
    if said.get("space_id") != found.space_id or said["identity"] != json.loads(json.dumps(found.identity())):
        raise ManifestInvalid(
            file=str(path), reason=f"says space {said.get('space_id')}, and what it holds is {found.space_id}"
        )
    return found


def _parsed(said: Mapping[str, Any]) -> ProviderManifest:
    identity = said["identity"]
    texts = tuple(str(probe[0]) for probe in identity["probes"])
    roles = tuple(ROLES[ROLES.index(probe[1])] for probe in identity["probes"])
    vectors = np.frombuffer(base64.b64decode(said["vectors"], validate=True), dtype="<f4")
    rows = vectors.reshape(len(texts), int(identity["dims"])).astype(np.float32)
    if not len(texts) or not np.isfinite(rows).all():
        raise ValueError("no probes, or vectors that are not finite")
    return ProviderManifest(
        provider=str(identity["provider"]),
        model=str(identity["model"]),
        base_url=str(identity["base_url"]),
        asked_dims=int(identity["asked_dims"]),
        texts=texts,
        roles=roles,
        vectors=rows,
        noise=float(said["noise"]),
        bound=float(said["bound"]),
        token_limit=int(said["token_limit"]),
        pinned_at=str(said["pinned_at"]),
    )
