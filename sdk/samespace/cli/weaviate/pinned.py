"""The encoder of a collection's pin: a server that serves several spaces is asked for the one that is pinned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import UnknownSpace
from ...rpc.address import ServerAddress
from .. import encoders

if TYPE_CHECKING:
    from samespace_weaviate import Store

    from ...encoder import Encoder


def open_pinned(
    encoder: str, store: Store, collection: str, *, otherwise: Callable[[str], Encoder] | None = None
) -> Encoder:
    """What *encoder* means; of a server (HOST:PORT without a space) the space that *collection* is pinned to.

    A collection that has no pin, or several, names none. Whether the encoder is of the pin is for the caller to look
    at: a server that serves only one other space is opened, so that the refusal names both.

    Raises:
        UnknownSpace: the server serves several spaces, and not the pinned one.
    """
    opened = otherwise or encoders.open_encoder
    if not ServerAddress.is_one(encoder) or ServerAddress.parse(encoder).space is not None:
        return opened(encoder)
    from samespace_weaviate.pinning.pin import read_pins
    from samespace_weaviate.pinning.spec import BRIDGE_KEY

    pins = [pin for pin in read_pins(store.schema(collection) or {}) if BRIDGE_KEY not in pin.settings]
    if len(pins) != 1 or not pins[0].space:
        return opened(encoder)
    try:
        return opened(f"{encoder}/{pins[0].space}")
    except UnknownSpace as error:
        if len(error.served) != 1:
            raise
        return opened(encoder)
