"""/healthz: the process answers. /readyz: everything that it needs answers, too."""

from __future__ import annotations

import logging
from collections.abc import Callable

from fastapi import APIRouter

from ops_platform.api.openapi import problems
from ops_platform.api.problems import Problem
from ops_platform.api.schemas import Health
from ops_platform.api.service import Service
from ops_platform.clients.postgres.pool import Pool
from ops_platform.errors import OpsError

log = logging.getLogger(__name__)


def router(service: Service) -> APIRouter:
    """Build the routes of the health checks."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", response_model=Health, summary="The process answers", responses=problems(413))
    async def healthz() -> Health:
        return Health(status="ok")

    @routes.get(
        "/readyz", response_model=Health, summary="All it needs answers", responses=problems(413, 503)
    )
    def readyz() -> Health:
        needs: dict[str, Callable[[], object]] = {
            "ops database": lambda: _ask(service.ops),
            "product database": lambda: _ask(service.product),
            "Redis": service.window.cache.ping,
            "identity provider's keys": service.identity.keys.check,
        }
        missing = []
        for name, check in needs.items():
            try:
                check()
            except OpsError as error:
                log.warning("not ready: %s", error)
                missing.append(name)
        if missing:
            detail = f"Away: {', '.join(missing)}."
            raise Problem(503, "not-ready", detail, headers={"Retry-After": "10"})
        return Health(status="ok")

    return routes


def _ask(pool: Pool) -> None:
    with pool.use() as connection:
        connection.execute("SELECT 1")
