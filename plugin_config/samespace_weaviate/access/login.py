"""Who one is for Weaviate: an API key, or one of the ways of OIDC, in weaviate-client's words.

Secrets come from the environment, because a command line can be read by everybody on the machine; none is ever shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from samespace.errors import ConfigInvalid

_WAYS: Final[Mapping[str, tuple[str, ...]]] = {
    # What weaviate.classes.init.Auth calls it -> the variables that it needs.
    "api_key": ("WEAVIATE_API_KEY",),
    "client_credentials": ("WEAVIATE_CLIENT_SECRET",),
    "client_password": ("WEAVIATE_USERNAME", "WEAVIATE_PASSWORD"),
    "bearer_token": ("WEAVIATE_BEARER_TOKEN",),
}


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials of one way; none of them is shown.

    Attributes:
        api_key: of `Auth.api_key`.
        client_secret: of `Auth.client_credentials`.
        username, password: of `Auth.client_password`.
        access_token, refresh_token, expires_in: of `Auth.bearer_token`; seconds.
        scope: of the two that ask for a token, separated by blanks; "" for the provider's.
    """

    api_key: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_in: int = 60
    scope: str = ""

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> Login:
        """WEAVIATE_API_KEY, or what OIDC needs; an empty variable is as good as none.

        Raises:
            ConfigInvalid: two ways at once, half of one, or seconds that are no number.
        """
        said = {name: value.strip() for name, value in environment.items() if name.startswith("WEAVIATE_")}
        ways = [way for way, names in _WAYS.items() if any(said.get(name) for name in names)]
        if len(ways) > 1:
            names = " and ".join(_WAYS[way][0] for way in ways)
            raise ConfigInvalid(key=names, reason="are both set; keep one of them")
        for way in ways:
            if missing := [name for name in _WAYS[way] if not said.get(name)]:
                raise ConfigInvalid(key=missing[0], reason=f"is not set, and {_WAYS[way][0]} needs it")
        seconds = said.get("WEAVIATE_TOKEN_EXPIRES_IN") or "60"
        if not seconds.isdecimal():
            raise ConfigInvalid(key="WEAVIATE_TOKEN_EXPIRES_IN", reason=f"{seconds!r}; expected seconds")
        return Login(
            api_key=said.get("WEAVIATE_API_KEY", ""),
            client_secret=said.get("WEAVIATE_CLIENT_SECRET", ""),
            username=said.get("WEAVIATE_USERNAME", ""),
            password=said.get("WEAVIATE_PASSWORD", ""),
            access_token=said.get("WEAVIATE_BEARER_TOKEN", ""),
            refresh_token=said.get("WEAVIATE_REFRESH_TOKEN", ""),
            expires_in=int(seconds),
            scope=said.get("WEAVIATE_SCOPE", ""),
        )

    @property
    def is_oidc(self) -> bool:
        """Whether the token is one that weaviate-client gets, and gets anew when it expires."""
        return bool(self.client_secret or self.username or self.access_token)
