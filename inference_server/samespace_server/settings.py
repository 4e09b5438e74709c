"""Every setting of the server, as values that are valid from birth. The environment is never read.

Each docs line says: meaning, unit, when you would change it and what that costs. Default and help of the command line
stand beside the field, once: `samespace serve` makes its options from them (`setting`).
"""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from samespace.errors import ConfigInvalid
from samespace.runtime import Device

from .security.tls import TlsFiles

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")


def setting(default: Any, text: str, *, flag: str | None = None, **shown: Any) -> Any:
    """A field that is an option of `samespace serve` too.

    Args:
        default: of the field and of the option, not shown where it is None; `MISSING` where there is none.
        text: the help, one imperative or noun phrase with its unit.
        flag: where the option has another name than the field.
        shown: what else the option needs: `metavar`, or `choices`.
    """
    return field(default=default, metadata={"help": text, "flag": flag, **shown})


def flag_of(each: Field[Any]) -> str:
    """The option of a field that `setting` made."""
    return each.metadata.get("flag") or f"--{each.name.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server takes on. Beyond it, it refuses at once instead of letting everybody wait.

    Attributes:
        max_texts_per_request: texts of one request or of one message of a stream. Raise it for clients that cannot
            cut their batches; one such request then delays others more.
        max_request_bytes: bytes of one request body or message. Raise it for very long documents; memory for that
            many bytes may be taken by every connection at once.
        max_windows_per_text: windows of one text. Raise it for books; such a text keeps the model for long.
        max_queued_tokens: tokens that wait or run, per space. It bounds memory, and the size of one request. Raise
            it for very large requests; lower it where memory is short.
        max_queue_ms: how long a query may have to wait for its turn, by the speed of the last runs, in milliseconds;
            bulk may wait eight times as long. Who would wait longer is refused at once, and a stream is read no
            further. Raise it for clients that rather wait than try again; every caller waits longer under overload.
        batch_tokens: padded tokens of one run of the model. More can be faster for many short texts on many cores,
            and every caller waits longer for the run before theirs.
        run_tokens: what one more run of the model costs, in tokens that could have been computed instead. Texts of
            unlike length share a run only when padding wastes less than this. Higher for GPUs.
        max_run_ms: how long a run of the model may take, or 20 times of what is expected where that is longer. After
            it, the run is believed not to come back: the space answers nothing more, and the server is not live, so
            that it is started again. Raise it for a machine that stands still for minutes.
        slice_ms: the longest run of anything but queries, in milliseconds, because a query that comes meanwhile waits
            for it; four times that when no query came for 10 seconds. Raise it where throughput matters more than a
            query's p99; lower it for a shorter p99, at some throughput.
        cache_bytes: memory for the vectors of queries that come again, per space; 0 for none. A query of MiniLM takes
            2.5 KB. Give it some where the same searches repeat. Whoever measures latencies can then tell whether
            a text was asked before.
        drain_timeout_ms: how long accepted requests may take to finish after SIGTERM. Keep it below the
            orchestrator's own grace period, or the rest is killed.
    """

    batch_tokens: int = setting(2048, "Padded tokens per run of the model.")
    max_texts_per_request: int = setting(2048, "Texts per request, at most.", flag="--max-texts")
    max_request_bytes: int = setting(8 << 20, "Bytes per request, at most.")
    max_windows_per_text: int = setting(512, "Windows per text, at most.", flag="--max-windows")
    max_queued_tokens: int = setting(262_144, "Tokens in the queue of a space, at most; more are rejected.")
    max_queue_ms: int = setting(
        2000, "Longest expected wait of a query, in ms; longer is rejected. Bulk requests may wait 8 times as long."
    )
    cache_bytes: int = setting(0, "Bytes per space for cached query vectors; 0 turns the cache off.")
    max_run_ms: int = setting(60_000, "Longest run of the model, in ms; after it the server is not live.")
    slice_ms: int = setting(8, "Longest run of bulk work while queries arrive, in ms.")
    drain_timeout_ms: int = setting(25_000, "Time for accepted requests to finish after SIGTERM, in ms.")
    run_tokens: int = 16

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What an HTTP client may take before and after its request is at work. A client that takes more is cut off.

    gRPC is bounded by the same `max_connections`, `max_header_bytes`, `header_timeout_ms` (of handshakes) and
    `keep_alive_ms` (after which silent clients are asked whether they are there).

    Attributes:
        max_connections: open at a time, over each of HTTP and gRPC; one more is closed, over HTTP with a 503. Each
            costs about 5 KB and a file descriptor. Raise it for thousands of clients that keep their connections.
        max_target_bytes: bytes of a request's path. Ours are below 100; nobody needs more.
        max_header_bytes: bytes of all headers of a request. Raise it for proxies that add large cookies or tokens.
        max_headers: headers of a request. As above.
        header_timeout_ms: from the first byte of a request, or from the connection, until its head is complete;
            also for the TLS handshake. Raise it for clients behind links that lose packets.
        transfer_timeout_ms: what a body, in either direction, may take beside its bytes divided by
            `min_bytes_per_s`. Lower both limits' product and slow attackers hold connections for a shorter time;
            higher for clients on bad links.
        min_bytes_per_s: the slowest body that is waited for, in either direction.
        keep_alive_ms: how long an idle connection is kept. Longer than the clients' own limit (Go, so Weaviate: 90
            s; most others less), because whoever closes while the other one sends loses a request. Lower it only
            behind a proxy that is known to close earlier.
        max_held_bytes: bytes of request bodies in memory, over all connections; one more is answered 503. Messages of
            gRPC have as much for themselves; where they are more, whoever sent most loses what is not whole. Answers
            that nobody reads have half of it, over HTTP and gRPC each; where they are more, whoever leaves most unread
            loses the connection; and so have the vectors of large answers that are being made, over both together: one
            more waits. Raise it for many large requests at once, where there is memory for them.
        max_calls: messages over gRPC that are waited for at a time, over all connections. Beyond it, the oldest one of
            whoever has most of them is given up. Each costs about 30 KB.
        max_streams: calls of one gRPC connection at a time; a client's further ones wait on its side.
    """

    max_connections: int = setting(1024, "Open connections, at most; counted separately for HTTP and gRPC.")
    max_target_bytes: int = setting(2048, "Bytes of a request's path, at most.")
    max_header_bytes: int = setting(16_384, "Bytes of a request's headers, at most, over HTTP and gRPC.")
    max_headers: int = setting(64, "Headers per HTTP request, at most.")
    header_timeout_ms: int = setting(10_000, "Time for the head of a request or a TLS handshake, in ms.")
    transfer_timeout_ms: int = setting(
        10_000, "Time for a body in either direction, in ms, plus its bytes divided by --min-bytes-per-s."
    )
    min_bytes_per_s: int = setting(16_384, "Slowest accepted transfer rate of a body, in bytes per second.")
    keep_alive_ms: int = setting(120_000, "Time before an idle HTTP connection is closed, in ms.")
    max_held_bytes: int = setting(
        192 << 20, "Bytes of all request bodies in memory, at most; counted separately for HTTP and gRPC."
    )
    max_calls: int = setting(4096, "Messages over gRPC that are waited for, at most.")
    max_streams: int = setting(256, "Calls per gRPC connection, at most.")

    def __post_init__(self) -> None:
        _check_positive(self)

    @property
    def max_unread_bytes(self) -> int:
        """Bytes of answers that may wait for their readers, over all connections."""
        return self.max_held_bytes // 2

    def transfer_ms(self, size: int) -> int:
        """How long *size* bytes may take."""
        return self.transfer_timeout_ms + size * 1000 // self.min_bytes_per_s


