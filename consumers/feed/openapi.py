"""The description of the feed's door, made of the same tables and types that make its answers (OpenAPI 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

import msgspec

from consumers.feed.answers import Refusal
from consumers.feed.selection import Parameter

_JSON = "application/json"


class Endpoint(NamedTuple):
    """One path: what it is for, what it takes, and the type of what it gives."""

    path: str
    words: str
    parameters: Sequence[Parameter]
    answer: type
    content: str = _JSON


def description(endpoints: Sequence[Endpoint], *, guarded: bool) -> bytes:
    """The document, as JSON. `guarded`: whether a token is asked for."""
    types = [*(endpoint.answer for endpoint in endpoints), Refusal]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(types, schemas, strict=True))
    paths = {endpoint.path: {"get": _operation(endpoint, by_type)} for endpoint in endpoints}
    document: dict[str, object] = {
        "openapi": "3.1.0",
        "info": {"title": "shadow-replay feed", "version": version("shadow-replay")},
        "paths": paths | {path: {"get": _plain(words)} for path, words in _PLAIN.items()},
        "components": {"schemas": components},
    }
    if guarded:
        document["components"] = {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        }
        document["security"] = [{"token": []}]
    return msgspec.json.encode(document)


_PLAIN = {
    "/metrics": "Prometheus metrics.",
    "/healthz": "200 while the process runs. Asks for no token.",
    "/readyz": "200 while the topic is read, else 503. Asks for no token.",
    "/openapi.json": "This document.",
}


def _operation(endpoint: Endpoint, schemas: dict[type, dict[str, object]]) -> dict[str, object]:
    refused = {"content": {_JSON: {"schema": schemas[Refusal]}}}
    return {
        "summary": endpoint.words,
        "parameters": [
            {"name": p.name, "in": "query", "description": p.words, "schema": p.schema} for p in endpoint.parameters
        ],
        "responses": {
            "200": {"description": "ok", "content": {endpoint.content: {"schema": schemas[endpoint.answer]}}},
            "400": {"description": "a parameter cannot be used", **refused},
            "401": {"description": "a token is needed", **refused},
            "403": {"description": "not this token, or not from this origin", **refused},
        },
    }


def _plain(words: str) -> dict[str, object]:
    return {"summary": words, "responses": {"200": {"description": "ok"}}}
