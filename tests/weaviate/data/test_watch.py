"""`migrate --watch` on a real Weaviate: readers stay where all is well, and go back where the new encoder goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from fakes.server.serving import serving
from samespace import Encoder
from samespace.cli.weaviate import weaviate
from samespace.errors import GuardFailed
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, create

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

PASSAGES = [Passage(str(n), f"text {n} about the index and the user") for n in range(60)]


@pytest.fixture
def old(store: Store, spec: CollectionSpec, encoder: Encoder) -> Iterator[str]:
    """A filled collection with an alias of its name and "Alias"."""
    create(store, spec)
    assert PinnedCollection.open(store, spec.name, encoder).import_passages(PASSAGES).failed == ()
    store.point_alias(f"{spec.name}Alias", spec.name)
    yield spec.name
    new = store.alias_target(f"{spec.name}Alias")
    store.delete_alias(f"{spec.name}Alias")
    if new != spec.name:
        store.delete_collection(new)


@pytest.mark.parametrize("goes_away", [False, True])
def test_readers_go_back_where_the_new_encoder_goes_away(
    goes_away: bool, store: Store, old: str, other_artifact: Path, tmp_path: Path
) -> None:
    """Stopped right after the switch: queries by text are the guard that fails, and nothing is lost."""
    alias = f"{old}Alias"
    where = ["--url", store.address, "--grpc-port", str(store.grpc_port), "--journal", str(tmp_path / "journal")]
    with ExitStack() as stack:
        server = stack.enter_context(serving(other_artifact))
        command = ["migrate", alias, "--to", str(other_artifact), "--server", server.http, "--yes", "--settle-s", "0.1"]

        def kill_when_switched() -> None:
            while goes_away and store.alias_target(alias) == old:
                time.sleep(0.05)
            if goes_away:
                stack.close()

        killer = threading.Thread(target=kill_when_switched)
        killer.start()
        result = CliRunner().invoke(weaviate, [*command, "--watch", "8s", *where])
        killer.join()
    if goes_away:
        assert isinstance(result.exception, GuardFailed), result.output
        assert "queries by text" in str(result.exception)
        assert store.alias_target(alias) == old and store.count(old) == len(PASSAGES)
    else:
        assert result.exit_code == 0 and "every guard held" in result.output, (result.output, result.exception)
        assert store.alias_target(alias) != old and store.count(alias) == len(PASSAGES)
