"""Which Weaviate to use: one that is named, one that can be started here, or none and why.

Nothing here imports weaviate or reads the environment by itself: the command line passes it in.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from samespace.errors import ConfigInvalid, ServerUnavailable
from samespace.web import WebClient, WebOptions, basic_authorization, without_credentials

from .login import Login

Mode = Literal["auto", "url", "embedded", "off"]

EMBEDDED_VERSION: Final = "1.34.2"
"""What is downloaded where no binary is cached: the newest release on which the pin was seen to be unchangeable
(docs/reference/weaviate-facts.md)."""
DOWNLOAD: Final = "https://github.com/weaviate/weaviate/releases/download/v{0}/weaviate-v{0}-Linux-amd64.tar.gz"
_BINARY: Final = re.compile(r"weaviate-v(\d+\.\d+\.\d+)-([0-9a-f]{64})")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_DEFAULT_PORTS: Final = {"http": 8080, "https": 443}
_DEFAULT_GRPC_PORTS: Final = {"http": 50051, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A Weaviate that runs.

    Attributes:
        host, port, secure: of REST.
        grpc_port: of gRPC.
        api_key: "" for none; never printed.
        headers: (name, value) sent with each request over REST and gRPC; never printed. User and password of a URL
            are one of them.
        ca: PEM file of the authorities to trust; "" for the system's.
        grpc_host: of gRPC; "" for the same as REST's.
        grpc_secure: whether gRPC has TLS; None for the same as REST.
        oidc: credentials of OIDC, where there is no API key; never printed.
    """

    host: str
    port: int
    secure: bool
    grpc_port: int
    api_key: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    ca: str = ""
    grpc_host: str = ""
    grpc_secure: bool | None = None
    oidc: Login | None = None

    @property
    def login(self) -> Login:
        """The API key, or the credentials of OIDC."""
        return self.oidc or Login(api_key=self.api_key)

    @staticmethod
    def from_environment(url: str, environment: Mapping[str, str], *, is_node: bool = False) -> Address:
        """The Weaviate at *url*, with all that the environment says about reaching it.

        WEAVIATE_GRPC_PORT, WEAVIATE_GRPC_HOST    where they differ from what REST's address gives
        WEAVIATE_GRPC_SECURE                      true or false, where gRPC has TLS and REST has not, or the reverse
        WEAVIATE_HEADERS                          a line "NAME: VALUE" for each further header
        WEAVIATE_CA                               PEM file of the authorities to trust
        and what `Login` reads.

        Args:
            is_node: the address of one node of several, whose gRPC has the node's own host.

        Raises:
            ConfigInvalid: one of them is not what it has to be.
        """
        login = Login.from_environment(environment)
        found = Address.parse(url, grpc_port(environment), login.api_key)
        said = {name: environment.get(f"WEAVIATE_{name}", "").strip() for name in ("GRPC_HOST", "GRPC_SECURE", "CA")}
        if said["GRPC_SECURE"].lower() not in ("", "true", "false"):
            raise ConfigInvalid(key="WEAVIATE_GRPC_SECURE", reason=f"{said['GRPC_SECURE']!r}; expected true or false")
        if said["CA"] and not Path(said["CA"]).is_file():
            raise ConfigInvalid(key="WEAVIATE_CA", reason=f"{said['CA']}: no such file")
        return replace(
            found,
            headers=(*(() if login.is_oidc else found.headers), *_headers(environment.get("WEAVIATE_HEADERS", ""))),
            ca=said["CA"],
            grpc_host="" if is_node else said["GRPC_HOST"] or _cloud_grpc_host(found),
            grpc_secure=said["GRPC_SECURE"].lower() == "true" if said["GRPC_SECURE"] else None,
            oidc=login if login.is_oidc else None,
        )

    @staticmethod
    def parse(url: str, grpc_port: int | None = None, api_key: str = "") -> Address:
        """Read "http://HOST:PORT", or "http://HOST:PORT#GRPC_PORT".

        Without its port, gRPC is at *grpc_port*, or at 50051 (443 with https).

        User and password before HOST are sent as Basic authorization, unless there is an API key.

        Raises:
            ConfigInvalid: not such an address.
        """
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError as error:
            raise ConfigInvalid(key="WEAVIATE_URL", reason=f"{without_credentials(url)!r}: {error}") from error
        own_grpc = parts.fragment
        unlike = parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.path.strip("/")
        if unlike or (own_grpc and not own_grpc.isdecimal()):
            raise ConfigInvalid(
                key="WEAVIATE_URL",
                reason=f"{without_credentials(url)!r}; expected http://HOST:PORT, http://HOST:PORT#GRPC_PORT or "
                "https://HOST",
            )
        assert parts.hostname
        return Address(
            host=parts.hostname,
            port=port or _DEFAULT_PORTS[parts.scheme],
            secure=parts.scheme == "https",
            grpc_port=int(own_grpc or 0) or grpc_port or _DEFAULT_GRPC_PORTS[parts.scheme],
            api_key=api_key,
            headers=tuple(basic_authorization(parts).items()) if not api_key else (),
        )

    def __str__(self) -> str:
        return f"http{'s' if self.secure else ''}://{self.host}:{self.port}"

    def __repr__(self) -> str:
        login = "OIDC" if self.oidc else "with API key" if self.api_key else "no API key"
        return f"Address({self}, gRPC {self.grpc_host or self.host}:{self.grpc_port}, {login})"


