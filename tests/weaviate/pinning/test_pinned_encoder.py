"""A server of several spaces: commands that name it by HOST:PORT alone ask it for the space of the collection's pin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakes.server.serving import serving
from samespace.artifact import open_artifact
from samespace.cli import cli
from samespace.errors import SpaceMismatch
from samespace_weaviate import CollectionSpec, Store, create

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]


def test_the_space_is_that_of_the_pin(
    store: Store, spec: CollectionSpec, tiny_artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    """import, audit and repair; a server of another space alone is refused with both spaces."""
    create(store, spec)
    data = tmp_path / "corpus.jsonl"
    data.write_text("".join(json.dumps({"id": str(n), "text": f"text {n}"}) + "\n" for n in range(20)))

    def ran(command: str, *arguments: str) -> Result:
        where = ("--url", store.address, "--grpc-port", str(store.grpc_port))
        return CliRunner().invoke(cli, ["weaviate", command, spec.name, *arguments, *where])

    with serving(other_artifact, tiny_artifact) as both:
        assert both.space_id != spec.space_id
        for command in (
            ("import", str(data), "--encoder", both.grpc, "--state", str(tmp_path / "run")),
            ("audit", "--encoder", both.grpc, "--all"),
            ("repair", "--encoder", both.grpc, "--journal", str(tmp_path / "repair")),
        ):
            done = ran(*command)
            assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert store.count(spec.name) == 20
    with serving(other_artifact) as foreign:
        found = ran("import", str(data), "--encoder", foreign.grpc, "--state", str(tmp_path / "other")).exception
    assert isinstance(found, SpaceMismatch)
    assert open_artifact(other_artifact).manifest.space_id in str(found) and spec.space_id in str(found)
