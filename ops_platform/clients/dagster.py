"""Dagster over its GraphQL API: launch and watch runs. Dagster itself is not imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ops_platform.clients.json_http import Access, JsonService
from ops_platform.clients.safe_errors import scrub, service
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable

LOCATION = "ops_platform"
REPOSITORY = "__repository__"
FINISHED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
UNFINISHED = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED")

_LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PipelineNotFoundError { message }
  }
}
"""
_RUN = """
query ($runId: ID!) {
  runOrError(runId: $runId) { __typename
    ... on Run { runId jobName status startTime endTime runConfig }
  }
}
"""
_RUNS = """
query ($filter: RunsFilter!, $limit: Int!) {
  runsOrError(filter: $filter, limit: $limit) { __typename
    ... on Runs { results { runId jobName status startTime endTime runConfig } }
  }
}
"""
_EVENTS = """
query ($runId: ID!, $cursor: String) {
  logsForRun(runId: $runId, afterCursor: $cursor) { __typename
    ... on EventConnection { cursor hasMore events { __typename
      ... on MessageEvent { message level stepKey timestamp }
      ... on ExecutionStepFailureEvent { error { message } }
      ... on MaterializationEvent { assetKey { path } label metadataEntries { label description __typename
        ... on TextMetadataEntry { text }
        ... on IntMetadataEntry { intValue }
        ... on FloatMetadataEntry { floatValue }
        ... on BoolMetadataEntry { boolValue } } }
      ... on AssetCheckEvaluationEvent { evaluation { checkName success assetKey { path } } }
    } }
  }
}
"""


@dataclass(frozen=True)
class Run:
    """A run as Dagster knows it; times in Unix seconds, None for what has not happened yet."""

    run_id: str
    job_name: str
    status: str
    started_at: float | None
    ended_at: float | None
    run_config: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        """Whether the run has ended, successfully or not."""
        return self.status in FINISHED


class Dagster:
    """One Dagster webserver. Each method raises Unavailable when it cannot be reached or refuses."""

    def __init__(
        self,
        url: str,
        *,
        token: SecretStr | None = None,
        socket: Path | None = None,
        ca_file: Path | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        """Ask at ``url``, with the token that the guard before it knows; or at the webserver's own socket."""
        self._service = JsonService(
            "Dagster", url, ca_file=ca_file, access=access(token, socket), timeout_seconds=timeout_seconds
        )

    def query(self, text: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run a GraphQL query or mutation and return the ``data`` of its answer."""
        body = self._service.post("/graphql", json={"query": text, "variables": dict(variables or {})})
        if not isinstance(body, dict) or body.get("errors") or not body.get("data"):
            raise Unavailable("Dagster's GraphQL gave an unexpected answer: is OPS_DAGSTER_URL right?")
        data: dict[str, Any] = body["data"]
        return data

    def launch(self, job: str, run_config: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> str:
        """Launch a job of the ``ops_platform`` location and return the run's id."""
        params = {
            "selector": selector("jobName", job),
            "runConfigData": dict(run_config),
            "executionMetadata": {"tags": _tags(tags)},
        }
        return launched(self.query(_LAUNCH, {"params": params})["launchRun"])

    def run(self, run_id: str) -> Run:
        """Fetch a run. Raises Unavailable when Dagster does not know it."""
        answer = self.query(_RUN, {"runId": run_id})["runOrError"]
        if answer["__typename"] != "Run":
            raise Unavailable(f"Dagster knows no run {run_id}")
        return _run(answer)

    def runs(
        self,
        job: str,
        *,
        statuses: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """List runs of a job with all of ``tags`` and any of ``statuses`` (empty: all), newest first."""
        run_filter: dict[str, Any] = {"pipelineName": job, "tags": _tags(tags)}
        if statuses:
            run_filter["statuses"] = list(statuses)
        answer = self.query(_RUNS, {"filter": run_filter, "limit": limit})["runsOrError"]
        return [_run(item) for item in answer["results"]]

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """List all events of a run, oldest first."""
        events: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = self.query(_EVENTS, {"runId": run_id, "cursor": cursor})["logsForRun"]
            events += page["events"]
            if not page["hasMore"]:
                return events
            cursor = page["cursor"]

    def wait(self, run_id: str, timeout: float) -> Run:
        """Wait until a run has finished and return it. Raises Unavailable after ``timeout`` seconds."""

        def finished() -> Run | None:
            run = self.run(run_id)
            return run if run.finished else None

        return wait_until(finished, timeout, f"run {run_id} to finish", interval=0.5)

    def failure(self, run_id: str) -> str | None:
        """Return the first line of a run's first step failure; None when no step failed."""
        for event in self.events(run_id):
            if event["__typename"] == "ExecutionStepFailureEvent":
                message = ((event.get("error") or {}).get("message") or event["message"]).strip()
                # What an op may say is worded by safe_errors before Dagster stores it (defs/failures.py).
                return scrub(message.partition("\n")[0])
        return None


def access(token: SecretStr | None, socket: Path | None = None) -> Access:
    """Make what Dagster's guard asks of its clients: a bearer token; a webserver's socket asks nothing."""
    headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    return Access(headers=headers, socket=socket, on_refusal=_advice)


def _advice(status: int, _: str) -> str:
    return "set OPS_DAGSTER_TOKEN to a token that the guard knows" if status == 401 else ""


def selector(name_key: str, name: str) -> dict[str, str]:
    """Build the GraphQL selector of a job (``jobName``) or schedule (``scheduleName``) of our location."""
    return {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY, name_key: name}


def require(answer: Mapping[str, Any], typename: str) -> None:
    """Raise Unavailable with Dagster's reason when a mutation's ``answer`` is not of type ``typename``."""
    if answer["__typename"] != typename:
        reason = answer.get("message") or "; ".join(error["message"] for error in answer.get("errors", ()))
        raise Unavailable(f"Dagster refused ({answer['__typename']}): {service(reason or 'no reason')}")


def launched(answer: Mapping[str, Any]) -> str:
    """Return the id of the run that a launch began. Raises Unavailable when the launch was refused."""
    require(answer, "LaunchRunSuccess")
    return str(answer["run"]["runId"])


def _tags(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in (tags or {}).items()]


def _run(item: Mapping[str, Any]) -> Run:
    return Run(
        run_id=item["runId"],
        job_name=item["jobName"],
        status=item["status"],
        started_at=item["startTime"],
        ended_at=item["endTime"],
        run_config=item["runConfig"] or {},
    )
