"""OAUTHBEARER tokens: asked for by client credentials, kept until they nearly end, and wired to the Kafka client."""

from __future__ import annotations

import json
from base64 import b64decode
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from consumers import kafka
from consumers.oauth import Tokens
from consumers.stream import StreamError
from replay.settings import KafkaSettings

SETTINGS = KafkaSettings(
    security="sasl_plaintext", sasl="OAUTHBEARER", client_id="me", client_secret="s3cret", token_scope="kafka"
)


@asynccontextmanager
async def token_server(*answers, asked=None):
    """Answers in turn, each (status, body)."""
    left = list(answers)

    async def give(request):
        if asked is not None:
            asked.append((request.headers["Authorization"], parse_qs(await request.text())))
        status, body = left.pop(0)
        return web.Response(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode())

    application = web.Application()
    application.router.add_post("/token", give)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    finally:
        await runner.cleanup()


async def test_a_token_is_asked_for_with_the_clients_own_credentials():
    asked = []
    async with token_server((200, {"access_token": "t", "expires_in": 300}), asked=asked) as url:
        settings = replace(SETTINGS, token_url=url, client_secret="s3cret:/")
        assert await Tokens(settings).token() == "t"
    ((login, form),) = asked
    assert b64decode(login.removeprefix("Basic ")) == b"me:s3cret%3A%2F"
    assert form == {"grant_type": ["client_credentials"], "scope": ["kafka"]}


async def test_a_token_is_kept_until_shortly_before_it_ends():
    now = [0.0]
    answers = [(200, {"access_token": f"t{n}", "expires_in": 100}) for n in range(3)]
    async with token_server(*answers) as url:
        tokens = Tokens(replace(SETTINGS, token_url=url), clock=lambda: now[0])
        assert await tokens.token() == "t0"
        now[0] = 69.0
        assert await tokens.token() == "t0"
        now[0] = 70.0
        assert await tokens.token() == "t1"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"error": "invalid_client"}),
        (200, {"token": "elsewhere"}),
        (200, {"access_token": ""}),
        (200, {"access_token": 7}),
        (200, [1]),
        (200, b"<html>"),
        (200, {"access_token": "t", "expires_in": "soon"}),
        (500, {"access_token": "t"}),
    ],
)
async def test_what_is_no_token_is_said_without_the_secret(status, body):
    async with token_server((status, body)) as url:
        with pytest.raises(StreamError, match=f"HTTP {status}; are kafka_client_id") as raised:
            await Tokens(replace(SETTINGS, token_url=url)).token()
    assert "s3cret" not in str(raised.value)


async def test_a_server_that_is_away_is_said():
    with pytest.raises(StreamError, match="no token from http://127.0.0.1:1/token"):
        await Tokens(replace(SETTINGS, token_url="http://127.0.0.1:1/token")).token()


async def test_the_client_gets_its_tokens_from_here():
    async with token_server((200, {"access_token": "t"})) as url:
        options = kafka._client_options(replace(SETTINGS, token_url=url))
        assert options["sasl_mechanism"] == "OAUTHBEARER"
        assert await options["sasl_oauth_token_provider"].token() == "t"
    assert "sasl_oauth_token_provider" not in kafka._client_options(KafkaSettings())
