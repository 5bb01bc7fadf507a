"""OAUTHBEARER: tokens by the client-credentials grant (RFC 6749, section 4.4), kept until shortly before they end."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote_plus

import aiohttp
import orjson

from consumers.stream import StreamError
from replay.settings import KafkaSettings, secret_of

#: A token is renewed this long before it ends.
_MARGIN_SECONDS = 30.0
_TIMEOUT = aiohttp.ClientTimeout(total=15)


@dataclass(slots=True)
class Tokens:
    """Asks the token server when there is no token, or the one there is will end soon."""

    kafka: KafkaSettings
    clock: Callable[[], float] = time.monotonic
    _token: str = ""
    _ends: float = 0.0

    async def token(self) -> str:
        """A token that is good for some time. Raises `StreamError`."""
        if not self._token or self.clock() >= self._ends:
            self._token, lifetime = await self._ask()
            self._ends = self.clock() + max(0.0, lifetime - _MARGIN_SECONDS)
        return self._token

    async def _ask(self) -> tuple[str, float]:
        kafka = self.kafka
        secret = secret_of(kafka.client_secret, kafka.client_secret_file, "kafka_client_secret") or ""
        form = {"grant_type": "client_credentials", **({"scope": kafka.token_scope} if kafka.token_scope else {})}
        login = {"Authorization": _basic(kafka.client_id or "", secret)}
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.post(kafka.token_url or "", data=form, headers=login) as response,
            ):
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise StreamError(f"no token from {kafka.token_url}: {type(error).__name__}") from None
        return _read(response.status, body, kafka.token_url)


def _basic(client_id: str, secret: str) -> str:
    """Both parts form-encoded first: RFC 6749, section 2.3.1."""
    return "Basic " + b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


def _read(status: int, body: bytes, url: str | None) -> tuple[str, float]:
    try:
        answer = orjson.loads(body)
        token, lifetime = answer["access_token"], float(answer.get("expires_in", 300))
    except (ValueError, KeyError, TypeError, AttributeError):
        token, lifetime = None, 0.0
    if status != 200 or not isinstance(token, str) or not token:
        raise StreamError(f"no token from {url}: HTTP {status}; are kafka_client_id and its secret right?")
    return token, lifetime
