"""Who may ask an HTTP door: a table of doors, requests and what is said to them."""

from __future__ import annotations

import pytest

from consumers.access import Access, is_loopback, name_of
from replay.errors import UsageError

OPEN = Access.of(host="127.0.0.1", token=None, setting="s")
GUARDED = Access.of(host="0.0.0.0", token="t0k", origins=("https://board.example/",), setting="s")
LOCAL = {"Host": "127.0.0.1:8420"}
BEARER = {"Authorization": "Bearer t0k"}


@pytest.mark.parametrize(
    ("door", "path", "headers", "status"),
    [
        (OPEN, "/api", LOCAL, None),
        (OPEN, "/api", {"Host": "localhost"}, None),
        (OPEN, "/api", {"Host": "[::1]:8420"}, None),
        (OPEN, "/api", {"Host": "rebound.example:8420"}, 403),
        (OPEN, "/api", {}, 403),
        (OPEN, "/healthz", {"Host": "rebound.example"}, None),
        (OPEN, "/api", LOCAL | {"Origin": "http://127.0.0.1:8420"}, None),
        (OPEN, "/api", LOCAL | {"Origin": "http://127.0.0.1:9999"}, 403),
        (OPEN, "/api", LOCAL | {"Origin": "null"}, 403),
        (OPEN, "/api", LOCAL | {"Origin": "127.0.0.1:8420"}, 403),
        (GUARDED, "/api", {"Host": "feed.example"}, 401),
        (GUARDED, "/api", {"Host": "feed.example"} | BEARER, None),
        (GUARDED, "/api", {"Host": "feed.example", "Authorization": "bearer t0k"}, None),
        (GUARDED, "/api", {"Host": "feed.example", "Authorization": "Bearer t0"}, 403),
        (GUARDED, "/api", {"Host": "feed.example", "Authorization": "Basic t0k"}, 403),
        (GUARDED, "/api", {"Host": "feed.example", "Authorization": "Bearer tök"}, 403),
        (GUARDED, "/api", {"Host": "feed.example", "Authorization": ""}, 403),
        (GUARDED, "/metrics", {"Host": "feed.example"}, 401),
        (GUARDED, "/readyz", {"Host": "feed.example"}, None),
        (GUARDED, "/api", {"Host": "f", "Origin": "https://board.example"} | BEARER, None),
        (GUARDED, "/api", {"Host": "f", "Origin": "https://BOARD.example"} | BEARER, None),
        (GUARDED, "/api", {"Host": "f", "Origin": "https://board.example"}, 401),
        (GUARDED, "/api", {"Host": "f", "Origin": "http://board.example"} | BEARER, 403),
        (GUARDED, "/api", {"Host": "f", "Origin": "https://board.example.evil.example"} | BEARER, 403),
    ],
)
def test_who_is_answered(door, path, headers, status):
    refused = door.refusal(path, headers)
    assert (refused.status if refused else None) == status


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "feed.internal", "localhost.evil.example", ""])
def test_a_door_others_can_reach_needs_a_token(host):
    with pytest.raises(UsageError, match="feed_host"):
        Access.of(host=host, token=None, setting="feed_host")
    with pytest.raises(UsageError, match="feed_host"):
        Access.of(host=host, token="", setting="feed_host")
    assert Access.of(host=host, token="t", setting="feed_host").token == "t"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_is_for_this_machine_alone(host):
    assert is_loopback(host)


@pytest.mark.parametrize(("host", "name"), [("a:1", "a"), ("A", "a"), ("[::1]:5", "::1"), ("", ""), ("[", "")])
def test_the_name_in_a_host_header(host, name):
    assert name_of(host) == name
