"""What a person does in Dagster's UI and the platform never does by itself: replay, end, try a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ops_platform.clients.dagster import Dagster, Run, launched, require, selector
from ops_platform.errors import CheckFailed

_REEXECUTE = """
mutation ($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
_TERMINATE = """
mutation ($runId: String!) {
  terminateRun(runId: $runId) { __typename
    ... on TerminateRunFailure { message }
    ... on RunNotFoundError { message }
    ... on PythonError { message }
  }
}
"""
_DRY_RUN = """
mutation ($selector: ScheduleSelector!, $timestamp: Float) {
  scheduleDryRun(selectorData: $selector, timestamp: $timestamp) { __typename
    ... on DryRunInstigationTick { evaluationResult {
      skipReason error { message } runRequests { runKey runConfigYaml tags { key value } } } }
    ... on PythonError { message }
    ... on ScheduleNotFoundError { message }
  }
}
"""


class DagsterUi(Dagster):
    """One Dagster webserver, asked what its UI asks. Each method raises Unavailable when it refuses."""

    def reexecute(self, run_id: str, strategy: Literal["ALL_STEPS", "FROM_FAILURE"] = "ALL_STEPS") -> str:
        """Replay a run as the UI's Re-execute does; the new run's id."""
        params = {"parentRunId": run_id, "strategy": strategy}
        return launched(self.query(_REEXECUTE, {"params": params})["launchRunReexecution"])

    def terminate(self, run_id: str) -> None:
        """End a run, as the UI's Terminate does."""
        require(self.query(_TERMINATE, {"runId": run_id})["terminateRun"], "TerminateRunSuccess")

    def succeed(self, job: str, run_config: Mapping[str, Any], timeout: float) -> Run:
        """Launch and wait. Raises CheckFailed with the failure's own line when the run fails."""
        run = self.wait(self.launch(job, run_config), timeout)
        if run.status != "SUCCESS":
            raise CheckFailed(
                f"{job} ended {run.status}: {self.failure(run.run_id) or 'see the run in the UI'}"
            )
        return run

    def schedule_dry_run(self, schedule: str, timestamp: float) -> dict[str, Any]:
        """What the schedule would do at ``timestamp`` (Unix seconds), as the UI's test button asks."""
        variables = {"selector": selector("scheduleName", schedule), "timestamp": timestamp}
        answer = self.query(_DRY_RUN, variables)["scheduleDryRun"]
        require(answer, "DryRunInstigationTick")
        result: dict[str, Any] = answer["evaluationResult"]
        return result
