"""Asset checks of backups: one op for each stanza, so that one reading of the repository serves all.

The verdicts are reached in ``backup.monitoring.health``.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from ops_platform.backup.monitoring import Verdict, health
from ops_platform.backup.stanza import BackupConfig, Stanza, dagster_name
from ops_platform.defs.backup.assets import set_key, wal_key
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.resources import PlatformResource

_DESCRIPTIONS = {
    "archive_contiguous": "No WAL segment is missing between the oldest set and the end of the archive.",
    "archiver_healthy": "The server archives at the promised pace, into this repository.",
    "rpo_within_target": "What would be lost if the server died now is within the promise.",
    "repository_encrypted": "pgBackRest encrypts what it sends, the bucket what it stores.",
    "repository_locked": "The bucket keeps versions, its objects are locked for as long as they are needed.",
    "files_present": "All files that sets reference are stored, with their sizes, since a whole full.",
    "sets_accounted_for": "No recorded set vanished without a cleanup of ours.",
    "window_as_promised": "As much of the past can be restored without a gap as the retention promises.",
    "bytes_verified": "Every stored byte is read against its checksum in time, and was found right.",
    "fresh": "The newest restorable set that counts as this kind is not older than its schedule allows.",
}


def wal_checks(config: BackupConfig) -> list[dg.AssetChecksDefinition]:
    """Define the checks of every stanza."""
    return [_stanza_checks(stanza) for stanza in config.stanzas.values()]


def _stanza_checks(stanza: Stanza) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(name=f"check_{dagster_name(stanza.name)}", specs=_specs(stanza), can_subset=True)
    def check(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.AssetCheckResult]:
        chosen = context.op_execution_context.selected_asset_check_keys
        with reported_failures():
            verdicts = health.examine(platform.backup(stanza.name), datetime.now(UTC))
        for verdict in verdicts:
            if not verdict.passed:
                context.log.error(f"{stanza.name}: {verdict.name} {verdict.kind or ''}: {verdict.summary}")
            if dg.AssetCheckKey(_asset(stanza.name, verdict), verdict.name) in chosen:
                yield _result(stanza.name, verdict)

    return check


def _specs(stanza: Stanza) -> Sequence[dg.AssetCheckSpec]:
    wal = [
        dg.AssetCheckSpec(name, asset=wal_key(stanza.name), description=_DESCRIPTIONS[name])
        for name in health.WAL_VERDICTS
    ]
    sets = [
        dg.AssetCheckSpec(
            health.FRESH, asset=set_key(stanza.name, kind), description=_DESCRIPTIONS[health.FRESH]
        )
        for kind in health.scheduled_kinds(stanza)
    ]
    return [*wal, *sets]


def _result(stanza: str, verdict: Verdict) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=verdict.passed,
        check_name=verdict.name,
        asset_key=_asset(stanza, verdict),
        severity=dg.AssetCheckSeverity.ERROR,
        description=verdict.summary,
        metadata=dict(verdict.numbers),
    )


def _asset(stanza: str, verdict: Verdict) -> dg.AssetKey:
    return wal_key(stanza) if verdict.kind is None else set_key(stanza, verdict.kind)
