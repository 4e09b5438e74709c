"""Bearer tokens: what is let in, what is refused, and that neither is told."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from samespace.errors import ConfigInvalid, Unauthenticated
from samespace_server.security.tokens import SHORTEST, Tokens, read_tokens

ONE, TWO = "one-token-of-enough-length", "another-token-of-enough-length"


def basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def refusal(tokens: Tokens, header: bytes | None) -> str:
    with pytest.raises(Unauthenticated) as caught:
        tokens.check(header, where="the server")
    return str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {ONE}".encode(),
        f"bearer  {TWO} ".encode(),
        basic("weaviate", TWO),
        basic("", ONE),
    ],
)
def test_a_known_token_is_let_in(header: bytes) -> None:
    """As a bearer token in any case of the scheme's name, or as the password of any user."""
    Tokens([ONE, TWO]).check(header, where="the server")


@pytest.mark.parametrize(
    "header",
    [
        None, b"", b"Bearer", b"Bearer ", b"Bearer x", f"Bearer {ONE}x".encode(), f"Bearer {ONE[:-1]}".encode(),
        f"Token {ONE}".encode(), ONE.encode(), b"Basic ", b"Basic !!!", b"Basic \xff\xfe", basic(ONE, "x"),
        b"Basic " + base64.b64encode(ONE.encode()), b"Bearer \xff\x00", f"Bearer {ONE} {TWO}".encode(),
        f"Bearer {ONE.upper()}".encode(), b"Bearer " + b"x" * 100_000,
    ],
)  # fmt: skip
def test_anything_else_is_refused(header: bytes | None) -> None:
    """Nothing, half a token, a longer one, the token as the user, or what is no header at all."""
    refusal(Tokens([ONE, TWO]), header)


def test_a_refusal_tells_neither_what_was_sent_nor_what_is_known() -> None:
    """The message names the scheme to use, and no part of any token."""
    for header in (b"Bearer a-secret-that-is-wrong", basic("user", "a-secret-that-is-wrong")):
        said = refusal(Tokens([ONE]), header)
        assert "a-secret" not in said
        assert ONE not in said
        assert "Authorization: Bearer TOKEN" in said


def test_without_tokens_everybody_may_ask() -> None:
    """No tokens is no lock, whatever is sent."""
    for header in (None, b"Bearer x", b"nonsense"):
        Tokens().check(header, where="the server")
    assert not Tokens()


def test_tokens_are_not_kept_as_they_are() -> None:
    """A dump of the object shows digests only."""
    tokens = Tokens([ONE])
    assert ONE not in repr(tokens)
    assert all(ONE.encode() not in digest for digest in tokens._digests)


def test_a_file_holds_one_token_a_line(tmp_path: Path) -> None:
    """Comments and empty lines are left out; blanks around a token do not count."""
    file = tmp_path / "tokens"
    file.write_text(f"# of the search team\n\n  {ONE}  \n#{TWO}\n{TWO}\n")
    assert read_tokens(file) == [ONE, TWO]


@pytest.mark.parametrize("content", [b"", b"\n# only a comment\n", b"\xff\xfe\n"])
def test_a_file_without_tokens_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty file must not open the server; the message names the file."""
    file = tmp_path / "tokens"
    file.write_bytes(content)
    with pytest.raises(ConfigInvalid, match=str(file)):
        read_tokens(file)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    """The message names the file and why it cannot be read."""
    with pytest.raises(ConfigInvalid, match="No such file"):
        read_tokens(tmp_path / "none")


@pytest.mark.parametrize("token", ["x" * (SHORTEST - 1), "a token with blanks in it", "ein-schlüssel-mit-umlaut"])
def test_a_weak_or_unsendable_token_is_refused_by_its_place(token: str) -> None:
    """The second token is named as the second, and not repeated."""
    with pytest.raises(ConfigInvalid, match="token 2") as caught:
        Tokens([ONE, token])
    assert token not in str(caught.value)
