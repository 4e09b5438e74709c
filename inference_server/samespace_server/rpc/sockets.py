"""How many bytes each client has sent and read, as the kernel counts them: gRPC does not tell.

The sockets are gRPC's own. They are found among this process's open files, looked at, and left alone, or shut down.
Linux alone; elsewhere nothing is known, and nothing is told.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

_OPEN_FILES: Final = "/proc/self/fd"
_TRAFFIC: Final = struct.Struct("=120xQQ8xI")
"""Where `struct tcp_info` of linux/tcp.h has tcpi_bytes_acked, tcpi_bytes_received and tcpi_notsent_bytes; the last
since Linux 4.6."""
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)

Address = tuple[str, int]


def address_of(peer: str) -> Address | None:
    """IP address and port of a peer as gRPC tells it, such as "ipv6:%5B::1%5D:54321"; None of any other."""
    kind, _, rest = peer.partition(":")
    host, _, port = unquote(rest).rpartition(":")
    return _address(host.strip("[]"), port) if kind in ("ipv4", "ipv6") and port.isdigit() else None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went over a connection.

    Attributes:
        received_bytes: from the other end since it connected.
        acked_bytes: that the other end's kernel took.
        unsent_bytes: that wait here, because the other end does not read.
    """

    received_bytes: int
    acked_bytes: int
    unsent_bytes: int


class Sockets:
    """The connections of this process, by the address of the other end."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._files: dict[Address, int] = {}
        self._seen: dict[int, str] = {}  # every open file: which one it is

    def received(self, peers: Iterable[str]) -> dict[str, int]:
        """Bytes that came from each of *peers* since it connected; those that are not found are left out."""
        found, looked = {}, False
        for peer in peers:
            address = address_of(peer)
            if address is None or _TCP_INFO is None:
                continue
            traffic = self._traffic(address)
            if traffic is None and not looked:
                self._look_round()
                looked = True
                traffic = self._traffic(address)
            if traffic is not None:
                found[peer] = traffic.received_bytes
        return found

    def of_port(self, port: int) -> dict[Address, Traffic]:
        """What went over each connection that came in through *port* of this process."""
        if _TCP_INFO is None:
            return {}
        self._look_round()
        traffic = {address: self._traffic(address, port) for address in list(self._files)}
        return {address: seen for address, seen in traffic.items() if seen is not None}

    def hang_up(self, address: Address) -> None:
        """End the connection with *address*, in both directions."""
        file = self._files.get(address)
        if file is not None:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(file)) as copy:
                if _peer_of(copy) == address:
                    copy.shutdown(socket.SHUT_RDWR)

    def _traffic(self, address: Address, port: int | None = None) -> Traffic | None:
        file = self._files.get(address)
        if file is None:
            return None
        try:
            with socket.socket(fileno=os.dup(file)) as copy:
                if _peer_of(copy) == address:
                    if port is not None and copy.getsockname()[1] != port:
                        return None
                    info = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TRAFFIC.size)
                    acked, received, unsent = _TRAFFIC.unpack(info)
                    return Traffic(received, acked, unsent)
        except (OSError, struct.error):
            pass
        del self._files[address]  # closed meanwhile, and perhaps another one has its number
        return None

    def _look_round(self) -> None:
        """Find the sockets that were opened since."""
        now = _open_files()
        for file, which in now.items():
            if self._seen.get(file) != which and which.startswith("socket:"):
                try:
                    with socket.socket(fileno=os.dup(file)) as copy:
                        address = _peer_of(copy)
                except OSError:
                    continue
                if address is not None:
                    self._files[address] = file
        self._seen = now
        self._files = {address: file for address, file in self._files.items() if file in now}


def _open_files() -> dict[int, str]:
    """The open files of this process, and what each is; none on other systems."""
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for each in Path(_OPEN_FILES).iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile, as the one that this list was read through
                found[int(each.name)] = str(each.readlink())
    return found


def _peer_of(copy: socket.socket) -> Address | None:
    name = copy.getpeername()
    return _address(name[0], str(name[1])) if isinstance(name, tuple) and len(name) >= 2 else None


def _address(host: str, port: str) -> Address | None:
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip), int(port)
