"""Hosts, origins and paths that are ours, and those that look like it."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from ops_platform.guard import boundary
from ops_platform.guard.refusal import Refusal

HOSTS = boundary.allowed_hosts(
    ("https://ops.example.org", "http://127.0.0.1:17001"), (17000, 17001), ("dagster.lan:17000",)
)
HERE = "127.0.0.1:17000"


def test_only_our_own_names_are_hosts() -> None:
    for good in (
        "ops.example.org",
        "OPS.example.org:443",
        HERE,
        "localhost:17001",
        "[::1]:17000",
        "dagster.lan:17000",
    ):
        assert boundary.require_host(Headers({"host": good}), HOSTS) == good.lower()
    for bad in (
        "evil.example",
        "ops.example.org.evil.example",
        "ops.example.org:17000",
        "127.0.0.1",
        "",
        "127.0.0.1:1",
    ):
        with pytest.raises(Refusal):
            boundary.require_host(Headers({"host": bad}), HOSTS)
    for raw in ([], [(b"host", HERE.encode())] * 2):
        with pytest.raises(Refusal):
            boundary.require_host(Headers(raw=raw), HOSTS)


OPENED = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize(
    ("method", "headers", "is_ours"),
    [
        ("POST", {}, True),
        ("POST", {"origin": f"http://{HERE}", "sec-fetch-site": "same-origin"}, True),
        ("POST", {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}, False),
        ("POST", {"origin": "http://evil.example"}, False),
        ("POST", {"origin": "null"}, False),
        # Another port of the same host is same-site, and gets the cookie, too.
        ("POST", {"origin": "http://127.0.0.1:9999", "sec-fetch-site": "same-site"}, False),
        ("POST", {"origin": "http://localhost:17000"}, False),
        ("POST", {"sec-fetch-site": "cross-site", **OPENED}, False),
        ("GET", {"sec-fetch-site": "cross-site", **OPENED}, True),
        ("GET", {"sec-fetch-site": "none", **OPENED}, True),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, False),
        ("GET", {"sec-fetch-site": "cross-site", **OPENED, "sec-fetch-dest": "iframe"}, False),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, False),
        ("GET", {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, True),
    ],
)  # fmt: skip
def test_another_site_s_page_asks_for_nothing(method: str, headers: dict[str, str], is_ours: bool) -> None:
    for is_websocket in (False, True):
        expected = is_ours and not (is_websocket and headers.get("sec-fetch-site") == "cross-site")
        try:
            boundary.require_same_site(Headers(headers), method, is_websocket, HERE)
        except Refusal:
            assert not expected
        else:
            assert expected


def test_after_signing_in_one_stays_here() -> None:
    for good in ("/", "/runs/1?a=b#c", "/assets/slo%2Fx"):
        assert boundary.local_path(good) == good
    for bad in (
        "",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:x",
        "/a\nb",
        "\\\\e",
        "/guard/logout",
    ):
        assert boundary.local_path(bad) == "/"
