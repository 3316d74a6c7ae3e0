"""A Dagster of a test's own: storage, code server and daemon under the platform's dagster.yaml."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster_graphql.cli import execute_query

from ops_platform import files
from ops_platform.clients.waiting import wait_until
from ops_platform_tests.defs.engine.location import RECORD
from ops_platform_tests.services import OpsDatabase

LOCATION = "ops_platform"
PATIENCE_SECONDS = 150
_LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
# The daemon looks often, so that nobody waits for it.
QUICK: Mapping[str, Any] = {
    "run_coordinator": {"config": {"user_code_failure_retry_delay": 1}},
    "run_monitoring": {"poll_interval_seconds": 1},
    "run_launcher": {"config": {"grace_seconds": 2}},
}


@dataclass
class Engine:
    """One Dagster home, and the processes that run for it; ``close`` ends them."""

    home: Path
    database: OpsDatabase
    configuration: Path = field(default_factory=lambda: Path(files.carried("dagster.yaml")))
    module: str = "ops_platform_tests.defs.engine.location"
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of all processes, and of this one while there is the engine."""
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    instance: dg.DagsterInstance = field(init=False)

    def __post_init__(self) -> None:
        document = yaml.safe_load(self.configuration.read_text(encoding="utf-8"))
        document = _merge(document, QUICK)
        del document["compute_logs"]
        document["local_artifact_storage"]["config"]["base_dir"] = str(self.home)
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        (self.home / "workspace.yaml").write_text(
            yaml.safe_dump(
                {"load_from": [{"grpc_server": {"socket": str(self._socket), "location_name": LOCATION}}]}
            ),
            encoding="utf-8",
        )
        self.record.touch()
        os.environ.update({"OPS_DAGSTER_STORAGE_URL": self.storage_url, **self.variables})
        self.instance = dg.DagsterInstance.from_config(str(self.home))

    @property
    def storage_url(self) -> str:
        return self.database.url("ops_owner").replace("postgresql://", "postgresql+psycopg2://")

    @property
    def record(self) -> Path:
        return self.home / "record"

    @property
    def _socket(self) -> Path:
        return self.home / "code.sock"

    def close(self) -> None:
        for name in list(self._processes):
            self.kill(name)
        self.instance.dispose()

    # --- processes ----------------------------------------------------------------------------------

    def start_code_server(self) -> None:
        self._socket.unlink(missing_ok=True)
        self._start(
            "code-server",
            [
                *(
                    "-m",
                    "dagster",
                    "api",
                    "grpc",
                    "--module-name",
                    self.module,
                    "--socket",
                    str(self._socket),
                ),
                *("--location-name", LOCATION, "--use-python-environment-entry-point"),
            ],
        )
        wait_until(self._socket.exists, PATIENCE_SECONDS, "the code server to answer", interval=0.1)

    def start_daemon(self) -> None:
        workspace = str(self.home / "workspace.yaml")
        self._start("daemon", ["-m", "dagster._daemon", "run", "--workspace", workspace])

    def start_worker(self, name: str, slots: int, **variables: str) -> int:
        """Start a worker of Celery and return its process."""
        self._start(name, ["-m", "ops_platform.defs.celery_engine", str(slots)], variables)
        return self._processes[name].pid

    def kill(self, name: str) -> None:
        """End a process and all that it started, at once."""
        process = self._processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, name: str) -> None:
        """Ask a process and all that it started to end, as systemd does, and wait."""
        process = self._processes.pop(name)
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()

    def _start(self, name: str, arguments: list[str], variables: Mapping[str, str] | None = None) -> None:
        environment = {
            **os.environ,
            **self.variables,
            **(variables or {}),
            "DAGSTER_HOME": str(self.home),
            "OPS_DAGSTER_STORAGE_URL": self.storage_url,
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
            RECORD: str(self.record),
        }
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=Path(__file__).parents[3],
                env=environment,
                stdout=log,
                stderr=log,
                # A group of its own, as a unit's control group.
                start_new_session=True,
            )

    # --- runs ---------------------------------------------------------------------------------------

    def launch(self, job: str, count: int = 1, **config: object) -> list[str]:
        """Put runs into the queue and return their ids. Needs the code server."""
        target = GrpcServerTarget(
            host="localhost", port=None, socket=str(self._socket), location_name=LOCATION
        )
        params = {
            "selector": {
                "repositoryLocationName": LOCATION,
                "repositoryName": "__repository__",
                "jobName": job,
            },
            "runConfigData": config,
        }
        with WorkspaceProcessContext(self.instance, target) as workspace:
            answers = [execute_query(workspace, _LAUNCH, {"params": params}) for _ in range(count)]
        return [str(answer["data"]["launchRun"]["run"]["runId"]) for answer in answers]

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def wait_for(self, run_id: str, status: dg.DagsterRunStatus) -> None:
        wait_until(lambda: self.status(run_id) is status, PATIENCE_SECONDS, f"run {run_id} to be {status}")

    def wait_for_event(self, run_id: str, text: str) -> None:
        """Wait until the log of a run has an event of Dagster's own that says ``text``."""

        def said() -> bool:
            entries = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
            return any(text in entry.message for entry in entries)

        wait_until(said, PATIENCE_SECONDS, f"run {run_id} to say {text!r}")

    def lines(self, what: str, root: str) -> list[list[str]]:
        """Read who said ``what`` of a chain of runs: run and process."""
        found = (line.split() for line in self.record.read_text(encoding="utf-8").splitlines())
        return [parts[2:] for parts in found if parts[:2] == [what, root]]


def _merge(base: Any, over: Any) -> Any:
    if not isinstance(over, Mapping) or not isinstance(base, Mapping):
        return over
    return {**base, **{key: _merge(base.get(key, {}), value) for key, value in over.items()}}
