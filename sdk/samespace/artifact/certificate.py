"""Who vouches for an artifact: signatures over its manifest, which names every file by its digest.

The certificate is `certificate.json` beside the manifest, a DSSE envelope with ed25519 signatures:

    {"payloadType": TYPE, "payload": base64, "signatures": [{"keyid": sha256 of the public key, "sig": base64}]}

The payload is JSON: the sha256 of `manifest.json`, and for people the space id, the name and the time. A signature says
that whoever has the key vouches for this artifact. It does not say that the artifact is right: `samespace verify` does.

Source: DSSE (Dead Simple Signing Envelope) 1.0.2, github.com/secure-systems-lab/dsse.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import ArtifactUntrusted, ConfigInvalid
from ..extras import require_extra
from ..folders import whole_file
from .layout import Artifact, open_artifact

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CERTIFICATE: Final = "certificate.json"
TYPE: Final = "application/vnd.samespace.certificate+json"
MOST_BYTES: Final = 1 << 20
MOST_SIGNATURES: Final = 64
GET_ANEW: Final = "do not use it, and do not sign it; get it anew from whoever signed it"
"""What to do with what was signed once and is something else by now."""


@dataclass(frozen=True)
class TrustedKeys:
    """Public keys whose signatures count, by their ids."""

    keys: Mapping[str, Ed25519PublicKey]

    @staticmethod
    def read(path: Path | str) -> TrustedKeys:
        """The ed25519 public keys of a PEM file, one after the other.

        Raises:
            ConfigInvalid: it cannot be read, or holds something else.
        """
        _require()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        keys = {}
        try:
            blocks = _pem_blocks(Path(path).read_bytes())
            for block in blocks:
                key = load_pem_public_key(block)
                if not isinstance(key, Ed25519PublicKey):
                    raise ValueError("a key that is not ed25519")
                keys[key_id(key)] = key
        except (OSError, ValueError) as error:
            raise ConfigInvalid(key=str(path), reason=f"holds no ed25519 public keys in PEM: {error}") from error
        if not keys:
            raise ConfigInvalid(key=str(path), reason="holds no key; expected ed25519 public keys in PEM")
        return TrustedKeys(keys)


def new_key(path: Path | str) -> str:
    """Make a private key in *path* (only its owner can read it) and the public one in *path*.pub; its id.

    Raises:
        ConfigInvalid: one of the files exists, or cannot be written.
    """
    _require()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, data, mode in ((Path(path), secret, 0o600), (Path(f"{path}.pub"), public, 0o644)):
        try:
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            raise ConfigInvalid(key=str(name), reason=f"a new key cannot be written: {error.strerror}") from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    return key_id(key.public_key())


def certify(folder: Path | str, key_file: Path | str) -> str:
    """Sign the artifact in *folder* with the private key in *key_file*; the key's id.

    A signature of this key that is there is renewed, others stay as long as they are of the same manifest.

    Raises:
        ArtifactError: the folder is no artifact.
        ConfigInvalid: the file holds no ed25519 private key in PEM without a passphrase.
    """
    artifact = open_artifact(folder, kind="any")
    key = _private_key(Path(key_file))
    own, statement = key_id(key.public_key()), _statement(artifact)
    path = artifact.folder / CERTIFICATE
    before = _read(path) if path.is_file() else {}
    body = json.dumps(statement, sort_keys=True).encode()
    others = []
    if _says(former := _payload(before), statement):
        body, others = former, [each for each in before["signatures"] if each.get("keyid") != own]
    signature = {"keyid": own, "sig": base64.b64encode(key.sign(_to_sign(body))).decode()}
    envelope = {"payloadType": TYPE, "payload": base64.b64encode(body).decode(), "signatures": [*others, signature]}
    with whole_file(path) as file:
        file.write((json.dumps(envelope, indent=1) + "\n").encode())
    return own


def require_certified(artifact: Artifact, trusted: TrustedKeys) -> str:
    """The id of the trusted key that signed the artifact.

    Raises:
        ArtifactUntrusted: none did, or what was signed is another manifest.
    """
    from cryptography.exceptions import InvalidSignature

    path = artifact.folder / CERTIFICATE
    if not path.is_file() or path.is_symlink():
        raise ArtifactUntrusted(
            folder=str(artifact.folder),
            reason=f"has no {CERTIFICATE}",
            remedy="have it signed by whoever made it (`samespace certify`)",
        )
    envelope = _read(path)
    body = _payload(envelope)
    signed, found = _manifest_digest(body, str(path)), hashlib.sha256(artifact.listing).hexdigest()
    signers, forged = [], ""
    for each in envelope["signatures"]:
        key = trusted.keys.get(str(each.get("keyid")))
        signers.append(str(each.get("keyid"))[:12])
        if key is None:
            continue
        try:
            key.verify(_decoded(each.get("sig")), _to_sign(body))
        except InvalidSignature:
            forged = key_id(key)
            continue
        if signed != found:
            raise ArtifactUntrusted(
                folder=str(artifact.folder),
                reason="its files are not those that were signed: the certificate is of another manifest, sha256 "
                f"{signed}, this one has {found}",
                remedy=GET_ANEW,
            )
        return key_id(key)
    have = ", ".join(each[:12] for each in trusted.keys)
    if forged:
        raise ArtifactUntrusted(
            folder=str(artifact.folder),
            reason=f"no valid signature of a trusted key ({have}): the one that says it is of {forged[:12]} is not",
            remedy=GET_ANEW,
        )
    raise ArtifactUntrusted(
        folder=str(artifact.folder),
        reason=f"no valid signature of a trusted key ({have}); signed by {', '.join(signers) or 'nobody'}",
    )


def key_id(key: Ed25519PublicKey) -> str:
    """sha256 of the public key as DER (SubjectPublicKeyInfo), 64 hex digits."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _statement(artifact: Artifact) -> dict[str, str]:
    return {
        "manifest_sha256": hashlib.sha256(artifact.listing).hexdigest(),
        "space_id": artifact.space_id,
        "name": artifact.manifest.name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _says(body: bytes, statement: Mapping[str, str]) -> bool:
    """Whether *body* is that statement, perhaps of another time, and nothing beside."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and {**said, "at": ""} == {**statement, "at": ""}


def _to_sign(body: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return b" ".join((b"DSSEv1", str(len(TYPE)).encode(), TYPE.encode(), str(len(body)).encode(), body))


def _read(path: Path) -> dict[str, Any]:
    folder = str(path.parent)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        envelope = json.loads(data) if len(data) <= MOST_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactUntrusted(
            folder=folder, reason=f"{CERTIFICATE} cannot be read: {error}", remedy=GET_ANEW
        ) from error
    signatures = envelope.get("signatures") if isinstance(envelope, dict) else None
    if (
        not isinstance(envelope, dict)
        or envelope.get("payloadType") != TYPE
        or not isinstance(signatures, list)
        or len(signatures) > MOST_SIGNATURES
        or not all(isinstance(each, dict) for each in signatures)
    ):
        raise ArtifactUntrusted(folder=folder, reason=f"{CERTIFICATE} is no envelope of {TYPE}", remedy=GET_ANEW)
    return envelope


def _payload(envelope: Mapping[str, Any]) -> bytes:
    return _decoded(envelope.get("payload"))


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _manifest_digest(body: bytes, path: str) -> str:
    try:
        return str(json.loads(body)["manifest_sha256"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactUntrusted(
            folder=path, reason="its statement names no manifest_sha256", remedy=GET_ANEW
        ) from error


def _private_key(path: Path) -> Ed25519PrivateKey:
    _require()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigInvalid(key=str(path), reason="holds no private key in PEM without a passphrase") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigInvalid(key=str(path), reason="is not an ed25519 key; `samespace certify --new-key FILE` makes one")
    return key


def _pem_blocks(data: bytes) -> list[bytes]:
    end = b"-----END PUBLIC KEY-----"
    return [block + end + b"\n" for block in data.split(end)[:-1]]


def _require() -> None:
    require_extra("certify", feature="certificates", modules=("cryptography",))
