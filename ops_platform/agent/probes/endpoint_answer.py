"""What an endpoint answers to one request: right, wrong, late, or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ops_platform.agent.probes.endpoint_list import Probe
from ops_platform.clients.json_http import trust

if TYPE_CHECKING:
    import httpx

Result = Literal["ok", "wrong_status", "wrong_body", "timeout", "unreachable"]
RESULTS: tuple[Result, ...] = ("ok", "wrong_status", "wrong_body", "timeout", "unreachable")
LARGEST = 1 << 20
"""Bytes of a body that are looked at."""
AT_ONCE = 10


class Prober:
    """Asks endpoints, several at once, on a new connection each: as a user who has just come."""

    def __init__(self, ca_file: Path | None = None) -> None:
        self._ca_file = ca_file

    def ask(self, probes: tuple[Probe, ...], told: Callable[[Probe, Result, float], None]) -> None:
        """Ask each endpoint once; ``told`` gets its result and how long (s) it took, from several threads.

        Raises ConfigurationError when the CA file cannot be used.
        """
        import httpx

        if not probes:
            return
        limits = httpx.Limits(max_keepalive_connections=0)
        verify = trust(self._ca_file)
        with (
            httpx.Client(verify=verify, trust_env=False, limits=limits) as client,
            ThreadPoolExecutor(AT_ONCE) as pool,
        ):

            def one(probe: Probe) -> None:
                began = time.monotonic()
                result = answer(client, probe)
                told(probe, result, time.monotonic() - began)

            list(pool.map(one, probes))


def answer(client: httpx.Client, probe: Probe) -> Result:
    """Ask one endpoint, and judge its answer; redirects are answers too, and are not followed."""
    import httpx

    deadline = time.monotonic() + probe.timeout_seconds
    body = b""
    try:
        with client.stream("GET", probe.url, timeout=probe.timeout_seconds) as response:
            if response.status_code != probe.status:
                return "wrong_status"
            for chunk in response.iter_bytes():
                body += chunk
                # httpx limits each wait: a server that sends a byte now and then would hold it for ever.
                if time.monotonic() > deadline:
                    return "timeout"
                if len(body) > LARGEST:
                    break
    except httpx.TimeoutException:
        return "timeout"
    except (httpx.HTTPError, httpx.InvalidURL):
        return "unreachable"
    if time.monotonic() > deadline:
        return "timeout"
    return "ok" if probe.contains.encode() in body else "wrong_body"
