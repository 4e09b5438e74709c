"""One gRPC channel to one listed address, and what gRPC does by itself on it.

A DNS name's addresses take turns (`round_robin`), and those whose health service says that they are not ready are
left out. What gRPC does not do, trying again and turns over several names, is `replicas`' business: its own retries
know neither our `retry_after_ms` nor another name to go to.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import grpc

from .access import Access, Tls
from .address import ServerAddress

HEALTH_SERVICE: Final = "samespace.v1.Encoder"
MAX_REPLY_BYTES: Final = 1 << 30
_SERVICE_CONFIG: Final = json.dumps(
    {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": HEALTH_SERVICE}}
)
_BALANCED: Final = (
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.service_config_disable_resolution", 1),  # DNS may say where, not how
)
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
    ("grpc.max_send_message_length", -1),  # the server says what is too much
    ("grpc.keepalive_time_ms", 30_000),  # notices a host that vanished in the middle of a stream
    ("grpc.keepalive_timeout_ms", 10_000),
    # gRPC's own pauses between connection attempts grow to two minutes: a server that came back would wait for them.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # despite its name: how long one attempt may take
    # Channels of a process share connections otherwise, and a new client may be given a dead one.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(replica: str, access: Access, *, bare: bool = False) -> Any:
    """A channel to "host:port"; connects when it is first used.

    Args:
        bare: to the first address that takes the connection, without asking whether the server there is ready.
    """
    options = _OPTIONS if bare else (*_OPTIONS, *_BALANCED)
    if access.tls is None:
        return grpc.insecure_channel(replica, options=options)
    return grpc.secure_channel(replica, _credentials(access.tls), options=(*options, *_name(access.tls)))


def with_scheme(access: Access, address: ServerAddress) -> Access:
    """*access* with what the address's scheme says about TLS: grpcs:// wants it, grpc:// does without."""
    if address.tls is None:
        return access
    return replace(access, tls=(access.tls or Tls()) if address.tls else None)


def metadata(access: Access) -> tuple[tuple[str, str], ...]:
    """What every request carries beside its message."""
    return () if access.token is None else (("authorization", f"Bearer {access.token}"),)


def _credentials(tls: Tls) -> Any:
    return grpc.ssl_channel_credentials(
        root_certificates=tls.ca, private_key=tls.key, certificate_chain=tls.certificate
    )


def _name(tls: Tls) -> tuple[tuple[str, str], ...]:
    return () if tls.server_name is None else (("grpc.ssl_target_name_override", tls.server_name),)
