"""A provider of OpenID Connect on loopback: discovery, keys, and tokens for one client and one user."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

CLIENT, SECRET, USER, PASSWORD = "weaviate", "client-secret-7", "ann", "password-7"


@dataclass
class Provider:
    """What is asked of it, and its address.

    Attributes:
        issuer: "http://127.0.0.1:PORT".
        grants: the grant types that were asked for, in order.
        lifetime_s: of the next tokens.
    """

    issuer: str
    key: Any
    grants: list[str] = field(default_factory=list)
    lifetime_s: int = 300

    def token(self) -> str:
        """A signed token of the user."""
        from authlib.jose import jwt

        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": USER, "iat": now, "exp": now + self.lifetime_s}
        text: bytes = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
        return text.decode()

    def answer(self, path: str, form: dict[str, list[str]]) -> tuple[int, Any]:
        """(status, body)."""
        if path == "/.well-known/openid-configuration":
            ends = {"token_endpoint": "/token", "jwks_uri": "/keys", "authorization_endpoint": "/auth"}
            more = {"id_token_signing_alg_values_supported": ["RS256"], "response_types_supported": ["code"]}
            grants = {"grant_types_supported": ["client_credentials", "password", "refresh_token"]}
            return 200, {"issuer": self.issuer, **more, **grants, **{k: self.issuer + v for k, v in ends.items()}}
        if path == "/keys":
            return 200, {"keys": [{**self.key.as_dict(is_private=False), "kid": "one", "use": "sig", "alg": "RS256"}]}
        if path == "/token":
            grant = form["grant_type"][0]
            self.grants.append(grant)
            good = {
                "client_credentials": form.get("client_secret") == [SECRET],
                "password": (form.get("username"), form.get("password")) == ([USER], [PASSWORD]),
                "refresh_token": form.get("refresh_token") == ["again"],
            }
            if not good.get(grant):
                return 401, {"error": "invalid_client"}
            return 200, {
                "access_token": self.token(), "token_type": "Bearer", "expires_in": self.lifetime_s,
                "refresh_token": "again",
            }  # fmt: skip
        return 404, {}


@contextmanager
def provider() -> Iterator[Provider]:
    """One that runs."""
    from authlib.jose import JsonWebKey

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            import base64

            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            basic = self.headers.get("authorization", "")
            if basic.startswith("Basic "):
                form["client_secret"] = [base64.b64decode(basic[6:]).decode().partition(":")[2]]
            self._answer(form)

        def _answer(self, form: dict[str, list[str]]) -> None:
            status, body = made.answer(self.path.partition("?")[0], form)
            data = json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        key = JsonWebKey.generate_key("RSA", 2048, is_private=True)
        made = Provider(f"http://127.0.0.1:{server.server_port}", key)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()
