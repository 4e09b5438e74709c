"""A port of its own for monitoring: what it answers, and what it leaves to the public one."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from fakes.server.process import serving

pytestmark = pytest.mark.integration

TOKEN = "0123456789abcdef0123"


def test_monitoring_has_its_own_port_and_needs_no_token(tiny_artifact: Path, tmp_path: Path) -> None:
    """With tokens on the public port: metrics, page, meta and probes are open there, and nothing is embedded."""
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    with serving(tiny_artifact, options=("--ops-port", "0", "--token-file", str(tokens))) as running:
        ops, space = f"http://127.0.0.1:{running.told['ops_port']}", running.space_ids[0]
        with httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}) as public, httpx.Client() as anybody:
            ask = {"texts": ["a"], "input_type": "search_query"}
            assert public.post(f"{running.http}/e/{space}/v2/embed", json=ask).status_code == 200
            assert anybody.post(f"{running.http}/e/{space}/v2/embed", json=ask).status_code == 401
            for path in ("", "metrics", "status.json"):
                assert public.get(f"{running.http}/{path}").status_code == 404
                assert anybody.get(f"{ops}/{path}").status_code == 200
            for path in (".well-known/ready", f"e/{space}/.well-known/ready", ".well-known/live"):
                assert anybody.get(f"{running.http}/{path}").status_code == 204
                assert anybody.get(f"{ops}/{path}").status_code == 204
            assert anybody.get(f"{running.http}/meta").status_code == 401
            assert anybody.get(f"{ops}/meta").json()["spaces"][0]["space_id"] == space
            assert public.post(f"{ops}/e/{space}/v2/embed", json=ask).status_code == 404
            told = anybody.get(f"{ops}/status.json").json()
            assert not told["server"]["embeds"] and told["spaces"][0]["requests"] == {"ok": 1}
            assert "samespace_texts_total" in anybody.get(f"{ops}/metrics").text


def test_an_open_server_lets_its_page_compare_texts(tiny_artifact: Path) -> None:
    """Where everybody may embed on the public port, the ops port's page may too."""
    with serving(tiny_artifact, options=("--ops-port", "0")) as running:
        ops = f"http://127.0.0.1:{running.told['ops_port']}"
        assert httpx.get(f"{ops}/status.json").json()["server"]["embeds"]
        ask = {"texts": ["a"], "input_type": "search_query"}
        assert httpx.post(f"{ops}/e/{running.space_ids[0]}/v2/embed", json=ask).status_code == 200
