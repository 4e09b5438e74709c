"""`AsyncEncoder`: an encoder for programs that run on asyncio.

encoder = await AsyncEncoder.connect("localhost:8081")
vectors = await encoder.encode(["how do I flatten a list"], role="query")

Each call runs in one of a few threads, over the blocking client: so replicas, deadlines, retries and checks of the
space are the same, and the event loop is never held up. A call that is cancelled is no longer waited for; its thread
is busy until the server answers or the time is up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self, TypeVar

from ..encoder import Encoded, Encoder
from ..text import LongTexts, Role
from ..vectors import Vectors

AT_ONCE: Final = 16
"""Calls that run at a time; others wait for a thread."""
_Value = TypeVar("_Value")


class AsyncEncoder:
    """Maps texts and a role to vectors of one space, without holding up the event loop."""

    def __init__(self, encoder: Encoder, *, at_once: int = AT_ONCE) -> None:
        """*encoder* belongs to this from here on: `close` closes it. *at_once* calls run at a time."""
        self.encoder = encoder
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="samespace-encode")

    @classmethod
    async def connect(cls, address: str, *, at_once: int = AT_ONCE, **options: Any) -> Self:
        """Use a server; *address*, *options* and errors are those of `Encoder.connect`."""
        return cls(await asyncio.to_thread(lambda: Encoder.connect(address, **options)), at_once=at_once)

    @property
    def space_id(self) -> str:
        """The full space id, 64 hex digits."""
        return self.encoder.space_id

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return self.encoder.dims

    async def encode(
        self, texts: Sequence[str], role: Role, *, long_texts: LongTexts = "pool", dims: int | None = None
    ) -> Vectors:
        """As `Encoder.encode`: one vector a text, in order; float32 (n, dims), unit length."""
        return await self._in_thread(lambda: self.encoder.encode(texts, role, long_texts=long_texts, dims=dims))

    async def encode_detailed(
        self, texts: Sequence[str], role: Role, *, long_texts: LongTexts = "pool", dims: int | None = None
    ) -> Encoded:
        """As `Encoder.encode_detailed`: with token and window counts."""
        return await self._in_thread(
            lambda: self.encoder.encode_detailed(texts, role, long_texts=long_texts, dims=dims)
        )

    async def close(self) -> None:
        """Wait for what is under way, and let go of the encoder."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self.encoder.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _in_thread(self, call: Callable[[], _Value]) -> _Value:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
