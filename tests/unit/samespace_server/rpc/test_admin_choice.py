"""How a space that is loaded over the admin port is run, where the request does not say."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from samespace.artifact import Artifact
from samespace.errors import BuildUnavailable
from samespace.rpc.v1 import admin_pb2 as pb
from samespace_server.observing.telemetry import Telemetry
from samespace_server.rpc.admin import AdminService
from samespace_server.settings import Choice, Limits, Settings
from samespace_server.spaces.loader import Loader
from samespace_server.spaces.registry import AnyEngine, Spaces


class Refusing(Loader):
    """Keeps what it was asked to load, and has no such build."""

    asked: Choice

    async def load(
        self, artifact: Artifact, choice: Choice, *, replace: bool = False, other_graph: bool = False
    ) -> AnyEngine:
        self.asked = choice
        raise BuildUnavailable(wanted=choice.build, available=("fp32",), reason="the artifact has none")


def refused(folder: Path, build: str) -> tuple[Choice, BuildUnavailable]:
    """What was asked of the loader, and what came of it, by a server that was started for int8 on three runners."""
    spaces = Spaces(address="here")
    loader = Refusing(spaces, Telemetry(), Limits())
    settings = Settings((folder,), admin_port=0, admin_root=folder.parent, choice=Choice(build="int8", runners=3))
    service = AdminService(spaces, loader, settings)
    with pytest.raises(BuildUnavailable) as caught:
        asyncio.run(service._load(pb.LoadSpaceRequest(folder=folder.name, build=build)))
    return loader.asked, caught.value


def test_what_is_not_said_is_as_the_server_was_started(tiny_artifact: Path) -> None:
    """Runners and the rest too; and an error says where the build comes from."""
    asked, error = refused(tiny_artifact, "")
    assert asked == Choice(build="int8", runners=3)
    assert "started with" in str(error) and "--build" in str(error)


def test_what_is_said_counts(tiny_artifact: Path) -> None:
    """A build that the caller named is told without more words."""
    asked, error = refused(tiny_artifact, "bf16")
    assert asked == Choice(build="bf16", runners=3)
    assert "started with" not in str(error)
