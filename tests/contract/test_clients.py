"""What people see of our errors in their own clients: real SDKs, a real server, one table."""

from __future__ import annotations

import pytest

from golden.clients import CLIENTS, ERRORS, FILE, seen_by

# The SDKs leave their sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("error", ERRORS)
def test_the_table_says_what_people_see(client: str, error: str) -> None:
    """After a change of wording or of a client's version: `make golden`, and read the diff."""
    assert seen_by(client, error) in FILE.read_text(encoding="utf-8").splitlines()


def test_what_cannot_help_is_not_tried_again() -> None:
    """One request each, but for overload, which passes."""
    rows = [row.split(" | ") for row in FILE.read_text(encoding="utf-8").splitlines() if row.startswith("| ")][2:]
    assert len(rows) == len(CLIENTS) * len(ERRORS)
    for error, client, requests, _ in rows:
        assert requests == "1" or error == "| overloaded", (error, client)
