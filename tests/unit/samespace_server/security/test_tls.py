"""Certificate files: which are taken, and what is said of those that are not."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from fakes.server.certificates import Authority
from samespace.errors import ConfigInvalid
from samespace_server.security.tls import ServerTls, TlsFiles


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all kinds: ca.pem, one.crt and .key, two.crt and .key, locked.key, junk."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder, "ca")
    for name in ("one", "two"):
        authority.issue(name)
    subprocess.run(
        ["openssl", "ec", "-in", folder / "one.key", "-aes256", "-passout", "pass:abc", "-out", folder / "locked.key"],
        check=True,
        capture_output=True,
    )
    (folder / "junk").write_text("junk")
    return folder


def test_a_certificate_with_its_key_and_a_client_ca_is_taken(folder: Path) -> None:
    """Clients are asked for a certificate only where there is a CA to hold them against; old TLS is off."""
    files = TlsFiles(folder / "one.crt", folder / "one.key")
    assert ServerTls.read(files).context.verify_mode is ssl.CERT_NONE
    mutual = ServerTls.read(TlsFiles(files.cert, files.key, folder / "ca.pem"))
    assert mutual.context.verify_mode is ssl.CERT_REQUIRED
    assert mutual.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert mutual.client_ca == (folder / "ca.pem").read_bytes()


@pytest.mark.parametrize(
    ("names", "key", "reason"),
    [
        (("one.crt", "two.key", None), "tls_cert", "another certificate"),
        (("one.crt", "locked.key", None), "tls_cert", "passphrase"),
        (("one.crt", "none", None), "tls_cert", "No such file"),
        (("junk", "one.key", None), "tls_cert", "not a PEM file"),
        (("one.key", "one.crt", None), "tls_cert", "not a PEM file"),
        (("one.crt", "one.key", "junk"), "tls_client_ca", "not a PEM file"),
        (("one.crt", "one.key", "one.key"), "tls_client_ca", "not a PEM file"),
        (("one.crt", "one.key", "none"), "tls_client_ca", "No such file"),
    ],
)
def test_files_that_do_not_fit_are_named(
    folder: Path, names: tuple[str, str, str | None], key: str, reason: str
) -> None:
    """The setting, the file and the reason; nobody is asked for a passphrase."""
    cert, private, ca = names
    with pytest.raises(ConfigInvalid, match=reason) as caught:
        ServerTls.read(TlsFiles(folder / cert, folder / private, None if ca is None else folder / ca))
    assert caught.value.key == key
    assert str(folder) in str(caught.value)
