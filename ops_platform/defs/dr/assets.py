"""The assets of disaster recovery: an exercise of each scenario for each stanza, with its verifications.

One op for each stanza runs the chosen scenarios one after the other; a scenario that fails keeps
no other from running, and fails the run at its end. The exercise itself is in ``dr.exercise.runner``.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import dagster as dg
import psycopg

from ops_platform import markdown
from ops_platform.backup.stanza import KINDS, BackupConfig, BackupContext, Stanza, dagster_name
from ops_platform.defs import run_retries
from ops_platform.defs.backup import set_key, wal_key
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.defs.resources import PlatformResource
from ops_platform.defs.stanza_jobs import key_parts
from ops_platform.dr.exercise import WARN_SHARE, ExerciseRequest, ExerciseType, Outcome, exercise_store
from ops_platform.dr.inspection import VERIFICATIONS, Verification, unknown
from ops_platform.dr.plan import EXERCISES
from ops_platform.errors import OpsError

GROUP = "dr"
SCHEDULE_TAG = "dagster/schedule_name"

_DESCRIPTIONS = {
    "latest": "The newest set of `{0}` restored to the end of the archive as it stood at the disaster.",
    "pitr": "`{0}` restored to one hour before, or as far back as the archive reaches.",
    "integrity": "A set of `{0}`, another each month, restored and verified to the last page and index.",
    "stolen_key": "A copy of the repository of `{0}`, destroyed with its key, restored from its versions.",
    "performance": "The throughput of a restore of `{0}`, and what it means for production's size.",
}
_CHECKS = {
    "backup_selected": "There is a set to restore, and room for it.",
    "restored": "pgBackRest copied the set into an empty directory.",
    "recovered_and_promoted": "Recovery ended, the server was promoted and takes writes.",
    "archive_mode_off": "The restored server says itself that it archives nothing.",
    "system_identifier": "It is the cluster that the stanza stands for.",
    "timeline": "It branches off the timeline that the archive led along.",
    "recovery_target": "A heartbeat just before the target is present, the one just after is absent.",
    "tombstones": "Whoever was erased was erased again.",
    "catalogue": "Every object is as it was at the source.",
    "roles": "Every role and membership is as it was at the source.",
    "extensions": "Every extension is there in the source's version.",
    "sequences": "No sequence is behind a column that it feeds.",
    "indexes_valid": "Every index is valid.",
    "constraints_validated": "No constraint is unvalidated that was validated at the source.",
    "collations": "Recorded collation versions are those of this machine.",
    "closed_rows": "Rows of append-only tables equal the signed reference.",
    "live_tables": "Every other table has a number of rows that is possible.",
    "orphans": "Every foreign key holds.",
    "amcheck": "pg_amcheck: heaps and indexes agree, row by row.",
    "pg_dump": "Every database can be dumped.",
    "page_checksums": "Every page is what was written.",
    "checks_bite": "A damage made on purpose to the copy, another each month, is caught.",
    "rpo_within_target": "What would have been lost is within the promise.",
    "rto_within_target": "The time to the first transaction is within the promise.",
    "primary_undisturbed": "The source's archiver did not fail during the exercise.",
    "torn_down": "Nothing of the scratch cluster is left.",
    "versions_survived": "What the stolen key tried was denied, or only hid a version that is still there.",
    "throughput": "The copy is not much slower than in earlier exercises.",
    "predicted_rto": "The declared production size would be back within the promise.",
}


def exercise_key(stanza: str, scenario: str) -> dg.AssetKey:
    """Return the key of the asset of one scenario of a stanza."""
    return dg.AssetKey(["dr", *key_parts(stanza), scenario])


def exercise_assets(config: BackupConfig) -> list[dg.AssetsDefinition]:
    """Make one multi-asset for each stanza, with its scenarios and their checks."""
    return [_exercises(stanza) for stanza in config.stanzas.values()]


def _exercises(stanza: Stanza) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"exercise_{dagster_name(stanza.name)}",
        specs=[_spec(stanza.name, scenario) for scenario in EXERCISES],
        check_specs=[
            dg.AssetCheckSpec(name, asset=exercise_key(stanza.name, scenario), description=_CHECKS[name])
            for scenario in EXERCISES
            for name in VERIFICATIONS[scenario]
        ],
        can_subset=True,
    )
    def exercises(
        context: dg.AssetExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        chosen = _Chosen.of(context)
        bad = []
        for scenario in EXERCISES:
            if not chosen.includes(exercise_key(stanza.name, scenario)):
                continue
            with reported_failures():
                outcome = _run(context, platform, stanza.name, scenario)
            if outcome.result != "success":
                bad.append(f"{scenario}: {outcome.reason}")
            yield from _events(chosen, stanza.name, scenario, outcome)
        if bad:
            raise dg.Failure(description="; ".join(bad)[:2000], allow_retries=False)

    return exercises


@dataclass(frozen=True)
class _Chosen:
    """The assets and checks selected for a run. A check selected alone needs its exercise all the same."""

    assets: AbstractSet[dg.AssetKey]
    checks: AbstractSet[dg.AssetCheckKey]

    @classmethod
    def of(cls, context: dg.AssetExecutionContext) -> "_Chosen":
        op = context.op_execution_context
        return cls(op.selected_asset_keys, op.selected_asset_check_keys)

    def includes(self, key: dg.AssetKey) -> bool:
        return key in self.assets or any(check.asset_key == key for check in self.checks)


def _spec(stanza: str, scenario: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        exercise_key(stanza, scenario),
        deps=[*(set_key(stanza, kind) for kind in KINDS), wal_key(stanza)],
        group_name=GROUP,
        tags=duty_tag(GROUP),
        owners=owners(GROUP),
        kinds={"postgres", "s3"},
        description=_DESCRIPTIONS[scenario].format(stanza),
        skippable=True,
    )


def _run(
    context: dg.AssetExecutionContext, platform: PlatformResource, stanza: str, scenario: str
) -> Outcome:
    """Run one exercise. One that could not begin is a failed one, with all its checks unknown."""
    from ops_platform.dr.exercise import runner  # imported by the run: the definitions load faster

    try:
        ctx = platform.backup(stanza)
        request = exercise_request(ctx, context.run, scenario)
        return runner.run(ctx, request, _printed(context), lambda fraction: None)
    except (OpsError, psycopg.Error) as error:
        failure = exercise_store.failure(error)
        reason = failure.reason or "it could not begin"
        context.log.error(f"{stanza}: {scenario}: {reason}")
        not_run = tuple(unknown(name, reason) for name in VERIFICATIONS[scenario])
        return replace(failure, verifications=not_run)


def exercise_request(ctx: BackupContext, run: dg.DagsterRun, scenario: str) -> ExerciseRequest:
    """Make the request of a run: scheduled if a schedule launched it, else manual."""
    kind: ExerciseType = "scheduled" if SCHEDULE_TAG in run.tags else "manual"
    return ExerciseRequest(
        kind,
        ctx.stanza.name,
        scenario,
        run.run_id,
        run_retries.root_run_id(run),
        ctx.stanza.rto_target_seconds * 1000,
        ctx.stanza.rpo_target_seconds * 1000,
    )


def _events(
    chosen: _Chosen, stanza: str, scenario: str, outcome: Outcome
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    key = exercise_key(stanza, scenario)
    results = [
        check_result(stanza, scenario, result)
        for result in outcome.verifications
        if dg.AssetCheckKey(key, result.name) in chosen.checks
    ]
    if outcome.rto_ms is None or key not in chosen.assets:
        # Nothing was restored, or the asset was not selected: only the checks are reported.
        yield from results
        return
    yield dg.MaterializeResult(asset_key=key, metadata=metadata(outcome), check_results=results)


def check_result(stanza: str, scenario: str, result: Verification) -> dg.AssetCheckResult:
    """Report a verification as an asset check; a forecast above WARN_SHARE is a warning."""
    share = result.numbers.get("share_of_target")
    warn = isinstance(share, float) and share > WARN_SHARE
    return dg.AssetCheckResult(
        asset_key=exercise_key(stanza, scenario),
        check_name=result.name,
        # A warning is a check that did not pass, of a severity that does not page.
        passed=result.passed and not warn,
        severity=dg.AssetCheckSeverity.WARN if result.passed and warn else dg.AssetCheckSeverity.ERROR,
        description=result.summary,
        metadata={"result": result.result, **result.numbers},
    )


def metadata(outcome: Outcome) -> Mapping[str, dg.MetadataValue]:
    """Return numbers that plot over the exercises, and a table of the verifications."""
    entries: dict[str, dg.MetadataValue] = {
        "result": dg.MetadataValue.text(outcome.result),
        "backup_label": dg.MetadataValue.text(outcome.backup_label or "none"),
        "recovery_target": dg.MetadataValue.text(outcome.recovery_target or "none"),
        "verifications": dg.MetadataValue.md(_table(outcome.verifications)),
    }
    numbers = {
        "rto_seconds": _thousandth(outcome.rto_ms),
        "rpo_seconds": _thousandth(outcome.rpo_ms),
        "time_to_assurance_seconds": _thousandth(outcome.assurance_ms),
        "copy_mb_per_second": None if outcome.copy_rate is None else outcome.copy_rate / 1e6,
        "replay_mb_per_second": None if outcome.replay_rate is None else outcome.replay_rate / 1e6,
        "copied_mb": None if outcome.copy_bytes is None else outcome.copy_bytes / 1e6,
        "replayed_mb": None if outcome.replay_bytes is None else outcome.replay_bytes / 1e6,
        **{f"phase_{name}_seconds": seconds for name, seconds in outcome.phases.items()},
    }
    for name, value in numbers.items():
        if value is not None:
            entries[name] = dg.MetadataValue.float(round(value, 3))
    return entries


def _table(verifications: Sequence[Verification]) -> str:
    words = {"pass": "passed", "fail": "**failed**", "unknown": "**could not run**"}
    rows = [(result.name, words[result.result], result.summary) for result in verifications]
    return markdown.table(("verification", "result", "finding"), rows)


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000


class _printed:
    """Prints all lines to the compute log, and those not of pgBackRest to the event log too."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._context = context

    def __call__(self, line: str) -> None:
        print(line, flush=True)  # the compute log is the process's stdout
        if " INFO: " not in line:
            self._context.log.info(line)
