"""What an endpoint answers to one request: right, wrong, late, or not at all."""

from __future__ import annotations

import asyncio
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
        """Ask each endpoint once; ``told`` gets its result and how long (s) it took.

        Raises ConfigurationError when the CA file cannot be used.
        """
        if probes:
            asyncio.run(self._ask(probes, told))

    async def _ask(self, probes: tuple[Probe, ...], told: Callable[[Probe, Result, float], None]) -> None:
        import httpx

        limits = httpx.Limits(max_keepalive_connections=0)
        # Names are looked up there.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(AT_ONCE))
        places = asyncio.Semaphore(AT_ONCE)
        async with httpx.AsyncClient(verify=trust(self._ca_file), trust_env=False, limits=limits) as client:

            async def one(probe: Probe) -> None:
                async with places:
                    began = time.monotonic()
                    result = await answer(client, probe)
                    told(probe, result, time.monotonic() - began)

            await asyncio.gather(*map(one, probes))


async def answer(client: httpx.AsyncClient, probe: Probe) -> Result:
    """Ask one endpoint, and judge its answer; redirects are answers too, and are not followed."""
    import httpx

    try:
        # httpx limits each wait: a server that sends a byte now and then would hold it for ever.
        async with asyncio.timeout(probe.timeout_seconds):
            return await _judged(client, probe)
    except (TimeoutError, httpx.TimeoutException):
        return "timeout"
    except (httpx.HTTPError, httpx.InvalidURL):
        return "unreachable"


async def _judged(client: httpx.AsyncClient, probe: Probe) -> Result:
    body = b""
    async with client.stream("GET", probe.url, timeout=probe.timeout_seconds) as response:
        if response.status_code != probe.status:
            return "wrong_status"
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LARGEST:
                break
    return "ok" if probe.contains.encode() in body else "wrong_body"
