"""How people write down a server: HOST:PORT, or several, perhaps with the space that is meant.

localhost:8081                          one server
a:8081,b:8081                           replicas, which take turns
encoder:8081                            a DNS name; all of its addresses take turns
[::1]:8081                              IPv6
localhost:8081/0f16853b96e8             one of the spaces that it serves, by 12 or more digits of its id
grpcs://HOST:PORT, grpc://HOST:PORT     with TLS; without, whatever else is configured
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..errors import RequestInvalid

_REPLICA: Final = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}"
_ADDRESS: Final = re.compile(rf"(?:(?P<scheme>grpcs?)://)?(?P<replicas>{_REPLICA}(?:,{_REPLICA})*)(?:/(?P<space>.*))?")
_SPACE: Final = re.compile(r"[0-9A-Fa-f]{12,64}")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One server, or several that answer alike.

    Attributes:
        replicas: "host:port" of each, at least one.
        space: the id, or its beginning, that was named with it; None where none was.
        tls: what the scheme says; None where it says nothing.
    """

    replicas: tuple[str, ...]
    space: str | None = None
    tls: bool | None = None

    @classmethod
    def parse(cls, text: str) -> ServerAddress:
        """Read an address as above; raises `RequestInvalid`."""
        found = _ADDRESS.fullmatch(text)
        if found is None:
            raise RequestInvalid(
                field="address", reason=f"{text!r}; expected HOST:PORT, HOST:PORT,HOST:PORT or HOST:PORT/SPACE"
            )
        replicas = tuple(dict.fromkeys(found["replicas"].split(",")))
        for replica in replicas:
            if not 1 <= int(replica.rpartition(":")[2]) <= 65_535:
                raise RequestInvalid(field="address", reason=f"{replica}: the port has to be 1 to 65535")
        space = found["space"] or None
        if space is not None and not _SPACE.fullmatch(space):
            raise RequestInvalid(
                field="address", reason=f"{space!r} after the slash; expected a space id, or at least 12 digits of it"
            )
        return cls(replicas, space, None if found["scheme"] is None else found["scheme"] == "grpcs")

    @staticmethod
    def is_one(text: str) -> bool:
        """Whether *text* is written like an address; its port and its space may still be wrong."""
        return _ADDRESS.fullmatch(text) is not None

    def __str__(self) -> str:
        return ",".join(self.replicas)
