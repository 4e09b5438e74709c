"""By which names the server may be called where a browser could be made to ask: the page, its numbers, the metrics.

A page on the Internet can have its own name resolve to an address of this machine or network, and then read what is
there as if it were its own ("DNS rebinding"). The browser still sends that name as `Host`. So what tells of the server
is given only under names that nobody outside can own: addresses, localhost, names without a dot (of containers and
services), the private endings below, and what `--host` and `--host-names` say. Embedding routes answer to any name:
they tell nothing but vectors of the texts that were sent.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(?::[0-9]{0,5})?")
# RFC 9112, section 3.2: a host and a port, as in a URL. May be empty, which names nothing.
_PRIVATE: Final = (".localhost", ".svc", ".svc.cluster.local", ".internal")


def is_host(value: bytes) -> bool:
    """Whether *value* can be a Host header."""
    return _HOST.fullmatch(value) is not None


class KnownHosts:
    """The names that the server is known by."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """*names* beside those that are always known."""
        self._names = frozenset(name.strip().lower().rstrip(".") for name in names) - {""}

    def knows(self, host: bytes | None) -> bool:
        """Whether *host*, a valid Host header or None where there is none, is one of them."""
        if host is None:
            return True  # HTTP/1.0: no browser
        match = _HOST.fullmatch(host)
        name = "" if match is None else match[1].decode("ascii").lower().rstrip(".")
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name in self._names or (bool(name) and ("." not in name or name.endswith(_PRIVATE)))
        return True
