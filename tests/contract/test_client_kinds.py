"""Which client gets the right vectors of which kind of encoder: the table in the docs is what real libraries get."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from golden.client_kinds import CLIENTS, FILE, HEAD, Kinds, kinds, row

pytestmark = [
    pytest.mark.integration,
    # The SDKs leave their sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def running() -> Iterator[Kinds]:
    with kinds() as made:
        yield made


@pytest.mark.parametrize("client", CLIENTS)
def test_the_table_is_what_clients_get(running: Kinds, client: str) -> None:
    """Both roles of every kind; after a change of a client's version: `make golden`, and read the diff."""
    for library in ("llama_index.embeddings.openai", "haystack") if "llama" in client or "aystack" in client else ():
        pytest.importorskip(library)
    assert row(running, client) in FILE.read_text(encoding="utf-8").splitlines()


def test_nothing_wrong_is_in_the_table() -> None:
    """A client either gets the right vectors or an error: never others in silence."""
    text = FILE.read_text(encoding="utf-8")
    assert text.startswith(HEAD) and "WRONG" not in text
    assert len(text.removeprefix(HEAD).splitlines()) == len(CLIENTS)