def _check_positive(limits: Limits | HttpLimits) -> None:
    for each in fields(limits):
        value = getattr(limits, each.name)
        least = 0 if each.name == "cache_bytes" else 1
        if type(value) is not int or value < least:
            raise ConfigInvalid(key=each.name, reason=f"{value!r}; expected an integer of {least} or more")


@dataclass(frozen=True, slots=True)
class Security:
    """Who may use the server, and over what. Files are read again on SIGHUP.

    Attributes:
        tls: certificates; None for connections in the clear, which are for this machine, for networks that you
            trust, and for a proxy in front that has the certificates. With a client CA, only clients with a
            certificate are let in. Costs a handshake for each connection, and little for a request.
        token_file: bearer tokens, one a line; comments begin with #. Clients have to bring one of them.
        tokens: more of them, for secret stores that give no files.
        trusted_keys: PEM file of ed25519 public keys; only artifacts that one of them signed are served, also of those
            that are loaded later. It is read once.
    """

    tls: TlsFiles | None = None
    token_file: Path | None = setting(
        None, "File of bearer tokens, one per line; SAMESPACE_TOKENS in the environment adds more."
    )
    tokens: tuple[str, ...] = field(default=(), repr=False)
    trusted_keys: Path | None = setting(
        None, "PEM file of ed25519 public keys; only artifacts that one of them signed are served (see `certify`)."
    )

    @property
    def is_open(self) -> bool:
        """Whether everybody who reaches the ports may use them."""
        return not (self.token_file or self.tokens or (self.tls and self.tls.client_ca))

    @property
    def has_files(self) -> bool:
        """Whether there is anything to read again."""
        return bool(self.tls or self.token_file)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which build of each artifact to run, as in `samespace.runtime.load_build`.

    Attributes:
        build: a build's name, or "auto" for the fastest whose probes pass here. Say fp32 for exactness at the price
            of speed.
        runtime: "onnxruntime", "openvino" or "auto".
        threads: cores that a space's runs may keep busy together; 0 for all that this process may use, a container's
            quota included. Lower it where other programs share the machine.
        device: "cpu", "cuda" or "tensorrt". GPUs need the extra `gpu` and run fp16 where the artifact has it.
        runners: runs of the model at a time; 0 for as many as help: one for every two cores, at most four. On a
            CPU, more runs with fewer cores each do a little more in all, much more where other programs take cores
            away, and a lonely request takes up to twice as long. On a GPU, more of them keep it busy while inputs and
            outputs travel.
    """

    build: str = setting("auto", "Build: fp32 for exact vectors, bf16, int8, ...; auto takes the fastest verified.")
    runtime: str = setting("auto", "Runtime: onnxruntime, openvino or auto.")
    threads: int = setting(0, "CPU cores to use; 0 for all available ones.")
    device: Device = setting(
        "cpu", "Device; anything but cpu needs the extra gpu.", choices=("cpu", "cuda", "tensorrt")
    )
    runners: int = setting(0, "Concurrent runs of the model; 0 chooses by the number of cores.")

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise ConfigInvalid(key="threads", reason=f"{self.threads}; expected 0 for all cores, or a number of them")
        if self.runners < 0:
            raise ConfigInvalid(key="runners", reason=f"{self.runners}; expected 0 for as many as help, or a number")


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where spans of requests are sent, with the extra `otel`.

    Attributes:
        endpoint: URL of a collector that takes OTLP over HTTP, such as http://localhost:4318/v1/traces. Headers and
            certificates for it are read by OpenTelemetry itself, from OTEL_EXPORTER_OTLP_*.
        percent: share of the requests that is traced, where the caller has not decided (its `traceparent` says
            sampled or not). Each traced request costs about 0.1 ms of CPU. 0 traces what callers asked for alone.
    """

    endpoint: str = setting(
        MISSING, "Send OpenTelemetry spans to this URL, by OTLP over HTTP; needs the extra otel.",
        flag="--otel-endpoint", metavar="URL",
    )  # fmt: skip
    percent: int = setting(
        100, "Share of requests that is traced, in percent, unless the caller decides.", flag="--otel-percent"
    )

    def __post_init__(self) -> None:
        if not self.endpoint.startswith(("http://", "https://")):
            raise ConfigInvalid(key="otel_endpoint", reason=f"{self.endpoint!r}; expected http://HOST:PORT/v1/traces")
        if not 0 <= self.percent <= 100:
            raise ConfigInvalid(key="otel_percent", reason=f"{self.percent}; expected 0 to 100")