@dataclass(frozen=True, slots=True)
class EmbeddedWeaviate:
    """A Weaviate that weaviate-client starts as a child process.

    Attributes:
        version: of the binary.
        cached: whether the binary is already on this machine; else it is downloaded when it is started.
        cache: folder of the binaries.
    """

    version: str
    cached: bool
    cache: Path

    def __str__(self) -> str:
        return f"embedded Weaviate {self.version}{'' if self.cached else ' (to be downloaded)'}"


@dataclass(frozen=True, slots=True)
class NoWeaviate:
    """None can be used, and why, in one line."""

    reason: str

    def __str__(self) -> str:
        return self.reason


Found: TypeAlias = Address | EmbeddedWeaviate | NoWeaviate


def find_weaviate(
    mode: Mode, environment: Mapping[str, str], *, can_download: Callable[[str], str | None] | None = None
) -> Found:
    """The Weaviate to use.

    Args:
        mode: "auto" takes WEAVIATE_URL if it is set, else an embedded one; "url" and "embedded" insist; "off" says no.
        environment: of the process; read are WEAVIATE_URL, what `Address.from_environment` reads, and XDG_CACHE_HOME.
        can_download: None if an address can be downloaded from, else why not; by default it is asked.

    Raises:
        ConfigInvalid: a variable is set to what it cannot be.
    """
    if mode == "off":
        return NoWeaviate("Weaviate is switched off")
    url = environment.get("WEAVIATE_URL", "").strip()
    if url and mode in ("auto", "url"):
        return Address.from_environment(url, environment)
    if mode == "url":
        return NoWeaviate("WEAVIATE_URL is not set")
    return _find_embedded(environment, can_download or download_refused)


def grpc_port(environment: Mapping[str, str]) -> int | None:
    """WEAVIATE_GRPC_PORT as a number, None where it is not set."""
    text = environment.get("WEAVIATE_GRPC_PORT", "").strip()
    if text and not text.isdecimal():
        raise ConfigInvalid(key="WEAVIATE_GRPC_PORT", reason=f"{text!r}; expected a port number")
    return int(text) if text else None


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    """Lines "NAME: VALUE"."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        if not colon or not _HEADER.fullmatch(name.strip()) or not value.strip():
            # The line may hold a secret, and is not shown.
            raise ConfigInvalid(key="WEAVIATE_HEADERS", reason="a line, or a --header, is not like NAME: VALUE")
        found.append((name.strip(), value.strip()))
    return tuple(found)


def _cloud_grpc_host(found: Address) -> str:
    """Of a cluster of Weaviate Cloud, as weaviate-client's `connect_to_weaviate_cloud` has it; "" for others."""
    if found.secure and found.host.endswith(".weaviate.network"):
        name, _, domain = found.host.partition(".")
        return f"{name}.grpc.{domain}"
    return f"grpc-{found.host}" if found.secure and found.host.endswith(".weaviate.cloud") else ""


def cached_versions(cache: Path) -> list[str]:
    """Versions whose binaries lie in *cache*, newest first."""
    found = []
    for path in cache.glob("weaviate-v*"):
        match = _BINARY.fullmatch(path.name)
        if match and match[2] == sha256(f"v{match[1]}".encode()).hexdigest():
            found.append(match[1])
    return sorted(found, key=lambda version: tuple(map(int, version.split("."))), reverse=True)


def download_refused(url: str, timeout_s: float = 5.0) -> str | None:
    """Why *url* cannot be downloaded; None if it can."""
    try:
        with WebClient(url, WebOptions(timeout_s=timeout_s, follow=True, proxies=True)) as web:
            status = web.ask("HEAD").status
    except ServerUnavailable as error:
        return error.reason
    return None if status < 400 else f"status {status}"


def _find_embedded(environment: Mapping[str, str], can_download: Callable[[str], str | None]) -> Found:
    folder = environment.get("XDG_CACHE_HOME")  # weaviate-client puts binaries right there
    cache = Path(folder) if folder else Path.home() / ".cache" / "weaviate-embedded"
    versions = cached_versions(cache)
    if versions:
        return EmbeddedWeaviate(versions[0], cached=True, cache=cache)
    refused = can_download(DOWNLOAD.format(EMBEDDED_VERSION))
    if refused is None:
        return EmbeddedWeaviate(EMBEDDED_VERSION, cached=False, cache=cache)
    return NoWeaviate(
        f"WEAVIATE_URL is not set, no embedded Weaviate is cached in {cache}, and it cannot be downloaded ({refused})"
    )


def one_node_twice(addresses: Sequence[Address]) -> tuple[Address, Address] | None:
    """Two of *addresses* that lead to one door of one machine, over REST or gRPC, by any names; None where all differ.

    A load balancer with several addresses of its own is not noticed: Weaviate does not say which of its nodes answers.
    """
    doors = {address: _doors(address) for address in addresses}
    return next((pair for pair in combinations(addresses, 2) if doors[pair[0]] & doors[pair[1]]), None)


def _doors(address: Address) -> frozenset[tuple[str, int]]:
    """Where connections to it may arrive, over REST and over gRPC; this machine is "here" by any of its names."""
    doors = ((address.host, address.port), (address.grpc_host or address.host, address.grpc_port))
    return frozenset((name, port) for host, port in doors for name in _names(host))


def _names(host: str) -> frozenset[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset({host.lower()})
    return frozenset("here" if _is_here(str(where[0])) else str(where[0]) for *_, where in found)


def _is_here(host: str) -> bool:
    if host.startswith("127."):
        return host in ("127.0.0.1", "127.0.1.1")  # other ones may be given to one server each
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
