"""`AsyncEncoder` against a real server: the vectors of the blocking client, while the event loop goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from fakes.server.serving import serving
from samespace import AsyncEncoder, Encoder
from samespace.errors import RequestInvalid, UnknownSpace

pytestmark = pytest.mark.integration
TEXTS = ["how do i flatten a list", "reset the password of a user"]


def test_many_calls_at_once_and_their_errors(tiny_artifact: Path) -> None:
    """Each gets its own answer; a wrong one raises as ever; the loop has turns meanwhile."""

    async def use(address: str) -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        async with await AsyncEncoder.connect(address, at_once=4) as encoder:
            many = await asyncio.gather(*(encoder.encode([TEXTS[place % 2]], "query") for place in range(40)))
            counted = await encoder.encode_detailed([" ".join(TEXTS * 9)], "passage", long_texts="windows")
            with pytest.raises(RequestInvalid, match="role"):
                await encoder.encode(TEXTS, "nobody")  # type: ignore[arg-type]
        counting.cancel()
        with Encoder.load(tiny_artifact, build="fp32") as own:
            wanted = np.asarray(own.encode(TEXTS, "query"))
            assert encoder.space_id == own.space_id and encoder.dims == own.dims
        for place, vectors in enumerate(many):
            assert np.allclose(np.asarray(vectors)[0], wanted[place % 2], atol=1e-5)
        assert len(counted.vectors) == counted.windows[0] > 1 and turns > 40
        with pytest.raises(UnknownSpace):
            await AsyncEncoder.connect(f"{address}/{'0' * 12}")

    with serving(tiny_artifact) as server:
        asyncio.run(use(server.grpc))
