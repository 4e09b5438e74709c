"""The one HTTP client: every request that this project sends over HTTP goes through `WebClient`.

It adds to httpx what each caller would otherwise write by itself: credentials of a URL become a header and never show
up in an error, certificate authorities come from a PEM file or the system, every wait has a limit, and whatever goes
wrong on the way is a `ServerUnavailable` with one reason. What a status means is left to the caller.

What it gives up: streaming, cookies, HTTP/2.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from .errors import ConfigInvalid, ServerUnavailable
from .extras import require_extra

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT_S: Final = 5.0
_SHOWN: Final = 500


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How a server is spoken to.

    Attributes:
        headers: sent with each request; never shown.
        token: sent as "Authorization: Bearer TOKEN" unless "". It goes before credentials in the URL; never shown.
        ca: PEM file of the authorities to trust; "" for the system's.
        certificate, key: PEM files of a client certificate; "" for none.
        timeout_s: longest wait for a connection, for a part of the answer, or for taking a part of the request.
        follow: whether redirects are followed. Credentials are not sent on to another host.
        proxies: whether proxies that the environment names (HTTPS_PROXY, ...) are used.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str = field(default="", repr=False)
    ca: str = ""
    certificate: str = ""
    key: str = ""
    timeout_s: float = 60.0
    follow: bool = False
    proxies: bool = False


@dataclass(frozen=True, slots=True)
class WebReply:
    """An answer, whatever its status.

    Attributes:
        status: of HTTP.
        body: decompressed; cut where the caller said so.
        headers: names in lower case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        """The body as JSON; None for an empty one.

        Raises:
            ValueError: it is not JSON.
        """
        try:
            return json.loads(self.body) if self.body.strip() else None
        except RecursionError as error:
            raise ValueError("it is nested too deep") from error

    def text(self) -> str:
        """The beginning of the body, for an error message."""
        return self.body[:_SHOWN].decode("utf-8", errors="replace")


class WebClient:
    """A server at *url*, http://[USER:PASSWORD@]HOST[:PORT][/PATH]. For any number of threads; close it, or use `with`.

    Raises:
        ConfigInvalid: not such a URL, or a file of certificates that cannot be read.
    """

    def __init__(self, url: str, options: WebOptions | None = None) -> None:
        require_extra("weaviate", feature="HTTP", modules=("httpx",))
        import httpx

        options = options or WebOptions()
        parts = _parsed(url)
        host = parts.netloc.rpartition("@")[2]
        self.address = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        """What is shown in errors: the URL without user and password."""
        self._client = httpx.Client(
            headers=_headers(parts, options),
            verify=_context(options) if parts.scheme == "https" or options.follow else False,
            timeout=httpx.Timeout(options.timeout_s, connect=min(CONNECT_TIMEOUT_S, options.timeout_s)),
            follow_redirects=options.follow,
            trust_env=options.proxies,
        )

    def ask(
        self,
        method: str,
        path: str = "",
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        most_bytes: int | None = None,
    ) -> WebReply:
        """Send one request; the answer, whatever its status.

        Args:
            path: behind the URL; "" or from the slash on, already quoted.
            body: sent as JSON, unless None.
            query: parameters, unquoted.
            headers: of this request alone.
            most_bytes: read no more of the answer.

        Raises:
            ServerUnavailable: no connection, no answer in time, or one that broke off; the request may have arrived.
        """
        import httpx

        content = None if body is None else json.dumps(body).encode()
        sent = {**({} if content is None else {"content-type": "application/json"}), **(headers or {})}
        try:
            with self._client.stream(
                method, self.address + path, content=content, params=query or None, headers=sent
            ) as response:
                return WebReply(response.status_code, _read(response, most_bytes), dict(response.headers))
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise ServerUnavailable(address=self.address, reason=_reason(error)) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def without_credentials(url: str) -> str:
    """A URL as it may be shown: without user and password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def basic_authorization(parts: SplitResult) -> dict[str, str]:
    """The header that user and password of a URL make; empty where it has no password."""
    if parts.password is None:
        return {}
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password)}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _parsed(url: str) -> SplitResult:
    shown = without_credentials(url)
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError as error:
        raise ConfigInvalid(key="URL", reason=f"{shown!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigInvalid(key="URL", reason=f"{shown!r}; expected http://HOST:PORT or https://HOST:PORT")
    return parts


def _headers(parts: SplitResult, options: WebOptions) -> dict[str, str]:
    headers = basic_authorization(parts)
    if options.token:
        headers["authorization"] = f"Bearer {options.token}"
    return {**headers, **{name.lower(): value for name, value in options.headers.items()}}


def _context(options: WebOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca or None)
        if options.certificate:
            context.load_cert_chain(options.certificate, options.key or None)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(filter(None, (options.ca, options.certificate, options.key)))
        raise ConfigInvalid(key="certificates", reason=f"{files}: {error}") from error
    return context


def _read(response: httpx.Response, most_bytes: int | None) -> bytes:
    if most_bytes is None:
        return response.read()
    body = b""
    for part in response.iter_bytes():
        body += part
        if len(body) >= most_bytes:
            break
    return body[:most_bytes]


def _reason(error: Exception) -> str:
    """Why it failed, in a few words; httpx has none for some errors, such as a time-out."""
    return " ".join(str(error).split()) or {
        "ConnectTimeout": "no connection in time",
        "ReadTimeout": "no answer in time",
        "WriteTimeout": "it takes no data",
        "PoolTimeout": "all connections are in use",
    }.get(type(error).__name__, type(error).__name__)
