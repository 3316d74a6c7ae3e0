"""Plain HTTP to servers of this machine: `httpx.get` would read all certificates for each request."""

from __future__ import annotations

import httpx

WEB = httpx.Client(verify=False, limits=httpx.Limits(max_keepalive_connections=0))  # noqa: S501
