"""Signatures over artifacts: who signed what, in this program's eyes and in openssl's."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from samespace.artifact import open_artifact
from samespace.artifact.certificate import CERTIFICATE, TYPE, TrustedKeys, certify, new_key, require_certified
from samespace.cli import cli
from samespace.errors import ArtifactUntrusted, ConfigInvalid


@pytest.fixture
def artifact(tiny_artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_artifact, tmp_path / "artifact"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    new_key(tmp_path / "team.key")
    return tmp_path / "team.key"


def trusted(key: Path) -> TrustedKeys:
    return TrustedKeys.read(f"{key}.pub")


def envelope(artifact: Path) -> dict[str, object]:
    return dict(json.loads((artifact / CERTIFICATE).read_text()))


def test_what_a_trusted_key_signed_is_taken(artifact: Path, key: Path) -> None:
    """The secret key is its owner's alone; the signature holds until the manifest changes."""
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    signer = certify(artifact, key)
    assert require_certified(open_artifact(artifact), trusted(key)) == signer
    with pytest.raises(ConfigInvalid, match="File exists"):
        new_key(key)


def test_openssl_says_the_same(artifact: Path, key: Path, tmp_path: Path) -> None:
    """The bytes that are signed are DSSE's, made here by its text; the id is that of openssl's DER."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here, which checks the signature independently")
    signer = certify(artifact, key)
    found = envelope(artifact)
    (signature,) = found["signatures"]  # type: ignore[misc]
    payload = base64.b64decode(str(found["payload"]))
    signed = f"DSSEv1 {len(TYPE)} {TYPE} {len(payload)} ".encode() + payload
    (tmp_path / "signed").write_bytes(signed)
    (tmp_path / "sig").write_bytes(base64.b64decode(signature["sig"]))  # type: ignore[index]
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", f"{key}.pub", "-rawin", "-in", "signed"]
    done = subprocess.run([*verify, "-sigfile", "sig"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", f"{key}.pub", "-outform", "DER"], capture_output=True, check=True
    )
    assert hashlib.sha256(der.stdout).hexdigest() == signer == signature["keyid"]  # type: ignore[index]
    said = json.loads(payload)
    assert said["manifest_sha256"] == hashlib.sha256((artifact / "manifest.json").read_bytes()).hexdigest()


def test_nothing_else_is_taken(artifact: Path, other_artifact: Path, key: Path, tmp_path: Path) -> None:
    """No certificate, a stranger's key, another artifact's certificate, an altered one, a claimed key id."""
    opened = open_artifact(artifact)
    with pytest.raises(ArtifactUntrusted, match=r"has no certificate.*have it signed by whoever made it"):
        require_certified(opened, trusted(key))
    new_key(tmp_path / "stranger.key")
    certify(artifact, tmp_path / "stranger.key")
    with pytest.raises(ArtifactUntrusted, match="no valid signature of a trusted key"):
        require_certified(opened, trusted(key))
    claimed = envelope(artifact)
    own = next(iter(trusted(key).keys))
    claimed["signatures"][0]["keyid"] = own  # type: ignore[index]
    (artifact / CERTIFICATE).write_text(json.dumps(claimed))
    with pytest.raises(ArtifactUntrusted, match=r"no valid signature.*do not sign it; get it anew"):
        require_certified(opened, trusted(key))
    other = Path(shutil.copytree(other_artifact, tmp_path / "other"))
    certify(other, key)
    shutil.copyfile(other / CERTIFICATE, artifact / CERTIFICATE)
    with pytest.raises(ArtifactUntrusted, match="another manifest"):
        require_certified(opened, trusted(key))
    for junk in ("", "[]", '{"payloadType": "x"}', "[" * 100_000, json.dumps({**claimed, "signatures": [1]})):
        (artifact / CERTIFICATE).write_text(junk)
        with pytest.raises(ArtifactUntrusted, match="get it anew"):
            require_certified(opened, trusted(key))


def test_a_manifest_that_was_changed_after_signing_is_refused(artifact: Path, key: Path) -> None:
    """A new name alone is another manifest. What was opened before is what was signed, whatever lies there now."""
    certify(artifact, key)
    opened = open_artifact(artifact)
    manifest = artifact / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name": "tiny"', '"name": "tony"'))
    assert require_certified(opened, trusted(key)) and opened.manifest.name == "tiny"
    with pytest.raises(ArtifactUntrusted, match=r"files are not those that were signed.*another manifest") as raised:
        require_certified(open_artifact(artifact), trusted(key))
    assert "do not sign it; get it anew from whoever signed it" in str(raised.value)
    assert "certify" not in str(raised.value)
    certify(artifact, key)
    assert require_certified(open_artifact(artifact), trusted(key))


def test_several_keys_sign_side_by_side(artifact: Path, key: Path, tmp_path: Path) -> None:
    """Either is enough; signing again does not add a second one; a foreign statement is not signed."""
    new_key(tmp_path / "second.key")
    certify(artifact, key)
    certify(artifact, tmp_path / "second.key")
    certify(artifact, key)
    assert len(envelope(artifact)["signatures"]) == 2  # type: ignore[arg-type]
    for each in (key, tmp_path / "second.key"):
        assert require_certified(open_artifact(artifact), trusted(each))
    foreign = {"manifest_sha256": "0" * 64, "name": "not mine"}
    planted = {**envelope(artifact), "payload": base64.b64encode(json.dumps(foreign).encode()).decode()}
    (artifact / CERTIFICATE).write_text(json.dumps(planted))
    certify(artifact, key)
    assert b"not mine" not in base64.b64decode(str(envelope(artifact)["payload"]))
    assert len(envelope(artifact)["signatures"]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_files_that_hold_no_key_are_named(content: bytes, tmp_path: Path, artifact: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ConfigInvalid, match="file"):
        TrustedKeys.read(tmp_path / "file")
    with pytest.raises(ConfigInvalid, match="file"):
        certify(artifact, tmp_path / "file")


def test_the_commands(artifact: Path, tmp_path: Path) -> None:
    """From a new key to a verified artifact."""
    key = str(tmp_path / "cli.key")
    run = CliRunner().invoke
    assert run(cli, ["certify", "--new-key", key]).exit_code == 0
    unsigned = run(cli, ["verify", str(artifact), "--trusted", f"{key}.pub"])
    assert isinstance(unsigned.exception, ArtifactUntrusted)
    assert run(cli, ["certify", str(artifact), "--key", key]).exit_code == 0
    done = run(cli, ["verify", str(artifact), "--trusted", f"{key}.pub"])
    assert done.exit_code == 0 and "Signed by trusted key" in done.output, done.output
    assert run(cli, ["certify", str(artifact)]).exit_code == 2
