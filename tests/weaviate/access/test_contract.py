"""The kept requests of tests/contract, held against what the Weaviate of this run sends."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from fakes.server.recorder import recording
from fakes.weaviate.traffic import drive, read, release
from samespace_weaviate import Store

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

KEPT = read(Path(__file__).parents[2] / "contract")


def test_this_weaviate_sends_what_was_kept(store: Store) -> None:
    """Byte for byte, for each module that it has; a version that was never captured is held against the next older one.

    Where this fails, look at what changed, then run tools/capture_contract.py against that version.
    """
    older = [version for version in KEPT if release(version) <= release(store.version)]
    kept = KEPT[store.version if store.version in KEPT else older[-1]]
    with recording() as recorder, httpx.Client(base_url=store.address, timeout=60) as weaviate:
        sent = drive(weaviate, recorder)
    assert {"transformers-single", "transformers-batch", "transformers-query"} <= sent.keys()
    for name, case in sent.items():
        assert case == kept[name], name