@dataclass(frozen=True, slots=True)
class Settings:
    """One server.

    Attributes:
        artifacts: folders to serve; each of another space.
        host: address to listen on. Anything but 127.0.0.1 needs `security`, or a network that you trust.
        http_port: for Weaviate and other HTTP clients; 0 for a free one.
        grpc_port: for samespace's clients; 0 for a free one.
        default_space: the space (full id or 12+ hex digits) that answers HTTP paths without a prefix. Only for
            clients that cannot be given a path: such clients get other vectors when this is changed.
        admin_port: for `samespace spaces`, which loads and unloads spaces while the server runs; on 127.0.0.1 alone.
            None for no such port, 0 for a free one. Everybody who may log in to the machine can reach it.
        admin_root: the folder below which artifacts may be loaded that way. None to load none.
        ops_port: for /metrics, /meta, the status page and the probes, over plain HTTP, without tokens; 0 for a free
            one. The HTTP port then has no metrics and no page. For monitoring that can bring neither token nor
            certificate; let nobody else reach it. None to have all of it on the HTTP port.
        host_names: names of this server that have a dot in them and are not of a private ending, with commas between:
            the page, its numbers and the metrics are given under no other name, so that no page on the Internet can
            read them through its reader's browser. Addresses, localhost and names of containers need not be told.
        path_prefix: what a proxy puts before every path. Paths without it are answered too, for probes.
        cors_origins: whose pages may send texts and read vectors, with the token that they bring. "*" gives a server
            without tokens to every page that anybody in your network opens.
    """

    artifacts: tuple[Path, ...]
    host: str = setting("127.0.0.1", "Address to listen on.")
    http_port: int = setting(8080, "Port for Weaviate and other HTTP clients; 0 picks a free one.")
    grpc_port: int = setting(8081, "Port for gRPC clients; 0 picks a free one.")
    default_space: str | None = setting(None, "Space that answers HTTP paths without /e/ID.", metavar="ID")
    admin_port: int | None = setting(
        None, "Port for `samespace spaces`, on 127.0.0.1 only; 0 picks a free one. Off unless given."
    )
    admin_root: Path | None = setting(None, "Folder whose artifacts may be loaded while the server runs.")
    ops_port: int | None = setting(
        None, "Separate port for metrics, probes and the status page; 0 picks a free one. Off unless given."
    )
    host_names: str | None = setting(
        None, "Names, with commas between, under which the status page and metrics may be read too.", metavar="NAMES"
    )
    path_prefix: str | None = setting(
        None, "Prefix of every HTTP path, such as /encoder, for proxies that do not remove it.", metavar="PATH"
    )
    cors_origins: str | None = setting(
        None, "Origins, with commas between, whose pages may call the HTTP routes from a browser; * for all.",
        metavar="ORIGINS",
    )  # fmt: skip
    choice: Choice = field(default_factory=Choice)
    limits: Limits = field(default_factory=Limits)
    http: HttpLimits = field(default_factory=HttpLimits)
    security: Security = field(default_factory=Security)
    tracing: Tracing | None = None

    def __post_init__(self) -> None:
        if not self.artifacts:
            raise ConfigInvalid(key="artifacts", reason="nothing to serve; name at least one artifact folder")
        ports = {key: getattr(self, key) for key in ("http_port", "grpc_port", "admin_port", "ops_port")}
        taken: dict[int, str] = {}
        for key, port in ports.items():
            if port is None:
                continue
            if not 0 <= port <= 65_535:
                raise ConfigInvalid(key=key, reason=f"{port}; expected 0 to 65535")
            if port and taken.setdefault(port, key) != key:
                reason = f"{port} is taken by {taken[port]} already; choose another, or 0 for a free one"
                raise ConfigInvalid(key=key, reason=reason)
        if self.path_prefix is not None and not _PREFIX.fullmatch(self.path_prefix):
            raise ConfigInvalid(key="path_prefix", reason=f"{self.path_prefix!r}; expected a path such as /encoder")
        if self.admin_root is not None and self.admin_port is None:
            raise ConfigInvalid(key="admin_root", reason="has no effect without an admin port; give both or neither")
