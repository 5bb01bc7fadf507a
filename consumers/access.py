"""Who may ask an HTTP door of ours. Decides on names and headers; knows no server.

A door that is open beyond loopback needs a token. On loopback, a page in somebody's browser is the danger: it may
send requests here, under its own origin or under a name that it has pointed at this address.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from replay.errors import UsageError

#: Health is asked by whoever keeps the process running, and tells nothing else.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Refusal(NamedTuple):
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one door. `origins` are web origins that may ask beside the door's own."""

    host: str
    token: str | None = None
    origins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *, host: str, token: str | None, origins: tuple[str, ...] = (), setting: str) -> Access:
        """Raises `UsageError` for a door that is open to a network without a token, named by its `setting`."""
        if not token and not is_loopback(host):
            raise UsageError(f"{setting}: {host} can be reached by others; set a token, or listen on 127.0.0.1")
        return cls(host, token or None, frozenset(origin.rstrip("/").lower() for origin in origins))

    def refusal(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Why a request is not answered; null when it is. `headers` are read by their usual names."""
        if path in OPEN_PATHS:
            return None
        if not self.is_asked_by_name(headers):
            return Refusal(403, "this address is not asked for by that name")
        if self.allowed_origin(headers) is None and "Origin" in headers:
            return Refusal(403, "this origin may not ask here")
        return self._token_refusal(headers.get("Authorization"))

    def is_asked_by_name(self, headers: Mapping[str, str]) -> bool:
        """Whether a door on loopback is asked for as such: another name was pointed at it by somebody."""
        return not is_loopback(self.host) or name_of(headers.get("Host", "")) in _LOCAL_NAMES

    def allowed_origin(self, headers: Mapping[str, str]) -> str | None:
        """The origin to name in an answer to a browser; null for none or a foreign one."""
        origin = headers.get("Origin")
        if origin is None:
            return None
        asked = origin.rstrip("/").lower()
        own = asked.partition("://")[2] == headers.get("Host", "").lower() and "://" in asked
        return origin if own or asked in self.origins else None

    def _token_refusal(self, authorization: str | None) -> Refusal | None:
        if self.token is None:
            return None
        if authorization is None:
            return Refusal(401, "a token is needed: Authorization: Bearer TOKEN")
        kind, _, given = authorization.partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self.token.encode())
        return None if kind.lower() == "bearer" and right else Refusal(403, "this is not the token")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address. A name other than localhost may be anybody's."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def name_of(host: str) -> str:
    """The name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
