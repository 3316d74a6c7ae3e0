"""The stack's Dagster: its home, and its readiness by GraphQL and gRPC. Dagster is not imported."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from ops_platform import files
from ops_platform.clients.dagster import LOCATION, Dagster
from ops_platform.errors import OpsError, Unavailable
from ops_platform.local.host import Layout, programs, write_private

_LOCATIONS = """
{ workspaceOrError { __typename ... on Workspace { locationEntries {
    name loadStatus locationOrLoadError { __typename ... on PythonError { message } }
} } } }
"""
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"


def prepare_home(layout: Layout) -> None:
    """Copy dagster.yaml and workspace.yaml to DAGSTER_HOME."""
    for name in ("dagster.yaml", "workspace.yaml"):
        write_private(layout.dagster_home / name, files.carried(name).read_text(encoding="utf-8"), 0o644)


def migrate_storage(layout: Layout, environment: Mapping[str, str]) -> bool:
    """Migrate Dagster's own tables to the installed version; False when that was done before.

    Raises OpsError when the migration fails.
    """
    stamp = layout.dagster_home / "migrated-by"
    installed = version("dagster")
    if stamp.exists() and stamp.read_text(encoding="utf-8").strip() == installed:
        return False
    done = subprocess.run(
        [programs.find("dagster"), "instance", "migrate"],
        env=dict(environment),
        cwd=layout.dagster_home,
        capture_output=True,
        text=True,
        check=False,
    )
    layout.log("dagster-migrate").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        raise OpsError(f"Dagster cannot migrate its storage: see {layout.log('dagster-migrate')}")
    write_private(stamp, installed + "\n", 0o644)
    return True


def webserver_answers(socket: Path) -> bool:
    """Tell whether GraphQL answers at a webserver's Unix socket and has loaded our code location."""
    try:
        workspace = _client(socket).query(_LOCATIONS)["workspaceOrError"]
    except Unavailable:
        return False
    return any(
        entry["name"] == LOCATION
        and entry["loadStatus"] == "LOADED"
        and (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
        for entry in workspace.get("locationEntries", [])
    )


def daemon_is_healthy(socket: Path) -> bool:
    """Tell whether every required daemon has a fresh heartbeat, by the webserver at ``socket``."""
    try:
        statuses = _client(socket).query(_DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
    except Unavailable:
        return False
    required = [status for status in statuses if status["required"]]
    return bool(required) and all(status["healthy"] for status in required)


def _client(socket: Path) -> Dagster:
    return Dagster("http://webserver", socket=socket, timeout_seconds=20)


def code_server_answers(port: int) -> bool:
    """Tell whether the code server on loopback answers gRPC's health check with SERVING."""
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
    from grpc_health.v1.health_pb2_grpc import HealthStub

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = HealthStub(channel).Check(HealthCheckRequest(service="DagsterApi"), timeout=3)
        except grpc.RpcError:
            return False
    return bool(answer.status == HealthCheckResponse.SERVING)
