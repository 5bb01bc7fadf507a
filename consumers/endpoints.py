"""Where a bundle's model is reached: settings before `release.yaml`, keys from the environment or a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from replay.bundle import Bundle
from replay.comparison import Lane
from replay.errors import UsageError
from replay.models import Endpoint
from replay.settings import Settings


def endpoint_for(
    bundle: Bundle, settings: Settings, environment: Mapping[str, str], *, lane: Lane = "candidate"
) -> Endpoint:
    """Raises `UsageError` when a key is named and not there."""
    endpoint = bundle.release.endpoint
    stated = "concurrency" in endpoint.model_fields_set
    return Endpoint(
        url=(settings.baseline_route_url if lane == "baseline" else None) or settings.route_url or endpoint.url,
        api_key=settings.api_key or _key(bundle, environment),
        concurrency=endpoint.concurrency if stated else settings.concurrency,
        requests_per_minute=endpoint.requests_per_minute,
    )


def _key(bundle: Bundle, environment: Mapping[str, str]) -> str | None:
    endpoint = bundle.release.endpoint
    if endpoint.api_key_env is not None:
        found = environment.get(endpoint.api_key_env)
        if not found:
            raise UsageError(f"{bundle.directory}: release.yaml takes its key from ${endpoint.api_key_env}: set it")
        return found
    if endpoint.api_key_file is None:
        return None
    path = bundle.directory / Path(endpoint.api_key_file).expanduser()
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the key named in release.yaml cannot be read: {error}") from None
