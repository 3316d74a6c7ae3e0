"""Each mutation that Dagster knows, and the role that it takes. What is not here is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ops_platform.guard.accounts import Role

Kind = Literal["none", "look", "launch", "terminate", "reexecute", "toggle", "reload", "partition", "wipe"]


@dataclass(frozen=True)
class Permission:
    """The role that a mutation takes; its kind is what the ledger calls it.

    ``none`` and ``look`` change nothing that lasts, and are not recorded.
    """

    role: Role
    kind: Kind

    @property
    def is_recorded(self) -> bool:
        """Whether the ledger has it before it goes on."""
        return self.kind not in ("none", "look")


def _all(role: Role, kind: Kind, *names: str) -> dict[str, Permission]:
    return {name: Permission(role, kind) for name in names}


MUTATIONS: Mapping[str, Permission] = {
    **_all("viewer", "none", "setNuxSeen", "logTelemetry"),
    **_all("operator", "look", "scheduleDryRun", "sensorDryRun"),
    **_all(
        "operator",
        "launch",
        "launchRun",
        "launchPipelineExecution",
        "launchMultipleRuns",
        "launchPartitionBackfill",
        "resumePartitionBackfill",
    ),
    **_all(
        "operator",
        "reexecute",
        "launchRunReexecution",
        "launchPipelineReexecution",
        "reexecutePartitionBackfill",
    ),
    **_all(
        "operator",
        "terminate",
        "terminateRun",
        "terminateRuns",
        "terminatePipelineExecution",
        "cancelPartitionBackfill",
    ),
    **_all(
        "operator",
        "toggle",
        "startSchedule",
        "stopRunningSchedule",
        "resetSchedule",
        "startSensor",
        "stopSensor",
        "resetSensor",
    ),
    **_all("operator", "reload", "reloadRepositoryLocation", "reloadWorkspace", "refreshComponentState"),
    **_all(
        "operator", "partition", "addDynamicPartition", "freeConcurrencySlots", "freeConcurrencySlotsForRun"
    ),
    **_all("admin", "toggle", "setSensorCursor", "setAutoMaterializePaused"),
    **_all(
        "admin",
        "wipe",
        "deleteRun",
        "deletePipelineRun",
        "wipeAssets",
        "deleteDynamicPartitions",
        "setConcurrencyLimit",
        "deleteConcurrencyLimit",
        "shutdownRepositoryLocation",
        "reportRunlessAssetEvents",
        "reportAssetCheckEvaluations",
    ),
}
NEVER = frozenset({"setAppManagedComponent", "deleteAppManagedComponent"})
"""They write code into a code location: code comes by an installation, never through the UI."""
