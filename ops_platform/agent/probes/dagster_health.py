"""Health of Dagster by its GraphQL: daemons, code locations, queue, ticks. Dagster itself is not imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
  queued: runsOrError(filter: { statuses: [QUEUED] }, limit: 500) { ...Times }
  starting: runsOrError(filter: { statuses: [NOT_STARTED, STARTING] }, limit: 100) { ...Times }
  running: runsOrError(filter: { statuses: [STARTED, CANCELING] }, limit: 100) { ...Times }
  newest: runsOrError(limit: 100) { ...Times }
}
fragment Times on RunsOrError { __typename ... on Runs { results { creationTime startTime } } }
"""
_TICKS = """
{
  repositoriesOrError {
    __typename
    ... on RepositoryConnection {
      nodes {
        schedules { name scheduleState { status ticks(limit: 2) { status } } }
        sensors { name sensorState { status ticks(limit: 2) { status } } }
      }
    }
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
class RunQueue:
    """Runs that wait, begin and work; times in Unix seconds, None where there is no such run.

    ``oldest_starting_at``: since when one is being started. ``newest_start_at``: when one began to work last.
    """

    queued: int
    oldest_queued_at: float | None
    starting: int
    oldest_starting_at: float | None
    running: int
    newest_start_at: float | None


@dataclass(frozen=True)
class DagsterHealth:
    """Daemons, code locations by name (True when the location loaded), and the queue."""

    daemons: tuple[Daemon, ...]
    locations: Mapping[str, bool]
    queue: RunQueue


@dataclass(frozen=True)
class Ticker:
    """A schedule or sensor that is on; ``fails``: its newest tick that ended did, None before the first."""

    name: str
    fails: bool | None


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
    return DagsterHealth(daemons, locations, _queue(data))


def _queue(data: Mapping[str, Any]) -> RunQueue:
    queued, starting, running, newest = (
        _runs(data[part]) for part in ("queued", "starting", "running", "newest")
    )
    began = [run["startTime"] for run in (*newest, *running) if run["startTime"] is not None]
    return RunQueue(
        len(queued),
        min((run["creationTime"] for run in queued), default=None),
        len(starting),
        min((run["startTime"] or run["creationTime"] for run in starting), default=None),
        len(running),
        max(began, default=None),
    )


def _runs(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    if answer["__typename"] != "Runs":
        raise Unavailable("Dagster cannot read its runs: look at the webserver's log")
    results: Sequence[Mapping[str, Any]] = answer["results"]
    return results


def read_ticks(service: JsonService) -> list[Ticker]:
    """Ask for the newest ticks of everything that is on. Raises Unavailable as ``read_health`` does."""
    body = service.post("/graphql", json={"query": _TICKS})
    try:
        return list(_tickers(body["data"]["repositoriesOrError"]))
    except (KeyError, TypeError):
        raise Unavailable("Dagster's GraphQL gave an unexpected answer: is OPS_DAGSTER_URL right?") from None


def _tickers(answer: Mapping[str, Any]) -> Iterator[Ticker]:
    if answer["__typename"] != "RepositoryConnection":
        raise Unavailable("Dagster cannot read its workspace: look at the webserver's log")
    for repository in answer["nodes"]:
        for kind in ("schedule", "sensor"):
            for one in repository[f"{kind}s"]:
                state = one[f"{kind}State"]
                if state["status"] == "RUNNING":
                    ended = [tick["status"] for tick in state["ticks"] if tick["status"] != "STARTED"]
                    yield Ticker(one["name"], ended[0] == "FAILURE" if ended else None)
