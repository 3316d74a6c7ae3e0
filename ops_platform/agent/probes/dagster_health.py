"""Health of Dagster by its GraphQL: daemons and code locations. Dagster itself is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops_platform.clients.json_http import JsonService
from ops_platform.errors import Unavailable

_QUERY = """
{
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy lastHeartbeatTime } } }
  workspaceOrError {
    __typename
    ... on Workspace { locationEntries { name loadStatus locationOrLoadError { __typename } } }
  }
}
"""


@dataclass(frozen=True)
class Daemon:
    """A required daemon; ``heartbeat_at`` in Unix seconds, None before the first."""

    name: str
    healthy: bool
    heartbeat_at: float | None


@dataclass(frozen=True)
class DagsterHealth:
    """Daemons, and code locations by name: True when the location loaded."""

    daemons: tuple[Daemon, ...]
    locations: Mapping[str, bool]


def read_health(service: JsonService) -> DagsterHealth:
    """Ask the webserver. Raises Unavailable when it is away or does not answer as Dagster 1.13 does."""
    body = service.post("/graphql", json={"query": _QUERY})
    try:
        return _parse(body["data"])
    except (KeyError, TypeError):
        raise Unavailable("Dagster's GraphQL gave an unexpected answer: is OPS_DAGSTER_URL right?") from None


def _parse(data: Mapping[str, Any]) -> DagsterHealth:
    daemons = tuple(
        Daemon(item["daemonType"], bool(item["healthy"]), item["lastHeartbeatTime"])
        for item in data["instance"]["daemonHealth"]["allDaemonStatuses"]
        if item["required"]
    )
    workspace = data["workspaceOrError"]
    if workspace["__typename"] != "Workspace":
        raise Unavailable("Dagster cannot read its workspace: look at the webserver's log")
    locations = {
        entry["name"]: entry["locationOrLoadError"]["__typename"] == "RepositoryLocation"
        for entry in workspace["locationEntries"]
        if entry["loadStatus"] == "LOADED" and entry["locationOrLoadError"]
    }
    return DagsterHealth(daemons, locations)
