"""The standard health check of gRPC, from the client's side. The two messages are a few bytes, so nobody has to
install grpcio-health-checking for them: a request with the service's name in field 1, a reply with a number in it.
"""

from __future__ import annotations

from typing import Any, Final

import grpc

from .access import OPEN, Access
from .address import ServerAddress
from .channel import HEALTH_SERVICE, open_channel, with_scheme
from .status import explained

_METHOD: Final = "/grpc.health.v1.Health/Check"
_SERVING: Final = b"\x08\x01"


def check(channel: Any, timeout_us: int, *, space: str | None = None, wait_for_ready: bool) -> Any:
    """The check as a future of whether the server is ready.

    Args:
        space: ask for one space, by at least 12 digits of its id, and not for the server as a whole.
        wait_for_ready: wait for a connection, and so for a server that is up and ready, as long as *timeout_us*.
    """
    method = channel.unary_unary(_METHOD, response_deserializer=lambda reply: reply == _SERVING)
    service = (HEALTH_SERVICE if space is None else f"{HEALTH_SERVICE}/{space}").encode("ascii")
    return method.future(
        b"\x0a" + bytes([len(service)]) + service, timeout=timeout_us / 1e6, wait_for_ready=wait_for_ready
    )


def why_not_ready(address: ServerAddress, access: Access = OPEN, *, timeout_ms: int = 2_000) -> str | None:
    """None where every replica of *address*, or its space there, is ready; else what is wrong with one that is not."""
    access = with_scheme(access, address)
    access.check(address.replicas)
    for replica in address.replicas:
        # Without the channel's own health check, which would only say that there is no connection.
        channel = open_channel(replica, access, bare=True)
        try:
            if not check(channel, timeout_ms * 1000, space=address.space, wait_for_ready=False).result():
                return f"{replica}: not ready"
        except grpc.RpcError as error:
            return f"{replica}: {explained(error.details() or '')}"
        finally:
            channel.close()
    return None
