"""What a browser says of where a request comes from: host, origin, fetch metadata; and its size.

A cookie alone proves nothing: browsers send it along from any page. Pages on other ports of the same host
are as foreign as others.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request

from ops_platform.guard.refusal import Refusal

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def allowed_hosts(urls: Iterable[str | None], ports: Iterable[int], more: Iterable[str]) -> frozenset[str]:
    """List the values of Host that are ours: those of our URLs, loopback's with our ports, and ``more``."""
    hosts = {name.lower() for name in more}
    for url in urls:
        parts = urlsplit(url or "")
        if parts.hostname:
            name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
            hosts.add(f"{name}:{port}")
            if port == _DEFAULT_PORTS.get(parts.scheme):
                hosts.add(name)
    hosts |= {f"{name}:{port}" for name in LOOPBACK_NAMES for port in ports}
    return frozenset(hosts)


def require_host(headers: Headers, allowed: frozenset[str]) -> str:
    """Return the request's host. Raises Refusal when it is none of ours, as after DNS rebinding."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or hosts[0].lower() not in allowed:
        raise Refusal(421, "host", "This is no name of this server: use its URL, or set OPS_GUARD_HOSTS.")
    return hosts[0].lower()


def require_same_site(headers: Headers, method: str, is_websocket: bool, host: str) -> None:
    """Raise Refusal for a request that another site's page makes in somebody's browser.

    Programs say neither Origin nor Sec-Fetch-Site; a browser says one with every request that could change
    anything.
    """
    origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
    foreign = Refusal(403, "origin", "The request comes from the page of another site: open this one itself.")
    if origins and (len(origins) > 1 or origins[0].lower() not in (f"http://{host}", f"https://{host}")):
        raise foreign
    if not sites or sites == ["same-origin"]:
        return
    is_opened = (
        method in ("GET", "HEAD")
        and not is_websocket
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    # "none": typed, or from a bookmark. A link from elsewhere may be followed; nothing changes by it.
    if not is_opened and sites != ["none"]:
        raise foreign


async def body(request: Request, largest: int) -> bytes:
    """Read a request's body. Raises Refusal for a larger one, before all of it has come."""
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > largest:
            raise Refusal(413, "too-large", f"A request's body may have at most {largest} bytes.")
        parts.append(chunk)
    return b"".join(parts)


def local_path(text: str) -> str:
    """Return a path on this server to go on to; ``/`` for whatever could lead elsewhere."""
    parts = urlsplit(text)
    is_local = text.startswith("/") and not text.startswith("//") and not parts.scheme and not parts.netloc
    plain = text.isprintable() and "\\" not in text and text.isascii()
    return text if is_local and plain and not text.startswith("/guard/") else "/"
